"""Seams of tiled inference: multiples of a tile's side where neighbouring pixels differ more than elsewhere."""

from __future__ import annotations

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from checkerscope.analysis.inspect.maps import Maps

Floats = NDArray[np.float64]

#: Smallest tile: below, there are too few phases to compare a seam with.
LEAST_TILE = 12
# Half-width in pixels of a seam's surroundings.
_RADIUS = 6


def seam_p_values(maps: Maps, tile: int) -> tuple[float, float]:
    """Return the p-value of seams between rows and between columns of tiles; NaN where there is no seam inside.

    The residual's mean square on both sides of a seam is compared with that around it. The same at all other places
    of a tile is the null hypothesis: Student's t with as many degrees of freedom as there are such places.
    """
    squares = maps.mean_squares()
    return _p_value(squares.mean(1), tile), _p_value(squares.mean(0), tile)


def _p_value(profile: Floats, tile: int) -> float:
    if len(profile) <= tile + _RADIUS:
        return float("nan")
    pairs = (profile + np.roll(profile, 1)) / 2  # both sides of the place before each pixel
    kernel = np.ones(2 * _RADIUS + 1) / (2 * _RADIUS + 1)
    level = np.convolve(np.pad(pairs, _RADIUS, mode="reflect"), kernel, mode="valid")
    stands_out = pairs / np.maximum(level, 1e-300)
    inside = np.arange(_RADIUS, len(profile) - _RADIUS)
    phase = inside % tile
    counts = np.bincount(phase, minlength=tile)
    means = np.bincount(phase, weights=stands_out[inside], minlength=tile) / np.maximum(counts, 1)
    others = means[2:-1][counts[2:-1] > 0]  # a seam is seen one pixel to either side as well
    if not counts[0] or others.size < 3 or others.std() == 0:
        return float("nan")
    spread = others.std(ddof=1) * np.sqrt(1 + 1 / others.size)
    return float(scipy.stats.t.sf((means[0] - others.mean()) / spread, others.size - 1))
