"""The pictures that somebody names by folders, files and patterns, read one at a time, or paired with a reference."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from checkerscope.toolkit import checks
from checkerscope.toolkit.images import _files, _pixels
from checkerscope.toolkit.images._files import Problem
from checkerscope.toolkit.images._pixels import Unusable, Values


@dataclass(frozen=True)
class Chosen:
    """A file that may be a picture.

    Attributes:
        path: Where it is.
        name: Printable: relative to the folder that was named, or as it was named.
        key: What pairs it with a reference: the path relative to the folder, without suffix.
    """

    path: Path
    name: str
    key: str


@dataclass(frozen=True)
class Selection:
    """The files that some paths name, in a fixed order, each once.

    Attributes:
        files: Regular files, not opened yet.
        problems: What cannot be a picture, and why.
        ignored: Number of other files in the folders.
    """

    files: tuple[Chosen, ...]
    problems: tuple[Problem, ...]
    ignored: int


@dataclass(frozen=True)
class Picture:
    """One decoded picture.

    Attributes:
        values: (3, height, width) float32 in [0, 1].
        quantization: The 64 steps of a JPEG file's brightness, in grey levels of its DCT; empty for other formats.
    """

    values: Values
    quantization: tuple[int, ...] = ()


def select(paths: Sequence[str | os.PathLike[str]]) -> Selection:
    """Return the files that folders, files and patterns (`out/*.png`) name.

    A file that is named itself is taken whatever its suffix; below a folder the suffix decides.

    Raises:
        ValueError: If there is no path, or one leads nowhere.
    """
    if not paths:
        raise checks.mismatch("paths", "at least one folder, file or pattern", "none")
    files: dict[str, Chosen] = {}
    problems: list[Problem] = []
    ignored = 0
    for path in (found for given in paths for found in _expanded(os.fspath(given))):
        if os.path.isdir(path):
            walk = _files.walk(path)
            problems += walk.problems
            ignored += walk.ignored
            chosen = [_chosen(file, path) for file in walk.files]
        elif reason := _files.oddity(path):
            problems.append(Problem(_files.printable(path), reason))
            chosen = []
        else:
            chosen = [_chosen(path, path.parent if path.is_absolute() else Path())]
        for one in chosen:
            files.setdefault(os.path.realpath(one.path), one)
    return Selection(tuple(files.values()), tuple(problems), ignored)


def _expanded(given: str) -> Iterator[Path]:
    if not given or "\0" in given:
        raise checks.mismatch("paths", "a folder, file or pattern", repr(given))
    path = Path(os.path.expanduser(given))
    if os.path.lexists(path):
        return iter([path])
    found = [Path(name) for name in sorted(glob.glob(str(path), recursive=True), key=os.fsencode)]
    if not found:
        raise checks.mismatch(
            "paths", "folders, files or patterns", f"{_files.printable(path)} (nothing there)", "check the spelling"
        )
    return iter(found)


def _chosen(path: Path, root: Path) -> Chosen:
    inside = path.relative_to(root) if path.is_relative_to(root) else path
    return Chosen(path, _files.printable(inside), os.fspath(inside.with_suffix("")))


def read(path: Path) -> Picture:
    """Return a picture with its compression.

    Raises:
        Unusable: As `_files.read` and `_pixels.decode`.
    """
    data = _files.read(path)
    values = np.ascontiguousarray(_pixels.decode(data).transpose(2, 0, 1))
    return Picture(values, _pixels.quantization(data))


def pair(pictures: Selection, reference: Selection) -> tuple[list[tuple[Chosen, Chosen]], list[Problem]]:
    """Return the pictures with the reference of the same name, whatever the suffixes, and what has no partner."""
    partners: dict[str, list[Chosen]] = {}
    for one in reference.files:
        partners.setdefault(one.key, []).append(one)
    pairs: list[tuple[Chosen, Chosen]] = []
    problems: list[Problem] = []
    for one in pictures.files:
        found = partners.get(one.key, [])
        if len(found) == 1:
            pairs.append((one, found[0]))
        else:
            several = f"{len(found)} references of that name" if found else "no reference of that name"
            problems.append(Problem(one.name, several))
    taken = {one.key for one in pictures.files}
    problems += [Problem(one.name, "a reference without a picture") for one in reference.files if one.key not in taken]
    return pairs, problems


__all__ = ["Chosen", "Picture", "Problem", "Selection", "Unusable", "pair", "read", "select"]
