"""The calibration of `periodicity_test`: false positives on clean images, and how faint a tone it finds."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from checkerscope.analysis.figures import _style
from checkerscope.analysis.records import Records

LABEL = "Calibration of the grid test"
CAPTION = (
    "periodicity_test at the nominal 5 %. Left: false-positive rate on images without a grid, one mark per cell of"
    " period, size, spectrum and number of images; shaded: 3 to 7 %. The test across images must lie inside, the others"
    " may be conservative. Right: share of sets of 16 and of 64 photographs of 64 x 64 in which a tone of period 2 is"
    " found by the combined test, against its level relative to each image's standard deviation."
)
NEEDS = ("calibration",)
TESTS = ("across", "local", "combined")


@_style.styled
def draw(records: Records) -> Figure:
    """Return false-positive rates beside detection rates."""
    table = records.tables[NEEDS[0]]
    fig = _style.figure(_style.PAGE, 2.6)
    left, right = fig.subplots(1, 2, width_ratios=[1.5, 1])
    _false_positives(left, table[table["kind"] != "power"])
    _power(right, table[(table["kind"] == "power") & (table["amplitude"] == "own") & (table["test"] == "combined")])
    return fig


def _false_positives(ax: Axes, table: pd.DataFrame) -> None:
    kinds = list(dict.fromkeys(table["kind"]))
    ax.axhspan(3, 7, color="0.92")
    ax.axhline(5, color="0.6", linewidth=0.6)
    looks = _style.looks(TESTS)
    for shift, test in zip((-0.26, 0.0, 0.26), TESTS, strict=True):
        look = {key: looks[test][key] for key in ("color", "marker")}
        for place, kind in enumerate(kinds):
            rates = np.sort(table.loc[(table["kind"] == kind) & (table["test"] == test), "rate"].to_numpy())
            # spread by rank, so that marks do not hide each other
            x = place + shift + np.linspace(-0.1, 0.1, len(rates))
            label = test if place == 0 else None
            ax.scatter(x, 100 * rates, s=5, linewidths=0, alpha=0.7, label=label, **look)
    ax.set_xticks(range(len(kinds)), [_style.fold(kind, 12) for kind in kinds])
    ax.set_ylabel("false positives (%)")
    ax.set_ylim(0, max(8.5, 105 * table["rate"].max()))
    ax.legend(loc="upper right", ncols=3, markerscale=2)


def _power(ax: Axes, table: pd.DataFrame) -> None:
    lines = list(dict.fromkeys(table["line"]))
    looks = _style.looks(lines)
    for line in lines:
        for images, style in ((16, "-"), (64, ":")):
            part = table[(table["line"] == line) & (table["images"] == images)].sort_values("level_db")
            label = f"{line}, {images} images".replace("pi", "π")
            color, marker = looks[line]["color"], looks[line]["marker"]
            ax.plot(part["level_db"], 100 * part["rate"], style, color=color, marker=marker, markersize=3, label=label)
    ax.set(xlabel="level of the tone (dB)", ylabel="found (%)")
    ax.set_xticks(sorted(table["level_db"].unique()))
    ax.set_ylim(0, 103)
    ax.legend(loc="lower right")
