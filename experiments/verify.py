"""Proves a results folder: every stored file against its digest, and nothing that should not be there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from experiments import collect
from experiments.store import BESIDE, MANIFEST, RUN_ID, Store, StoreError, digest, read, unsealed

#: What is checked, and what is wrong with it ("" for nothing).
Finding = tuple[Path, str]


def verify_folder(folder: Path) -> tuple[int, list[str]]:
    """Return how many files were checked under `folder`, and what is wrong.

    Args:
        folder: A study's results, a folder of studies, or a folder of records such as `paper/data/quick`.
    """
    if (folder / "manifest.json").is_file():
        return _count(_records(folder))
    studies = [path for path in (folder, *sorted(folder.iterdir())) if _is_study(path)]
    if not studies:
        return 0, [f"{folder}: no study here"]
    return _count(finding for study in studies for finding in _study(Store(study.parent, study.name)))


def _is_study(folder: Path) -> bool:
    return all((folder / name).is_dir() for name in ("runs", "measures", "work"))


def _count(findings: Iterator[Finding]) -> tuple[int, list[str]]:
    found = list(findings)
    return len({path for path, _ in found}), [line for _, line in found if line]


def _study(store: Store) -> Iterator[Finding]:
    yield from _runs(store)
    yield from _measures(store)
    yield from _under_way(store)
    yield from _records(store.root / "records")
    yield from ((note, _seal(note)) for note in sorted(store.root.glob("*.json")))


def _runs(store: Store) -> Iterator[Finding]:
    for folder in sorted((store.root / "runs").iterdir()):
        if not RUN_ID.fullmatch(folder.name):
            yield folder, f"{folder}: not a run; left by a process that died"
            continue
        yield from ((path, "") for path in sorted(folder.iterdir()))
        yield from ((folder / MANIFEST, line) for line in store.problems(folder.name))
        yield folder / BESIDE, _seal(folder / BESIDE)


def _measures(store: Store) -> Iterator[Finding]:
    for path in sorted((store.root / "measures").glob("*/*")):
        whole = path.suffix in (".json", ".npz") and store.measure_stamp(path.parent.name, path.stem) is not None
        leftover = path.name.startswith(".tmp-")
        why = "left by a process that died" if leftover else "damaged; it will be measured again"
        yield path, "" if whole else f"{path}: {why}"


def _under_way(store: Store) -> Iterator[Finding]:
    for run in sorted((store.root / "work").iterdir()):
        for path in store.checkpoints(run.name):
            whole = digest(read(path)) == path.name.split(".")[1]
            yield path, "" if whole else f"{path}: damaged; the run will start again"


def _records(folder: Path) -> Iterator[Finding]:
    if not folder.is_dir():
        return
    try:
        collect.load(folder)
        yield from ((folder / name, "") for name in (*unsealed(folder / "manifest.json"), "manifest.json"))
    except StoreError as error:
        yield folder / "manifest.json", str(error)


def _seal(path: Path) -> str:
    try:
        unsealed(path)
    except StoreError as error:
        return str(error)
    return ""
