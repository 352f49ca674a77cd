"""Periods of the noise rather than of the mean: what interpolation, compression and a camera's mosaic leave."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import exp, log

import numpy as np

from checkerscope.analysis.inspect import compression
from checkerscope.analysis.inspect.components import Family, families, search
from checkerscope.analysis.inspect.inspection import Other
from checkerscope.analysis.inspect.maps import Maps
from checkerscope.analysis.inspect.residuals import Pixels
from checkerscope.analysis.inspect.sources import Loaded

#: The periods that are told apart.
PERIODS = range(2, 17)
#: Sides of cells that a resize by repetition may have made.
CELLS = range(2, 9)
#: Share of neighbours inside a cell that are equal, less that across cells, from which an image is a staircase.
STEPS = 0.25


def others(maps: Maps, known: Iterable[int], few: Iterable[Loaded]) -> list[Other]:
    """Return what has a period in its noise that is not the noise of what is known.

    Args:
        maps: Of all images.
        known: Periods of grids, whose noise has these periods and their divisors.
        few: Images that are no JPEG files.
    """
    pictures = [loaded.picture for loaded in few]
    cell = staircase(pictures)
    known = [*known, cell or 1]
    found = [
        Other(_kind(family, pictures), max(family.periods), exp(max(family.log_p, log(1e-300))))
        for family in families(search(*maps.variance(), maps, PERIODS).components)
        if not any(period % max(family.periods) == 0 for period in known)
    ]
    return found if cell is None else [*found, Other("staircase", cell, None)]


def _kind(family: Family, pictures: list[Pixels]) -> str:
    is_law = not pictures or np.mean([compression.excess(picture) > compression.EXCESS for picture in pictures]) > 0.5
    if is_law and compression.CELL % max(family.periods) == 0:
        return "compression"
    return "mosaic" if family.periods == (2, 2) else "phase variance"


def staircase(pictures: Sequence[Pixels]) -> int | None:
    """Return the side of the cells in which neighbours are equal, as a resize by repetition makes them, or None.

    Args:
        pictures: (3, height, width) each.
    """
    steps = {
        cell: min((_step(picture, cell, axis) for picture in pictures for axis in (1, 2)), default=0.0)
        for cell in CELLS
    }
    best = max(steps, key=lambda cell: steps[cell])
    return best if steps[best] > STEPS else None


def _step(picture: Pixels, cell: int, axis: int) -> float:
    """Return how many more neighbours are equal inside cells than across, a share."""
    equal = (np.diff(picture, axis=axis) == 0).mean((0, 3 - axis))
    across = np.arange(len(equal)) % cell == cell - 1
    return float(equal[~across].mean() - equal[across].mean())
