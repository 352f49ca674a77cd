"""Which measure sees which defect, from what level on: ours and the published ones side by side."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from checkerscope.analysis.figures import _style
from checkerscope.analysis.records import Records

LABEL = "Metric audit"
CAPTION = (
    "Share of image sets that each measure flags (white: none, black: all) against the level of an injected defect, in"
    " dB relative to the images' contrast. Thresholds are set on clean photographs at 5 %, except for periodicity_test,"
    " which needs none. Right: share of clean sets of other photographs that are flagged, nominally 5 %. The first four"
    " defects are artifacts of upsampling, the others only resemble them. Above the line: ours; below: as published."
)
NEEDS = ("metric_audit",)
TITLES = {
    "checkerboard": "(π, π) tone",
    "stripes": "(π, 0) tone",
    "grid": "period 4",
    "replicas": "replicas",
    "blur": "blur",
    "noise": "white noise",
    "blocking": "8 × 8 blocks",
}


@_style.styled
def draw(records: Records) -> Figure:
    """Return one panel per defect, one row per measure."""
    audit = records.tables[NEEDS[0]]
    measures = list(dict.fromkeys(audit["measure"]))
    ours = audit.loc[audit["origin"] == "ours", "measure"].nunique()
    defects = [name for name in dict.fromkeys(audit["distortion"]) if name != "none"]
    fig = _style.figure(_style.PAGE, 0.9 + 0.17 * len(measures))
    axes = fig.subplots(1, len(defects) + 1, sharey=True, width_ratios=[1.0] * len(defects) + [0.45])
    for ax, defect in zip(axes, defects, strict=False):
        _strips(ax, audit[audit["distortion"] == defect], measures)
        ax.set_title(TITLES.get(defect, defect))
    _false_positives(axes[-1], audit[audit["distortion"] == "none"], measures)
    axes[0].set_yticks(range(len(measures)), measures)
    for ax in axes:
        ax.axhline(ours - 0.5, color="C3", linewidth=0.8)
        ax.tick_params(axis="y", which="both", length=0)
        ax.set_ylim(len(measures) - 0.5, -0.5)
    fig.supxlabel("level of the defect (dB)", fontsize=7.5)
    return fig


def _strips(ax: Axes, part: pd.DataFrame, measures: list[str]) -> None:
    shares = part.pivot(index="measure", columns="level_db", values="flagged").loc[measures]
    levels = shares.columns.to_numpy(dtype=np.float64)
    ax.pcolormesh(levels, np.arange(len(measures)), shares.to_numpy(), cmap="Greys", vmin=0, vmax=1, shading="nearest")
    ax.set_xticks([round(level) for level in np.linspace(levels[0], levels[-1], 3)])
    ax.set_yticks(np.arange(len(measures)) + 0.5, minor=True)
    ax.grid(which="minor", axis="y", alpha=0.4)
    ax.tick_params(which="minor", length=0)


def _false_positives(ax: Axes, part: pd.DataFrame, measures: list[str]) -> None:
    shares = part.set_index("measure")["flagged"]
    for row, measure in enumerate(measures):
        ax.text(0.5, row, f"{100 * shares[measure]:.0f} %", ha="center", va="center", fontsize=7)
    ax.set(title="clean", xticks=[], xlim=(0, 1))
