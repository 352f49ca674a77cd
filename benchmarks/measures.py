"""What every measure reads where the answer is known, and the page docs/measures.md that says so.

    OMP_NUM_THREADS=1 python benchmarks/measures.py

Four networks whose artifacts are known, on 64 held-out photographs, seed 0: the identity, bilinear and
nearest-neighbour interpolation by 4, and the identity plus a checkerboard of -40 dB. Writes benchmarks/measures.json
and the page; the page also quotes benchmarks/calibration.json and the records under paper/data, which have commands of
their own.
`--page` writes the page alone, from what is committed.
"""

from __future__ import annotations

import argparse
import functools
import inspect
import json
import math
import platform
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from calibration_records import records as calibration_records
from torch import Tensor, nn
from torch.nn import functional as F

from checkerscope.analysis.distortions import checkerboard
from checkerscope.analysis.tables import calibration, metric_audit, probe_agreement
from checkerscope.analysis.trial import Trial
from checkerscope.experiments.reporting.paper import PAPER
from checkerscope.experiments.store.records import load_records
from checkerscope.toolkit import catalog
from checkerscope.toolkit.contracts.upsampler import Upsampler
from checkerscope.toolkit.images import photos
from checkerscope.toolkit.networks.autoencoder import Autoencoder

HERE = Path(__file__).parent
VALUES, PAGE = HERE / "measures.json", HERE.parent / "docs" / "measures.md"
COMMAND = "OMP_NUM_THREADS=1 python benchmarks/measures.py"
IMAGES, PERIOD, MARGIN, LEVEL_DB = 64, 4, 8, -40.0
PACKAGE, PUBLISHED = "checkerscope.analysis.measures", "checkerscope.analysis.measures.published"


class Known(nn.Module):
    """A network of known artifacts: interpolation of 4 x 4 means, or the identity, plus a fixed pattern."""

    def __init__(self, upsampler: str, pattern: Callable[[Tensor], Tensor] | None = None) -> None:
        super().__init__()
        layer: type[Upsampler] = catalog.load("checkerscope.toolkit.upsamplers", upsampler)
        self.upsamplers = nn.ModuleList([layer(3, 3, scale=2) for _ in range(2)])
        self.pattern = pattern

    def encode(self, images: Tensor) -> tuple[Tensor, None]:
        return F.avg_pool2d(images, PERIOD), None

    def decode(self, latents: Tensor, contexts: None = None) -> Tensor:
        for layer in self.upsamplers:
            latents = layer(latents)
        return latents + self.pattern(latents) if self.pattern else latents

    def forward(self, images: Tensor) -> Tensor:
        return images + self.pattern(images) if self.pattern else self.decode(*self.encode(images))


def networks(images: Tensor) -> dict[str, nn.Module]:
    """Return the networks by the title of their column."""
    board = (checkerboard(images, LEVEL_DB, torch.Generator()) - images)[:1, :1].abs().mean()

    def pattern(x: Tensor) -> Tensor:
        rows, columns = (torch.arange(n) for n in x.shape[2:])
        return board * (1.0 - 2 * ((rows[:, None] + columns) % 2))

    return {
        "the images": Known("bilinear", torch.zeros_like),
        "bilinear": Known("bilinear"),
        "nearest": Known("nearest"),
        f"checkerboard, {LEVEL_DB:.0f} dB": Known("bilinear", pattern),
    }


def readings() -> dict[str, dict[str, float | None]]:
    """Return metric to column to value; None where it is undefined or infinite."""
    images = photos.load("test", 64, seed=0, images=IMAGES)
    found: dict[str, dict[str, float | None]] = {}
    for title, network in networks(images).items():
        with torch.no_grad():
            trial = Trial(network, images, network(images), 2, PERIOD, MARGIN)
        for package in (PACKAGE, PUBLISHED):
            for name in catalog.names(package):
                for metric, value in catalog.load(package, name).measure(trial).items():
                    if isinstance(value, float):
                        found.setdefault(metric, {})[title] = value if math.isfinite(value) else None
    return found


def padding() -> dict[str, dict[str, float]]:
    """Return how far padding reaches into the study's autoencoder, by upsampler, untrained and in float64.

    `reach`: pixels from the border beyond which nothing changes by more than 1e-14 when a patch of 64 is cut out of a
    larger one; `beyond_16` and `beyond_20`: largest change there, in image units.
    """
    large = torch.rand(1, 3, 192, 192, generator=torch.Generator().manual_seed(0)).double()
    found = {}
    for name in catalog.names("checkerscope.toolkit.upsamplers"):
        layer = functools.partial(catalog.load("checkerscope.toolkit.upsamplers", name), scale=2)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = Autoencoder(layer, width=8, latent_channels=8).double().eval()
        with torch.no_grad():
            inner = network(large)[..., 64:128, 64:128]
            change = (network(large[..., 64:128, 64:128].contiguous()) - inner).abs().amax((0, 1))
        inside = [float(change[m : 64 - m, m : 64 - m].max()) for m in range(32)]
        reach = max((m + 1 for m in range(32) if inside[m] > 1e-14), default=0)
        found[name] = {"reach": reach, "beyond_16": inside[16], "beyond_20": inside[20]}
    return found


def document() -> dict[str, object]:
    """Return the readings with what they depend on."""
    torch.set_num_threads(1)
    versions = {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
    setting = {"images": IMAGES, "source": "photos, test", "size": 64, "seed": 0, "period": PERIOD, "margin": MARGIN}
    return {"command": COMMAND, "setting": setting, "versions": versions, "readings": readings(), "padding": padding()}


def page(values: dict[str, object]) -> str:
    """Return docs/measures.md."""
    found, reached = values["readings"], values["padding"]
    assert isinstance(found, dict)
    assert isinstance(reached, dict)
    columns = list(dict.fromkeys(title for row in found.values() for title in row))
    rows = [
        [name, "all" if row["reach"] > 31 else str(row["reach"]), _number(row["beyond_16"]), _number(row["beyond_20"])]
        for name, row in sorted(reached.items(), key=lambda item: -item[1]["reach"])
        if row["reach"] > 16
    ]
    least = max(row["reach"] for row in reached.values() if row["reach"] <= 16)
    parts = [
        INTRODUCTION.format(command=COMMAND, images=IMAGES, margin=MARGIN),
        *(_section(PACKAGE, name, found, columns) for name in catalog.names(PACKAGE)),
        AS_PUBLISHED,
        *(_section(PUBLISHED, name, found, columns) for name in catalog.names(PUBLISHED)),
        PADDING.format(least=least) + _table(["upsampler", "reach", "beyond 16", "beyond 20"], rows),
        _calibration(),
        _companion("metric_audit", metric_audit, AUDIT),
        _companion("probe", probe_agreement, PROBE),
    ]
    return "\n".join(part for part in parts if part)


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
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def _framed(table: pd.DataFrame) -> str:
    return _table(list(table.columns), [list(row) for row in table.itertuples(index=False)])


def _calibration() -> str:
    known = json.loads((HERE / "calibration.json").read_text())
    how = CALIBRATION.format(command=known["command"], draws=_draws(known), cpu=round(known["cpu_seconds"] / 60))
    return f"{how}\n{_framed(calibration.build(calibration_records()))}\n{calibration.CAPTION}\n"


def _draws(known: dict[str, list[dict[str, int]]]) -> int:
    return min(cell["draws"] for cell in known["cells"] if "draws" in cell)


def _companion(name: str, table: object, heading: str) -> str:
    """Return a section from committed records; nothing where there are none."""
    folder = PAPER / "data" / name
    if not folder.is_dir():
        return ""
    build, caption = table.build, table.CAPTION  # type: ignore[attr-defined]
    return f"{heading}\n{_framed(build(load_records(folder)))}\n{caption}\n"


INTRODUCTION = """# What the measures measure

Made by `{command}`; do not edit. One section per file of `analysis/measures`:
what it responds to, units, noise floor, value on the ground truth, and what it reads of four networks whose artifacts
are known, on {images} held-out patches of 64 x 64 from two photographs (seed 0, period 4, margin {margin}; values and
versions in `benchmarks/measures.json`): *the images* themselves, *bilinear* and *nearest*-neighbour interpolation of
4 x 4 means, and the images plus a *checkerboard* of 1 % of their contrast. A dash: undefined, infinite, or not a
number by design.

Five kinds of artifact are never mixed in one number: tone, phase variance, replicas, content tone, border.
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", action="store_true", help="only write the page, from the committed numbers")
    if not parser.parse_args().page:
        VALUES.write_text(json.dumps(document(), indent=1, allow_nan=False) + "\n")
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(json.loads(VALUES.read_text())))


if __name__ == "__main__":
    main()
