"""docs/scale.md from benchmarks/scale.md and the committed outputs; no number in it is typed by hand."""

from __future__ import annotations

import csv
import json
import statistics
from pathlib import Path
from typing import Any

from benchmarks.pages import markdown

ROOT = Path(__file__).resolve().parents[2]
MILLION = 1_000_000
#: Memory and patience of one machine, for what breaks first.
MEMORY_MB, SECONDS = 16_000, 3600
STEPS = 300
#: Differences between two grids that are not told from noise: seconds, MB.
NOISE = (0.2, 2.0)


def milliseconds(found: dict[str, float], key: str) -> str:
    return f"{1e3 * found[key]:.1f}" if key in found else ""


def runs_table(grids: dict[str, Any]) -> str:
    keys = [
        (kind, f"{verb}_{unit}_per_run")
        for kind in ("local", "dask")
        for verb in ("train", "measure")
        for unit in ("seconds", "cpu_seconds")
    ]
    names = {"train": "commit", "measure": "measures"}
    said = [
        f"{kind}, {names[key[: key.index('_')]]}, {'processor' if 'cpu' in key else 'wall'} (ms)" for kind, key in keys
    ]
    head = ["runs", *said]
    return markdown.table(
        head, [[runs, *(milliseconds(found[kind], key) for kind, key in keys)] for runs, found in grids.items()]
    )


def commands_table(grids: dict[str, Any]) -> str:
    names = list(next(iter(grids.values()))["commands"])
    rows = [
        [runs, *(f"{c['cpu_seconds']:.1f} s, {c['peak_mb']:.0f} MB" for c in map(found["commands"].get, names))]
        for runs, found in grids.items()
    ]
    return markdown.table(["runs", *(f"`{name}`" for name in names)], rows)


def slopes(grids: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Return processor seconds and MB per run of every command, between the two largest grids; 0 where unresolved."""
    small, large = sorted(grids, key=int)[-2:]
    step = int(large) - int(small)
    found = {}
    for name, after in grids[large]["commands"].items():
        before = grids[small]["commands"][name]
        more = [after[key] - before[key] for key in ("cpu_seconds", "peak_mb")]
        seconds, megabytes = (d / step if d > noise else 0.0 for d, noise in zip(more, NOISE, strict=True))
        found[name] = (seconds, megabytes)
    return found


def million_table(found: dict[str, tuple[float, float]]) -> str:
    def said(value: float, unit: float) -> str:
        return f"{value * unit:.3g}" if value else "in the noise"

    rows = [
        [
            *(f"`{name}`", said(seconds, 1e3), said(megabytes, 1e3)),
            *(said(seconds, MILLION / 3600), said(megabytes, MILLION / 1e3)),
        ]
        for name, (seconds, megabytes) in found.items()
    ]
    return markdown.table(["command", "ms per run", "kB per run", "hours for 10^6", "GB for 10^6"], rows)


def breaks(found: dict[str, tuple[float, float]]) -> str:
    """Return what exceeds a machine's memory or an hour below a million runs, the earliest first."""
    limits = [
        (MEMORY_MB / mb, f"`{name}` needs {MEMORY_MB / 1000:.0f} GB of memory")
        for name, (_, mb) in found.items()
        if mb > 0
    ]
    limits += [(SECONDS / s, f"`{name}` takes an hour of one core") for name, (s, _) in found.items() if s > 0]
    early = [(float(f"{runs:.2g}"), what) for runs, what in sorted(limits) if runs < MILLION]
    lines = [f"{i}. {what} from about {runs:,.0f} runs on" for i, (runs, what) in enumerate(early, 1)]
    return "\n".join(lines) or "Nothing below a million runs."


def core_seconds() -> float:
    """Return the median processor seconds of a training of the quick study's length, over the catalogue's arms."""
    with (ROOT / "paper/data/catalogue/machine.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["cpu_seconds"] and float(row["steps_timed"] or 0)]
    return STEPS * statistics.median(float(row["cpu_seconds"]) / float(row["steps_timed"]) for row in rows)


def page() -> str:
    """Return docs/scale.md."""
    results = json.loads((ROOT / "benchmarks/overhead.json").read_text(encoding="utf-8"))
    grids = dict(sorted(results["grids"].items(), key=lambda item: int(item[0])))
    found, folders = slopes(grids), sorted(results["one_folder"].items(), key=lambda item: int(item[0]))
    dask = grids[max(grids, key=int)]["dask"]["train_cpu_seconds_per_run"]
    measuring = [
        grid["dask"]["measure_cpu_seconds_per_run"]
        for grid in grids.values()
        if "measure_cpu_seconds_per_run" in grid["dask"]
    ]
    cost = core_seconds()
    quick = json.loads((ROOT / "benchmarks/studies.json").read_text(encoding="utf-8"))["studies"]["quick"]
    environment = results["environment"]
    return (ROOT / "benchmarks/scale.md").read_text(encoding="utf-8").format(
        command=results["command"], processor=environment["processor"], cores=environment["cores"],
        load=results["load"][0], files_per_run=results["files_per_run"],
        kilobytes_per_run=results["bytes_per_run"] / 1e3,
        runs_table=runs_table(grids), commands_table=commands_table(grids), million_table=million_table(found),
        dry_seconds=results["dry_run_million"]["cpu_seconds"], dry_mb=results["dry_run_million"]["peak_mb"],
        core_seconds=cost, core_hours=cost * MILLION / 3600, days=cost * MILLION / 86400 / 64,
        overhead_share=(dask + measuring[-1]) / cost,
        entries_few=f"{int(folders[0][0]):,}", make_few=folders[0][1]["make_microseconds"],
        entries_many=f"{int(folders[-1][0]):,}", make_many=folders[-1][1]["make_microseconds"],
        list_many=folders[-1][1]["list_seconds"],
        files_million=quick["files_per_run"], terabytes=quick["bytes_per_run"] * MILLION / 1e12,
        kilobytes_quick=quick["bytes_per_run"] / 1e3, runs_quick=quick["runs"],
        dask_ms=1e3 * dask, dask_rate=1 / dask, dask_cores=cost / dask,
        breaks=breaks(found),
    )  # fmt: skip
