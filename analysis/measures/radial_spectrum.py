"""Radial power spectrum: power per ring of frequencies, every ring kept, the corner (1/2, 1/2) too.

Responds to: replicas and everything else that changes power, blur and noise included; a tone raises only the ring
that its lattice line lies in, diluted by the ring's length.
Noise floor: white noise of variance v reads v in every bin.
Ground truth: `.target` beside `.reconstruction`; `.residual` is the power of the reconstruction error.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from checkerscope.analysis import spectra
from checkerscope.analysis.trial import Trial

LABEL = "Radial power spectrum"
SOURCE = "this study; unlike Durall et al. 2020, arXiv:2003.01826, windowed, linear, no bin dropped"
UNITS = {
    "radial_spectrum.frequency": "cycles per pixel",
    "radial_spectrum.target": "squared image units",
    "radial_spectrum.reconstruction": "squared image units",
    "radial_spectrum.residual": "squared image units",
}
#: How the metric audit reads it.
AUDIT = {"power": True}


def radial_spectrum(images: Tensor) -> Tensor:
    """Return the mean power per radial bin, averaged over images and channels, (bins,), float64.

    Linear power, normalised as in `spectra`: white noise of variance v reads v. Bin k holds the frequencies whose
    radius rounds to k / (longest side) cycles per pixel; `spectra.radial_frequencies` gives the centres.

    Args:
        images: (N, C, *spatial), any size.

    Raises:
        ValueError: If the images are no batch or not finite.

    >>> import torch
    >>> board = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(32, 32)
    >>> spectrum = radial_spectrum(board[None, None])
    >>> len(spectrum), spectrum.argmax().item()
    (46, 45)
    """
    return spectra.ring_means(spectra.mean_power(spectra.check_images(images)).mean(0))


def measure(trial: Trial) -> dict[str, float | NDArray[np.float64]]:
    """Return the radial spectra of target, reconstruction and residual, border cropped, with the bins' frequencies."""
    images = {"target": trial.target, "reconstruction": trial.reconstruction, "residual": trial.residual}
    inside = {name: spectra.interior(x, trial.period, trial.margin) for name, x in images.items()}
    arrays = {f"radial_spectrum.{name}": radial_spectrum(x).cpu().numpy() for name, x in inside.items()}
    frequency = spectra.radial_frequencies(tuple(inside["target"].shape[2:]))
    return {"radial_spectrum.frequency": frequency.numpy(), **arrays}
