"""What was found when the files of runs were hashed; good for as long as none of them is touched.

Hashing every weight of a million runs takes hours of disk, for a question as short as `status`. A file that was not
touched (same name, size, inode, modification and change time, none of which a write leaves alone) is as it was found,
unless the disk itself lost it: `checkerscope verify` hashes everything, and a weight is hashed whenever it is loaded.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

#: Fewer runs are hashed again by every command: that takes less than a second.
WORTHWHILE = 1000
NOTE = "index"


class Inspection(NamedTuple):
    """What is wrong with a run's folder (nothing, if it is intact), and what its manifest says."""

    stamp: str
    problems: tuple[str, ...]
    status: str
    format: Any


class Index(dict[str, Inspection]):
    """Inspections by run, in little memory: there may be a million."""

    #: How many were made by this process.
    fresh = 0

    def add(self, run: str, stamp: str, found: tuple[list[str], dict[str, Any]]) -> None:
        """Put down the problems and the manifest of a run that was hashed just now."""
        problems, manifest = found
        status = sys.intern(str(manifest.get("status", "")))
        self[run] = Inspection(stamp, tuple(problems), status, manifest.get("format"))
        self.fresh += 1

    def to_note(self) -> dict[str, list[Any]]:
        """Return what is worth keeping for the next command: the intact runs."""
        return {run: [each.stamp, each.status, each.format] for run, each in self.items() if not each.problems}

    def recall(self, note: Any) -> None:
        """Start from what an earlier command kept; whatever else it is, is passed over."""
        for run, kept in note.items() if isinstance(note, dict) else ():
            if isinstance(kept, list) and len(kept) == 3:
                stamp, status, form = kept
                self[run] = Inspection(str(stamp), (), sys.intern(str(status)), form)


def look(folder: Path) -> tuple[list[str], str]:
    """Return the names in a folder, and a stamp that changes when any file in it is touched.

    Raises:
        OSError: If it cannot be read.
    """
    with os.scandir(folder) as entries:
        seen = sorted((entry.name, _stat(entry)) for entry in entries)
    stamps = [(name, s.st_size, s.st_ino, s.st_mtime_ns, s.st_ctime_ns) for name, s in seen]
    return [name for name, _ in seen], hashlib.sha256(repr(stamps).encode()).hexdigest()[:16]


def _stat(entry: os.DirEntry[str]) -> os.stat_result:
    try:
        return entry.stat()
    except OSError:  # a link that leads nowhere, or in a circle
        return entry.stat(follow_symlinks=False)
