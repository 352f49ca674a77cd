"""One run of the tiny study: its spec, its files, and what it leaves where nothing disturbs it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from checkerscope.experiments.execution.training import Place, train_run
from checkerscope.experiments.study import config
from checkerscope.experiments.study.grid import Grid
from checkerscope.experiments.study.spec import RunSpec

STEPS = 8


def spec_of(path: Path, *overrides: str) -> RunSpec:
    """Return the run with a transposed convolution and seed 1."""
    return list(Grid(config.read(path, overrides), "tiny"))[-1].spec


def files(place: Place, run: str) -> dict[str, bytes]:
    folder = place.store.root / "runs" / run
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "environment.json"}


def undisturbed(spec: RunSpec, folder: Path) -> dict[str, bytes]:
    place = Place(str(folder), "undisturbed")
    place.store.prepare()
    assert train_run(spec.canonical, place)["status"] in ("done", "diverged")
    return files(place, spec.id)


def broken(error: BaseException) -> Callable[..., Any]:
    def raising(*arguments: Any, **options: Any) -> Any:
        raise error

    return raising
