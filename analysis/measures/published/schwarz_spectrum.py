"""Schwarz's reduced spectrum, as released: linear power per ring, every ring kept.

Responds to: tone ((1/2, 1/2) is the last bin, at full energy), replicas, blur, noise.
Noise floor: white noise of variance v (of images in [-1, 1]) reads v H W in every bin.
Ground truth: the spectrum of the originals.

Defects, kept: no window, so the jump between opposite edges leaks along the axes; not normalised by size; row and
column 1/2 are counted twice in their rings.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from checkerscope.analysis import spectra
from checkerscope.analysis.measures.published._luma import square
from checkerscope.analysis.trial import Trial
from checkerscope.toolkit import checks

LABEL = "Schwarz reduced spectrum"
SOURCE = "Schwarz et al. 2021, arXiv:2111.02447, released get_spectrum"
UNITS = {
    "schwarz_spectrum.target": "squared sum over pixels, images in [-1, 1]",
    "schwarz_spectrum.reconstruction": "squared sum over pixels, images in [-1, 1]",
}
#: How the metric audit reads it.
AUDIT = {"power": True}


def schwarz_spectrum(images: Tensor) -> Tensor:
    """Return the reduced spectrum of each image, averaged over channels, (N, bins), float64.

    |fft2|^2 of the images mapped from [0, 1] to [-1, 1]; at even sizes row and column N / 2 are duplicated, so that
    the plane is odd with zero frequency in its middle; mean per floor(radius): 46 bins at N = 64.

    Args:
        images: (N, C, H, H) in [0, 1].

    Raises:
        ValueError: If the images are not square pictures, or not finite.

    >>> schwarz_spectrum(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 46])
    """
    if spectra.check_images(images).dim() != 4:
        raise checks.mismatch("images", "shape (n, c, h, w)", tuple(images.shape))
    half = square(images) // 2
    x = spectra.exact(spectra.check_finite(images)) * 2 - 1
    power = torch.fft.fft2(x).abs().square()
    # from -half to half: at even sizes -half and half are the same bin
    index = torch.arange(-half, half + 1, device=x.device)
    plane = power[..., index, :][..., index].mean(1).flatten(1)
    ring = torch.hypot(index[:, None].double(), index.double()).long().flatten()
    sums = torch.zeros(len(x), int(ring.max()) + 1, dtype=torch.float64, device=x.device)
    return sums.index_add(1, ring, plane) / ring.bincount()


def measure(trial: Trial) -> dict[str, NDArray[np.float64]]:
    """Return the mean spectra of whole images, nothing cropped."""
    pairs = {"target": trial.target, "reconstruction": trial.reconstruction}
    return {f"schwarz_spectrum.{name}": schwarz_spectrum(x).mean(0).cpu().numpy() for name, x in pairs.items()}
