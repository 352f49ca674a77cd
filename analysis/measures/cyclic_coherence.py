"""Cyclic coherence: how much of the power at w + 2 pi m / L is a copy of the content at w, the spectral replicas.

Responds to: replicas, and through them to phase variance, their integral over frequency. Not to tone: zero frequency
and its neighbours are left out.
Noise floor: bias-corrected, so zero on average for independent bands; the scatter of one frequency pair is 1 / N over N
images, and hundreds of pairs are averaged.
Ground truth: `.target`, which is not exactly 0: an edge has related phases at all frequencies.

Theory gives a coherence of 1 for *any* linear upsampler of one channel, however weak its replica: read it only
beside the replica's power.
"""

from __future__ import annotations

from math import log10, nan

import torch
from torch import Tensor

from checkerscope.analysis import lattice, spectra
from checkerscope.analysis.lattice import Period, per_axis
from checkerscope.analysis.trial import Trial

LABEL = "Cyclic coherence"
SOURCE = "Gardner 1986 (spectral coherence of cyclostationary signals); bias (N|C|^2 - 1)/(N - 1)"
UNITS = {
    "cyclic_coherence.reconstruction": "fraction of power",
    "cyclic_coherence.reconstruction_db": "dB to the baseband",
    "cyclic_coherence.target": "fraction of power",
    "cyclic_coherence.target_db": "dB to the baseband",
    "cyclic_coherence.residual": "fraction of power",
    "cyclic_coherence.residual_db": "dB to the baseband",
}
#: How the metric audit reads it.
AUDIT = {"power": False}


def cyclic_coherence(images: Tensor, period: Period, *, base: Tensor | None = None) -> float:
    """Return the share of the power outside the baseband that is coherent with the baseband, over images.

    |C(w)|^2 between w and w + 2 pi m / L over the images (never within one), bias-corrected, averaged over m != 0, the
    baseband |w| < pi / L (without zero and its neighbours) and channels with the power at w + 2 pi m / L as the weight.

    Args:
        images: (N, C, *spatial), cut to multiples of the period.
        period: L, in pixels, the product of the strides; one number or one per axis.
        base: Where the baseband is taken from, same shape; the images themselves if not given.

    Returns:
        0 (up to its scatter, so possibly negative) to 1; NaN for fewer than two images, 0.0 for constant ones.

    Raises:
        ValueError: If the images are no batch, not finite, or have fewer than four periods on a side.
    """
    coherent, outside, _ = _powers(images, images if base is None else base, period)
    return coherent / outside if outside else 0.0


def replica_power(images: Tensor, period: Period, *, base: Tensor | None = None) -> float:
    """Return the coherent replicas' power relative to the baseband's, a linear ratio; arguments as `cyclic_coherence`.

    Zero insertion by s in d dimensions has s^d - 1 replicas of full power and so reads s^d - 1.
    """
    coherent, _, baseband = _powers(images, images if base is None else base, period)
    return coherent / baseband if baseband else 0.0


def _powers(images: Tensor, base: Tensor, period: Period) -> tuple[float, float, float]:
    """Return the coherent power outside the baseband, all power outside, and the baseband's."""
    spectra.check_pair(base, images, subjects=("base", "images"))
    n, sums = len(images), []
    for some, their in zip(spectra.in_chunks(images), spectra.in_chunks(base), strict=True):
        outside = _aliases(some, period)[:, :, 1:]
        baseband = _aliases(their, period)[:, :, :1]
        cross = (outside * baseband.conj()).sum(0)
        sums.append((outside.abs().square().sum(0), baseband.abs().square().sum(0), cross))
    p_out, p_base, mean = (torch.stack(part).sum(0) / n for part in zip(*sums, strict=True))
    if n < 2:
        return nan, float(p_out.sum()), float(p_base.sum())
    # p_out (n |C|^2 - 1) / (n - 1) with |C|^2 = |mean|^2 / (p_out p_base)
    copied = mean.abs().square() / p_base.clamp_min(torch.finfo(p_base.dtype).tiny)
    coherent = (n * copied - p_out) / (n - 1)
    return float(coherent.sum()), float(p_out.sum()), float(p_base.sum())


def _aliases(images: Tensor, period: Period) -> Tensor:
    """Return coefficients as (N, C, alias, baseband frequency), the baseband itself first, zero left out."""
    x = spectra.interior(images, period)
    shape, dims = x.shape[2:], x.dim() - 2
    lattice.lines(tuple(shape), period)  # complains where there are too few periods
    periods = per_axis(period, dims)
    cells = [side // p for side, p in zip(shape, periods, strict=True)]
    axes = tuple(range(2, x.dim()))
    # so that the first cell of each axis runs from -pi / L to pi / L
    centred = spectra.coefficients(x).roll([cell // 2 for cell in cells], axes)
    split = centred.reshape(*x.shape[:2], *(length for pair in zip(periods, cells, strict=True) for length in pair))
    order = (0, 1, *range(2, 2 + 2 * dims, 2), *range(3, 3 + 2 * dims, 2))
    aliases = split.permute(order).flatten(2 + dims).flatten(2, 1 + dims)
    return aliases[..., _away_from_zero(cells, x.device)]


def _away_from_zero(cells: list[int], device: torch.device) -> Tensor:
    near = torch.ones(cells, dtype=torch.bool, device=device)
    for axis, cell in enumerate(cells):
        offset = (torch.arange(cell, device=device) - cell // 2).abs() <= lattice.GUARD
        near &= offset.reshape(-1, *(1,) * (len(cells) - axis - 1))
    return ~near.flatten()


def measure(trial: Trial) -> dict[str, float]:
    """Return coherence and replica power in dB of reconstruction and target, and of the residual with the target.

    The last is the cleanest: what the reconstruction adds at w + 2 pi m / L that follows the *target* at w.
    """
    target, reconstruction = (
        spectra.interior(x, trial.period, trial.margin) for x in (trial.target, trial.reconstruction)
    )
    pairs = {
        "reconstruction": (reconstruction, reconstruction),
        "target": (target, target),
        "residual": (reconstruction - target, target),
    }
    found = {}
    for name, pair in pairs.items():
        coherent, outside, baseband = _powers(*pair, trial.period)
        found[f"cyclic_coherence.{name}"] = coherent / outside if outside else 0.0
        found[f"cyclic_coherence.{name}_db"] = _decibel(coherent, baseband)
    return found


def _decibel(power: float, reference: float) -> float:
    """Return the ratio in dB; NaN where the corrected power is not positive, which is to say below the noise floor."""
    return 10 * log10(power / reference) if power > 0 and reference > 0 else nan
