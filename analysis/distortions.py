"""Known defects at a known level, to put measures to the test.

Every function takes images (N, C, H, W), a level in dB and a generator, and returns changed images of the same shape.
The level is the RMS of the change relative to the RMS over the images of their standard deviation: -20 dB changes an
image by a tenth of its contrast. A change that is the same for all images has the same amplitude in all, as a
network's grid has. Nothing is clipped or rounded to 8 bits.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.fft
import torch
from numpy.typing import NDArray
from torch import Tensor

from checkerscope.toolkit import checks

Distortion = Callable[[Tensor, float, torch.Generator], Tensor]

BLOCK = 8
# Quantisation steps of JPEG's luminance, ITU-T T.81 (1992), table K.1, row by row, in units of 1/255.
_JPEG_STEPS = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)


def contrast(images: Tensor) -> float:
    """Return the RMS over images and channels of the standard deviation over pixels.

    >>> contrast(torch.tensor([0.0, 2.0]).reshape(1, 1, 1, 2))
    1.0
    """
    return float(images.double().flatten(2).var(-1, correction=0).mean().sqrt())


def _added(images: Tensor, pattern: Tensor, db: float) -> Tensor:
    """Return the images plus a pattern, scaled to the level."""
    strength = float(pattern.double().square().mean().sqrt())
    if not strength:  # constant images have no content to make a pattern of
        return images.clone()
    return images + (10 ** (db / 20) * contrast(images) / strength) * pattern


def _axes(images: Tensor) -> tuple[Tensor, Tensor]:
    rows, columns = (torch.arange(n, dtype=images.dtype, device=images.device) for n in images.shape[2:])
    return rows[:, None], columns[None]


def checkerboard(images: Tensor, db: float, generator: torch.Generator) -> Tensor:
    """Add the tone at (pi, pi): (-1)^(x + y)."""
    rows, columns = _axes(images)
    return _added(images, 1 - 2 * ((rows + columns) % 2), db)


def stripes(images: Tensor, db: float, generator: torch.Generator) -> Tensor:
    """Add the tone at (pi, 0): rows that alternate."""
    rows, columns = _axes(images)
    return _added(images, 1 - 2 * (rows % 2) + 0 * columns, db)


def grid(images: Tensor, db: float, generator: torch.Generator) -> Tensor:
    """Add a grid of period 4: one pixel in 4 x 4 is brighter, all 15 lines are equally strong, the mean is zero."""
    rows, columns = _axes(images)
    points = ((rows % 4 == 0) & (columns % 4 == 0)).to(images.dtype)
    return _added(images, points - 1 / 16, db)


def replicas(images: Tensor, db: float, generator: torch.Generator) -> Tensor:
    """Add the images' own content, halved in resolution, at the three alias bands of an upsampling by 2.

    Each image's mean is left out of it: its alias is a tone, which is tested by itself.
    """
    rows, columns = _axes(images)
    low = torch.nn.functional.avg_pool2d(images, 2, ceil_mode=True).repeat_interleave(2, 2).repeat_interleave(2, 3)
    low = low[..., : images.shape[2], : images.shape[3]]
    low = low - low.mean(dim=(2, 3), keepdim=True)
    odd_row, odd_column = 1 - 2 * (rows % 2), 1 - 2 * (columns % 2)
    return _added(images, low * (odd_row + odd_column + odd_row * odd_column), db)


def blur(images: Tensor, db: float, generator: torch.Generator) -> Tensor:
    """Blur with a Gaussian as wide as the level asks, mirrored at the edges; no wider blur changes more than 0 dB."""
    coefficients = scipy.fft.dctn(images.double().numpy(), axes=(2, 3), norm="ortho")
    along = [np.pi * np.arange(n) / n for n in images.shape[2:]]
    squares = along[0][:, None] ** 2 + along[1] ** 2

    def blurred(log_width: float) -> NDArray[np.float64]:
        return coefficients * np.exp(-squares * np.exp(2 * log_width) / 2)

    width = _solve(lambda w: _rms(blurred(w) - coefficients), 10 ** (db / 20) * contrast(images), low=-12, high=6)
    return _from_dct(blurred(width), images)


def noise(images: Tensor, db: float, generator: torch.Generator) -> Tensor:
    """Add white Gaussian noise."""
    white = torch.randn(images.shape, generator=generator, dtype=images.dtype)
    return images + 10 ** (db / 20) * contrast(images) * white


def blocking(images: Tensor, db: float, generator: torch.Generator) -> Tensor:
    """Quantise the DCT of 8 x 8 blocks as JPEG does, in steps as coarse as the level asks.

    Every channel with the luminance table, blocks aligned with the image's corner.

    Raises:
        ValueError: If a side is no multiple of 8.
    """
    if images.shape[2] % BLOCK or images.shape[3] % BLOCK:
        raise checks.mismatch("images", f"sides that are multiples of {BLOCK}", tuple(images.shape[2:]), "crop them")
    rows, columns = (n // BLOCK for n in images.shape[2:])
    blocks = (images.double() - 0.5).numpy().reshape(*images.shape[:2], rows, BLOCK, columns, BLOCK)
    coefficients = scipy.fft.dctn(blocks, axes=(3, 5), norm="ortho")
    table = np.array(_JPEG_STEPS).reshape(BLOCK, 1, BLOCK) / 255

    def quantised(log_scale: float) -> NDArray[np.float64]:
        steps = table * np.exp(log_scale)
        return np.asarray(np.round(coefficients / steps) * steps)

    scale = _solve(lambda s: _rms(quantised(s) - coefficients), 10 ** (db / 20) * contrast(images), low=-14, high=8)
    pixels = scipy.fft.idctn(quantised(scale), axes=(3, 5), norm="ortho").reshape(images.shape)
    return torch.from_numpy(pixels + 0.5).to(images.dtype)


#: In the order of figures and tables: first the artifacts of upsampling, then what only resembles them.
ARTIFACTS: dict[str, Distortion] = {
    "checkerboard": checkerboard,
    "stripes": stripes,
    "grid": grid,
    "replicas": replicas,
}
OTHERS: dict[str, Distortion] = {"blur": blur, "noise": noise, "blocking": blocking}


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.square(values).mean()))


def _solve(change: Callable[[float], float], wanted: float, *, low: float, high: float) -> float:
    """Return where a growing function reaches `wanted`, by bisection; an end of the range if it does not."""
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if change(middle) < wanted else (low, middle)
    return (low + high) / 2


def _from_dct(coefficients: NDArray[np.float64], like: Tensor) -> Tensor:
    return torch.from_numpy(scipy.fft.idctn(coefficients, axes=(2, 3), norm="ortho")).to(like.dtype)
