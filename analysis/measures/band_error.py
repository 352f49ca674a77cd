"""Band error: reconstruction error per ring of frequencies, relative to the target's power there.

Responds to: anything that is wrong, told apart by frequency: blur drives the highest bands to 1 (nothing is
reconstructed), replicas and noise beyond 1. A tone raises the one ring that its line lies in.
Noise floor: none, it is paired.
Ground truth: 0 in every band.
"""

from __future__ import annotations

from math import inf, nan

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from checkerscope.analysis import spectra
from checkerscope.analysis.trial import Trial

LABEL = "Band error"
SOURCE = "this study; per-frequency error after Schwarz et al. 2021, arXiv:2111.02447"
UNITS = {
    "band_error.low": "fraction of target power",
    "band_error.middle": "fraction of target power",
    "band_error.high": "fraction of target power",
    "band_error.highest": "fraction of target power",
    "band_error.rings": "fraction of target power",
    "band_error.frequency": "cycles per pixel",
}

#: Upper limits in cycles per pixel; octaves below the highest band, which includes the corners.
BANDS = {"low": 1 / 16, "middle": 1 / 8, "high": 1 / 4, "highest": inf}


def band_error(images: Tensor, target: Tensor) -> Tensor:
    """Return the error's power over the target's power per radial bin, (bins,), float64.

    Powers are averaged over images and channels before the ratio is taken. NaN in bins where the target has none, as
    at zero frequency, which the estimator takes out. Bins as in `spectra.radial_frequencies`.

    Args:
        images: (N, C, *spatial), any size.
        target: The same shape.

    Raises:
        ValueError: If the shapes differ, the images are no batch or not finite.

    >>> x = torch.rand(2, 1, 16, 16)
    >>> band_error(torch.zeros_like(x), x)[1:].unique()
    tensor([1.], dtype=torch.float64)
    """
    error, power = _powers(images, target)
    return _ratio(spectra.ring_means(error), spectra.ring_means(power))


def _powers(images: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    spectra.check_pair(images, target)
    return spectra.mean_power(images - target).mean(0), spectra.mean_power(target).mean(0)


def _ratio(error: Tensor, power: Tensor) -> Tensor:
    known = power > 1e-20 * torch.maximum(power.max(), error.max())  # below lies rounding, nothing else
    return torch.where(known, error / power.where(known, 1), nan)


def measure(trial: Trial) -> dict[str, float | NDArray[np.float64]]:
    """Return the relative error in four bands of an octave and in every ring, border cropped."""
    images, target = (spectra.interior(x, trial.period, trial.margin) for x in (trial.reconstruction, trial.target))
    error, power = _powers(images, target)
    f, low = spectra.frequencies(tuple(power.shape), power.device), 0.0
    found: dict[str, float | NDArray[np.float64]] = {}
    for name, high in BANDS.items():
        band = (f > low) & (f <= high)
        found[f"band_error.{name}"] = float(_ratio(error[band].sum(), power[band].sum()))
        low = high
    rings = _ratio(spectra.ring_means(error), spectra.ring_means(power))
    frequency = spectra.radial_frequencies(tuple(power.shape))
    return found | {"band_error.rings": rings.cpu().numpy(), "band_error.frequency": frequency.numpy()}
