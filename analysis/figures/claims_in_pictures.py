"""Three claims that a picture says better: ICNR in training, kernel sizes after it, tones and their replicas."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from checkerscope.analysis.figures._style import PAGE, figure, looks, styled
from checkerscope.analysis.records import Records

LABEL = "Claims in pictures"
CAPTION = (
    "Left: tone on flat images of sub-pixel autoencoders started at random and with ICNR; it starts clean and does not"
    " stay so. Middle: tone after training with transposed kernels of 2 to 6 taps at stride 2, filled where the stride"
    " divides the size. Right: shares of power in the 32 kHz output of three random sub-pixel layers fed with a"
    " constant, of all layers' tones and of the first layer's alone with its replicas. Bars: 95 % intervals over seeds."
)
NEEDS = ("verdicts", "measured")


@styled
def draw(records: Records) -> Figure:
    """Draw the panels whose claims have numbers.

    Raises:
        ValueError: If there are numbers of none of them.
    """
    measured = records.tables["measured"]
    known = set(measured["claim"])
    panels = [(panel, measured[measured["claim"] == claim]) for claim, panel in PANELS.items() if claim in known]
    if not panels:
        raise ValueError(
            f"claims_in_pictures: expected numbers of one of {', '.join(PANELS)}, got none; judge and publish them"
        )
    fig = figure(PAGE, 2.2)
    axes = fig.subplots(1, len(panels), squeeze=False)[0]
    for ax, (panel, rows) in zip(axes, panels, strict=True):
        panel(ax, rows)
    return fig


def _icnr(ax: Axes, rows: pd.DataFrame) -> None:
    """Draw the tone against the step from both starts, the step on a scale that shows its zero."""
    style = looks(["random start", "ICNR"])
    for start, label in (("random", "random start"), ("icnr", "ICNR")):
        found = _series(rows, rf"tone_{start}_at_(\d+)")
        _points(ax, found["x"], found, label=label, **style[label])
    ax.set_xscale("symlog", linthresh=10)
    ax.set(xlabel="step of training", ylabel="tone (image units)", ylim=(0, None), title="ICNR decays")
    ax.legend()


def _kernels(ax: Axes, rows: pd.DataFrame) -> None:
    """Draw the tone after training against the kernel size, with and without a final convolution."""
    style = looks(["final conv", "no final conv"])
    for suffix, label in (("final_conv", "final conv"), ("no_final_conv", "no final conv")):
        found = _series(rows, rf"flat_tone_k(\d+)_{suffix}")
        look = {**style[label], "linestyle": "none"}
        shift = 0.1 if suffix == "no_final_conv" else -0.1
        for divisible in (True, False):
            some = found[(found["x"] % 2 == 0) == divisible]
            fill = look["color"] if divisible else "white"
            _points(ax, some["x"] + shift, some, label=label if divisible else None, markerfacecolor=fill, **look)
    ax.set(xlabel="kernel size, stride 2", ylabel="tone (image units)", ylim=(0, None), title="divisible or not")
    ax.legend()


def _tones(ax: Axes, rows: pd.DataFrame) -> None:
    """Draw the share of power at each multiple of 4 kHz."""
    style = looks(["all layers", "first layer alone"])
    for suffix, label in (("", "all layers"), ("_first_layer_only", "first layer alone")):
        found = _series(rows, rf"share_at_(\d+)_khz{suffix}")
        shift = 0.3 if suffix else -0.3
        _points(ax, found["x"] + shift, found, label=label, **{**style[label], "linestyle": "none"})
    ax.set(xlabel="frequency (kHz)", ylabel="share of power", ylim=(0, 1), title="tones and replicas")
    ax.set_xticks([0, 4, 8, 12, 16])
    ax.legend()


PANELS: dict[str, Callable[[Axes, pd.DataFrame], None]] = {
    "h3_icnr_decays": _icnr,
    "h2_divisibility_after_training": _kernels,
    "pons_replicas": _tones,
}


def _series(rows: pd.DataFrame, pattern: str) -> pd.DataFrame:
    """Return the numbers whose name is the pattern, with what its group says as column `x`, sorted by it."""
    position = rows["number"].map(lambda name: int(m[1]) if (m := re.fullmatch(pattern, name)) else -1)
    return rows.assign(x=position)[position >= 0].sort_values("x")


def _points(ax: Axes, x: pd.Series, rows: pd.DataFrame, **look: Any) -> None:
    below, above = rows["value"] - rows["low"], rows["high"] - rows["value"]
    bars = np.stack([below.to_numpy(), above.to_numpy()])
    ax.errorbar(x, rows["value"], yerr=bars, markersize=4, elinewidth=0.8, **look)
