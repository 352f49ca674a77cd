"""Which image files a folder holds: a walk that ends, whatever the links, names and files in it."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from checkerscope.toolkit import checks
from checkerscope.toolkit.images._pixels import Unusable

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm", ".pnm"}
)
#: Largest file that is read, in bytes.
MOST_BYTES = 512 * 2**20


@dataclass(frozen=True)
class Problem:
    """A file that cannot be used, by its printable name, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Walk:
    """What lies below a folder.

    Attributes:
        files: Regular files with the suffix of an image, sorted by their bytes' order.
        problems: What has the suffix of an image and is none, and folders that cannot be entered.
        ignored: Number of other files; hidden ones are not counted.
    """

    files: tuple[Path, ...]
    problems: tuple[Problem, ...]
    ignored: int


def printable(path: Path, root: Path | None = None) -> str:
    """Return a path relative to `root` that any stream can print: odd characters become escapes.

    >>> printable(Path("a\\nb.png"))
    'a\\\\nb.png'
    """
    name = str(path.relative_to(root) if root and path.is_relative_to(root) else path)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def folder(source: str, path: str) -> Path:
    """Return an existing folder.

    Raises:
        ValueError: If `path` is empty, has a NUL in it, or is not a folder.
    """
    if not isinstance(path, str) or not path or "\0" in path:
        raise checks.mismatch(f"{source}: path", "the path of a folder", repr(path), 'give path = "..."')
    root = Path(os.path.expanduser(path))
    if not os.path.isdir(root):  # Path.is_dir raises for names that are too long
        got = "a file" if os.path.isfile(root) else "nothing there"
        raise checks.mismatch(f"{source}: path", "a folder", f"{printable(root)} ({got})", "check the spelling")
    return root


def walk(root: Path) -> Walk:
    """Return the image files below `root`, following links, each folder once."""
    files: list[Path] = []
    problems: list[Problem] = []
    ignored = 0
    for path in _everything(root, problems):
        if path.suffix.lower() not in SUFFIXES:
            ignored += 1
        elif reason := oddity(path):
            problems.append(Problem(printable(path, root), reason))
        else:
            files.append(path)
    return Walk(tuple(sorted(files, key=os.fsencode)), tuple(sorted(problems, key=lambda p: p.name)), ignored)


def _everything(root: Path, problems: list[Problem]) -> Iterator[Path]:
    visited, waiting = {_identity(root)}, [root]
    while waiting:
        at = waiting.pop()
        try:
            entries = [Path(entry.path) for entry in os.scandir(at) if not entry.name.startswith(".")]
        except OSError as error:
            problems.append(Problem(printable(at, root), f"folder cannot be read: {error.strerror}"))
            continue
        for path in entries:
            if path.suffix.lower() in SUFFIXES or not os.path.isdir(path):
                yield path
            elif (identity := _identity(path)) not in visited:  # a link may lead back to where we came from
                visited.add(identity)
                waiting.append(path)


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def oddity(path: Path) -> str:
    """Return why a name does not lead to a regular file, or nothing; opening a pipe would wait for ever."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return "dangling link" if path.is_symlink() else f"cannot be read: {error.strerror}"
    if stat.S_ISDIR(mode):
        return "a folder with the name of an image"
    return "" if stat.S_ISREG(mode) else "not a regular file"


def read(path: Path) -> bytes:
    """Return the bytes of a file.

    Raises:
        Unusable: If it cannot be read or is larger than `MOST_BYTES`.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise Unusable(f"larger than {MOST_BYTES // 2**20} MiB")
        return path.read_bytes()
    except OSError as error:
        raise Unusable(f"cannot be read: {error.strerror or error}") from error


def digest(data: bytes) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
