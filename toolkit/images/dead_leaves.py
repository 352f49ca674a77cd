"""Procedural images of occluding leaves: edges at every scale, flat regions, and no lattice of their own."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from checkerscope.toolkit import checks
from checkerscope.toolkit.contracts.image_source import SPLITS, area_average, check_request, pixel_digest
from checkerscope.toolkit.images._leaves import SUPERSAMPLING, Leaves, generators, scene

LABEL = "Dead leaves"
SOURCE = "Lee, Mumford, Huang 2001, Int. J. Computer Vision 41:35"


def load(
    split: str,
    size: int,
    *,
    seed: int = 0,
    images: int = 1000,
    channels: int = 3,
    shape: str = "ellipse",
    exponent: float = 3.0,
) -> Tensor:
    """Return procedural images, (images, channels, size, size) float32 in [0, 1].

    Opaque leaves with uniform colours and radii of density r ** -exponent, from 1/20 to 1/2 of the side, painted over
    one another at two samples per pixel and axis and area averaged. Leaves have real-valued centres and sizes, so the
    pixel grid is the only lattice; the mean spectrum has no line at periods 2, 3, 4 or 8 (a test measures it).
    We differ from the source, whose leaves are discs, with ellipses (`shape="disc"` gives discs).

    Args:
        split: "train" or "test": independent scenes.
        size: Side in pixels.
        seed: Seed of all scenes; image i is the same however many are asked for.
        images: Number of images.
        channels: 1 or 3.
        shape: "ellipse" or "disc".
        exponent: Of the power law of the radii; 3 is scale invariant.

    >>> load("train", 16, images=2).shape
    torch.Size([2, 3, 16, 16])
    """
    check_request("dead_leaves", split, size, images)
    checks.choice("dead_leaves: channels", channels, (1, 3))
    leaves = Leaves(shape=shape, exponent=exponent)
    found = np.empty((images, size, size, channels), dtype=np.float32)
    for image, generator in zip(found, generators(split, seed, images), strict=True):
        front = scene(leaves, size, generator)
        colours = generator.random((leaves.count + 1, channels))
        image[:] = area_average(colours[front], SUPERSAMPLING)
    return torch.from_numpy(found).permute(0, 3, 1, 2).contiguous()


def fingerprint() -> str:
    """Return a digest of one scene of each split: of what this version of numpy draws."""
    return pixel_digest(load(split, 32, images=1).numpy() for split in SPLITS)
