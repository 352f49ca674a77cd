"""Whatever happens to a stored byte: it is found, it is named, it reaches no table, and it is made again."""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from checkerscope.experiments.errors import StoreError
from checkerscope.experiments.execution import training
from checkerscope.experiments.execution.progress import progress
from checkerscope.experiments.store import disk, verify
from checkerscope.experiments.store.manifest import unsealed
from checkerscope.experiments.store.records import load_records
from checkerscope.experiments.store.runs import Store, weights_name
from checkerscope.experiments.store.seals import digest, npz, sealed, to_json
from checkerscope.experiments.study import config
from checkerscope.experiments.study.grid import Grid

Command = Callable[..., int]
#: Bits that are turned over per kind of file, one at a time.
FLIPS = 50


@pytest.fixture
def study(results: Path) -> Path:
    """The finished study with one run only, a checkpoint of another, and a note."""
    root = results / "tiny"
    store = Store(results, "tiny")
    for run in store.runs()[1:]:
        shutil.rmtree(root / "runs" / run)
        shutil.rmtree(root / "measures" / run)
    store.save_checkpoint("0123456789ab", 5, bytes(range(256)) * 8)
    store.save_note("paper", {"stamp": "x"})
    assert verify.verify_folder(root)[1] == []
    return root


def run_of(study: Path) -> str:
    return Store(study.parent, "tiny").runs()[0]


def not_loaded(study: Path, path: Path) -> bool:
    """Return whether what lies in a file is refused to those who want to use it."""
    store, run = Store(study.parent, "tiny"), path.parent.name
    if path.parts[-3] == "runs" and path.name != "environment.json":
        with pytest.raises(StoreError):
            store.load(run, "history.csv")
        return not store.is_complete(run)
    if path.name == "environment.json":
        return store.environment(run) == {}
    if path.parts[-3] == "measures":
        return store.load_measure(run, path.stem) is None
    if path.parts[-3] == "work":
        return store.load_checkpoint(run) is None
    if path.parent.name == "records":
        with pytest.raises(StoreError):
            load_records(path.parent)
        return True
    return store.load_note(path.stem) is None


KINDS = {
    "spec": "runs/*/spec.json",
    "history": "runs/*/history.csv",
    "weights": "runs/*/step-0000008.safetensors",
    "manifest": "runs/*/run.json",
    "environment": "runs/*/environment.json",
    "measure": "measures/*/tone.json",
    "arrays": "measures/*/radial_spectrum.npz",
    "checkpoint": "work/*/*.safetensors",
    "table of runs": "records/runs.csv",
    "table of values": "records/values.csv",
    "collected arrays": "records/arrays.npz",
    "description": "records/study.json",
    "manifest of records": "records/manifest.json",
    "note": "paper.json",
}


def damages(data: bytes, seed: int) -> Iterator[tuple[str, bytes]]:
    generator = random.Random(seed)
    for bit in generator.sample(range(8 * len(data)), min(FLIPS, 8 * len(data))):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        yield f"bit {bit}", bytes(flipped)
    for length in {0, 1, len(data) // 2, len(data) - 1}:
        yield f"cut to {length}", data[:length]
    yield "zero tail", data[: len(data) // 2] + bytes(len(data) - len(data) // 2)
    yield "longer", data + b"\0"
    yield "a blank more", data + b" "


@pytest.mark.parametrize("kind", KINDS)
def test_every_damage_is_found_and_named_and_nothing_damaged_is_loaded(kind: str, study: Path) -> None:
    if not KINDS[kind].startswith("records"):
        shutil.rmtree(study / "records")  # parsing the tables takes the longest
    (path,) = study.glob(KINDS[kind])
    data = path.read_bytes()
    tried = 0
    for what, damaged in damages(data, seed=len(kind)):
        path.write_bytes(damaged)
        _, problems = verify.verify_folder(study)
        assert problems, what
        assert any(path.name in line or path.stem in line for line in problems), (what, problems)
        assert not_loaded(study, path), what
        tried += 1
    assert tried >= FLIPS
    path.write_bytes(data)
    assert verify.verify_folder(study)[1] == []


# a checkpoint, a note or a measure that is not there has not been made yet
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("checkpoint", "note", "measure")])
def test_a_missing_file_is_named(kind: str, study: Path) -> None:
    (path,) = study.glob(KINDS[kind])
    path.unlink()
    problems = verify.verify_folder(study)[1]
    assert any(path.name in line or path.stem in line for line in problems), problems


EXTRA: dict[str, tuple[str, str]] = {
    "in a run": ("runs/{run}/notes.txt", "unexpected file"),
    "hidden in a run": ("runs/{run}/.x", "unexpected file"),
    "beside the runs": ("runs/notes.txt", "unexpected; nothing of the study"),
    "of a dead process": ("runs/.tmp-0123456789abcdef-x", "left by a process that died"),
    "of a dead process, as version 0.1.0 named it": ("runs/.tmp-01234567-1-x", "left by a process that died"),
    "beside the measures": ("measures/notes.txt", "unexpected; nothing of the study"),
    "in the measures": ("measures/{run}/notes.txt", "unexpected; nothing of the study"),
    "arrays of no measure": ("measures/{run}/tune.npz", "damaged, or taken of another training"),
    "arrays of a measure without": ("measures/{run}/tone.npz", "unexpected file"),
    "in the work": ("work/notes.txt", "unexpected; nothing of the study"),
    "in a run under way": ("work/0123456789ab/notes.txt", "unexpected; nothing of the study"),
    "beside its checkpoints": ("work/0123456789ab/1.x.safetensors", "unexpected; nothing of the study"),
    "under the name of what is staged": ("work/0123456789ab/commit-0123", "unexpected; nothing of the study"),
    "where writing is tried": ("runs/.probe", "unexpected; nothing of the study"),
    "in the records": ("records/more.csv", "unexpected; nothing of the study"),
    "in the study": ("notes.txt", "unexpected; nothing of the study"),
    "in the study, as JSON": ("notes.json", "damaged"),
}


@pytest.mark.parametrize("case", EXTRA)
def test_an_extra_file_is_named(case: str, study: Path) -> None:
    name, why = EXTRA[case]
    path = study / name.format(run=run_of(study))
    path.write_bytes(b"")
    problems = verify.verify_folder(study)[1]
    assert [line for line in problems if str(path) in line and why in line] == problems != []


def test_what_a_living_process_writes_is_no_problem(study: Path) -> None:
    temporary, descriptor = disk._temporary(study / "records" / "values.csv")
    assert verify.verify_folder(study)[1] == []
    os.close(descriptor)  # as at the end of its process
    assert verify.verify_folder(study)[1] == [f"{temporary}: left by a process that died"]


def test_a_run_under_a_wrong_name_is_named(study: Path) -> None:
    run = study / "runs" / run_of(study)
    run.rename(run.with_name("ba9876543210"))
    problems = verify.verify_folder(study)[1]
    assert [line for line in problems if "spec.json: belongs to another run" in line]
    assert [line for line in problems if "measures of a run that is missing" in line]


@pytest.mark.parametrize("to", ["folder", "link to nowhere", "link to itself"])
def test_a_file_that_is_none_is_named_and_the_others_are_checked_too(to: str, study: Path) -> None:
    (weights,) = study.glob(KINDS["weights"])
    (note,) = study.glob(KINDS["note"])
    weights.unlink()
    weights.mkdir() if to == "folder" else weights.symlink_to(weights if "itself" in to else "nowhere")
    note.write_bytes(b"")
    problems = verify.verify_folder(study)[1]
    assert [weights.name in problems[0], note.name in problems[-1], len(problems)] == [True, True, 2]


def test_verify_on_the_command_line(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from checkerscope.experiments.__main__ import run

    assert run(["verify", str(study.parent)]) == 0
    assert capsys.readouterr().out.endswith(" files checked, 0 problems\n")
    (weights,) = study.glob(KINDS["weights"])
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert run(["verify", str(study.parent)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{weights}: its SHA-256 differs from the manifest"
    assert lines[1].endswith("files checked, 1 problem")
    assert run(["verify", str(study), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["problems"] == lines[:1]


def test_published_records_are_proved_too(study: Path, tmp_path: Path) -> None:
    folder = tmp_path / "published"
    shutil.copytree(study / "records", folder)
    assert verify.verify_folder(folder) == (5, [])
    (folder / "values.csv").write_bytes((folder / "values.csv").read_bytes().replace(b"1", b"2", 1))
    (folder / "more.csv").write_bytes(b"")
    problems = verify.verify_folder(folder)[1]
    assert len(problems) == 1
    assert "values.csv: its SHA-256 differs" in problems[0]


# folders and files that change under a study at work


def renamed(results: Path) -> None:
    results.rename(results.with_name("moved"))


TAKEN: dict[str, Callable[[Path], object]] = {
    "results renamed": renamed,
    "results deleted": shutil.rmtree,
    "runs deleted": lambda results: shutil.rmtree(results / "tiny" / "runs"),
    "a file for runs": lambda results: (shutil.rmtree(results / "tiny" / "runs"), (results / "tiny" / "runs").touch()),
}


@pytest.mark.parametrize("case", TAKEN)
def test_a_folder_that_goes_during_training_is_named_and_the_weights_are_kept(
    case: str,
    results: Path,
    tiny: Path,
    checkerscope: Command,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs = results / "tiny" / "runs"
    run = Store(results, "tiny").runs()[0]
    shutil.rmtree(runs / run)
    train = training.fit.loop.train

    def then_taken(*arguments: Any, **options: Any) -> Any:
        outcome = train(*arguments, **options)
        TAKEN[case](results)
        return outcome

    monkeypatch.setattr(training.fit.loop, "train", then_taken)
    assert checkerscope("run", tiny) == 1
    (line,) = capsys.readouterr().err.splitlines()
    why = "Not a directory" if "file" in case else "No such file or directory"
    assert line.startswith(f"error: {run}: StoreError: {runs}: {why}; finished runs are kept")
    (staged,) = (results / "tiny" / "work" / run).glob("commit-*")
    assert (staged / weights_name(8)).is_file()
    assert json.loads((staged / "run.json").read_bytes())["body"]["status"] == "done"


def test_a_run_does_not_begin_where_the_results_are_gone(tiny: Path, tmp_path: Path) -> None:
    spec = next(iter(Grid(config.read(tiny), "tiny"))).spec
    answer = training.train_run(spec.canonical, training.Place(str(tmp_path / "gone"), "tiny"))
    lock = tmp_path / "gone" / "tiny" / "lock"
    why = f"StoreError: {lock}: cannot be locked (No such file or directory)"
    assert answer == {"run": spec.id, "status": "halted", "why": why}
    assert not (tmp_path / "gone").exists()


@pytest.fixture
def impatient() -> Iterator[None]:
    """Fail a test that waits for ever."""
    before = signal.signal(signal.SIGALRM, lambda number, frame: pytest.fail("it waits"))
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("is_read", [False, True])
def test_a_pipe_for_the_lock_stops_the_study_at_once(
    is_read: bool, study: Path, tiny: Path, checkerscope: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    (study / "lock").unlink(missing_ok=True)
    os.mkfifo(study / "lock")
    other_end = os.open(study / "lock" if is_read else study, os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(StoreError, match="lock: expected a file"), Store(study.parent, "tiny").lock(run_of(study)):
        pass
    assert checkerscope("run", tiny) == 1  # sets alarms of its own: the lock is tried first
    os.close(other_end)
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{study / 'lock'}: expected a file; delete it and run again" in line


# what the commands make of it


def tree(study: Path) -> dict[str, bytes]:
    found = {p.relative_to(study).as_posix(): p for folder in ("runs", "measures", "records") for p in
             (study / folder).rglob("*") if p.is_file() and p.name != "environment.json"}  # fmt: skip
    return {name: path.read_bytes() for name, path in found.items()}


@pytest.mark.parametrize("kind", ["spec", "weights", "manifest", "measure", "arrays"])
def test_what_is_damaged_is_made_again_and_nothing_else(
    kind: str, results: Path, tiny: Path, checkerscope: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    study = results / "tiny"
    before = tree(study)
    path = sorted(study.glob(KINDS[kind]))[0]
    stamps = {p: p.stat().st_mtime_ns for p in study.glob("runs/*/run.json") if p.parent.name != path.parent.name}
    path.write_bytes(path.read_bytes()[:-2])
    assert checkerscope("collect", tiny) == 0
    values = (study / "records" / "values.csv").read_text()
    assert (path.parent.name in values) == (kind in ("measure", "arrays")), "a damaged run reached the table"
    if kind == "measure":
        assert f"{path.parent.name},8,tone." not in values
    assert checkerscope("run", tiny) == checkerscope("measure", tiny) == checkerscope("collect", tiny) == 0
    assert tree(study) == before
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps


def test_records_are_collected_from_committed_runs_only(results: Path, tiny: Path, checkerscope: Command) -> None:
    """What a study looks like while it is worked on: a run half written, another under way, orphans."""
    root = results / "tiny"
    first, second, *rest = Store(results, "tiny").runs()
    (root / "runs" / first / "run.json").unlink()
    (root / "work" / second).mkdir()
    (root / "runs" / second).rename(root / "work" / second / "commit-x")
    (root / "runs" / ".tmp-x-1-run.json").write_bytes(b"{")
    assert checkerscope("collect", tiny) == 0
    assert sorted(load_records(root / "records").runs["run"]) == rest
    state = progress(Grid(config.read(tiny), str(tiny)), Store(results, "tiny"))
    assert (state.total, state.done, state.missing, len(state.damaged)) == (4, 2, 2, 1)


# files that somebody made by hand, with every digest right


class Canary:
    """Unpickling one touches a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return (Path.touch, (self.path,))


def hostile(canary: Path) -> dict[str, bytes]:
    evil = np.array([Canary(canary)], dtype=object)
    header = json.dumps({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    names = json.dumps({"../../escaped": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    overlap = json.dumps({n: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for n in ("a", "b")}).encode()
    return {
        "pickle": pickle.dumps(Canary(canary)),
        "pickle in npz": npz({"0/map": evil}),
        "no header": b"",
        "short": b"\1",
        "header of 10^9 bytes": (10**9).to_bytes(8, "little") + b"{}",
        "header beyond the end": (2**63).to_bytes(8, "little") + header,
        "other tensors": len(header).to_bytes(8, "little") + header + bytes(4),
        "tensors with paths for names": len(names).to_bytes(8, "little") + names + bytes(4),
        "tensors that overlap": len(overlap).to_bytes(8, "little") + overlap + bytes(4),
        "deep header": (20_000).to_bytes(8, "little") + b"[" * 20_000,
    }


@pytest.mark.parametrize("what", list(hostile(Path())))
def test_hostile_bytes_are_refused_and_never_run(
    what: str, results: Path, tiny: Path, checkerscope: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    canary = tmp_path / "canary"
    data = hostile(canary)[what]
    store, before = Store(results, "tiny"), sorted(results.rglob("*"))
    run = store.runs()[0]
    (store.root / "runs" / run / weights_name(8)).write_bytes(data)
    manifest = store.root / "runs" / run / "run.json"
    body = json.loads(manifest.read_bytes())["body"]
    body["files"][weights_name(8)], body["sizes"][weights_name(8)] = digest(data), len(data)
    manifest.write_bytes(sealed(body))
    measures = store.root / "measures" / run
    (measures / "tone.json").unlink()
    (measures / "radial_spectrum.npz").write_bytes(data)
    spectrum = json.loads((measures / "radial_spectrum.json").read_bytes())["body"]
    (measures / "radial_spectrum.json").write_bytes(sealed({**spectrum, "arrays": digest(data), "size": len(data)}))
    assert checkerscope("measure", tiny) == 3
    assert run in capsys.readouterr().err
    assert checkerscope("collect", tiny) in (0, 1, 2)
    assert "Traceback" not in capsys.readouterr().err
    assert not canary.exists()
    assert set(results.rglob("*")) <= set(before)


@pytest.mark.parametrize("name", ["../escaped.csv", "/etc/hostname", "a\0b", "", "x" * 300, "a b.csv", "-rf"])
def test_names_in_a_manifest_lead_nowhere(name: str, study: Path) -> None:
    run = study / "runs" / run_of(study)
    body = json.loads((run / "run.json").read_bytes())["body"]
    body["files"][name] = digest(b"")
    (run / "run.json").write_bytes(sealed(body))
    assert f"odd file name {name!r}" in Store(study.parent, "tiny").problems(run.name)[0]
    (study / "records" / "manifest.json").write_bytes(sealed({name: digest(b"")}))
    with pytest.raises(StoreError, match="expected plain file names and digests"):
        load_records(study / "records")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (to_json({"study": "x", "question": "", "units": {}, "more": 1}), "no records .TypeError"),
        (b"[]", "no records .TypeError"),
        (b"\xff", "no records .UnicodeDecodeError"),
        (b"[" * 10_000, "no records"),
    ],
)
def test_records_that_nobody_wrote_are_refused(content: bytes, message: str, study: Path) -> None:
    folder = study / "records"
    (folder / "study.json").write_bytes(content)
    body = json.loads((folder / "manifest.json").read_bytes())["body"]
    (folder / "manifest.json").write_bytes(sealed({**body, "study.json": digest(content)}))
    with pytest.raises(StoreError, match=message):
        load_records(folder)


@pytest.mark.parametrize("body", [{"body": 1}, [1], {"body": 1, "sha256": "x", "more": 2}, None, "x", 1e999])
def test_json_without_its_seal_is_damaged(body: object, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps(body))
    with pytest.raises(StoreError, match=r"x\.json: damaged; delete it and run again"):
        unsealed(tmp_path / "x.json")


def test_json_never_holds_nan() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json({"tone": float("nan")})
