"""DCT power spectrum: mean squared coefficients of the orthonormal DCT-II, every coefficient kept.

Responds to: replicas and tone (the cosine's even extension has no jump at the edges, so no window is needed), blur,
noise. A lattice line falls between two coefficients, so a tone is spread over a few.
Noise floor: white noise of variance v reads v at every coefficient.
Ground truth: `.target` beside `.reconstruction`; `.residual` is the power of the reconstruction error.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from checkerscope.analysis import spectra
from checkerscope.analysis.trial import Trial

LABEL = "DCT power spectrum"
SOURCE = "after Frank et al. 2020, arXiv:2003.08685; power is averaged, not the signed coefficient"
UNITS = {
    "dct_spectrum.target": "squared image units",
    "dct_spectrum.reconstruction": "squared image units",
    "dct_spectrum.residual": "squared image units",
}
#: How the metric audit reads it.
AUDIT = {"power": True}


def dct(images: Tensor) -> Tensor:
    """Return the orthonormal DCT-II over all spatial axes, float64, of the shape of `images`.

    Raises:
        ValueError: If the images are no batch or not finite.

    >>> dct(torch.ones(1, 1, 4)).square().round(decimals=9)
    tensor([[[4., 0., 0., 0.]]], dtype=torch.float64)
    """
    x = spectra.exact(spectra.check_finite(spectra.check_images(images)))
    for axis in range(2, x.dim()):
        n = x.shape[axis]
        k, r = torch.arange(n, dtype=torch.float64)[:, None], torch.arange(n) + 0.5
        matrix = torch.cos(math.pi * k * r / n) * math.sqrt(2 / n)
        matrix[0] /= math.sqrt(2)
        x = (x.movedim(axis, -1) @ matrix.T.to(x.device)).movedim(-1, axis)
    return x


def dct_spectrum(images: Tensor) -> Tensor:
    """Return the mean squared DCT coefficients over images and channels, (*spatial), float64, linear.

    The mean of each image is taken out first, so coefficient 0 is 0.

    Args:
        images: (N, C, *spatial), any size.

    Raises:
        ValueError: If the images are no batch or not finite.
    """
    spectra.check_images(images)
    total = torch.zeros((), dtype=torch.float64, device=spectra.plain(images[:1]).device)
    for chunk in spectra.in_chunks(images):
        x = spectra.exact(spectra.check_finite(chunk))
        total = total + dct(x - x.mean(tuple(range(2, x.dim())), keepdim=True)).square().sum((0, 1))
    return total / (images.shape[0] * images.shape[1])


def measure(trial: Trial) -> dict[str, NDArray[np.float32]]:
    """Return the DCT spectra of target, reconstruction and residual, border cropped, float32."""
    images = {"target": trial.target, "reconstruction": trial.reconstruction, "residual": trial.residual}
    return {
        f"dct_spectrum.{name}": dct_spectrum(spectra.interior(x, trial.period, trial.margin)).float().cpu().numpy()
        for name, x in images.items()
    }
