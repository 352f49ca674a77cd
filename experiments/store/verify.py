"""Proves a results folder: every stored file against its digest, and nothing that should not be there."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from checkerscope.experiments.errors import StoreError
from checkerscope.experiments.store import disk, drawings
from checkerscope.experiments.store.checkpoints import CHECKPOINT, read_checkpoint
from checkerscope.experiments.store.manifest import BESIDE, LINK, MANIFEST
from checkerscope.experiments.store.records import load_records, read_manifest
from checkerscope.experiments.store.runs import RUN_ID, Store

#: What is checked, and what is wrong with it ("" for nothing).
Check = tuple[Path, str]
#: Folders of a run under way, which the next start removes: it was about to be committed, and what it replaced.
STAGED = re.compile(r"(commit|replaced)-[0-9a-f-]+")
#: The folders of a study, those that are made of them or tell of the work, and the file that locks are taken on.
FOLDERS, LOCK = ("runs", "work", "measures", "records", "report", "slurm"), "lock"


def verify_folder(folder: Path) -> tuple[int, list[str]]:
    """Return how many files were checked under `folder`, and what is wrong.

    Args:
        folder: A study's results, a folder of studies, a folder of records such as `paper/data/quick`, or a folder of
            those, such as `paper/data`.
    """
    around = (folder, *_inside(folder))
    studies = [path for path in around if _is_study(path)]
    if studies:  # first: a study has records of its own, and is more than they are
        return _count(check for study in studies for check in _study(Store(study.parent, study.name)))
    collected = [path for path in around if (path / "manifest.json").is_file()]
    if collected:
        return _count(check for records in collected for check in _records(records))
    return 0, [f"{folder}: no study here"]


def damage(store: Store) -> list[str]:
    """Return what is wrong with stored runs and with checkpoints: all of it will be trained again."""
    runs = [line for run in store.runs() for line in store.problems(run)]
    return runs + [line for _, line in _under_way(store) if line]


def _is_study(folder: Path) -> bool:
    """Return whether a folder is a study, or what is left of one."""
    return any((folder / name).is_dir() for name in ("runs", "work", "measures"))


def _count(checks: Iterator[Check]) -> tuple[int, list[str]]:
    checked, problems, folder, seen = 0, [], None, set[Path]()
    for path, line in checks:
        if path.parent != folder:  # the checks of one file come one after the other: no need to keep the others
            folder, seen = path.parent, set()
        checked += path not in seen
        seen.add(path)
        if line:
            problems.append(line)
    return checked, problems


def _study(store: Store) -> Iterator[Check]:
    yield from _runs(store)
    yield from _measures(store)
    yield from _under_way(store)
    yield from _records(store.root / "records")
    yield from _report(store.root / "report")
    yield from _listed(store.root)
    for path in _inside(store.root):
        if path.name in FOLDERS:
            yield path, _link(path) or _expected(path, "folder", is_there=path.is_dir())
        elif path.name == LOCK:
            yield path, _link(path) or _expected(path, "file", is_there=path.is_file())
        else:
            yield path, store.note_problem(path.stem) if path.suffix == ".json" else _unexpected(path)


def _link(path: Path) -> str:
    return f"{path}: {LINK}" if path.is_symlink() else ""


def _expected(path: Path, kind: str, *, is_there: bool) -> str:
    return "" if is_there else f"{path}: expected a {kind}; delete it and run again"


def _runs(store: Store) -> Iterator[Check]:
    yield from _listed(store.root / "runs", needed=True)
    for folder in _inside(store.root / "runs"):
        if not RUN_ID.fullmatch(folder.name):
            yield folder, _unexpected(folder)
            continue
        yield from _listed(folder)
        yield from ((path, "") for path in (_inside(folder) if folder.is_dir() else (folder,)))
        yield from ((folder / MANIFEST, line) for line in store.problems(folder.name))
        if folder.is_dir() and not folder.is_symlink():
            yield folder / BESIDE, store.environment_problem(folder.name)


def _measures(store: Store) -> Iterator[Check]:
    yield from _listed(store.root / "measures", needed=True)
    for folder in _inside(store.root / "measures"):
        if folder.is_symlink() or not (folder.is_dir() and RUN_ID.fullmatch(folder.name)):
            yield folder, _link(folder) or _unexpected(folder)
            continue
        if not (store.root / "runs" / folder.name).is_dir():
            yield folder, f"{folder}: measures of a run that is missing"
        yield from _listed(folder)
        for path in _inside(folder):
            yield path, _measure(store, path)


def _inside(folder: Path) -> list[Path]:
    """Return what is in a folder, by name; nothing where it cannot be listed, which `_listed` says."""
    with contextlib.suppress(OSError):
        return sorted(folder.iterdir())
    return []


def _listed(folder: Path, *, needed: bool = False) -> Iterator[Check]:
    """Yield a problem if a folder cannot be listed: the rest is checked all the same."""
    try:
        os.scandir(folder).close()
    except (FileNotFoundError, NotADirectoryError) as error:
        if needed:
            yield folder, f"{folder}: {'missing' if isinstance(error, FileNotFoundError) else 'expected a folder'}"
    except OSError as error:
        yield folder, f"{folder}: cannot be read ({error.strerror})"


def _measure(store: Store, path: Path) -> str:
    if path.suffix not in (".json", ".npz") or path.name.startswith("."):
        return _unexpected(path)
    found = store.measured(path.parent.name, path.stem)
    if found is None:
        return f"{path}: damaged, or taken of another training; it will be measured again"
    return f"{path}: unexpected file" if path.suffix == ".npz" and not found[1] else ""


def _under_way(store: Store) -> Iterator[Check]:
    yield from _listed(store.root / "work")
    for folder in _inside(store.root / "work"):
        if folder.is_symlink() or not (folder.is_dir() and RUN_ID.fullmatch(folder.name)):
            yield folder, _link(folder) or _unexpected(folder)
            continue
        for path in _inside(folder):
            if CHECKPOINT.fullmatch(path.name):
                yield path, _checkpoint(path)
            elif not (STAGED.fullmatch(path.name) and path.is_dir()):
                yield path, _link(path) or _unexpected(path)


def _checkpoint(path: Path) -> str:
    try:
        read_checkpoint(path)
    except StoreError:  # the run was committed just now, or the disk is broken
        return f"{path}: damaged; the run will start again" if os.path.lexists(path) else ""
    return ""


def _records(folder: Path) -> Iterator[Check]:
    if not folder.is_dir():
        return
    try:
        names = {*read_manifest(folder), "manifest.json"}
        beside = {BESIDE}  # of published claims: machine and times, outside every digest
        yield from ((folder / name, "") for name in sorted(names))
        load_records(folder)
    except StoreError as error:
        yield folder / "manifest.json", str(error)
        return
    yield from ((path, _unexpected(path)) for path in _inside(folder) if path.name not in names | beside)


def _report(folder: Path) -> Iterator[Check]:
    """Yield what is wrong with drawings; what else lies among them is the user's."""
    for name, line in drawings.compare(folder) if folder.is_dir() else ():
        yield folder / name, line


def _unexpected(path: Path) -> str:
    """Return what to say of a name that the store does not know; what a living process writes now is no problem."""
    if not path.name.startswith(disk.TEMPORARY):
        return f"{path}: unexpected; nothing of the study"
    return "" if disk.is_written(path) else f"{path}: left by a process that died"
