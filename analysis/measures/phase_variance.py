"""Phase variance: unequal noise gain per phase, the grid that shows in texture and noise but not in flat regions.

Responds to: phase variance; not to tone (each phase's own mean is removed); to replicas as far as they make
neighbouring phases unlike; to the border only where the margin is too small.
Noise floor: n independent pixels per phase leave 2 / n of the squared mean variance; `.residual_unbiased` is free of
it. Content is common to all phases and cancels, better in the residual than in the image.
Ground truth: `.target` is the same number of the held-out images.
"""

from __future__ import annotations

from math import nan

import torch
from torch import Tensor

from checkerscope.analysis import spectra
from checkerscope.analysis.lattice import Period
from checkerscope.analysis.phases import alternating, alternating_share, over_cells, phase_cells
from checkerscope.analysis.trial import Trial
from checkerscope.toolkit.response import phase_energies

LABEL = "Phase variance"
SOURCE = "after Gallagher 2005 and Vazquez-Padin et al. 2010 (cyclostationarity of interpolated images)"
UNITS = {
    "phase_variance.residual": "fraction of power",
    "phase_variance.residual_unbiased": "fraction of power",
    "phase_variance.residual_ratio": "largest over smallest",
    "phase_variance.reconstruction": "fraction of power",
    "phase_variance.target": "fraction of power",
    "phase_variance.last_layer": "fraction of power",
}
#: How the metric audit reads it.
AUDIT = {"power": False}

# Of images relative to their root mean square: a residual that is a fixed grid has nothing else left.
_ROUNDING = 1e-6


def phase_variances(images: Tensor, period: Period) -> Tensor:
    """Return the variance of the pixels of each phase in each image, (N, C, period, ..., period), float64.

    About the mean of that phase over all images, so that a fixed grid does not count.

    Raises:
        ValueError: If the images are no batch, not finite, or smaller than the period.
    """
    x = phase_cells(images, period)
    over = over_cells(x)
    return (x - x.mean((0, *over), keepdim=True)).square().mean(over)


def phase_variance(images: Tensor, period: Period) -> float:
    """Return the AC share of the phase variances' power, 0 to 1; 0.0 for constant images.

    sum_{q != 0} |DFT v|^2 / sum_q |DFT v|^2 with v_p averaged over images, sums over channels too. Variances of
    4 : 2 : 2 : 1, those of a 3 x 3 kernel of ones at stride 2 on white noise, read 0.19.

    Args:
        images: (N, C, *spatial), cut to multiples of the period.
        period: In pixels, the product of the strides; one number or one per axis.

    Raises:
        ValueError: If the images are no batch, not finite, or smaller than the period.

    >>> import torch
    >>> x = torch.tensor([2.0, 1.0, -2.0, -1.0]).repeat(4)[None, None]
    >>> round(phase_variance(x, 2), 4)  # variances 4 : 1
    0.2647
    """
    return alternating_share(phase_variances(images, period).mean(0).flatten(1))


def unbiased_phase_variance(images: Tensor, period: Period) -> float:
    """Return `phase_variance` without what finite samples add: about 0 for stationary images, so possibly negative.

    From products of the variances of *different* images, whose scatter is independent. NaN for fewer than two images.

    Raises:
        ValueError: If the images are no batch, not finite, or smaller than the period.
    """
    v = phase_variances(images, period).flatten(2)
    if len(v) < 2:
        return nan
    ac_power, power = (float((x.sum(0).square() - x.square().sum(0)).sum()) for x in (alternating(v), v))
    return ac_power / power if power else 0.0


def _without_rounding(residual: Tensor, images: Tensor, period: Period) -> Tensor:
    """Return zeros where all that a residual has beside a fixed grid is the rounding of float32 images."""
    variance, power = phase_variances(residual, period).mean(), images.square().mean()
    return residual if variance > _ROUNDING**2 * power else torch.zeros_like(residual)


def measure(trial: Trial) -> dict[str, float]:
    """Return the AC share in residual, reconstruction and target, and of the last upsampler's noise gains.

    `last_layer` is the sum of squared weights per phase; NaN where that layer is not linear or needs the encoder's
    context.
    """
    target, reconstruction = (
        spectra.interior(x, trial.period, trial.margin) for x in (trial.target, trial.reconstruction)
    )
    residual = _without_rounding(reconstruction - target, target, trial.period)
    pooled = phase_variances(residual, trial.period).mean((0, 1))
    return {
        "phase_variance.residual": phase_variance(residual, trial.period),
        "phase_variance.residual_unbiased": unbiased_phase_variance(residual, trial.period),
        "phase_variance.residual_ratio": float(pooled.max() / pooled.min()) if pooled.min() else nan,
        "phase_variance.reconstruction": phase_variance(reconstruction, trial.period),
        "phase_variance.target": phase_variance(target, trial.period),
        "phase_variance.last_layer": _last_layer(trial),
    }


def _last_layer(trial: Trial) -> float:
    last = trial.upsamplers[-1]
    if not last.linear or last.needs_context:
        return nan
    return alternating_share(phase_energies(last).flatten(1))
