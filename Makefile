# Everything a newcomer needs: `make study` and `make test`. Each creates .venv and installs, once.

PYTHON ?= python3
VENV ?= .venv
# An extra wheel index, if your machine needs one, for example: make TORCH_INDEX=https://...
TORCH_INDEX ?=
# More options of the study, for example: make study OPTIONS="--workers 1"
OPTIONS ?=
# Where `make bench` writes its results
OUTPUT ?=
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# two intra-op threads on a busy machine run many times slower than one; the workers are processes
export OMP_NUM_THREADS := 1
export MKL_NUM_THREADS := 1

.PHONY: setup study paper figures test test-quick check bench clean

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

paper: $(INSTALLED)
	$(BIN)/checkerscope paper

figures: $(INSTALLED)
	$(BIN)/python docs/draw_figures.py

test: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist loadfile

# the science alone, in about a minute: what is computed, without studies, workers, stores and commands
test-quick: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/architecture tests/toolkit tests/analysis

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# prints, and writes nothing; with `make bench OUTPUT=folder` also folder/cpu.json
bench: $(INSTALLED)
	$(BIN)/python benchmarks/cpu.py $(if $(OUTPUT),--output '$(OUTPUT)')

clean:
	rm -rf $(VENV) results build *.egg-info
