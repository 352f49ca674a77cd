"""Sums over images, pixel by pixel from the top left corner: all that is kept of a folder of any length."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from checkerscope.analysis.inspect.residuals import PLANE_NAMES, Residual

Floats = NDArray[np.float64]


class Maps:
    """Running sums of levelled residuals of images of any sizes, which are laid on one another at the corner."""

    def __init__(self) -> None:
        shape = (len(PLANE_NAMES), 0, 0)
        self._count: NDArray[np.int64] = np.zeros(shape[1:], dtype=np.int64)
        self._sum: Floats = np.zeros(shape)
        self._squares: Floats = np.zeros(shape)
        self._gain: Floats = np.zeros(shape)

    def add(self, image: Residual) -> None:
        """Add an image's residual."""
        height, width = image.levelled.shape[1:]
        self._grow(height, width)
        corner = (..., slice(height), slice(width))
        self._count[corner] += 1
        self._sum[corner] += image.levelled
        self._squares[corner] += np.square(image.levelled)
        self._gain[corner] += 1 / image.spread

    def _grow(self, height: int, width: int) -> None:
        old = self._count.shape
        if height <= old[0] and width <= old[1]:
            return
        more = [(0, max(0, height - old[0])), (0, max(0, width - old[1]))]
        self._count = np.pad(self._count, more)
        self._sum, self._squares, self._gain = (
            np.pad(each, [(0, 0), *more]) for each in (self._sum, self._squares, self._gain)
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the largest image."""
        return self._count.shape[0], self._count.shape[1]

    @property
    def images(self) -> int:
        """Largest number of images at any pixel."""
        return int(self._count.max(initial=0))

    def tone(self) -> tuple[Floats, Floats]:
        """Return the summed residual over the root of the number of images, and what a unit grid would make of it.

        Both (planes, height, width): a grid g adds gain * g to a field of about unit variance.
        """
        root = np.sqrt(np.maximum(self._count, 1))
        return self._sum / root, self._gain / root

    def variance(self) -> tuple[Floats, Floats]:
        """Return the same for the squared residual less its mean: a grid in it is noise that depends on the phase."""
        root = np.sqrt(np.maximum(self._count, 1))
        mean = self._squares.sum((1, 2), keepdims=True) / max(self._count.sum(), 1)
        return (self._squares - mean * self._count) / root, np.broadcast_to(root, self._sum.shape)

    def mean_squares(self) -> Floats:
        """Return the mean square of the residual over images and planes, (height, width)."""
        return np.asarray(self._squares.sum(0) / np.maximum(self._count, 1))

    def inequality(self, period: int) -> Floats:
        """Return mean V^2 / (mean V)^2 over the phases of a period of the residual's variance V, (planes,), from 1.

        Where the phases' variances differ, as in JPEG blocks, the lines of a lattice are not independent: as many of
        them count as if there were fewer by this factor.
        """
        variance = folded(self._squares, period) / np.maximum(folded(self._count, period), 1)
        mean = variance.mean((-2, -1))
        relative = variance / np.where(mean > 0, mean, 1.0)[:, None, None]
        return np.where(mean > 0, np.square(relative).mean((-2, -1)), 1.0)


def folded(values: NDArray[np.floating] | NDArray[np.integer], *periods: int) -> Floats:
    """Return the sums over all pixels of a phase, (..., rows, columns), for one period or one per axis.

    What is left of a period at the right and bottom is not counted.

    >>> folded(np.arange(4.0).reshape(2, 2), 1, 2).tolist()
    [[2.0, 4.0]]
    """
    down, across = periods if len(periods) == 2 else periods * 2
    height, width = values.shape[-2] // down, values.shape[-1] // across
    whole = values[..., : height * down, : width * across]
    # whole rows first: these are additions of what lies side by side in memory
    rows = whole.reshape(*values.shape[:-2], height, down, width * across).sum(-3)
    return rows.reshape(*rows.shape[:-1], width, across).sum(-2, dtype=np.float64)
