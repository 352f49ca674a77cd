"""The folder of one study: paths that no link leads out of, and who works on which run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from checkerscope.experiments.errors import StoreError
from checkerscope.experiments.store import disk
from checkerscope.experiments.store.manifest import LINK, MANIFEST, read
from checkerscope.experiments.store.seals import digest


class StudyFolder:
    """The results of one study, as far as all of its parts share it."""

    def __init__(self, results: Path, study: str) -> None:
        self.root = results / study

    def inside(self, *parts: str) -> Path:
        """Return a path in the study's folder.

        Raises:
            StoreError: If it, or a folder on its way, is a link.
        """
        path = self.root
        for part in parts:
            path /= part
            if path.is_symlink():
                raise StoreError(f"{path}: {LINK}")
        return path

    def trained(self, run: str) -> str:
        """Return the digest of a run's manifest, and so of everything that its training left."""
        try:
            return digest(read(self.root / "runs" / run / MANIFEST))
        except StoreError:
            return ""

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
