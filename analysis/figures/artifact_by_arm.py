"""Tone of every arm, at the start and after training."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from checkerscope.analysis.figures import _style
from checkerscope.analysis.records import Records
from checkerscope.analysis.tables import main_results

LABEL = "Artifacts by upsampler and initialization"
CAPTION = (
    "Tone on constant images and tone of the reconstruction residual on held-out images (split-half noise removed),"
    " before training (open) and after (filled); linear below the broken line, so that an exact zero has a place."
    " Small dots are seeds, bars 95 % t intervals of the mean over seeds. Arms marked * see the encoder's features or"
    " indices and are not compared with the others."
)
NEEDS = ("tone.flat_rms", "tone.residual_rms_unbiased")
RANK = 10
TITLES = ("Tone, constant images", "Tone, residual on photographs")
#: Below this the axis is linear, image units.
LINEAR_BELOW = 1e-5


@_style.styled
def draw(records: Records) -> Figure:
    """Return one row per arm and one panel per metric, logarithmic axes with room for zero."""
    arms = records.arms
    fig = _style.figure(_style.PAGE, 0.75 + 0.26 * len(arms))
    axes = fig.subplots(1, 2, sharey=True)
    table = main_results.numbers(records).set_index("arm")
    for ax, metric, title in zip(axes, NEEDS, TITLES, strict=True):
        for when, filled in (("start", False), ("end", True)):
            column = next(name for name, (*how, _) in main_results.COLUMNS.items() if how == [metric, when])
            means = table[[column, f"{column} low", f"{column} high"]].set_axis(["mean", "low", "high"], axis=1)
            _panel(ax, records, (metric, when), means, filled=filled)
        ax.set_xscale("symlog", linthresh=LINEAR_BELOW, linscale=0.4)
        ax.axvline(LINEAR_BELOW, color="0.6", linewidth=0.6, linestyle=":")
        ax.set_xlim(left=-LINEAR_BELOW / 5)
        ax.set_title(title)
        ax.set_xlabel(_style.unit(records, metric))
        _style.arm_rows(ax, records, arms)
    handles = [
        Line2D([], [], marker="o", linestyle="", color="0.25", markerfacecolor=face, label=label)
        for face, label in (("white", "before training"), ("0.25", "after training"))
    ]
    fig.legend(handles=handles, loc="outside upper right", ncols=2)
    return fig


def _panel(ax: Axes, records: Records, which: tuple[str, str], means: pd.DataFrame, *, filled: bool) -> None:
    """Draw the seeds of every arm as dots, and the main table's mean and interval."""
    metric, when = which
    table = records.metric(metric, step=when)
    looks = _style.looks(records.arms)
    for row, arm in enumerate(records.arms):
        values = table.loc[table["arm"] == arm, "value"].dropna()
        if values.empty:
            continue
        color, at = looks[arm]["color"], row + (0.16 if filled else -0.16)
        ax.plot(values, [at] * len(values), ".", color=color, alpha=0.45, markersize=3, zorder=2)
        mean, low, high = (float(value) for value in means.loc[arm].to_numpy())
        ax.plot([max(low, 0), high], [at, at], color=color, linewidth=1, zorder=3)
        face = color if filled else "white"
        ax.plot(mean, at, looks[arm]["marker"], color=color, markerfacecolor=face, markersize=4.5, zorder=4)
