"""Durall's radial profile, as released: the field's most copied spectrum.

Responds to: replicas and blur, as broadband changes of slope. Not to tone: the bin of (1/2, 1/2) is dropped.
Noise floor: none stated; profiles of single 64-pixel photographs scatter by 0.06 about their mean.
Ground truth: the profile of the originals.

Defects, kept: the centre is taken half a pixel off zero frequency (which lies at N / 2); the first and the last radial
bin are dropped, so a checkerboard (-1)^(x + y) of any amplitude changes *nothing* at even N; each profile is
stretched to [0, 1], so its level is lost; logarithms are averaged, not powers; no window.
"""

from __future__ import annotations

from math import nan

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from checkerscope.analysis.measures.published._luma import grey, square
from checkerscope.analysis.trial import Trial

LABEL = "Durall radial profile"
SOURCE = "Durall et al. 2020, arXiv:2003.01826, released code"
UNITS = {
    "durall_radial_profile.target": "log magnitude, stretched to 0..1",
    "durall_radial_profile.reconstruction": "log magnitude, stretched to 0..1",
}


def durall_radial_profile(images: Tensor) -> Tensor:
    """Return the profile of each image, (N, bins), float64 in [0, 1]; NaN for an image without any contrast.

    20 ln |F + 1e-8| of the grey image's shifted transform, averaged over rings of floor(radius) about the centre
    (N - 1) / 2 without the first and the last ring, stretched to [0, 1] per image: 88 bins at N = 128. (20 times the
    *natural* logarithm, as released; after the stretch it does not matter.)

    Args:
        images: (N, 1 or 3, H, H).

    Raises:
        ValueError: If the images are not square pictures of at least four pixels, or not finite.

    >>> durall_radial_profile(torch.rand(2, 3, 128, 128)).shape
    torch.Size([2, 88])
    """
    x = grey(images)
    side = square(x)
    log = 20 * (torch.fft.fftshift(torch.fft.fft2(x), dim=(-2, -1)) + 1e-8).abs().log()
    axis = torch.arange(side, dtype=torch.float64, device=x.device) - (side - 1) / 2
    ring = torch.hypot(axis[:, None], axis).long().flatten()
    sums = torch.zeros(len(x), int(ring.max()) + 1, dtype=torch.float64, device=x.device)
    profile = (sums.index_add(1, ring, log.flatten(1)) / ring.bincount())[:, 1:-1]
    low, high = (profile.amin(1, keepdim=True), profile.amax(1, keepdim=True)) if profile.shape[1] else (sums, sums)
    span = high - low
    return torch.where(span > 1e-9, (profile - low) / span.clamp_min(1e-9), nan)


def measure(trial: Trial) -> dict[str, NDArray[np.float64]]:
    """Return the mean profiles of whole images, nothing cropped."""
    pairs = {"target": trial.target, "reconstruction": trial.reconstruction}
    return {f"durall_radial_profile.{k}": durall_radial_profile(x).mean(0).cpu().numpy() for k, x in pairs.items()}
