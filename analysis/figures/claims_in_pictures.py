"""Claims that a picture says better: numbers that form a series, as each claim declares."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from checkerscope.analysis.figures import _style
from checkerscope.analysis.records import Records

LABEL = "Claims in pictures"
CAPTION = (
    "Claims whose numbers form a series. Tones and replicas: shares of power in the 32 kHz output of three random"
    " sub-pixel layers fed with a constant, of all layers' tones and of the first layer's alone. Divisible or not: tone"
    " after training with transposed kernels of 2 to 6 taps at stride 2, filled where the stride divides the size."
    " ICNR decays: tone on flat images of sub-pixel autoencoders started at random and with ICNR; it starts clean and"
    " does not stay so. Bars: 95 % intervals over seeds."
)
NEEDS = ("measured", "pictured")
#: Panels in a row.
COLUMNS = 3
#: Up to here a logarithmic axis is linear, so that it has room for zero.
LINEAR_BELOW = 10


@_style.styled
def draw(records: Records) -> Figure:
    """Return one panel per claim that declares a picture and has numbers for it.

    Raises:
        ValueError: If there are none.
    """
    pictured, measured = (records.tables[name] for name in ("pictured", "measured"))
    points = pictured.merge(measured, on=["claim", "number"], how="inner", sort=False)
    claims = list(dict.fromkeys(points["claim"]))
    if not claims:
        raise ValueError("claims_in_pictures: expected numbers of a claim with a PICTURE, got none; publish one")
    rows = -(-len(claims) // COLUMNS)
    fig = _style.figure(_style.PAGE, 2.2 * rows)
    axes = fig.subplots(rows, min(len(claims), COLUMNS), squeeze=False).ravel()
    for ax, claim in zip(axes, claims, strict=False):
        _panel(ax, points[points["claim"] == claim])
    for ax in axes[len(claims) :]:
        ax.set_axis_off()
    return fig


def _panel(ax: Axes, points: pd.DataFrame) -> None:
    """Draw the series of one claim; marks that are not joined stand beside each other where they share a position."""
    look = points.iloc[0]
    names = list(dict.fromkeys(points["series"]))
    styles = _style.looks(names)
    apart = 0.0 if look["line"] else 0.04 * float(np.ptp(points["x"]))
    for place, name in enumerate(names):
        shift = apart * (place / (len(names) - 1) - 0.5) if len(names) > 1 else 0.0
        parts = points[points["series"] == name].groupby("filled", sort=False)
        for nth, (filled, part) in enumerate(parts):
            style = {**styles[name], "linestyle": styles[name]["linestyle"] if look["line"] else "none"}
            face = style["color"] if filled else "white"
            ends = np.stack([part["value"] - part["low"], part["high"] - part["value"]])
            label = None if nth else name
            at = part["x"] + shift
            ax.errorbar(
                at, part["value"], yerr=ends, label=label, markerfacecolor=face, markersize=4, elinewidth=0.8, **style
            )
    if look["log"]:
        ax.set_xscale("symlog", linthresh=LINEAR_BELOW)
    elif not look["line"]:
        ax.set_xticks(sorted(set(points["x"])))
    ax.set(xlabel=look["x_label"], ylabel=look["y_label"], title=look["title"])
    ax.set_ylim(bottom=0)
    ax.legend()
