"""Patches of five photographs that come with scikit-image, split by photograph, with their own grids removed."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import uniform_filter1d
from torch import Tensor

from checkerscope.toolkit import checks
from checkerscope.toolkit.contracts.image_source import (
    Pixels,
    area_average,
    check_request,
    patches,
    pixel_digest,
    shuffled,
)

LABEL = "Photographs"
SOURCE = "scikit-image's sample data (public domain or CC0)"

DOWNSCALES = (1, 2)
LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class _Photograph:
    file: str
    reduction: int = 1  # least area averaging that leaves no grid
    chroma_columns: int = 1  # columns over which the colour, not the brightness, is averaged


_PHOTOGRAPHS = {
    "train": (_Photograph("astronaut.png"), _Photograph("motorcycle_left.png"), _Photograph("rocket.jpg")),
    "test": (_Photograph("chelsea.png", chroma_columns=4), _Photograph("coffee.png", reduction=2)),
}


def load(
    split: str,
    size: int,
    *,
    seed: int = 0,
    downscale: int = 1,
    stride: int | None = None,
    images: int | None = None,
) -> Tensor:
    """Return patches of the photographs of one split, (N, 3, size, size) float32 in [0, 1].

    Train: astronaut, motorcycle (left view), rocket. Test: chelsea, coffee. With size 64 that is 761 and 144 patches.

    Two photographs carry a grid of their own, found as the excess of the mean windowed spectrum (72 x 72, Hann) at the
    lattice lines of periods 2, 3, 4 and 8 over its neighbours on the same axis. chelsea's colour was stored at half
    the horizontal resolution and repeated: B - G has +19.7 dB at (0, 1/2), and +20.6 dB after halving the image. Its
    colour difference to the luma is averaged over 4 columns, which leaves at most 3.1 dB anywhere. coffee has +9.4 dB
    in B - G at (0, 1/3) and +3.7 dB in the luma at (1/2, 1/2); area averaging by 2 removes both, so coffee is always
    halved. The other three stay below 3.3 dB, which is the spread of 63 lines over about 200 patches.

    Args:
        split: "train" or "test".
        size: Side of a patch in pixels.
        seed: Draws the order of the patches, and so which of them remain under `images`.
        downscale: 1, or 2 for area averaging, which removes most sensor noise and sharpens the patches.
        stride: Distance of neighbouring patches in pixels; half the size by default.
        images: Largest number of patches; all by default.

    Raises:
        ValueError: If a photograph is smaller than a patch or missing from the installed scikit-image.
    """
    check_request("photos", split, size, images)
    checks.choice("photos: downscale", downscale, DOWNSCALES)
    step = max(1, size // 2) if stride is None else checks.integer("photos: stride", stride)
    found = []
    for photograph in _PHOTOGRAPHS[split]:
        pixels = _read(photograph, downscale)
        if min(pixels.shape[:2]) < size:
            got = f"{photograph.file} of {pixels.shape[0]} x {pixels.shape[1]} pixels at downscale {downscale}"
            raise checks.mismatch("photos: size", f"photographs of at least {size} x {size}", got, "use a smaller size")
        found.append(patches(pixels, size, step))
    return shuffled(torch.cat(found), seed=seed, limit=images)


def fingerprint() -> str:
    """Return a digest of the photographs as they are decoded: scikit-image's files, Pillow's decoders.

    Raises:
        ValueError: If a photograph is missing from the installed scikit-image.
    """
    return pixel_digest(_decoded(photograph) for split in _PHOTOGRAPHS.values() for photograph in split)


def _decoded(photograph: _Photograph) -> NDArray[np.uint8]:
    """Return a photograph's colours as they are in its file, (h, w, 3)."""
    path = _folder() / photograph.file
    if not path.is_file():
        raise checks.mismatch("photos", f"{photograph.file} in scikit-image's data", "no such file", "reinstall it")
    with Image.open(path, formats=("PNG", "JPEG")) as image:
        return np.asarray(image.convert("RGB"))


def _read(photograph: _Photograph, downscale: int) -> Pixels:
    pixels = _decoded(photograph).astype(np.float64) / 255
    if photograph.chroma_columns > 1:
        luma = (pixels @ np.array(LUMA))[..., None]
        chroma = uniform_filter1d(pixels - luma, photograph.chroma_columns, axis=1, mode="reflect")
        pixels = np.clip(luma + chroma, 0, 1)
    return area_average(pixels, max(downscale, photograph.reduction))


def _folder() -> Path:
    # found without importing scikit-image, which is slow to load
    spec = importlib.util.find_spec("skimage")
    if spec is None or not spec.submodule_search_locations:
        raise checks.mismatch("photos", "scikit-image's sample photographs", "no scikit-image", "install scikit-image")
    return Path(next(iter(spec.submodule_search_locations))) / "data"
