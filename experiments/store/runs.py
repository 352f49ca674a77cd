"""The only reader and writer of results: atomic, hashed, resumable.

    results/<study>/
      runs/<id>/       one committed run: spec.json, history.csv, step-*.safetensors, run.json (the manifest, sealed);
                       environment.json (versions, host, times; sealed) lies beside them, outside the digest
      work/<id>/       a run under way: <step>.<sha256>.<size>.safetensors checkpoints, the folder about to be committed
      measures/<id>/   one sealed JSON per measure, and its arrays as NPZ
      records/         the collected tables; index.json: what was found when many files were last hashed
      lock             one byte per run being worked on; the lock dies with its process

A run is committed by one rename of a folder whose files were fsynced. `run.json` present and every hash right means
complete; nothing else counts. Everything is written through `experiments.store.disk`. The study's folder may be a link;
nothing inside it may: the store follows none.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from checkerscope.experiments.errors import StoreError
from checkerscope.experiments.store import disk
from checkerscope.experiments.store.checkpoints import Checkpoints
from checkerscope.experiments.store.index import NOTE, WORTHWHILE, Index, Inspection, look
from checkerscope.experiments.store.manifest import BESIDE, FORMAT, MANIFEST, describe, examine, read, unsealed
from checkerscope.experiments.store.measures import Measures
from checkerscope.experiments.store.notes import Notes
from checkerscope.experiments.store.seals import digest, sealed

RUN_ID = re.compile(r"[0-9a-f]{12}")
FOLDERS = ("runs", "work", "measures")
LOST_ENVIRONMENT = "the run is kept; the next `checkerscope run` notes here that versions and times are lost"


class Store(Checkpoints, Measures, Notes):
    """The results of one study: its runs, and with them their checkpoints, measures and notes."""

    def __init__(self, results: Path, study: str) -> None:
        super().__init__(results, study)
        self.seen = Index()

    def prepare(self) -> None:
        """Create the folders, and clear up: what is left of runs that were committed, environments that were lost.

        Raises:
            ValueError: If the folder cannot be written to.
            StoreError: If one of the folders is a link.
        """
        try:
            for name in FOLDERS:
                disk.make_folder(self.inside(name))
            disk.probe(self.root / "runs")
        except OSError as error:
            where = f"{self.root}: not writable ({error.strerror})"
            raise ValueError(f"{where}; choose another folder with --results") from None
        for folder in (self.root / "work").iterdir():
            if RUN_ID.fullmatch(folder.name) and self.is_complete(folder.name):
                with self.lock(folder.name) as held:
                    if held:
                        disk.remove(folder)
        for run in self.runs():
            if self.environment_problem(run) and self.is_complete(run):
                self._replace_environment(run)

    def _replace_environment(self, run: str) -> None:
        """Say of a complete run that nobody knows any more what it was made with, nor how long it took."""
        with self.lock(run) as held:
            if held:
                lost = {"environment": run, "of": self.trained(run), "lost": True}
                disk.write(self.inside("runs", run, BESIDE), sealed(lost))

    def recall(self) -> None:
        """Start from what an earlier command found."""
        self.seen.recall(self.load_note(NOTE))

    def remember(self) -> None:
        """Keep what was found of intact runs for the next command, if many were hashed."""
        if self.seen.fresh >= WORTHWHILE:
            self.save_note(NOTE, self.seen.to_note())
            self.seen.fresh = 0

    # runs

    def commit(
        self, run: str, files: Mapping[str, bytes], record: Mapping[str, Any], beside: Mapping[str, Any]
    ) -> None:
        """Store a finished run in one rename; committing it a second time changes nothing.

        Args:
            run: Run id.
            files: Name to content; their hashes go into the manifest.
            record: What the manifest says of the run (status, steps, ...).
            beside: The environment, outside the digest; it says of which training it is.

        Raises:
            StoreError: If the folder of the runs takes nothing: it is gone, or may not be changed.
        """
        staged = self.work(run) / f"commit-{disk.fresh_name()}"
        disk.make_folder(staged)
        manifest = sealed({"format": FORMAT, "run": run, **record, **describe(files)})
        for name, data in files.items():
            disk.write_here(staged / name, data)
        disk.write_here(staged / BESIDE, sealed({**beside, "environment": run, "of": digest(manifest)}))
        disk.write_here(staged / MANIFEST, manifest)
        disk.sync_folder(staged)
        self._put(run, staged)
        disk.remove(self.work(run))

    def _put(self, run: str, staged: Path) -> None:
        target = self.root / "runs" / run
        try:
            if os.path.lexists(target):
                if self.is_finished(run):
                    return  # somebody else committed the same run
                disk.move(target, staged.with_name(f"replaced-{disk.fresh_name()}"))
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

    def inspect(self, run: str) -> Inspection:
        """Return what is wrong with a run and how it ended; its files are hashed if one was touched since."""
        try:
            folder = self.inside("runs", run)
            present, stamp = look(folder)
        except StoreError as error:
            return Inspection("", (str(error),), "", None)
        except OSError as error:
            return Inspection("", (f"{self.root / 'runs' / run}: no such run ({error.strerror})",), "", None)
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
        """Return what lies beside a run: versions, host, times; empty where it is missing, damaged or another's."""
        try:
            return self._environment(run)
        except StoreError:
            return {}

    def environment_problem(self, run: str) -> str:
        """Return what is wrong with what lies beside a run, or nothing."""
        try:
            self._environment(run)
        except StoreError as error:
            return str(error)
        return ""

    def _environment(self, run: str) -> dict[str, Any]:
        path = self.inside("runs", run, BESIDE)
        try:
            body = unsealed(path)
        except StoreError:
            wrong = "damaged" if path.exists() else "missing"
            raise StoreError(f"{path}: {wrong}; {LOST_ENVIRONMENT}") from None
        if not isinstance(body, dict) or not self._tells_of(run, body):
            raise StoreError(f"{path}: belongs to another run or training; {LOST_ENVIRONMENT}")
        return {key: value for key, value in body.items() if key not in ("environment", "of")}

    def _tells_of(self, run: str, environment: dict[str, Any]) -> bool:
        if "of" not in environment:  # version 0.1.0 did not say of which run and training it is
            return "packages" in environment
        return environment.get("environment") == run and environment["of"] == self.trained(run)

    def load(self, run: str, name: str) -> bytes:
        """Return one file of a complete run, these very bytes checked against the manifest.

        Raises:
            StoreError: If the run is not complete and intact.
        """
        record, path = self.record(run), self.inside("runs", run, name)
        data = read(path, record.get("sizes", {}).get(name))
        if digest(data) != record["files"].get(name):
            raise StoreError(f"{path}: its SHA-256 differs from the manifest")
        return data


def weights_name(step: int) -> str:
    """Return the file name of the weights after `step` steps."""
    return f"step-{step:07d}.safetensors"
