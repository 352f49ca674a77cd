"""The piece of an image in which a grid is seen best, as it is and without the grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from checkerscope.analysis.inspect.residuals import LEAST_SPREAD, residual
from checkerscope.analysis.inspect.sources import Loaded

Floats = NDArray[np.float64]

#: Side of a piece in pixels.
SIDE = 64


def flattest(loaded: Loaded, pattern: Floats) -> tuple[Floats, Floats]:
    """Return the flattest piece of a picture that is not clipped, (3, side, side) in [0, 1], and it less a pattern.

    Args:
        loaded: The image.
        pattern: One period of the grid in it, (3, rows, columns).
    """
    spread = residual(loaded.picture).spread[0].astype(np.float64)
    height, width = spread.shape
    side = min(SIDE, height, width)
    # a clipped place has hardly any spread, and no grid either
    cost = np.where(spread < 1.5 * LEAST_SPREAD, spread.max(), spread)
    sums = np.pad(cost.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    boxes = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    top, left = np.unravel_index(int(boxes.argmin()), boxes.shape)
    repeats = [-(-length // period) for length, period in zip((height, width), pattern.shape[1:], strict=True)]
    grid = np.tile(pattern, (1, *repeats))[:, top : top + side, left : left + side]
    crop = loaded.picture[:, top : top + side, left : left + side].astype(np.float64)
    return crop, np.clip(crop - grid, 0, 1)
