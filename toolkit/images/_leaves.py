"""Scenes of occluding leaves, as index maps: which leaf is in front at every pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from checkerscope.toolkit import checks
from checkerscope.toolkit.contracts.image_source import SPLITS

#: Samples per pixel and axis: edges are averaged over 2 x 2 samples, so that they are grey and not stairs.
SUPERSAMPLING = 2
SHAPES = ("disc", "ellipse")


@dataclass(frozen=True)
class Leaves:
    """The statistics of a scene.

    Attributes:
        shape: "disc", or "ellipse" with axis ratios from 1/3 to 1 and any orientation.
        exponent: Radii have density r ** -exponent between the two bounds; 3 makes the scene scale invariant.
        smallest: Smallest radius, as a fraction of the image's side.
        largest: Largest radius, as a fraction of the image's side.
        count: Leaves per scene.
    """

    shape: str = "ellipse"
    exponent: float = 3.0
    smallest: float = 0.05
    largest: float = 0.5
    count: int = 300

    def __post_init__(self) -> None:
        checks.choice("leaves: shape", self.shape, SHAPES)
        checks.integer("leaves: count", self.count)
        if not 0 < self.smallest < self.largest:
            got = f"{self.smallest} and {self.largest}"
            raise checks.mismatch("leaves: smallest and largest", "0 < smallest < largest", got)
        if not 1 < self.exponent < 10:
            raise checks.mismatch("leaves: exponent", "a number between 1 and 10", self.exponent, "use 3")


def generators(split: str, seed: int, images: int) -> list[np.random.Generator]:
    """Return one generator per scene; those of different splits, seeds and scenes are independent.

    Scene i does not depend on how many scenes are asked for.
    """
    return [np.random.default_rng([seed, SPLITS.index(split), i]) for i in range(images)]


def scene(leaves: Leaves, size: int, generator: np.random.Generator) -> NDArray[np.int32]:
    """Return the index of the leaf in front at every sample, (2 size, 2 size); 0 is the ground, `count` the topmost.

    Centres are uniform over the image and a margin of the largest radius, so that the border is like the inside.
    """
    side = size * SUPERSAMPLING
    low, high, n = leaves.smallest * side, leaves.largest * side, leaves.count
    radius = _radii(leaves.exponent, low, high, generator.random(n))
    centre = generator.uniform(-high, side + high, (n, 2))
    ratio, angle = generator.uniform(1 / 3, 1, n), generator.uniform(0, np.pi, n)
    if leaves.shape == "disc":
        ratio = np.ones(n)
    canvas = np.zeros((side, side), dtype=np.int32)
    first = np.maximum(np.ceil(centre - radius[:, None]), 0).astype(int)
    last = np.minimum(np.floor(centre + radius[:, None]) + 1, side).astype(int)
    # the long axis has length r, the short one r * ratio
    along = np.stack([np.cos(angle), np.sin(angle)]) / radius
    across = np.stack([-np.sin(angle), np.cos(angle)]) / (radius * ratio)
    axis = np.arange(side)
    for k in np.flatnonzero((first < last).all(axis=1)):
        (top, left), (bottom, right) = first[k], last[k]
        y, x = axis[top:bottom, None] - centre[k, 0], axis[None, left:right] - centre[k, 1]
        u, v = along[0, k] * y + along[1, k] * x, across[0, k] * y + across[1, k] * x
        canvas[top:bottom, left:right][u * u + v * v < 1] = k + 1
    return canvas


def _radii(exponent: float, low: float, high: float, uniform: NDArray[np.float64]) -> NDArray[np.float64]:
    # inverse of the distribution function of the density r ** -exponent on [low, high]
    a = 1 - exponent
    return (low**a + uniform * (high**a - low**a)) ** (1 / a)
