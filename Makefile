# Everything a newcomer needs: `make study` and `make test`. Each creates .venv and installs, once.

PYTHON ?= python3
VENV ?= .venv
# An extra wheel index, if your machine needs one, for example: make TORCH_INDEX=https://...
TORCH_INDEX ?=
# More options of the study, for example: make study OPTIONS="--workers 1"
OPTIONS ?=
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# two intra-op threads on a busy machine run many times slower than one; the workers are processes
export OMP_NUM_THREADS := 1
export MKL_NUM_THREADS := 1

.PHONY: setup study test check bench clean

setup: $(INSTALLED)

$(INSTALLED): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) \
	  -c constraints.txt "$$(grep '^torch==' constraints.txt)"
	$(BIN)/pip install --quiet --disable-pip-version-check $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) \
	  -c constraints.txt -e '.[dev]'
	touch $@

study: $(INSTALLED)
	$(BIN)/checkerscope study configs/quick.toml $(OPTIONS)

test: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(INSTALLED)
	$(BIN)/python benchmarks/cpu.py

clean:
	rm -rf $(VENV) results build *.egg-info
