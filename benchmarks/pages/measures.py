"""docs/measures.md from what every measure reads where the answer is known, and from committed records."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

import pandas as pd

from benchmarks.pages import markdown
from benchmarks.pages.calibration import SOURCE, records
from checkerscope.analysis.tables import calibration, metric_audit, probe_agreement
from checkerscope.experiments.store.records import load_records
from checkerscope.experiments.study import packaged
from checkerscope.toolkit import catalog

#: Catalogues whose measures have a section.
PACKAGE, PUBLISHED = "checkerscope.analysis.measures", "checkerscope.analysis.measures.published"
INTRODUCTION = """# What the measures measure

Made by `{command}`; do not edit. One section per file of `analysis/measures`:
what it responds to, units, noise floor, value on the ground truth, and what it reads of four networks whose artifacts
are known, on {images} held-out patches of 64 x 64 from two photographs (seed 0, period 4, margin {margin}; values and
versions in `benchmarks/measures.json`): *the images* themselves, *bilinear* and *nearest*-neighbour interpolation of
4 x 4 means, and the images plus a *checkerboard* of 1 % of their contrast. A dash: undefined, infinite, or not a
number by design.

Five kinds of artifact are never mixed in one number: tone, phase variance, replicas, content tone, border.
"""
TWO_TONES = """## Two estimates of a tone, and why

Both fold a map at its period and take the part of the phase means that differs between phases. What stands around the
grid is different, and so is what is done about it.

- *What it sees.* `tone` (with `cycled_tone`, `decoder_probe`, `level_sweep`): many images whose border the caller has
  cropped. The audit's `analysis.audit.grids.tone_power`: one map of one module, as it comes, border and all.
- *Content.* In the measure it cancels: the residual is paired, images are averaged, or every pixel takes every phase.
  In the audit there is one map and no original to subtract.
- *Mean of a phase.* The measure's is plain, over all cells and images. The audit's is weighted by a Hann window over
  the central half, in which a slope all but vanishes.
- *Floor.* The measure takes none off; `unbiased_tone` multiplies different images instead. The audit takes off what the
  scatter of the map's own cells leaves by chance, and less than nine times that counts as nothing.
- *Unit.* The measure gives an RMS in image units, the audit a power, for dB of the map's own contrast.

A plain mean is unbiased for many images, and its numbers can be compared between studies; of a single map with a slope
it reads a grid that is not there. The window mends that, but weighs the middle more, and the threshold makes small
tones exactly zero: right for a verdict on one layer, wrong for a mean over seeds. On a map that repeats exactly (a
constant input, far from the border) both read the same, which a test checks.
"""
AS_PUBLISHED = """## Published measures, as published

Re-implemented from the formulas with their defects, for comparison and never for judging.
"""
PADDING = """## How far padding reaches

Pixels from the border up to which a patch of 64 x 64 looks different when it is cut out of a larger one, in the study's
autoencoder of two stages, untrained, and the largest change beyond 16 and 20 pixels in image units. Those that are not
listed reach {least} pixels at most, so that a margin of 16 is enough for them.

"""
CALIBRATION = """## Calibration of the grid test

`{command}` ({draws:,} draws a cell, {cpu} CPU minutes, machine and versions in `benchmarks/calibration.json`), then
`python benchmarks/calibration_records.py` for the paper.
"""
AUDIT = """## Every measure against known defects

`checkerscope metric-audit --publish`; all rates in `paper/data/metric_audit/metric_audit.csv`.
"""
PROBE = """## The decoder probe against photographs

`checkerscope study configs/probe.toml`, then `checkerscope collect configs/probe.toml --publish`; every model's
numbers in `paper/data/probe/values.csv`.
"""


def page(values: dict[str, Any]) -> str:
    """Return docs/measures.md from the document of benchmarks/measures.py."""
    found, setting = values["readings"], values["setting"]
    columns = list(dict.fromkeys(title for row in found.values() for title in row))
    parts = [
        INTRODUCTION.format(command=values["command"], images=setting["images"], margin=setting["margin"]),
        *(_section(PACKAGE, name, found, columns) for name in catalog.names(PACKAGE)),
        TWO_TONES,
        AS_PUBLISHED,
        *(_section(PUBLISHED, name, found, columns) for name in catalog.names(PUBLISHED)),
        _padding(values["padding"]),
        _calibration(),
        _companion("metric_audit", metric_audit, AUDIT),
        _companion("probe", probe_agreement, PROBE),
    ]
    return "\n".join(part for part in parts if part)


def _padding(reached: dict[str, dict[str, float]]) -> str:
    rows = [
        [name, "all" if row["reach"] > 31 else str(row["reach"]), _number(row["beyond_16"]), _number(row["beyond_20"])]
        for name, row in sorted(reached.items(), key=lambda item: -item[1]["reach"])
        if row["reach"] > 16
    ]
    least = max(row["reach"] for row in reached.values() if row["reach"] <= 16)
    return PADDING.format(least=least) + _table(["upsampler", "reach", "beyond 16", "beyond 20"], rows)


def _section(package: str, name: str, found: dict[str, dict[str, float | None]], columns: list[str]) -> str:
    module = catalog.load(package, name)
    text = inspect.cleandoc(module.__doc__)
    first = text.partition("\n\n")[0].replace("\n", " ")
    said = [f"- *{key}:* {_paragraph(text, key)}" for key in ("Responds to", "Noise floor", "Ground truth")]
    lines = [f"### {name}\n", first + "\n", *said, f"- *Source:* {module.SOURCE}.\n"]
    rows = [
        [f"`{metric}`", unit, *(_number(found.get(metric, {}).get(title)) for title in columns)]
        for metric, unit in module.UNITS.items()
        if metric in found
    ]
    arrays = [f"`{metric}` ({unit})" for metric, unit in module.UNITS.items() if metric not in found]
    if rows:
        lines.append(_table(["metric", "unit", *columns], rows))
    if arrays:
        lines.append(f"Arrays: {', '.join(arrays)}.\n")
    return "\n".join(lines)


def _paragraph(text: str, key: str) -> str:
    """Return what a docstring says after `key:`, up to the next key or paragraph."""
    match = re.search(rf"^{key}: (.*?)(?=^[A-Z][a-z]+(?: [a-z]+)?: |^$|\Z)", text, re.MULTILINE | re.DOTALL)
    return " ".join(match.group(1).split()) if match else "-"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2e}" if value and not 0.01 <= abs(value) < 1000 else f"{value:.3g}"


def _table(head: list[str], rows: list[list[str]]) -> str:
    """Return a table that a blank line follows."""
    return markdown.table(head, rows) + "\n"


def _framed(table: pd.DataFrame) -> str:
    return _table(list(table.columns), [list(row) for row in table.itertuples(index=False)])


def _calibration() -> str:
    known = json.loads(SOURCE.read_text(encoding="utf-8"))
    how = CALIBRATION.format(command=known["command"], draws=_draws(known), cpu=round(known["cpu_seconds"] / 60))
    return f"{how}\n{_framed(calibration.build(records()))}\n{calibration.CAPTION}\n"


def _draws(known: dict[str, list[dict[str, int]]]) -> int:
    return min(cell["draws"] for cell in known["cells"] if "draws" in cell)


def _companion(name: str, table: object, heading: str) -> str:
    """Return a section from committed records; nothing where there are none."""
    folder = packaged.published(name)
    if not folder.is_dir():
        return ""
    build, caption = table.build, table.CAPTION  # type: ignore[attr-defined]
    return f"{heading}\n{_framed(build(load_records(folder)))}\n{caption}\n"
