"""From a store of finished runs to records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from checkerscope.analysis.records import VALUE_COLUMNS, Records
from checkerscope.experiments.errors import StoreError
from checkerscope.experiments.execution import consistency
from checkerscope.experiments.execution.progress import Progress, progress
from checkerscope.experiments.store.runs import Store
from checkerscope.experiments.study import source_code
from checkerscope.experiments.study.grid import Grid, Run, name_of
from checkerscope.toolkit import catalog


@dataclass(frozen=True)
class Collected:
    """The records of a study with what they lack.

    Attributes:
        records: Of all finished runs.
        state: How much of the study was there before they were gathered.
        gaps: One line per measure of a finished run that is not in them.
    """

    records: Records
    state: Progress
    gaps: tuple[str, ...]


def gather(grid: Grid, store: Store) -> Collected:
    """Return the records of the finished runs with what is not there yet.

    Raises:
        StoreError: If no run is committed, or runs of one image source saw different images.
    """
    gaps: list[str] = []
    state = progress(grid, store)  # first: what is finished meanwhile is in the records, and not promised
    store.remember()
    return Collected(collect(grid, store, gaps.append), state, tuple(gaps))


def collect(grid: Grid, store: Store, gap: Callable[[str], None] = lambda line: None) -> Records:
    """Return the records of a study's committed runs; damaged runs are left out, never guessed.

    Args:
        grid: The study's runs.
        store: Where they are.
        gap: Told of every measure of a finished run that is not there, or not as the config asks for it, in one line
            each.

    Raises:
        StoreError: If no run is committed, or runs of one image source saw different images.
    """
    present = store.runs()
    consistency.refuse_mixed_images(grid.among(present), store)
    rows: list[dict[str, Any]] = []
    machine: list[dict[str, Any]] = []
    values: list[tuple[str, int, str, float]] = []
    arrays: dict[str, _OverSeeds] = {}
    for run in grid.among(present):
        key = run.spec.id
        if not store.is_complete(key):
            continue
        record = store.record(key)
        rows.append(_row(run, record))
        machine.append(_machine(key, store))
        for name in grid.config.measure.measures:
            stored = store.load_measure(key, name)
            otherwise = stored and _otherwise(stored[0].get("stamp"), run, name, grid.config.measure.asked)
            if stored is not None and not otherwise:
                values += _values(key, stored[0])
                if record["status"] == "done":
                    _gather(arrays, run.arm, record["steps"], stored[1])
            elif record["kept"]:
                gap(f"{key}: {name}: {otherwise or 'not measured, or damaged'}")
    if not rows:
        raise StoreError(f"{store.root}: no finished run to collect; start with: checkerscope run CONFIG")
    return Records(
        runs=pd.DataFrame(rows),
        values=pd.DataFrame(values, columns=list(VALUE_COLUMNS)),
        arrays={key: items.result() for key, items in arrays.items()},
        units=units(grid.config.measure.measures),
        tables={"machine": pd.DataFrame(machine)} if grid.config.measure.costs else {},
        study=grid.config.study.name,
        question=grid.config.study.question,
    )


def _otherwise(stamp: Any, run: Run, measure: str, asked: dict[str, int]) -> str:
    """Return in what a measure was taken otherwise than asked, or nothing: no table mixes two ways."""
    wanted, found = source_code.measure_stamp(run.spec, measure, asked), stamp if isinstance(stamp, dict) else {}
    for key, value in asked.items():
        if found.get(key) != value:
            return f"taken with {key} = {found.get(key)}, the config says {value}; take it again: checkerscope measure"
    return "" if found == wanted else "taken by other code; take it again: checkerscope measure"


def units(measures: Iterable[str]) -> dict[str, str]:
    """Return the unit of every metric, read from the measures' files."""
    found: dict[str, str] = {}
    for name in measures:
        found |= catalog.describe_one("checkerscope.analysis.measures", name).flags.get("units", {})
    return found


def _row(run: Run, record: Mapping[str, Any]) -> dict[str, Any]:
    flags = catalog.describe_one("checkerscope.toolkit.upsamplers", run.spec.upsampler.name).flags
    base = {
        "run": run.spec.id,
        "arm": run.arm,
        "seed": run.spec.seed,
        "status": record["status"],
        "steps": record["steps"],
        "parameters": record["parameters"],
        "macs": record["macs"],
        "period": record["period"],
        "needs_context": bool(flags.get("needs_context")),
    }
    factors = {key: name_of(value) for key, value in run.factors.items()}
    if "cure" in run.factors:  # the run that it starts from, itself where nothing was cured
        factors["base"] = (run.spec.base or run.spec).id
    return {**base, **factors, "why": record["why"]}


MACHINE = ("processor", "threads", "device", "accelerator")


def _machine(run: str, store: Store) -> dict[str, Any]:
    beside = store.environment(run)
    taken = ("seconds", "cpu_seconds", "steps_timed", "step_memory_mb", "peak_memory_mb")
    return {"run": run, **{key: beside.get(key, "") for key in (*taken, *MACHINE)}}


def _values(run: str, body: Mapping[str, Any]) -> list[tuple[str, int, str, float]]:
    return [
        (run, int(step), metric, float("nan") if value is None else value)
        for step, metrics in sorted(body["values"].items(), key=lambda item: int(item[0]))
        for metric, value in sorted(metrics.items())
    ]


def _gather(arrays: dict[str, _OverSeeds], arm: str, last: int, found: Mapping[str, np.ndarray]) -> None:
    for key, value in found.items():
        step, metric = key.split("/", 1)
        when = "end" if int(step) == last else "start" if int(step) == 0 else step
        name = f"{arm}/{when}/{metric}"
        if name in arrays:
            arrays[name].add(value)
        else:
            arrays[name] = _OverSeeds(value)


class _OverSeeds:
    """The mean of an arm's arrays over its seeds, added up one by one; of pictures, and of unlike shapes, the first."""

    def __init__(self, first: np.ndarray) -> None:
        self.first, self.count = first, 1
        self.total = None if first.dtype == np.uint8 else first.astype(np.float64)

    def add(self, item: np.ndarray) -> None:
        """Take the array of one more seed."""
        if self.total is not None and item.shape == self.first.shape:
            self.total += item
            self.count += 1
        else:
            self.total = None

    def result(self) -> np.ndarray:
        """Return the mean, float32, or the first."""
        return self.first if self.total is None else (self.total / self.count).astype(np.float32)
