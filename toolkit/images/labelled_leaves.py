"""Segmentation scenes: few large leaves of known classes, told apart by colours that overlap."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from checkerscope.toolkit import checks
from checkerscope.toolkit.contracts.image_source import SPLITS, area_average, check_request, pixel_digest
from checkerscope.toolkit.images._leaves import SUPERSAMPLING, Leaves, generators, scene

LABEL = "Labelled leaves"
SOURCE = "this study; scenes as in Lee, Mumford, Huang 2001, Int. J. Computer Vision 41:35"
#: The ground and three kinds of leaves.
CLASSES = 4

_LEAVES = Leaves(exponent=2.0, smallest=0.08, largest=0.35, count=40)
#: Mean colours: the corners of a tetrahedron, so that all pairs are equally far apart.
_COLOURS = 0.5 + 0.15 * np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
#: Standard deviation of a leaf's colour around that of its class, per channel.
_SPREAD = 0.1


def load(split: str, size: int, *, seed: int = 0, images: int = 1000, noise: float = 0.1) -> Tensor:
    """Return the scenes, (images, 3, size, size) float32 in [0, 1].

    A leaf has its class's mean colour (0.35 or 0.65 per channel) plus its own deviation of 0.1 per channel, and every
    pixel has white noise. So neither a pixel's colour nor a blurred colour tells the class: what belongs together has
    to be found first, at full resolution. Colours and edges are painted at two samples per pixel and axis and area
    averaged; no lattice (see `dead_leaves`).

    Args:
        split: "train" or "test": independent scenes.
        size: Side in pixels.
        seed: Seed of all scenes; scene i is the same however many are asked for.
        images: Number of scenes.
        noise: Standard deviation of the pixel noise, in image units.

    Raises:
        ValueError: If `noise` is negative or above 1.
    """
    check_request("labelled_leaves", split, size, images)
    if not 0 <= noise <= 1:
        raise checks.mismatch("labelled_leaves: noise", "a number from 0 to 1", noise, "use 0.1")
    found = np.empty((images, size, size, 3), dtype=np.float32)
    for image, generator in zip(found, generators(split, seed, images), strict=True):
        front, classes = _classified(size, generator)
        colours = _COLOURS[classes] + _SPREAD * generator.standard_normal((len(classes), 3))
        clean = area_average(np.clip(colours, 0, 1)[front], SUPERSAMPLING)
        image[:] = np.clip(clean + noise * generator.standard_normal(clean.shape), 0, 1)
    return torch.from_numpy(found).permute(0, 3, 1, 2).contiguous()


def labels(split: str, size: int, *, seed: int = 0, images: int = 1000, noise: float = 0.1) -> Tensor:
    """Return the class of every pixel of the scenes that `load` gives for the same arguments, int64 (N, size, size).

    The class that covers most of the pixel; of equally many the lowest. `noise` changes nothing here.

    >>> labels("train", 16, images=2).shape
    torch.Size([2, 16, 16])
    """
    check_request("labelled_leaves", split, size, images)
    found = np.empty((images, size, size), dtype=np.int64)
    for label, generator in zip(found, generators(split, seed, images), strict=True):
        front, classes = _classified(size, generator)
        cover = area_average(np.eye(CLASSES)[classes][front], SUPERSAMPLING)
        label[:] = cover.argmax(axis=-1)
    return torch.from_numpy(found)


def fingerprint() -> str:
    """Return a digest of one scene of each split and its classes: of what this version of numpy draws."""
    scenes = [load(split, 32, images=1).numpy() for split in SPLITS]
    return pixel_digest([*scenes, *(labels(split, 32, images=1).numpy().astype(np.uint8) for split in SPLITS)])


def _classified(size: int, generator: np.random.Generator) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    front = scene(_LEAVES, size, generator)
    classes = generator.integers(1, CLASSES, _LEAVES.count + 1)
    classes[0] = 0
    return front, classes
