"""StyleGAN3's average power spectrum, as released: windowed, whitened, the best of the published estimators.

Responds to: tone, replicas, blur, noise; averaged over images, so a grid shows whether or not its phase is fixed.
Noise floor: white noise of the data set's variance reads 1 (0 dB) at every frequency.
Ground truth: the spectrum of the originals, whitened by the *same* mean and deviation.

Limits, kept: a mean per data set, not per image, is removed, so zero frequency stays large; padding by 4 draws every
line as a lobe; the slices at 0 and 45 degrees miss whatever lies off them.
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

LABEL = "StyleGAN3 average spectrum"
SOURCE = "Karras et al. 2021, arXiv:2106.12423, released avg_spectra"
UNITS = {
    "stylegan3_spectrum.target_slice_0": "power, whitened",
    "stylegan3_spectrum.target_slice_45": "power, whitened",
    "stylegan3_spectrum.reconstruction_slice_0": "power, whitened",
    "stylegan3_spectrum.reconstruction_slice_45": "power, whitened",
}
#: How the metric audit reads it: as its authors plot it.
AUDIT = {"function": "plotted_slices", "power": True}


def stylegan3_spectrum(
    images: Tensor, mean: float | None = None, std: float | None = None, *, beta: float = 8.0, interp: int = 4
) -> Tensor:
    """Return the power averaged over images and channels, (interp H, interp H), float64, zero frequency first, linear.

    mean |fft2(pad(w (x - mean) / std))|^2 with a symmetric Kaiser window of unit energy, padded with zeros to `interp`
    times the size.

    Args:
        images: (N, C, H, H).
        mean: Of the data set; that of `images` if not given.
        std: Of the data set; that of `images` if not given.
        beta: Shape of the Kaiser window.
        interp: Interpolation in frequency.

    Raises:
        ValueError: If the images are not square pictures, not finite, or constant (or `std` not positive).

    >>> stylegan3_spectrum(torch.rand(2, 3, 16, 16)).shape
    torch.Size([64, 64])
    """
    if spectra.check_images(images).dim() != 4:
        raise checks.mismatch("images", "shape (n, c, h, w)", tuple(images.shape))
    checks.integer("interp", interp)
    side = square(images)
    x = spectra.exact(spectra.check_finite(images))
    mean = float(x.mean()) if mean is None else mean
    std = float(x.std(correction=0)) if std is None else std
    if not std > 1e-12:
        raise checks.mismatch("std", "a positive number", std, "constant images cannot be whitened")
    axis = torch.kaiser_window(side, periodic=False, beta=beta, dtype=torch.float64, device=x.device)
    axis = axis / axis.square().sum().sqrt()
    total = torch.zeros(side * interp, side * interp, dtype=torch.float64, device=x.device)
    for chunk in spectra.in_chunks(x, interp**2):
        whitened = (chunk - mean) / std * (axis[:, None] * axis)
        total += torch.fft.fft2(whitened, s=(side * interp, side * interp)).abs().square().mean(1).sum(0)
    return total / len(x)


def slices(spectrum: Tensor) -> tuple[Tensor, Tensor]:
    """Return the 0 and 45 degree slices, from zero frequency to 1/2 of the axis, each (n // 2 + 1,)."""
    k = torch.arange(len(spectrum) // 2 + 1)
    return spectrum[0, k], spectrum[k, k]


def plotted_slices(images: Tensor) -> Tensor:
    """Return both slices of the average spectrum, one behind the other."""
    return torch.cat(slices(stylegan3_spectrum(images)))


def measure(trial: Trial) -> dict[str, NDArray[np.float64]]:
    """Return the two slices of whole images, both whitened by the targets' mean and deviation."""
    mean, std = float(trial.target.double().mean()), float(trial.target.double().std(correction=0))
    found = {}
    for name, images in {"target": trial.target, "reconstruction": trial.reconstruction}.items():
        zero, diagonal = slices(stylegan3_spectrum(images, mean, std))
        found[f"stylegan3_spectrum.{name}_slice_0"] = zero.cpu().numpy()
        found[f"stylegan3_spectrum.{name}_slice_45"] = diagonal.cpu().numpy()
    return found
