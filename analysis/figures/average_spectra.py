"""Averaged two-dimensional power spectra of the residual, one panel per arm, lattice lines marked."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from checkerscope.analysis.figures import _style
from checkerscope.analysis.records import Records

LABEL = "Averaged spectra of the residual"
CAPTION = (
    "Windowed power spectrum of the reconstruction residual, averaged over held-out images and seeds, zero frequency"
    " in the centre. Rings mark the lattice frequencies of the decoder, where a checkerboard puts its power."
)
NEEDS = ("average_spectrum.residual",)
COLUMNS = 4


@_style.styled
def draw(records: Records) -> Figure:
    """Return a grid of panels that share one colour scale in dB."""
    shown = {arm: 10 * np.log10(np.maximum(power, 1e-30)) for arm, power in records.by_arm(NEEDS[0]).items()}
    rows = -(-len(shown) // COLUMNS)
    fig = _style.figure(_style.PAGE, 0.3 + 1.75 * rows)
    axes = fig.subplots(rows, COLUMNS, squeeze=False)
    everything = np.concatenate([s.ravel() for s in shown.values()])
    low, high = np.percentile(everything, [1, 99.9])
    image = None
    for ax, (arm, spectrum) in zip(axes.flat, shown.items(), strict=False):
        image = ax.imshow(
            spectrum, vmin=low, vmax=high, cmap="magma", extent=(-0.5, 0.5, 0.5, -0.5), interpolation="none"
        )
        _mark_lattice(ax, records.period(arm))
        ax.set_title(_style.fold(arm), fontsize=6)
    for ax in axes.flat[len(shown) :]:
        ax.set_axis_off()
    if image is not None:
        fig.colorbar(image, ax=axes, shrink=0.8, label="power (dB re 1)", pad=0.01)
    fig.supxlabel("horizontal frequency (cycles per pixel)", fontsize=7.5)
    fig.supylabel("vertical frequency", fontsize=7.5)
    return fig


def _mark_lattice(ax: Axes, period: int) -> None:
    lines = np.arange(-(period // 2), period // 2 + 1) / period
    x, y = (grid.ravel() for grid in np.meshgrid(lines, lines))
    away = (x != 0) | (y != 0)
    ax.scatter(x[away], y[away], s=16, facecolors="none", edgecolors="white", linewidths=0.5, clip_on=False)
    ax.set_xlim(-0.5, 0.5)
    ax.set_ylim(0.5, -0.5)
    ax.set_xticks([-0.5, 0, 0.5])
    ax.set_yticks([-0.5, 0, 0.5])
