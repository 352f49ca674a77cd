"""Reconstruction error: MSE, PSNR and SSIM, the price side of every comparison.

Responds to: any difference from the target, an artifact as much as a blur, the border included.
Noise floor: none; an untouched image has MSE 0, PSNR inf, SSIM 1.
Ground truth: the target against itself, MSE 0.
"""

from __future__ import annotations

from math import inf, log10, nan

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity
from torch import Tensor

from checkerscope.analysis import spectra
from checkerscope.analysis.trial import Trial
from checkerscope.toolkit import checks

LABEL = "Reconstruction"
SOURCE = "SSIM: Wang et al. 2004 with its Gaussian window, through scikit-image"
UNITS = {
    "reconstruction.mse": "squared image units",
    "reconstruction.psnr": "dB",
    "reconstruction.ssim": "1",
    "reconstruction.target_picture": "8-bit image",
    "reconstruction.picture": "8-bit image",
}

#: Held-out images that are kept as pictures.
PICTURES = 2
#: Held-out images that SSIM, 3 ms for each of 64 x 64, is averaged over.
SSIM_IMAGES = 64


def reconstruction(images: Tensor, target: Tensor, *, data_range: float = 1.0) -> dict[str, float]:
    """Return `mse`, `psnr` (dB) and `ssim` of `images` against `target`.

    MSE over all pixels of all images; PSNR from this MSE (not the mean of per-image PSNR); SSIM averaged over images,
    Gaussian window of sigma 1.5 and population covariance as in the paper, channels averaged. SSIM is NaN where a
    side is shorter than its 11-pixel window.

    Args:
        images: (N, C, *spatial).
        target: The same shape.
        data_range: Distance from black to white; required by both PSNR and SSIM, never guessed.

    Raises:
        ValueError: If the shapes differ, the images are no batch or not finite, or `data_range` is not positive.

    >>> import torch
    >>> scores = reconstruction(torch.full((1, 1, 16, 16), 0.75), torch.full((1, 1, 16, 16), 0.25))
    >>> round(scores["psnr"], 4)
    6.0206
    """
    spectra.check_pair(images, target)
    if not data_range > 0:
        raise checks.mismatch("data_range", "a positive number", data_range, "use 1.0 for images in [0, 1]")
    x, y = (spectra.exact(spectra.check_finite(t)) for t in (images, target))
    return _errors(x, y, data_range) | {"ssim": _ssim(x, y, data_range)}


def _errors(images: Tensor, target: Tensor, data_range: float) -> dict[str, float]:
    mse = float((images.double() - target).square().mean())
    return {"mse": mse, "psnr": 10 * log10(data_range**2 / mse) if mse else inf}


def _ssim(images: Tensor, target: Tensor, data_range: float) -> float:
    if min(images.shape[2:]) < 11:
        return nan
    pairs = zip(images.cpu().numpy(), target.cpu().numpy(), strict=True)
    options = {"data_range": data_range, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    return float(np.mean([structural_similarity(a, b, channel_axis=0, **options) for a, b in pairs]))


def picture(image: Tensor) -> NDArray[np.uint8]:
    """Return an image (C, H, W) in [0, 1] as (H, W, C) bytes, clipped and rounded."""
    return image.clamp(0, 1).mul(255).round().byte().movedim(0, -1).cpu().numpy()


def measure(trial: Trial) -> dict[str, float | NDArray[np.uint8]]:
    """Return the errors over whole images, not clipped, as every other measure sees them, and the first two pictures.

    SSIM is averaged over the first 64 images.
    """
    spectra.check_finite(trial.reconstruction, "reconstruction")
    scores = _errors(trial.reconstruction, trial.target, 1.0)
    scores["ssim"] = _ssim(trial.reconstruction[:SSIM_IMAGES].double(), trial.target[:SSIM_IMAGES].double(), 1.0)
    pairs = {"target_picture": trial.target, "picture": trial.reconstruction}
    pictures = {name: np.stack([picture(x) for x in images[:PICTURES]]) for name, images in pairs.items()}
    return {f"reconstruction.{name}": value for name, value in (scores | pictures).items()}
