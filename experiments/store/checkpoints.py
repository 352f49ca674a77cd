"""Checkpoints of runs under way: their digests and sizes are in their names, and the last one counts."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from checkerscope.experiments.errors import StoreError
from checkerscope.experiments.store import disk
from checkerscope.experiments.store.folder import StudyFolder
from checkerscope.experiments.store.manifest import LINK, read
from checkerscope.experiments.store.seals import digest

CHECKPOINT = re.compile(r"[0-9]{10}\.[0-9a-f]{64}\.([0-9]+\.)?safetensors")


class Checkpoints(StudyFolder):
    """The checkpoints of a study."""

    def work(self, run: str) -> Path:
        """Return the folder of a run under way."""
        return self.inside("work", run)

    def save_checkpoint(self, run: str, step: int, data: bytes) -> None:
        """Keep the state of a run under way; its digest is in its name, and older ones go after it is safe."""
        path = self.work(run) / f"{step:010d}.{digest(data)}.{len(data)}.safetensors"
        disk.write(path, data)
        for old in self.checkpoints(run):
            if old != path:
                disk.remove(old)

    def load_checkpoint(self, run: str) -> bytes | None:
        """Return the latest intact checkpoint of a run, or None; damaged ones are passed over."""
        for path in reversed(self.checkpoints(run)):  # by step: clocks go wrong
            with contextlib.suppress(StoreError):
                return read_checkpoint(path)
        return None

    def checkpoints(self, run: str) -> list[Path]:
        """Return the checkpoints of a run, whatever their state, the earliest step first."""
        return sorted(path for path in self.work(run).glob("*") if CHECKPOINT.fullmatch(path.name))


def read_checkpoint(path: Path) -> bytes:
    """Return a checkpoint's bytes, checked against its name.

    Raises:
        StoreError: If it is damaged, or a link.
    """
    if path.is_symlink():
        raise StoreError(f"{path}: {LINK}")
    _, expected, *size, _ = path.name.split(".")  # version 0.1.0 did not name the size
    data = read(path, int(size[0]) if size else None)
    if digest(data) != expected:
        raise StoreError(f"{path}: its SHA-256 differs from its name")
    return data
