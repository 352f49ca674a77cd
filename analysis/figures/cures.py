"""How much of the grid each cure leaves, against what it costs in quality."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from checkerscope.analysis.figures import _style
from checkerscope.analysis.records import Records
from checkerscope.analysis.tables import cures

LABEL = "What cures leave and cost"
CAPTION = (
    "Power of the tone on held-out photographs that a cure leaves, against the change of PSNR, both against the trained"
    " model before; mean over seeds and 95 % t interval. Down and to the right is better. Fold changes nothing: it is"
    " the model itself, trained for as many steps more. Lines: a twentieth and a tenth of the power."
)
NEEDS = ("base", "tone.flat_rms", "cycled_tone.rms", "reconstruction.psnr")
#: Shares of the power that the figures to reach allow to remain.
LIMITS = (0.05, 0.1)


@_style.styled
def draw(records: Records) -> Figure:
    """Return one panel per cured layer with a logarithmic axis of the power that is left."""
    table = cures.numbers(records)
    table = table[table["cure"] != ""]
    layers, names = list(dict.fromkeys(table["layer"])), list(dict.fromkeys(table["cure"]))
    looks = _style.looks(names)
    fig = _style.figure(_style.PAGE, _style.legend_height(2.9, len(names)))
    axes = fig.subplots(1, max(1, len(layers)), sharey=True, squeeze=False)[0]
    for ax, layer in zip(axes, layers, strict=False):
        _panel(ax, table[table["layer"] == layer], looks)
        ax.set_title(layer)
    axes[0].set_ylabel("power of the tone that is left (fraction)")
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside right center")
    return fig


def _panel(ax: Axes, table: pd.DataFrame, looks: dict[str, dict[str, Any]]) -> None:
    for row in table.to_dict("records"):
        left = 1 - row["tone_gone"]
        ends = (left - (1 - row["tone_gone_high"]), (1 - row["tone_gone_low"]) - left)
        # an interval that reaches 0 has no lower end on a logarithmic axis
        low = min(ends[0], 0.9 * left)
        side = (row["change_high"] - row["change_low"]) / 2
        look = looks[row["cure"]]
        ax.errorbar(
            row["change"],
            left,
            xerr=side if side == side else None,
            yerr=[[low], [ends[1]]] if low == low else None,
            marker=look["marker"],
            color=look["color"],
            markersize=5,
            elinewidth=0.7,
            linestyle="none",
            label=row["cure"],
        )
    for limit in LIMITS:
        ax.axhline(limit, color="0.6", linewidth=0.6, linestyle="--")
    ax.axvline(0, color="0.6", linewidth=0.6)
    ax.set_yscale("log")
    ax.set_xlabel("change of PSNR, held-out images (dB)")
    ax.grid(alpha=0.5)
