"""Kill -9 at every line that the storage code executes, then start again: the store must be as if nothing happened.

A process of its own that imports neither torch nor pytest, so that forking one child per line is cheap. Prints how many
points were tried, how many different states of the disk they left, and what was wrong after any of them, as JSON.
With the name of a flaw in `FLAWS`, the store is broken first: then something must be wrong.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import numpy as np

from checkerscope.experiments.store import checkpoints, disk, folder, index, manifest, measures, notes, runs, seals
from checkerscope.experiments.store.disk import write
from checkerscope.experiments.store.runs import Store
from tests.children import in_child

STORAGE = (disk, seals, manifest, folder, index, checkpoints, measures, notes, runs)
FILES = {module.__file__ for module in STORAGE}
RUNS = [seals.digest(f"spec {number}".encode())[:12] for number in range(2)]
STAMP = {"code": "x"}


def spec(run: str) -> bytes:
    return f"spec {RUNS.index(run)}".encode()


def scenario(root: Path) -> None:
    """Do what a study does, skipping what is already there: two runs (the second fails once), a measure, records."""
    results = Store(root, "study")
    results.prepare()
    for run in RUNS:
        with results.lock(run) as held:
            assert held
            if not results.is_finished(run):
                train(results, run)
            if results.measure_stamp(run, "tone") != STAMP:
                results.save_measure(run, "tone", {"stamp": STAMP, "values": {}}, {"0/map": np.arange(4.0)})
    write(results.root / "records" / "values.csv", b"run,value\n")
    results.save_note("paper", {"stamp": "x"})


def train(results: Store, run: str) -> None:
    if run == RUNS[1] and run not in results.runs():
        record = {"status": "failed", "steps": 0}
        results.commit(run, {"spec.json": spec(run)}, record, {"time": "now"})
    saved = results.load_checkpoint(run)
    assert saved in (None, b"3" * 50, b"6" * 50), "a checkpoint that was never saved"
    results.save_checkpoint(run, 3, b"3" * 50)
    results.save_checkpoint(run, 6, b"6" * 50)
    files = {"spec.json": spec(run), "history.csv": b"step,loss\n1,0.5\n"}
    results.commit(run, files, {"status": "done", "steps": 6}, {"time": "now"})


def tree(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() if path.is_file() else b"/" for path in root.rglob("*")}


def killed_at(line: int, work: Callable[[], None]) -> Callable[[], None]:
    """Return `work` with a SIGKILL before the given executed line of the storage code."""

    def traced() -> None:
        left = line

        def inside(frame: FrameType, event: str, argument: object) -> object:
            nonlocal left
            if event == "line":
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return inside

        def enter(frame: FrameType, event: str, argument: object) -> object:
            return inside if frame.f_code.co_filename in FILES else None

        sys.settrace(enter)
        work()

    return traced


def finished(root: Path) -> dict[str, int]:
    """Return the inode of the manifest of every finished run: a run that is trained again gets another."""
    paths = {run: root / "study" / "runs" / run / manifest.MANIFEST for run in RUNS}
    said = {run: path for run, path in paths.items() if path.exists() and b'"status": "done"' in path.read_bytes()}
    return {run: path.stat().st_ino for run, path in said.items()}


def resume(root: Path, expected: dict[str, bytes]) -> str:
    """Start again where a process was killed, and return what is wrong then, "" for nothing."""
    before = finished(root)
    if in_child(lambda: scenario(root)) != 0:
        return "the second start failed"
    after, now = finished(root), tree(root)
    if {run: after[run] for run in before} != before:
        return "a finished run was written again"
    if now != expected:
        return f"differs in {sorted(k for k in now.keys() | expected.keys() if now.get(k) != expected.get(k))}"
    return ""


def state(root: Path) -> str:
    """Return a digest of what a process left, whatever names it drew."""
    anonymous = {re.sub(r"(\.tmp|commit|replaced)-[0-9a-f]{16}", r"\1-drawn", n): d for n, d in tree(root).items()}
    return seals.digest(repr(sorted(anonymous.items())).encode())


def try_lines(folder: Path, expected: dict[str, bytes], every: int) -> dict[str, object]:
    """Kill at every line, or every so many; start again in every different state of the disk that this leaves."""
    seen: dict[str, str] = {}
    wrong: dict[int, str] = {}
    for line in itertools.count(every, every):
        root = folder / str(line)
        root.mkdir()
        ending = in_child(killed_at(line, lambda root=root: scenario(root)))  # type: ignore[misc]
        if ending == 0:
            return {"points": line // every - 1, "states": len(seen), "wrong": wrong}
        left = state(root)
        if left not in seen:
            seen[left] = resume(root, expected) if ending == -signal.SIGKILL else f"ended with {ending}"
        if seen[left]:
            wrong[line] = seen[left]
        shutil.rmtree(root)
    raise AssertionError


def commit_file_by_file(self: Store, run: str, staged: Path) -> None:
    target = self.root / "runs" / run
    disk.make_folder(target)
    for name in sorted(os.listdir(staged), key=lambda name: name != manifest.MANIFEST):
        disk.write(target / name, (staged / name).read_bytes())


def has_a_manifest(self: Store, run: str) -> bool:
    return b"done" in (self.root / "runs" / run / manifest.MANIFEST).read_bytes() if run in self.runs() else False


def train_always(self: Store, run: str) -> bool:
    return False


#: What a store could get wrong, and what these kills must then find.
FLAWS: dict[str, dict[str, object]] = {
    "no rename": {"_put": commit_file_by_file, "is_finished": has_a_manifest},
    "no memory": {"is_finished": train_always},
}
#: Flaws are looked for at so many lines only: they show themselves at many.
SPARSE = 23


def main(flaw: str = "") -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as name:
        folder = Path(name)
        scenario(folder / "whole")
        expected = tree(folder / "whole")
        for name, broken in FLAWS.get(flaw, {}).items():
            setattr(Store, name, broken)
        print(json.dumps(try_lines(folder, expected, SPARSE if flaw else 1)))


if __name__ == "__main__":
    main(*sys.argv[1:])
