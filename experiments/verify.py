"""Proves a results folder: every stored file against its digest."""

from __future__ import annotations

from pathlib import Path

from experiments import collect
from experiments.store import Store, StoreError, digest, read, unsealed


def verify_folder(folder: Path) -> tuple[int, list[str]]:
    """Return how many files were checked under `folder` (a study or a folder of studies), and what is wrong."""
    studies = [folder] if (folder / "runs").is_dir() else sorted(p.parent for p in folder.glob("*/runs"))
    checked, problems = 0, [] if studies else [f"{folder}: no study here"]
    for study in studies:
        store = Store(study.parent, study.name)
        for check in (_runs, _measures, _checkpoints, _records):
            count, found = check(store)
            checked += count
            problems += found
    return checked, problems


def _runs(store: Store) -> tuple[int, list[str]]:
    problems = [line for run in store.runs() for line in store.problems(run)]
    known = set(store.runs())
    strays = [p for p in (store.root / "runs").iterdir() if p.name not in known]
    problems += [f"{p}: unfinished, left by a process that died" for p in strays]
    return sum(1 for run in known for _ in (store.root / "runs" / run).iterdir()), problems


def _measures(store: Store) -> tuple[int, list[str]]:
    paths = sorted((store.root / "measures").glob("*/*.json"))
    problems = [
        f"{p}: damaged; it will be measured again" for p in paths if store.load_measure(p.parent.name, p.stem) is None
    ]
    return len(paths), problems


def _checkpoints(store: Store) -> tuple[int, list[str]]:
    paths = sorted((store.root / "checkpoints").glob("*.safetensors"))
    wrong = [p for p in paths if digest(read(p)) != p.name.split(".")[1]]
    return len(paths), [f"{p}: damaged; the run will start again" for p in wrong]


def _records(store: Store) -> tuple[int, list[str]]:
    folder = store.root / "records"
    if not folder.is_dir():
        return 0, []
    try:
        collect.load(folder)
        return len(unsealed(folder / "manifest.json")) + 1, []
    except StoreError as error:
        return 1, [str(error)]
