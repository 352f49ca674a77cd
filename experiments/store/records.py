"""Records to and from tidy files: CSV, one NPZ and one JSON, with a manifest of their digests."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from checkerscope.analysis.records import Records
from checkerscope.experiments.errors import StoreError
from checkerscope.experiments.store import disk, manifest, seals
from checkerscope.experiments.store.cells import csv_bytes, unguarded
from checkerscope.experiments.store.manifest import LINK, PLAIN_NAME

MANIFEST = "manifest.json"
#: Has pandas read every digit of a number; from 3.1 on it always does, and warns of being asked to.
EXACT: dict[str, Any] = (
    {} if tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1) else {"float_precision": "round_trip"}
)


def to_files(records: Records) -> dict[str, bytes]:
    """Return records as CSV files, one NPZ and one JSON, by file name; the same records give the same bytes."""
    study = {"study": records.study, "question": records.question, "units": dict(records.units)}
    tables = {"runs": records.runs, "values": records.values, **records.tables}
    contents = {f"{name}.csv": csv_bytes(table) for name, table in tables.items() if not table.empty}
    contents["study.json"] = seals.to_json(study)
    if records.arrays:
        contents["arrays.npz"] = seals.npz(records.arrays)
    return contents


def save_records(records: Records, folder: Path) -> None:
    """Write records into a folder; the manifest is written last, and what it drops goes then.

    Raises:
        StoreError: If the folder is a link.
    """
    if folder.is_symlink():
        raise StoreError(f"{folder}: {LINK}")
    before: set[str] = set()
    with contextlib.suppress(StoreError):
        before = set(read_manifest(folder))
    contents = to_files(records)
    for name, data in contents.items():
        disk.write(folder / name, data)
    entries = {name: {"sha256": seals.digest(data), "size": len(data)} for name, data in contents.items()}
    disk.write(folder / MANIFEST, seals.sealed(entries))
    for name in before - set(contents):
        disk.remove(folder / name)


def load_records(folder: Path) -> Records:
    """Return the records of a folder.

    Raises:
        StoreError: If a file is missing, its hash differs from the manifest, or it is not what `save_records` writes.
    """
    contents = {}
    for name, entry in read_manifest(folder).items():
        contents[name] = manifest.read(folder / name, entry.size)
        if seals.digest(contents[name]) != entry.sha256:
            raise StoreError(f"{folder / name}: its SHA-256 differs from manifest.json; collect again")
    try:
        return from_files(contents)
    except (TypeError, KeyError, ValueError, RecursionError, MemoryError) as error:  # whole, and yet none of ours
        raise StoreError(f"{folder}: no records ({type(error).__name__}: {error}); collect again") from None


class Entry(NamedTuple):
    """What a manifest says of one file; version 0.1.0 kept no sizes."""

    sha256: str
    size: int | None


def read_manifest(folder: Path) -> dict[str, Entry]:
    """Return what the manifest of a folder of records says, by file name.

    Raises:
        StoreError: If there are none, they are damaged, or a name would lead out of the folder.
    """
    path = folder / MANIFEST
    found = manifest.unsealed(path)
    entries = {name: _entry(said) for name, said in found.items()} if isinstance(found, dict) else {"": None}
    if not all(entry and PLAIN_NAME.fullmatch(name) for name, entry in entries.items()):
        raise StoreError(f"{path}: expected plain file names and digests, got {str(found)[:80]!r}; collect again")
    return {name: entry for name, entry in entries.items() if entry}


def _entry(said: Any) -> Entry | None:
    match said:
        case str():
            return Entry(said, None)
        case {"sha256": str(sha256), "size": int(size)}:
            return Entry(sha256, size)
    return None


def from_files(contents: Mapping[str, bytes]) -> Records:
    """Return the records of what `to_files` gave: numbers as a file gives them back."""
    read = {Path(name).stem: _read_csv(data) for name, data in contents.items() if name.endswith(".csv")}
    main: dict[str, Any] = {name: read.pop(name) for name in ("runs", "values") if name in read}
    main["arrays"] = seals.read_npz(contents["arrays.npz"]) if "arrays.npz" in contents else {}
    return Records(**main, tables=read, **json.loads(contents["study.json"]))


def _read_csv(data: bytes) -> pd.DataFrame:
    texts = {"run": str, "why": str, "arm": str, "base": str}
    table = pd.read_csv(io.BytesIO(data), dtype=texts, keep_default_na=True, **EXACT).rename(columns=unguarded)
    table = table.fillna({name: "" for name in texts if name in table})
    for name in (name for name in table if not is_numeric_dtype(table[name])):
        if table[name].astype(str).str.startswith("'").any():
            table[name] = table[name].map(unguarded)
    return table


def differences(fresh: Records, committed: Records) -> list[str]:
    """Return one line per number, run or array that differs between two sets of records."""
    keys = ["run", "step", "metric"]
    joined = fresh.values.merge(committed.values, on=keys, how="outer", suffixes=("", " committed"), indicator=True)
    same = (joined["value"] == joined["value committed"]) | (joined["value"].isna() & joined["value committed"].isna())
    lines = []
    for _, row in joined[~same | (joined["_merge"] != "both")].iterrows():
        where = f"{row['run']} step {row['step']} {row['metric']}"
        lines.append(f"{where}: {row['value']!r} here, {row['value committed']!r} committed")
    written = _read_csv(csv_bytes(fresh.runs))  # numbers as a file gives them back
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
