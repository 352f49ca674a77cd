"""From the store to records, and records to and from tidy files."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.records import VALUE_COLUMNS, Records
from experiments import continuity, disk, provenance
from experiments import store as files
from experiments.grid import Grid, Run, name_of
from experiments.manifest import PLAIN_NAME
from experiments.store import Store, StoreError
from toolkit import catalog

#: Has pandas read every digit of a number; from 3.1 on it always does, and warns of being asked to.
EXACT: dict[str, Any] = (
    {} if tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1) else {"float_precision": "round_trip"}
)


@dataclass(frozen=True)
class Progress:
    """How much of a study is there.

    Attributes:
        total: Runs of the config.
        done: Runs that finished.
        diverged: Runs that finished with numbers that are not finite.
        failed: Runs that raised.
        missing: Runs not yet committed.
        damaged: Lines that name what is wrong with stored runs.
        strangers: Run folders that belong to no run of the config (it has changed since).
        failures: One line per failed run: id, arm and why.
    """

    total: int
    done: int
    diverged: int
    failed: int
    missing: int
    damaged: tuple[str, ...]
    strangers: tuple[str, ...]
    failures: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Return whether every run has ended, in whatever way."""
        return self.done + self.diverged + self.failed == self.total


def progress(runs: Iterable[Run], store: Store) -> Progress:
    """Return the state of a study's runs in the store."""
    total, strangers = 0, set(store.runs())
    counts = {"done": 0, "diverged": 0, "failed": 0}
    damaged: list[str] = []
    failures: list[str] = []
    bases: set[str] = set()
    for total, run in enumerate(runs, 1):  # noqa: B007
        if run.spec.base is not None:  # which a cure starts from, whether it is a run of the grid or not
            bases.add(run.spec.base.id)
        if (name := run.spec.id) not in strangers:
            continue
        strangers.remove(name)
        found = store.inspect(name)
        damaged += found.problems
        if not found.problems:
            counts[found.status] += 1
        if not found.problems and found.status == "failed":
            failures.append(f"{name} ({run.arm}, seed {run.spec.seed}): {store.record(name)['why']}")
    return Progress(
        total,
        **counts,
        missing=total - sum(counts.values()),
        damaged=tuple(damaged),
        strangers=tuple(sorted(strangers - bases)),
        failures=tuple(failures),
    )


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
    continuity.refuse_mixed_images(grid, store)
    rows: list[dict[str, Any]] = []
    machine: list[dict[str, Any]] = []
    values: list[tuple[str, int, str, float]] = []
    arrays: dict[str, _OverSeeds] = {}
    for run in grid:
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
    wanted, found = provenance.measure_stamp(run.spec, measure, asked), stamp if isinstance(stamp, dict) else {}
    for key, value in asked.items():
        if found.get(key) != value:
            return f"taken with {key} = {found.get(key)}, the config says {value}; take it again: checkerscope measure"
    return "" if found == wanted else "taken by other code; take it again: checkerscope measure"


def units(measures: Iterable[str]) -> dict[str, str]:
    """Return the unit of every metric, read from the measures' files."""
    found: dict[str, str] = {}
    for name in measures:
        found |= catalog.describe_one("analysis.measures", name).flags.get("units", {})
    return found


def _row(run: Run, record: Mapping[str, Any]) -> dict[str, Any]:
    flags = catalog.describe_one("toolkit.upsamplers", run.spec.upsampler.name).flags
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


def save(records: Records, folder: Path) -> None:
    """Write records as CSV files, one NPZ and one JSON; the manifest is written last, and what it drops goes then."""
    before: set[str] = set()
    with contextlib.suppress(StoreError):
        before = set(manifest(folder))
    study = {"study": records.study, "question": records.question, "units": dict(records.units)}
    tables = {"runs": records.runs, "values": records.values, **records.tables}
    contents = {f"{name}.csv": _csv(table) for name, table in tables.items() if not table.empty}
    contents["study.json"] = files.to_json(study)
    if records.arrays:
        contents["arrays.npz"] = files.npz(records.arrays)
    for name, data in contents.items():
        files.write(folder / name, data)
    files.write(folder / "manifest.json", files.sealed({name: files.digest(d) for name, d in contents.items()}))
    for name in before - set(contents):
        disk.remove(folder / name)


def load(folder: Path) -> Records:
    """Return the records of a folder.

    Raises:
        StoreError: If a file is missing, its hash differs from the manifest, or it is not what `save` writes.
    """
    contents = {}
    for name, expected in manifest(folder).items():
        contents[name] = files.read(folder / name)
        if files.digest(contents[name]) != expected:
            raise StoreError(f"{folder / name}: its SHA-256 differs from manifest.json; collect again")
    try:
        return _parse(contents)
    except (TypeError, KeyError, ValueError, RecursionError) as error:  # whole, and yet not what `save` writes
        raise StoreError(f"{folder}: no records ({type(error).__name__}: {error}); collect again") from None


def manifest(folder: Path) -> dict[str, str]:
    """Return the digests of a folder of records, by file name.

    Raises:
        StoreError: If there are none, they are damaged, or a name would lead out of the folder.
    """
    path = folder / "manifest.json"
    found = files.unsealed(path)
    if not isinstance(found, dict) or not all(PLAIN_NAME.fullmatch(name) for name in found):
        raise StoreError(f"{path}: expected plain file names and digests, got {str(found)[:80]!r}; collect again")
    return found


def _parse(contents: Mapping[str, bytes]) -> Records:
    read = {Path(name).stem: _read_csv(data) for name, data in contents.items() if name.endswith(".csv")}
    main: dict[str, Any] = {name: read.pop(name) for name in ("runs", "values") if name in read}
    main["arrays"] = files.read_npz(contents["arrays.npz"]) if "arrays.npz" in contents else {}
    return Records(**main, tables=read, **json.loads(contents["study.json"]))


def _read_csv(data: bytes) -> pd.DataFrame:
    texts = {"run": str, "why": str, "arm": str, "base": str}
    table = pd.read_csv(io.BytesIO(data), dtype=texts, keep_default_na=True, **EXACT)
    return table.fillna({name: "" for name in texts if name in table})


def _csv(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False, lineterminator="\n").encode()


def differences(fresh: Records, committed: Records) -> list[str]:
    """Return one line per number, run or array that differs between two sets of records."""
    keys = ["run", "step", "metric"]
    joined = fresh.values.merge(committed.values, on=keys, how="outer", suffixes=("", " committed"), indicator=True)
    same = (joined["value"] == joined["value committed"]) | (joined["value"].isna() & joined["value committed"].isna())
    lines = []
    for _, row in joined[~same | (joined["_merge"] != "both")].iterrows():
        where = f"{row['run']} step {row['step']} {row['metric']}"
        lines.append(f"{where}: {row['value']!r} here, {row['value committed']!r} committed")
    written = _read_csv(_csv(fresh.runs))  # numbers as a file gives them back
    return lines + _other_runs(written, committed.runs) + _other_arrays(fresh.arrays, committed.arrays)


def _other_runs(fresh: pd.DataFrame, committed: pd.DataFrame) -> list[str]:
    here, there = ({str(row["run"]): row for row in table.to_dict("records")} for table in (fresh, committed))
    lines = [f"{run}: {'not committed' if run in here else 'not here'}" for run in here.keys() ^ there.keys()]
    for run in here.keys() & there.keys():
        for column in here[run].keys() | there[run].keys():
            one, other = here[run].get(column, ""), there[run].get(column, "")
            if str(one) != str(other):
                lines.append(f"{run} {column}: {one!r} here, {other!r} committed")
    return sorted(lines)


def _other_arrays(fresh: Mapping[str, np.ndarray], committed: Mapping[str, np.ndarray]) -> list[str]:
    lines = [f"{name}: {'not committed' if name in fresh else 'not here'}" for name in fresh.keys() ^ committed.keys()]
    for name in fresh.keys() & committed.keys():
        if not np.array_equal(fresh[name], committed[name], equal_nan=fresh[name].dtype.kind == "f"):
            lines.append(f"{name}: other numbers here")
    return sorted(lines)
