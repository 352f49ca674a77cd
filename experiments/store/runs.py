"""The only reader and writer of results: atomic, hashed, resumable.

    results/<study>/
      runs/<id>/       one committed run: spec.json, history.csv, step-*.safetensors, run.json (the manifest, sealed);
                       environment.json (versions, host, times; sealed) lies beside them, outside the digest
      work/<id>/       a run under way: <step>.<sha256>.safetensors checkpoints, the folder about to be committed
      measures/<id>/   one sealed JSON per measure, and its arrays as NPZ
      records/         the collected tables; index.json: what was found when many files were last hashed
      lock             one byte per run being worked on; the lock dies with its process

A run is committed by one rename of a folder whose files were fsynced. `run.json` present and every hash right means
complete; nothing else counts. Everything is written through `experiments.store.disk`.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from checkerscope.experiments.errors import StoreError
from checkerscope.experiments.store import disk
from checkerscope.experiments.store.index import NOTE, WORTHWHILE, Finding, Findings, look
from checkerscope.experiments.store.manifest import BESIDE, FORMAT, MANIFEST, examine, read, unsealed
from checkerscope.experiments.store.seals import digest, npz, read_npz, sealed

RUN_ID = re.compile(r"[0-9a-f]{12}")
#: Written and removed to learn whether the folder can be written to.
PROBE = ".probe"


class Store:
    """The results of one study."""

    def __init__(self, results: Path, study: str) -> None:
        self.root = results / study
        self.seen = Findings()

    def prepare(self) -> None:
        """Create the folders, and remove what is left of runs that were committed.

        Raises:
            ValueError: If the folder cannot be written to.
        """
        try:
            for name in ("runs", "work", "measures"):
                disk.make_folder(self.root / name)
            disk.write(self.root / "runs" / PROBE, b"")
            disk.remove(self.root / "runs" / PROBE)
        except OSError as error:
            where = f"{self.root}: not writable ({error.strerror})"
            raise ValueError(f"{where}; choose another folder with --results") from None
        for folder in (self.root / "work").iterdir():
            if RUN_ID.fullmatch(folder.name) and self.is_complete(folder.name):
                with self.lock(folder.name) as held:
                    if held:
                        disk.remove(folder)

    # runs

    def commit(
        self, run: str, files: Mapping[str, bytes], record: Mapping[str, Any], beside: Mapping[str, Any]
    ) -> None:
        """Store a finished run in one rename; committing it a second time changes nothing.

        Args:
            run: Run id.
            files: Name to content; their hashes go into the manifest.
            record: What the manifest says of the run (status, steps, ...).
            beside: The environment, outside the digest.

        Raises:
            StoreError: If the folder of the runs takes nothing: it is gone, or may not be changed.
        """
        staged = self._work(run) / f"commit-{disk.owner()}"
        disk.remove(staged)
        disk.make_folder(staged)
        manifest = {"format": FORMAT, "run": run, **record, "files": {name: digest(files[name]) for name in files}}
        for name, data in files.items():
            disk.write_here(staged / name, data)
        disk.write_here(staged / BESIDE, sealed(beside))
        disk.write_here(staged / MANIFEST, sealed(manifest))
        disk.sync_folder(staged)
        self._put(run, staged)
        disk.remove(self._work(run))

    def _put(self, run: str, staged: Path) -> None:
        target = self.root / "runs" / run
        try:
            if target.exists():
                if self.is_finished(run):
                    return  # somebody else committed the same run
                disk.move(target, staged.with_name(f"replaced-{disk.owner()}"))
            disk.move(staged, target)
        except OSError as error:  # not the run's fault: what was staged must not make room for a failed record
            refusing = target.parent if staged.exists() else staged
            raise StoreError(f"{refusing}: {error.strerror}") from None
        disk.sync_folder(target.parent)

    def is_complete(self, run: str) -> bool:
        """Return whether a run is committed, in whatever state, and every hash is right."""
        return not self.inspect(run).problems

    def is_finished(self, run: str) -> bool:
        """Return whether a run is complete and need not be trained again: done or diverged, not failed.

        Raises:
            StoreError: If another version of the program wrote it; it must not be overwritten.
        """
        found = self.inspect(run)
        if found.problems and found.format not in (None, FORMAT):
            raise StoreError(found.problems[0])
        return found.status in ("done", "diverged") and not found.problems

    def problems(self, run: str) -> list[str]:
        """Return what is wrong with a run's folder; an empty list means complete and intact."""
        return list(self.inspect(run).problems)

    def inspect(self, run: str) -> Finding:
        """Return what is wrong with a run and how it ended; its files are hashed if one was touched since."""
        folder = self.root / "runs" / run
        try:
            present, stamp = look(folder)
        except OSError as error:
            return Finding("", (f"{folder}: no such run ({error.strerror})",), "", None)
        if run not in self.seen or self.seen[run].stamp != stamp:
            self.seen.add(run, stamp, examine(folder, present))
        return self.seen[run]

    def runs(self) -> list[str]:
        """Return the ids of all run folders, whatever their state."""
        folder = self.root / "runs"
        return sorted(filter(RUN_ID.fullmatch, os.listdir(folder))) if folder.is_dir() else []

    def record(self, run: str) -> dict[str, Any]:
        """Return a complete run's manifest.

        Raises:
            StoreError: If the run is not complete and intact.
        """
        problems = self.problems(run)
        if problems:
            raise StoreError(problems[0])
        return dict(unsealed(self.root / "runs" / run / MANIFEST))

    def environment(self, run: str) -> dict[str, Any]:
        """Return what lies beside a run: versions, host, times; empty where it is missing or damaged."""
        try:
            return dict(unsealed(self.root / "runs" / run / BESIDE))
        except StoreError:
            return {}

    def load(self, run: str, name: str) -> bytes:
        """Return one file of a complete run, these very bytes checked against the manifest.

        Raises:
            StoreError: If the run is not complete and intact.
        """
        expected = self.record(run)["files"][name]
        data = read(self.root / "runs" / run / name)
        if digest(data) != expected:
            raise StoreError(f"{self.root / 'runs' / run / name}: its SHA-256 differs from the manifest")
        return data

    # runs under way

    def _work(self, run: str) -> Path:
        return self.root / "work" / run

    def save_checkpoint(self, run: str, step: int, data: bytes) -> None:
        """Keep the state of a run under way; its digest is in its name, and older ones go after it is safe."""
        path = self._work(run) / f"{step:010d}.{digest(data)}.safetensors"
        disk.write(path, data)
        for old in self.checkpoints(run):
            if old != path:
                disk.remove(old)

    def load_checkpoint(self, run: str) -> bytes | None:
        """Return the latest intact checkpoint of a run, or None; damaged ones are passed over."""
        for path in reversed(self.checkpoints(run)):  # by step: clocks go wrong
            with contextlib.suppress(StoreError):
                data = read(path)
                if digest(data) == path.name.split(".")[1]:
                    return data
        return None

    def checkpoints(self, run: str) -> list[Path]:
        """Return the checkpoints of a run, whatever their state, the earliest step first."""
        return sorted(self._work(run).glob("[0-9]*.*.safetensors"))

    # measures

    def save_measure(self, run: str, name: str, body: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Store what one measure says of one run as it is now; the JSON is written last and makes it count."""
        folder = self.root / "measures" / run
        packed = npz(arrays) if arrays else b""
        if packed:
            disk.write(folder / f"{name}.npz", packed)
        whose = {"measure": name, "run": run, "of": self._trained(run)}
        disk.write(folder / f"{name}.json", sealed({**body, **whose, "arrays": digest(packed)}))
        if not packed:
            disk.remove(folder / f"{name}.npz")

    def measure_stamp(self, run: str, name: str) -> Any:
        """Return what a measure's stored numbers were made from, or None where they are absent or damaged."""
        found = self.measured(run, name)
        return None if found is None else found[0].get("stamp")

    def load_measure(self, run: str, name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
        """Return a measure's body and arrays, or None where it is absent or damaged (it is then measured again)."""
        found = self.measured(run, name)
        return None if found is None else (found[0], read_npz(found[1]) if found[1] else {})

    def measured(self, run: str, name: str) -> tuple[dict[str, Any], bytes] | None:
        """Return a measure's body and its arrays as stored.

        None where any of it is absent or damaged, or was taken of another run, or of this one before it was trained
        again.
        """
        folder = self.root / "measures" / run
        try:
            body = unsealed(folder / f"{name}.json")
            packed = b"" if body["arrays"] == digest(b"") else read(folder / f"{name}.npz")
            is_whole = digest(packed) == body["arrays"] and all(isinstance(v, dict) for v in body["values"].values())
            whose = {"measure": name, "run": run, "of": self._trained(run)}
            # version 0.1.0 did not say whose they are
            is_ours = "of" not in body or all(body[key] == value for key, value in whose.items())
        except (StoreError, TypeError, KeyError, AttributeError):
            return None
        return (body, packed) if is_whole and is_ours else None

    def _trained(self, run: str) -> str:
        """Return the digest of a run's manifest, and so of everything that its training left."""
        try:
            return digest(read(self.root / "runs" / run / MANIFEST))
        except StoreError:
            return ""

    def save_note(self, name: str, body: Any) -> None:
        """Keep something that can be made again, such as what a drawing was made from."""
        disk.write(self.root / f"{name}.json", sealed(body))

    def load_note(self, name: str) -> Any:
        """Return a note, or None where it is absent or damaged."""
        try:
            return unsealed(self.root / f"{name}.json")
        except StoreError:
            return None

    # one process per run

    @contextlib.contextmanager
    def lock(self, run: str) -> Iterator[bool]:
        """Hold a run while working on it; yields False where another process holds it.

        Raises:
            StoreError: If the file system has no locks, or the lock is no file or cannot be opened.
        """
        path = self.root / "lock"
        try:
            # one byte of one file each: a million runs need no million files
            with disk.locked(path, int(run, 16)) as held:
                yield held
        except disk.NoLocks as error:
            raise StoreError(f"{path}: {error}") from None


def weights_name(step: int) -> str:
    """Return the file name of the weights after `step` steps."""
    return f"step-{step:07d}.safetensors"


def recall(store: Store) -> None:
    """Let a store start from what an earlier command found."""
    for run, (stamp, status, form) in (store.load_note(NOTE) or {}).items():
        store.seen[run] = Finding(stamp, (), sys.intern(status), form)


def remember(store: Store) -> None:
    """Keep what was found of intact runs for the next command, if many were hashed."""
    if store.seen.fresh >= WORTHWHILE:
        intact = {run: [f.stamp, f.status, f.format] for run, f in store.seen.items() if not f.problems}
        store.save_note(NOTE, intact)
        store.seen.fresh = 0
