"""Stamps of code: every file that a number depends on changes them, no other does, and a move does not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from checkerscope.experiments.study import source_code
from checkerscope.experiments.study.source_code import MEASURES, MEASURING, TRAINING
from checkerscope.experiments.study.spec import RunSpec

SPEC = {
    "images": {"source": {"name": "photos", "images": 8}, "size": 16},
    "network": {"name": "autoencoder", "width": 4, "latent_channels": 4},
    "upsampler": {"name": "transposed_conv", "kernel_size": 4},
    "initializer": "icnr_transposed",
    "train": {"steps": 1, "batch_size": 2, "learning_rate": 1e-3},
    "seed": 0,
}
CURE = {"name": "equal_gain", "finetune": 1}
ROOMS = ("toolkit", "analysis", "experiments")
Stamp = Callable[[RunSpec], str]


def spec(*, cured: bool) -> RunSpec:
    return RunSpec.model_validate({**SPEC, **({"cure": CURE} if cured else {})})


def measuring(run: RunSpec) -> str:
    return source_code.measuring_code(run, "tone")


def closure(stamp: Stamp, run: RunSpec) -> set[str]:
    """Return the files that a stamp is of, below the project's folder."""
    components = source_code._components(run)
    engine = f"{source_code.NAME}.toolkit.training.loop"
    found = (
        source_code.closure(MEASURING, chosen=(*components, (MEASURES, "tone")))
        if stamp is measuring
        else source_code.closure(*TRAINING, engine, chosen=components)
    )
    return {path.relative_to(source_code.PROJECT).as_posix() for path in found}


STAMPS: dict[str, tuple[Stamp, bool]] = {
    "training": (source_code.training_code, False),
    "training of a cure": (source_code.training_code, True),
    "measuring": (measuring, False),
    "measuring of a cure": (measuring, True),
}
EDITS = [(name, file) for name, (stamp, cured) in STAMPS.items() for file in sorted(closure(stamp, spec(cured=cured)))]


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copy")
    for room in ROOMS:
        shutil.copytree(source_code.PROJECT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture
def copy(copied: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the source from which stamps are made."""
    monkeypatch.setattr(source_code, "PROJECT", copied)
    source_code.forget()
    yield copied
    source_code.forget()


@pytest.mark.parametrize(("name", "file"), EDITS)
def test_an_edit_of_any_file_of_the_closure_changes_the_stamp(name: str, file: str, copy: Path) -> None:
    stamp, cured = STAMPS[name]
    before, text = stamp(spec(cured=cured)), (copy / file).read_bytes()
    (copy / file).write_bytes(text + b"\n# edited\n")
    source_code.forget()
    try:
        assert stamp(spec(cured=cured)) != before
    finally:
        (copy / file).write_bytes(text)


@pytest.mark.parametrize("name", STAMPS)
def test_edits_of_all_other_files_change_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stamp, cured = STAMPS[name]
    run = spec(cured=cured)
    before, inside = stamp(run), closure(stamp, run)
    for room in ROOMS:
        for path in (source_code.PROJECT / room).rglob("*.py"):
            file = path.relative_to(source_code.PROJECT).as_posix()
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_bytes(path.read_bytes() + (b"" if file in inside else b"\n# edited\n"))
    monkeypatch.setattr(source_code, "PROJECT", tmp_path)
    source_code.forget()
    assert stamp(run) == before
    source_code.forget()


NEEDED = {
    "training": ("study/build", "study/spec", "execution/fit", "execution/checkpoints"),
    "measuring": ("study/build", "study/spec", "execution/evaluate"),
}
#: What must not make anybody train or measure again.
OTHERS = (
    *("experiments/store/", "experiments/cli/", "experiments/workers/", "experiments/reporting/", "experiments/errors"),
    *("experiments/execution/session", "experiments/study/grid", "toolkit/catalog"),
    *("analysis/figures", "analysis/tables"),
)


@pytest.mark.parametrize("name", NEEDED)
def test_what_builds_trains_and_measures_is_in_and_what_keeps_and_talks_is_out(name: str) -> None:
    stamp, cured = STAMPS[name]
    files = closure(stamp, spec(cured=cured))
    assert {f"experiments/{file}.py" for file in NEEDED[name]} <= files
    assert not [file for file in files if file.startswith(OTHERS)]
    measures = {file for file in files if file.startswith("analysis/measures/") and not file.endswith("__init__.py")}
    assert measures == ({"analysis/measures/tone.py"} if name == "measuring" else set())
    assert ("toolkit/training/loop.py" in files) == (name == "training")
    assert not any("remedies" in file.split("/") for file in files), "nothing is cured"


LIVE = """
import sys
import torch
from checkerscope.experiments.execution import evaluate, fit
from checkerscope.experiments.study import build
from checkerscope.experiments.study.spec import RunSpec
run = RunSpec.model_validate_json(sys.argv[1])
examples = build.data(run, "train")
base = None if run.base is None else fit.prepare(run.base, examples, torch.device("cpu")).state_dict()
network = fit.prepare(run, examples, torch.device("cpu"), base)
fit.cost(network, examples)
fit.fit(run, network, examples, observe=lambda step, state: None, resume=None)
with evaluate.trial(run, network, build.data(run, "test").first(4), margin=4) as trial:
    evaluate.take("tone", trial)
print(*(module.__file__ for name, module in sys.modules.items() if name.startswith("checkerscope.")), sep="\\n")
"""


@pytest.mark.parametrize("cured", [False, True])
def test_what_is_loaded_when_a_run_is_trained_and_measured_is_in_a_stamp(cured: bool) -> None:
    run = spec(cured=cured)
    said = subprocess.run([sys.executable, "-c", LIVE, run.canonical], capture_output=True, text=True, check=True)
    loaded = {Path(path).resolve() for path in said.stdout.splitlines()}
    files = {path.relative_to(source_code.PROJECT).as_posix() for path in loaded if not source_code._is_prose(path)}
    inside = closure(source_code.training_code, run) | closure(measuring, run)
    assert len(inside) > 20
    assert files - inside == {"toolkit/catalog.py", "toolkit/checks.py", "toolkit/options.py"}


def test_a_move_changes_no_stamp(copy: Path) -> None:
    before = source_code._digest([copy / "analysis" / "trial.py", copy / "analysis" / "cost.py"])
    (copy / "elsewhere").mkdir(exist_ok=True)
    moved = Path(shutil.copy(copy / "analysis" / "trial.py", copy / "elsewhere" / "one_trial.py"))
    assert source_code._digest([copy / "analysis" / "cost.py", moved]) == before


def test_a_component_by_a_name_that_is_computed_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_code, "PROJECT", tmp_path)
    (tmp_path / "analysis").mkdir()
    file = tmp_path / "analysis" / "loader.py"
    ours, contract = "checkerscope.toolkit", "from checkerscope.analysis.contract import PACKAGE\n"
    (tmp_path / "analysis" / "contract.py").write_text(f'PACKAGE = "{ours}.remedies"\n')
    for text, expected in (
        (f'catalog.load("{ours}.networks", name)', f"{ours}.networks"),
        (f'PACKAGE = "{ours}.images"\ncatalog.load(PACKAGE, name)', f"{ours}.images"),
        (f"{contract}catalog.load(PACKAGE, name)", f"{ours}.remedies"),
    ):
        file.write_text(text)
        source_code.forget()
        assert source_code._imports(file).packages == (expected,)
    file.write_text("catalog.load(package_of(name), name)")
    source_code.forget()
    with pytest.raises(ValueError, match=r"catalog.load: expected the name of a package, got package_of\(name\)"):
        source_code._imports(file)
    source_code.forget()


def test_what_only_a_type_checker_sees_is_not_followed(tmp_path: Path) -> None:
    file = tmp_path / "one.py"
    file.write_text("if TYPE_CHECKING:\n    import a\nelse:\n    import b\ndef f():\n    import c\n")
    assert source_code._imports(file).modules == ("b", "c")


def test_workers_elsewhere_share_all_that_a_task_may_run(copy: Path) -> None:
    before = source_code.worker_code()
    for file in ("toolkit/remedies/hold.py", "experiments/study/build.py", "experiments/execution/training.py"):
        text = (copy / file).read_bytes()
        (copy / file).write_bytes(text + b"\n# edited\n")
        source_code.forget()
        assert source_code.worker_code() != before, file
        (copy / file).write_bytes(text)
    (copy / "analysis" / "figures" / "a_new_one.py").write_text("")
    source_code.forget()
    assert source_code.worker_code() == before
