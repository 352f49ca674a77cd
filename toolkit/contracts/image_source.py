"""The image-source contract: what a file in `toolkit/images` provides, and the cuts that several sources share.

A file declares, as literals, `LABEL` and `SOURCE`, and defines

    load(split: str, size: int, *, seed: int = 0, **own) -> Tensor

which returns float32 images in [0, 1] of shape (N, C, size, size), channels first. `split` is "train" or "test";
nothing of one split (no photograph, no procedural seed) may appear in the other. Options of its own are keyword-only
with defaults. The same arguments give the same tensor, bit for bit.

    fingerprint(where: str = "") -> str

is a digest of the pixels that both splits are made of, whatever the size and the seed: other versions of a package, or
other files, give other pixels, and no study mixes runs of different pixels. `pixel_digest` makes one of 8-bit values.

A source must have no grid of its own: a lattice line in the targets would be counted as the upsampler's. A source
of the user's own files names the option that says where they are in the literal `NEEDS`; `fingerprint` gets its value.
A source of segmentation scenes also defines `labels`, with the arguments of `load`, which returns the int64 class of
every pixel, (N, size, size), and the literal `CLASSES`, the number of classes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from checkerscope.toolkit import checks

SPLITS = ("train", "test")
PACKAGE = "checkerscope.toolkit.images"

#: Height, width and channels, in [0, 1]: a decoded image before it is cut.
Pixels = NDArray[np.floating]


def check_request(source: str, split: str, size: int, images: int | None = None) -> None:
    """Check what every source is asked for.

    Raises:
        ValueError: If `split` is unknown, or `size` or the number of `images` is not a positive integer.
    """
    checks.choice(f"{source}: split", split, SPLITS)
    checks.integer(f"{source}: size", size)
    if images is not None:
        checks.integer(f"{source}: images", images)


def pixel_digest(images: Iterable[NDArray[Any]]) -> str:
    """Return a SHA-256 over images, of their shapes and their values to 8 bits; floats are in [0, 1].

    To 8 bits, as the last bit of a float may hang on the processor.

    >>> pixel_digest([np.array([0.2])]) == pixel_digest([np.array([51], dtype=np.uint8)])
    True
    """
    state = hashlib.sha256()
    for image in images:
        values = image if image.dtype == np.uint8 else np.rint(image * 255).astype(np.uint8)
        state.update(repr(values.shape).encode() + values.tobytes())
    return state.hexdigest()


def area_average(image: Pixels, factor: int) -> Pixels:
    """Return (h // factor, w // factor, C): means of factor x factor blocks; an incomplete last block is cut off.

    >>> area_average(np.arange(4.0).reshape(2, 2, 1), 2)
    array([[[1.5]]])
    """
    h, w, c = image.shape[0] // factor, image.shape[1] // factor, image.shape[2]
    return image[: h * factor, : w * factor].reshape(h, factor, w, factor, c).mean(axis=(1, 3))


def patches(image: Pixels, size: int, stride: int, chosen: Tensor | None = None) -> Tensor:
    """Return size x size patches whose corners lie at multiples of `stride`, float32 (N, C, size, size).

    N = 0 where the image is smaller than a patch: the caller knows the image's name and says so.

    Args:
        image: (h, w, C).
        size: Side of a patch.
        stride: Distance of neighbouring patches.
        chosen: Which patches, numbered row by row, int64 (N,); all by default.

    >>> patches(np.zeros((5, 7, 3)), 4, 2).shape
    torch.Size([2, 3, 4, 4])
    """
    if min(image.shape[:2]) < size:
        return torch.empty(0, image.shape[2], size, size)
    windows = np.lib.stride_tricks.sliding_window_view(image, (size, size), axis=(0, 1))[::stride, ::stride]
    rows, columns = windows.shape[:2]
    index = np.arange(rows * columns) if chosen is None else chosen.numpy()
    return torch.from_numpy(windows[index // columns, index % columns].astype(np.float32))


def shuffled(images: Tensor, *, seed: int, limit: int | None = None) -> Tensor:
    """Return the images in an order drawn from `seed`, at most `limit` of them."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    return images[order[:limit]].contiguous()
