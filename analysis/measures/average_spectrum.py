"""Average power spectrum over all frequencies: the picture in which lattice lines stand as points.

Responds to: tone (a point on the lattice), content tone and replicas (a haze around it), anything else that changes
power.
Noise floor: white noise of variance v reads v at every frequency, with a relative scatter of 1 / sqrt(N C).
Ground truth: `.target` beside `.reconstruction`; `.residual` is the power of the reconstruction error.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from checkerscope.analysis import spectra
from checkerscope.analysis.trial import Trial

LABEL = "Average power spectrum"
SOURCE = "Karras et al. 2021, arXiv:2106.12423, avg_spectra; Hann window, no padding, no whitening"
UNITS = {
    "average_spectrum.target": "squared image units",
    "average_spectrum.reconstruction": "squared image units",
    "average_spectrum.residual": "squared image units",
}
#: How the metric audit reads it.
AUDIT = {"power": True}


def average_spectrum(images: Tensor) -> Tensor:
    """Return the power averaged over images and channels, (*spatial), zero frequency in the middle, float64.

    Linear power, normalised as in `spectra`: white noise of variance v reads v. Zero frequency is at n // 2 on an
    axis of n pixels, frequency 1/2 of an even axis at 0.

    Args:
        images: (N, C, *spatial), any size.

    Raises:
        ValueError: If the images are no batch or not finite.

    >>> board = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(8, 8)
    >>> average_spectrum(board[None, None]).argmax().item()
    0
    """
    return torch.fft.fftshift(spectra.mean_power(spectra.check_images(images)).mean(0))


def measure(trial: Trial) -> dict[str, NDArray[np.float32]]:
    """Return the average spectra of target, reconstruction and residual, border cropped, float32."""
    images = {"target": trial.target, "reconstruction": trial.reconstruction, "residual": trial.residual}
    return {
        f"average_spectrum.{name}": average_spectrum(spectra.interior(x, trial.period, trial.margin))
        .float()
        .cpu()
        .numpy()
        for name, x in images.items()
    }
