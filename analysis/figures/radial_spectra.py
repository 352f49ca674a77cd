"""Radial power spectra of the reconstructions, as excess over the ground truth."""

from __future__ import annotations

import numpy as np
import seaborn as sns
from matplotlib.figure import Figure

from checkerscope.analysis.figures import _style
from checkerscope.analysis.records import Records

LABEL = "Radial power spectra"
CAPTION = (
    "Radial power spectrum of the reconstructions of held-out images after training, relative to the ground truth's."
    " Power is averaged over images and seeds before the logarithm; every bin is kept, up to the corner frequency"
    " 0.71 cycles per pixel. Vertical lines: distances of the lattice lines from the origin."
)
NEEDS = ("radial_spectrum.reconstruction", "radial_spectrum.target", "radial_spectrum.frequency")


@_style.styled
def draw(records: Records) -> Figure:
    """Return one line per arm, in dB over the target."""
    fig = _style.figure(_style.PAGE * 0.8, _style.legend_height(2.8, len(records.arms)))
    ax = fig.subplots()
    looks = _style.looks(records.arms)
    for arm in records.by_arm(NEEDS[0]):
        look = looks[arm]
        power, target, frequency = (records.by_arm(metric)[arm].astype(np.float64) for metric in NEEDS)
        positive = (power > 0) & (target > 0) & (frequency > 0)
        excess = 10 * np.log10(power[positive] / target[positive])
        sns.lineplot(
            x=frequency[positive],
            y=excess,
            color=look["color"],
            linestyle=look["linestyle"],
            marker=look["marker"],
            markevery=4,
            markersize=3.5,
            markeredgewidth=0,
            label=arm,
            ax=ax,
        )
    period = max(records.period(arm) for arm in records.arms)
    lines = np.arange(period // 2 + 1) / period
    for radius in np.unique(np.hypot(*np.meshgrid(lines, lines)).round(6))[1:]:
        ax.axvline(radius, color="0.75", linewidth=0.6, zorder=0)
    ax.axhline(0, color="0.3", linewidth=0.6)
    ax.set_xlabel("radial frequency (cycles per pixel)")
    ax.set_ylabel("power over ground truth (dB)")
    sns.move_legend(ax, "center left", bbox_to_anchor=(1.0, 0.5), title=None)
    return fig
