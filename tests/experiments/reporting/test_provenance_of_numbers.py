"""A number in a table is that of its run and its measure; nothing else is taken for it, and what is missing is said."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from checkerscope.analysis.records import Records
from checkerscope.analysis.trial import Trial
from checkerscope.experiments.errors import StoreError
from checkerscope.experiments.execution import evaluate
from checkerscope.experiments.reporting import collect
from checkerscope.experiments.store import verify
from checkerscope.experiments.store.manifest import unsealed
from checkerscope.experiments.store.records import differences, load_records
from checkerscope.experiments.store.runs import Store
from checkerscope.experiments.store.seals import digest, sealed
from checkerscope.experiments.study import packaged

Command = Callable[..., int]


@pytest.fixture
def study(results: Path) -> Path:
    return results / "tiny"


def values(study: Path) -> bytes:
    return (study / "records" / "values.csv").read_bytes()


def swapped_seeds(study: Path) -> None:
    first, second, *_ = sorted((study / "measures").iterdir(), key=lambda path: path.name)
    (study / "measures" / "x").mkdir()
    shutil.rmtree(study / "measures" / "x")
    first.rename(study / "measures" / "x")
    second.rename(first)
    (study / "measures" / "x").rename(second)


def another_measure(study: Path) -> None:
    folder = min((study / "measures").iterdir())
    shutil.copy(folder / "phase_gain.json", folder / "tone.json")


def another_training(study: Path) -> None:
    """What a training under other conditions leaves: another manifest under the same id."""
    manifest = min((study / "runs").iterdir()) / "run.json"
    manifest.write_bytes(sealed({**unsealed(manifest), "parameters": 1}))
    beside = manifest.with_name("environment.json")
    beside.write_bytes(sealed({**unsealed(beside), "of": digest(manifest.read_bytes())}))


@pytest.mark.parametrize("change", [swapped_seeds, another_measure, another_training])
def test_measures_of_something_else_are_named_left_out_and_taken_again(
    change: Callable[[Path], None], study: Path, tiny: Path, checkerscope: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    before = values(study)
    change(study)
    problems = verify.verify_folder(study)[1]
    assert problems
    assert all("taken of another training" in line for line in problems)
    assert checkerscope("collect", tiny) == 0
    assert "not measured, or damaged" in capsys.readouterr().err
    assert values(study) != before
    assert checkerscope("collect", tiny, "--publish") == 2
    assert "take them before --publish, with: checkerscope measure" in capsys.readouterr().err
    assert checkerscope("measure", tiny) == checkerscope("collect", tiny) == 0
    assert values(study) == before
    assert verify.verify_folder(study)[1] == []


OTHERWISE = {
    "images": (["--set", "measure.images=2"], "taken with images = 2, the config says 4"),
    "margin": (["--set", "measure.margin=4"], "taken with margin = 4, the config says 8"),
}


@pytest.mark.parametrize(("options", "said"), OTHERWISE.values(), ids=OTHERWISE)
def test_measures_taken_otherwise_than_the_config_asks_are_left_out(
    options: list[str],
    said: str,
    study: Path,
    tiny: Path,
    checkerscope: Command,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = values(study)
    assert checkerscope("measure", tiny, "--shard", "1/2", *options) == 0
    assert checkerscope("collect", tiny) == 0
    assert capsys.readouterr().err.count(f"tone: {said}; take it again: checkerscope measure") == 2
    assert values(study).count(b"tone.flat_rms") < before.count(b"tone.flat_rms")
    assert checkerscope("collect", tiny, "--publish") == 2
    assert checkerscope("measure", tiny) == checkerscope("collect", tiny) == 0
    assert values(study) == before


def test_measures_of_other_code_are_left_out(
    study: Path, tiny: Path, checkerscope: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    measure = min((study / "measures").iterdir()) / "tone.json"
    body = unsealed(measure)
    measure.write_bytes(sealed({**body, "stamp": {**body["stamp"], "code": "0" * 16}}))
    assert verify.verify_folder(study)[1] == []
    assert checkerscope("collect", tiny) == 0
    assert "tone: taken by other code; take it again: checkerscope measure" in capsys.readouterr().err


def test_a_run_that_ends_while_records_are_taken_is_not_promised(
    study: Path, tiny: Path, checkerscope: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    late, gather = min((study / "runs").iterdir()), collect.collect

    def gathered(*arguments: Any, **options: Any) -> Records:
        found = gather(*arguments, **options)
        (study / "late").rename(late)
        return found

    late.rename(study / "late")
    monkeypatch.setattr(collect, "collect", gathered)
    assert checkerscope("collect", tiny, "--publish") == 2
    assert "3 done, 1 missing of 4 runs; finish it before --publish" in capsys.readouterr().err


def test_committed_numbers_are_compared_as_their_file_gives_them_back(
    tiny: Path, checkerscope: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packaged, "PAPER", tmp_path / "paper")
    options = ("--set", "grid.train.learning_rate=[1e-3,1]", "--set", "grid.seed=[0]", "--set", "train.steps=0")
    assert checkerscope("run", tiny, *options) == checkerscope("measure", tiny, *options) == 0
    assert checkerscope("collect", tiny, *options, "--publish") == 0
    assert checkerscope("paper", tiny, *options, "--check") == 0


def test_a_damaged_run_is_said_where_it_is_left_out(
    study: Path, tiny: Path, checkerscope: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    history = min((study / "runs").iterdir()) / "history.csv"
    size = history.stat().st_size
    history.write_bytes(history.read_bytes()[:-1])
    assert checkerscope("collect", tiny) == 0
    said = capsys.readouterr().err
    assert "tiny: 3 done, 1 missing of 4 runs" in said
    assert f"damaged: {history}: expected {size} bytes, got {size - 1}; it is left out" in said


def test_records_that_no_longer_hold_a_table_lose_its_file(study: Path, tiny: Path, checkerscope: Command) -> None:
    assert checkerscope("collect", tiny, "--set", 'measure.measures=["tone"]') == 0
    assert not (study / "records" / "arrays.npz").exists()
    assert verify.verify_folder(study)[1] == []


def test_the_paper_is_drawn_from_all_runs_and_again_where_somebody_touched_it(
    study: Path, tiny: Path, checkerscope: Command
) -> None:
    assert checkerscope("collect", tiny, "--set", "grid.seed=[0]") == 0
    (study / "report").mkdir()
    (study / "report" / "drawn.json").write_bytes(sealed({"another": "note"}))
    assert checkerscope("paper", tiny) == 0
    assert len(load_records(study / "records").runs) == 4
    table = study / "report" / "tables" / "main_results.csv"
    before, pdf = table.read_bytes(), (study / "report" / "tiny.pdf").read_bytes()
    table.write_bytes(before.replace(b"1", b"9"))
    assert any(str(table) in line for line in verify.verify_folder(study)[1])
    assert checkerscope("paper", tiny) == 0
    assert table.read_bytes() == before
    assert (study / "report" / "tiny.pdf").read_bytes() == pdf
    assert verify.verify_folder(study)[1] == []


def trial() -> Trial:
    model = torch.nn.Conv2d(1, 1, 1)
    images = torch.full((2, 1, 4, 4), float("nan"))  # equal to itself all the same
    return Trial(model, images, images + 1, 2, 2, 0)


@pytest.mark.parametrize(
    ("measure", "problem"),
    [
        (lambda t: t.reconstruction.zero_(), "expected images and model as they were, got a change"),
        (lambda t: t.model.weight.data.zero_(), "expected images and model as they were, got a change"),
        (lambda t: {"bad.value": "text"}, "could not convert"),
    ],
)
def test_a_measure_leaves_what_the_next_one_is_shown(
    measure: Callable[[Trial], object], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate.catalog, "load", lambda package, name: SimpleNamespace(measure=measure))
    shown = trial()
    kept = shown.reconstruction.clone(), shown.model.weight.detach().clone()
    with pytest.raises(ValueError, match=problem):
        evaluate.take("bad", shown)
    torch.testing.assert_close(shown.reconstruction, kept[0], equal_nan=True)
    assert torch.equal(shown.model.weight, kept[1])


def test_every_kind_of_difference_between_records_is_named() -> None:
    def records(arm: str, array: float, runs: tuple[str, ...] = ("a",)) -> Records:
        table = pd.DataFrame({"run": runs, "arm": arm, "status": "done"})
        numbers = pd.DataFrame({"run": ["a"], "step": [1], "metric": ["m"], "value": [0.5]})
        return Records(runs=table, values=numbers, arrays={"x": np.full(2, array), str(array): np.zeros(1)})

    assert differences(records("n", 1), records("n", 1)) == []
    assert differences(records("n", 1, ("a", "b")), records("k", 2)) == [
        "a arm: 'n' here, 'k' committed",
        "b: not committed",
        "1: not committed",
        "2: not here",
        "x: other numbers here",
    ]


# folders that are not what they should be


@pytest.mark.parametrize("name", ["runs/{run}/history.csv", "measures/{run}/tone.json", "paper.json"])
def test_a_pipe_in_place_of_a_file_is_named_and_not_waited_for(name: str, study: Path) -> None:
    store = Store(study.parent, "tiny")
    path = study / name.format(run=store.runs()[0])
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    assert any(str(path) in line for line in verify.verify_folder(study)[1])
    with pytest.raises(StoreError, match="expected a regular file"):
        unsealed(path)


WRONG = {
    "runs gone": (lambda study: shutil.rmtree(study / "runs"), "runs: missing"),
    "measures gone": (lambda study: shutil.rmtree(study / "measures"), "measures: missing"),
    "a file for a folder": (lambda study: (study / "records").rename(study / "x") and (study / "records").touch(),
                            "records: expected a folder"),
    "a folder for the lock": (lambda study: ((study / "lock").unlink(missing_ok=True), (study / "lock").mkdir()),
                              "lock: expected a file"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_a_study_lost_or_got_wrong_is_named_from_above_too(case: str, study: Path) -> None:
    change, problem = WRONG[case]
    change(study)
    assert any(problem in line for line in verify.verify_folder(study.parent)[1])


def test_a_folder_that_cannot_be_read_does_not_end_the_check(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed, other, *_ = sorted((study / "measures").iterdir())
    (other / "tone.json").write_bytes(b"")
    scandir, iterdir = os.scandir, Path.iterdir

    def refuse(path: Path) -> None:
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(verify.os, "scandir", lambda path: refuse(path) or scandir(path))
    monkeypatch.setattr(Path, "iterdir", lambda path: refuse(path) or iterdir(path))
    problems = verify.verify_folder(study)[1]
    assert f"{closed}: cannot be read (Permission denied)" in problems
    assert any(str(other / "tone.json") in line for line in problems)


def test_a_lock_that_is_a_folder_stops_the_study_in_one_line(
    study: Path, tiny: Path, checkerscope: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(min((study / "runs").iterdir()))
    (study / "lock").unlink(missing_ok=True)
    (study / "lock").mkdir()
    assert checkerscope("run", tiny) == 1
    assert "lock: cannot be locked (" in capsys.readouterr().err
    assert len(Store(study.parent, "tiny").runs()) == 3


def test_a_disk_error_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from checkerscope.experiments.store import disk

    def full(descriptor: int, data: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk.os, "write", full)
    with pytest.raises(OSError, match="No space left") as caught:
        disk.write(tmp_path / "values.csv", b"x")
    assert caught.value.filename == str(tmp_path / "values.csv")
