"""Energy of the lattice lines above their local background: how much of an image is a fixed grid.

Responds to: tone (a grid that is the same in every image); not to content tone, phase variance or replicas, whose
phases differ from image to image and average out; not to the border where a margin is cropped.
Noise floor: content of variance v that is not phase-locked leaves a scatter about zero of the order of its local
power times 1 / N over N images; the background is subtracted, so the value can be slightly negative. On 64 untouched
patches of 64 x 64 |value| lies below -55 dB at period 2, -45 dB at period 4 and -40 dB at period 8, where the lattice
reaches frequencies at which photographs have more power; smaller interiors read more.
Ground truth: `.target` is the same number of the held-out images themselves; `.residual` needs none, it is paired.
"""

from __future__ import annotations

from torch import Tensor

from checkerscope.analysis import lattice, spectra
from checkerscope.analysis.lattice import Period
from checkerscope.analysis.trial import Trial

LABEL = "Checkerboard energy"
SOURCE = "this study; local background after Popescu and Farid 2005, lattice lines after Odena et al. 2016"
UNITS = {
    "checkerboard_energy.residual": "fraction of target variance",
    "checkerboard_energy.residual_power": "squared image units",
    "checkerboard_energy.residual_share": "fraction of residual variance",
    "checkerboard_energy.reconstruction": "fraction of variance",
    "checkerboard_energy.target": "fraction of variance",
    "checkerboard_energy.excess": "fraction of variance",
}
#: How the metric audit reads it.
AUDIT = {"power": False}


def checkerboard_power(images: Tensor, period: Period) -> float:
    """Return the power of the lattice lines above their local background, in squared image units.

    sum over lines l != 0 of |mean_n c_n(l)|^2 - B(l), averaged over channels: c_n is the window-corrected coefficient
    of image n (`spectra`), B the mean of the same quantity over the line's neighbours. A grid of amplitude a, that is
    a (-1)^(x + y), reads a^2. Unbiased, so slightly negative values occur where there is no grid.

    Args:
        images: (N, C, *spatial), cut to multiples of the period.
        period: In pixels, the product of the strides; one number or one per axis.

    Raises:
        ValueError: If the images are no batch, not finite, or have fewer than four periods on a side.

    >>> import torch
    >>> board = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(8, 8)
    >>> round(checkerboard_power(0.5 + 0.1 * board[None, None], 2), 6)
    0.01
    """
    x = spectra.interior(images, period)
    # the mean of the coefficients is the coefficient of the mean
    coefficients = spectra.coefficients(x.mean(0, keepdim=True))[0]
    return float(lattice.excess(coefficients.abs().square(), period).sum(-1).mean())


def checkerboard_energy(images: Tensor, period: Period) -> float:
    """Return the fraction of the images' variance that is a fixed grid of this period, 0 to 1.

    `checkerboard_power` over the mean variance of the images (each about its own mean, without window). Exactly 1 for
    a pure checkerboard, 0.0 for constant images.

    Args:
        images: (N, C, *spatial), cut to multiples of the period.
        period: In pixels, the product of the strides; one number or one per axis.

    Raises:
        ValueError: If the images are no batch, not finite, or have fewer than four periods on a side.

    >>> import torch
    >>> board = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(8, 8)
    >>> round(checkerboard_energy(board[None, None], 2), 9)
    1.0
    >>> checkerboard_energy(torch.full((1, 1, 16, 16), 0.3), 2)
    0.0
    """
    return _fraction(checkerboard_power(images, period), mean_variance(spectra.interior(images, period)))


def mean_variance(images: Tensor) -> float:
    """Return the variance of each image and channel about its own mean, averaged; 0.0 where only rounding is left."""
    x = spectra.exact(images).flatten(2)
    variance = float(x.var(-1, correction=0).mean())
    return variance if variance > 1e-28 * float(x.square().mean()) else 0.0


def _fraction(power: float, variance: float) -> float:
    return power / variance if variance else 0.0


def measure(trial: Trial) -> dict[str, float]:
    """Return the grid's energy in the residual (paired), in the reconstruction and in the target.

    The residual's power is given relative to the variance of the *target*: relative to the residual's own variance
    (`residual_share`) a better reconstruction with the same grid would look worse.
    """
    target, reconstruction = (
        spectra.interior(x, trial.period, trial.margin) for x in (trial.target, trial.reconstruction)
    )
    residual = reconstruction - target
    power = checkerboard_power(residual, trial.period)
    before, after = (checkerboard_energy(x, trial.period) for x in (target, reconstruction))
    return {
        "checkerboard_energy.residual": _fraction(power, mean_variance(target)),
        "checkerboard_energy.residual_power": power,
        "checkerboard_energy.residual_share": _fraction(power, mean_variance(residual)),
        "checkerboard_energy.reconstruction": after,
        "checkerboard_energy.target": before,
        "checkerboard_energy.excess": after - before,
    }
