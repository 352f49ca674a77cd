"""What a grid would hide in: an image without its content, levelled so that flat and busy places count alike.

An image x becomes z = h / s: h is x less its local means, s the local standard deviation of h. Every pixel of z then
has about unit variance, so that one strong edge cannot outweigh a wall of sky, and the average over images is a
nearly stationary field, whose neighbouring frequencies tell what a lattice line would be without a grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from checkerscope.toolkit import checks

Pixels = NDArray[np.float32]
Floats = NDArray[np.float64]

#: Sides in pixels and weights of the local means that are taken away: what is left has a nearly flat spectrum.
MEANS = ((3, 0.75), (15, 0.25))
#: Side of the window of the local standard deviation; 16, so that periods 2, 4, 8 and 16 level out in it.
WINDOW = 16
# A window of 15 is five of 3 side by side, one of 16 four doublings.
_FIVE, _DOUBLINGS = 5, (1, 2, 4, 8)
#: Standard deviation that is added in quadrature, half a grey level of 255: flat places are no better known than that.
LEAST_SPREAD = 0.5 / 255
#: Smallest side of an image that is looked at.
LEAST_SIDE = 16
#: Largest side: of a larger image its top left corner is looked at.
MOST_SIDE = 2048
#: Brightness, and a colour contrast that sees what brightness does not; rows of weights for red, green and blue.
PLANES = np.array([[0.25, 0.5, 0.25], [1.5, -1.0, -0.5]], dtype=np.float32)
PLANE_NAMES = ("brightness", "colour")


@dataclass(frozen=True)
class Residual:
    """An image without its content.

    Attributes:
        levelled: z of both planes, (planes, height, width).
        spread: Local standard deviation s, same shape, in image units.
    """

    levelled: Pixels
    spread: Pixels


def planes(image: Pixels) -> Pixels:
    """Return brightness and colour contrast of an image (3, height, width), (planes, height, width)."""
    return np.stack([sum(weight * channel for weight, channel in zip(row, image, strict=True)) for row in PLANES])


def highpass(image: Pixels) -> Pixels:
    """Return an image (channels, height, width) less its weighted local means, mirrored at the edges."""
    (small, light), (large, heavy) = MEANS
    margin = large // 2
    mirrored = np.pad(image, ((0, 0), (margin, margin), (margin, margin)), mode="symmetric")
    threes = _sums(mirrored, 1, small)
    inside = slice(margin - 1, 1 - margin)
    found = image - np.float32(light / small**2) * threes[:, inside, inside]
    found -= np.float32(heavy / large**2) * _sums(threes, small, _FIVE)
    return found


def _sums(values: Pixels, step: int, count: int) -> Pixels:
    """Return the sums of `count` by `count` values that lie `step` apart, wherever all of them are inside."""
    # a few shifted additions are five times as fast as a running mean
    for axis in (1, 2):
        length = values.shape[axis] - step * (count - 1)
        lead = (slice(None),) * axis
        total = values[(*lead, slice(length))].copy()
        for start in range(step, step * count, step):
            total += values[(*lead, slice(start, start + length))]
        values = total
    return values


def gain(rows: Floats, columns: Floats) -> Floats:
    """Return by what `highpass` multiplies a wave with frequencies in cycles per pixel (broadcast)."""
    return np.asarray(1 - sum(weight * _dirichlet(side, rows) * _dirichlet(side, columns) for side, weight in MEANS))


def _dirichlet(side: int, frequency: Floats) -> Floats:
    """Return the transfer function of a mean over an odd number of pixels."""
    half = np.pi * np.asarray(frequency, dtype=np.float64)
    whole = np.isclose(np.sin(half), 0)
    safe = np.where(whole, np.pi / 2, half)
    return np.where(whole, 1.0, np.sin(side * safe) / (side * np.sin(safe)))


def residual(image: Pixels) -> Residual:
    """Return the levelled residual of an image (3, height, width) in [0, 1].

    Raises:
        ValueError: If it is no colour image or a side is shorter than `LEAST_SIDE`.
    """
    if image.ndim != 3 or image.shape[0] != 3 or min(image.shape[1:]) < LEAST_SIDE:
        raise checks.mismatch("image", f"shape (3, height, width) with sides from {LEAST_SIDE}", image.shape)
    return level(highpass(planes(image)))


def level(content_free: Pixels) -> Residual:
    """Return the planes of a high-passed image over their local standard deviations."""
    half = WINDOW // 2
    energy = np.pad(np.square(content_free), ((0, 0), (half, half - 1), (half, half - 1)), mode="symmetric")
    for step in _DOUBLINGS:
        energy = _sums(energy, step, 2)
    spread: Pixels = np.sqrt(energy / np.float32(WINDOW**2) + np.float32(LEAST_SPREAD**2))
    return Residual((content_free / spread).astype(np.float32, copy=False), spread)
