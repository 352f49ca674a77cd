"""Kernel overlap of textbook layer chains, and the weight overlap of the trained last upsamplers."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from checkerscope.analysis.figures import _style
from checkerscope.analysis.measures.overlap_map import overlap_map
from checkerscope.analysis.records import Records

LABEL = "Kernel overlap maps"
CAPTION = (
    "Top: number of paths that reach each output pixel through transposed convolutions (kernel size, stride), with the"
    " largest over the smallest count. Bottom: sum of absolute weights that reach each output phase of the trained last"
    " upsampler, relative to its mean, seeds averaged. An even map does not make a layer clean."
)
NEEDS = ("overlap_map.weights",)
CHAINS = (((3, 2),), ((4, 2),), ((5, 2),), ((3, 2), (3, 2)), ((4, 2), (3, 2)), ((3, 2), (4, 2)))
#: Output pixels shown per side.
SHOWN = 12


@_style.styled
def draw(records: Records) -> Figure:
    """Return two blocks of panels; each panel shows whole periods, one square per pixel."""
    maps = records.by_arm(NEEDS[0])
    columns = len(CHAINS)
    rows = 1 + -(-len(maps) // columns)
    fig = _style.figure(_style.PAGE, 1.55 * rows)
    axes = fig.subplots(rows, columns, squeeze=False)
    for ax, chain in zip(axes[0], CHAINS, strict=True):
        counts = overlap_map(chain).numpy()
        title = " then ".join(f"k{k}s{s}" for k, s in chain)
        _panel(ax, counts, f"{title}\n{counts.max() / counts.min():.3g} : 1")
    for ax, (arm, weights) in zip(axes[1:].flat, maps.items(), strict=False):
        _panel(ax, weights, f"{_style.fold(arm)}\n{weights.max() / weights.min():.2f} : 1")
    for ax in axes[1:].flat[len(maps) :]:
        ax.set_axis_off()
    return fig


def _panel(ax: Axes, period: np.ndarray, title: str) -> None:
    repeats = -(-SHOWN // period.shape[0])
    tiled = np.tile(period / period.mean(), (repeats, repeats))[:SHOWN, :SHOWN]
    ax.imshow(tiled, cmap="gray", vmin=0, vmax=2, interpolation="none")
    ax.set_title(title, fontsize=6)
    ax.set_xticks([])
    ax.set_yticks([])
    for side in ax.spines.values():
        side.set_visible(True)
