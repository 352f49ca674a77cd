"""Patches of the user's own images: any folder, split by the images' content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from checkerscope.toolkit import checks
from checkerscope.toolkit.contracts.image_source import SPLITS, area_average, check_request, patches
from checkerscope.toolkit.images import _files, _pixels
from checkerscope.toolkit.images._files import Problem
from checkerscope.toolkit.images._pixels import Unusable

LABEL = "Folder of images"
SOURCE = "the user's files"
NEEDS = "path"

#: Share of the images that is kept for the test split where the folder does not say.
TEST_SHARE = 0.2
#: Largest result, in bytes.
MOST_BYTES = 4 * 2**30


@dataclass(frozen=True)
class Report:
    """What a folder holds, after every file has been decoded.

    Attributes:
        train: Images of the train split.
        test: Images of the test split.
        duplicates: "b.png = a.png": the same bytes (used once), or the same pixels in different files (used twice,
            and a leak where the two lie in different splits).
        problems: Files with the suffix of an image that cannot be used.
        ignored: Number of files without the suffix of an image, or outside `train` and `test` where there are both.
        digest: SHA-256 over the usable contents: changes when a picture is added, removed or edited, not when one is
            renamed or moved within its split.
    """

    train: int
    test: int
    duplicates: tuple[str, ...]
    problems: tuple[Problem, ...]
    ignored: int
    digest: str


@dataclass(frozen=True)
class _Picture:
    path: Path
    digest: str
    sides: tuple[int, int]  # height and width as displayed


def load(
    split: str,
    size: int,
    *,
    seed: int = 0,
    path: str = "",
    images: int | None = None,
    downscale: int = 1,
    skip_unusable: bool = False,
) -> Tensor:
    """Return patches of the images below a folder, (N, 3, size, size) float32 in [0, 1].

    Where the folder has subfolders `train` and `test`, these are the splits. Otherwise an image belongs to the test
    split if the SHA-256 of its file is among the lowest fifth of all numbers: this does not change when other images
    come or go, and copies fall on the same side. Copies are used once. Patches lie at a distance of half their size.

    Every file's header is read and its content hashed, but only the images are decoded from which a patch is drawn,
    so that `images=1000` is quick on a large folder. How pixel modes are converted is stated in
    `toolkit.images._pixels.decode`.

    Args:
        split: "train" or "test".
        size: Side of a patch in pixels.
        seed: Draws which patches are taken and their order, whatever the names of the files.
        path: The folder; `~` is the home.
        images: Largest number of patches; all by default.
        downscale: Factor of area averaging before patches are cut; 2 removes most grids that a camera or JPEG left.
        skip_unusable: Whether files that are damaged, refused or smaller than a patch are left out. By default they
            are an error that names the first few.

    Raises:
        ValueError: If there is no such folder, a file is unusable, a split is empty, the same file lies in `train` and
            `test`, or the result would exceed 4 GiB.
    """
    check_request("folder", split, size, images)
    checks.integer("folder: downscale", downscale)
    root = _files.folder("folder", path)
    survey = _survey(root)
    split_pictures, small = _large_enough(survey.splits[split], size * downscale, root)
    problems = [*survey.problems, *small]
    while True:
        _refuse(problems, skip_unusable=skip_unusable)
        if not split_pictures:
            raise _empty(split, survey, problems)
        result, damaged = _cut(split_pictures, size, downscale, seed=seed, images=images)
        if not damaged:
            return result
        # drawn again without the damaged files, so that the number of patches stays what was asked for
        problems += [Problem(_files.printable(at, root), reason) for at, reason in damaged.items()]
        split_pictures = [picture for picture in split_pictures if picture.path not in damaged]


def scan(path: str) -> Report:
    """Return what a folder holds, decoding every file; nothing is raised for files that cannot be used.

    Raises:
        ValueError: If there is no such folder, or the same file lies in `train` and `test`.
    """
    root = _files.folder("folder", path)
    survey = _survey(root)
    problems, copies, seen = list(survey.problems), list(survey.copies), dict[str, Path]()
    counts, total = dict.fromkeys(SPLITS, 0), hashlib.sha256()
    for split, pictures in survey.splits.items():
        for picture in pictures:
            try:
                pixels = _pixels.decode(_files.read(picture.path))
            except Unusable as reason:
                problems.append(Problem(_files.printable(picture.path, root), str(reason)))
                continue
            counts[split] += 1
            total.update(f"{split} {picture.digest}\n".encode())
            first = seen.setdefault(_files.digest(repr(pixels.shape).encode() + pixels.tobytes()), picture.path)
            if first != picture.path:
                copies.append(f"{_files.printable(picture.path, root)} = {_files.printable(first, root)}")
    return Report(**counts, duplicates=tuple(copies), problems=tuple(problems), ignored=survey.ignored,
                  digest=total.hexdigest())  # fmt: skip


def fingerprint(path: str) -> str:
    """Return a SHA-256 over the files of both splits: other pictures give another, renamed ones the same.

    Files are read and hashed, not decoded.

    Raises:
        ValueError: If there is no such folder, or the same file lies in `train` and `test`.
    """
    splits = _survey(_files.folder("folder", path)).splits
    lines = [f"{split} {picture.digest}\n" for split in SPLITS for picture in splits[split]]
    return _files.digest("".join(lines).encode())


@dataclass(frozen=True)
class _Survey:
    splits: dict[str, list[_Picture]]  # sorted by digest, so that names do not matter
    problems: tuple[Problem, ...] = ()
    copies: tuple[str, ...] = ()
    ignored: int = 0


def _survey(root: Path) -> _Survey:
    """Return what a folder's headers and hashes tell."""
    if not all((root / split).is_dir() for split in SPLITS):
        found = _pictures(root, root)
        splits: dict[str, list[_Picture]] = {split: [] for split in SPLITS}
        for picture in found.splits["all"]:
            splits["test" if int(picture.digest[:8], 16) < TEST_SHARE * 2**32 else "train"].append(picture)
        return replace(found, splits=splits)
    parts = {split: _pictures(root / split, root) for split in SPLITS}
    splits = {split: part.splits["all"] for split, part in parts.items()}
    _refuse_shared(splits, root)
    return _Survey(
        splits,
        tuple(problem for part in parts.values() for problem in part.problems),
        tuple(copy for part in parts.values() for copy in part.copies),
        _outside(root) + sum(part.ignored for part in parts.values()),
    )


def _outside(root: Path) -> int:
    inside = tuple(root / split for split in SPLITS)
    return sum(not any(path.is_relative_to(part) for part in inside) for path in _files.walk(root).files)


def _pictures(below: Path, root: Path) -> _Survey:
    walk = _files.walk(below)
    problems = [replace(p, name=_files.printable(below / p.name, root)) for p in walk.problems]
    pictures: dict[str, _Picture] = {}
    copies = []
    for path in walk.files:
        try:
            data = _files.read(path)
            picture = _Picture(path, _files.digest(data), _pixels.size_of(data))
        except Unusable as reason:
            problems.append(Problem(_files.printable(path, root), str(reason)))
            continue
        first = pictures.setdefault(picture.digest, picture)
        if first is not picture:
            copies.append(f"{_files.printable(path, root)} = {_files.printable(first.path, root)}")
    ordered = [pictures[digest] for digest in sorted(pictures)]
    return _Survey({"all": ordered}, tuple(problems), tuple(copies), walk.ignored)


def _refuse_shared(splits: dict[str, list[_Picture]], root: Path) -> None:
    test = {picture.digest: picture.path for picture in splits["test"]}
    shared = [(p.path, test[p.digest]) for p in splits["train"] if p.digest in test]
    if shared:
        pair = " and ".join(_files.printable(path, root) for path in shared[0])
        got = f"{len(shared)} in both, first {pair}"
        raise checks.mismatch("folder: train and test", "no file in both", got, "remove one of each pair")


def _large_enough(pictures: list[_Picture], side: int, root: Path) -> tuple[list[_Picture], list[Problem]]:
    small = [
        Problem(_files.printable(p.path, root), f"{p.sides[0]} x {p.sides[1]} pixels, smaller than {side} x {side}")
        for p in pictures
        if min(p.sides) < side
    ]
    return [p for p in pictures if min(p.sides) >= side], small


def _refuse(problems: list[Problem], *, skip_unusable: bool) -> None:
    if problems and not skip_unusable:
        first = "; ".join(f"{p.name}: {p.reason}" for p in problems[:3])
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise checks.mismatch(
            "folder", "usable images only", f"{len(problems)} unusable: {first}{more}",
            "remove them or set skip_unusable = true",
        )  # fmt: skip


def _empty(split: str, survey: _Survey, problems: list[Problem]) -> ValueError:
    count = sum(map(len, survey.splits.values()))
    got = f"none ({count} readable in all splits, {len(problems)} unusable, {survey.ignored} other files)"
    if problems:
        got += f", first unusable {problems[0].name}: {problems[0].reason}"
    fix = "add images" if count < 5 else "use a smaller size"
    return checks.mismatch(
        "folder", f"at least one image in the {split} split", got, f"{fix}, or subfolders train/, test/"
    )


def _cut(
    pictures: list[_Picture], size: int, downscale: int, *, seed: int, images: int | None
) -> tuple[Tensor, dict[Path, str]]:
    """Return drawn patches and, by path, why files could not be decoded."""
    stride = max(1, size // 2)
    counts = torch.tensor([prod((side // downscale - size) // stride + 1 for side in p.sides) for p in pictures])
    total = int(counts.sum())
    taken = min(total, images or total)
    if taken * 3 * size * size * 4 > MOST_BYTES:
        most = MOST_BYTES // (12 * size * size)
        raise checks.mismatch(
            "folder: images", f"at most {most} patches in 4 GiB", taken, f"set images = {most} or less"
        )
    drawn = torch.randperm(total, generator=torch.Generator().manual_seed(seed))[:taken]
    ends = counts.cumsum(0)
    owner = torch.searchsorted(ends, drawn, right=True)
    result = torch.empty(taken, 3, size, size)
    damaged: dict[Path, str] = {}
    for k in owner.unique().tolist():
        where = owner == k
        try:
            pixels = _pixels.decode(_files.read(pictures[k].path))
        except Unusable as reason:
            damaged[pictures[k].path] = str(reason)
            continue
        result[where] = patches(area_average(pixels, downscale), size, stride, drawn[where] - (ends[k] - counts[k]))
    return result, damaged
