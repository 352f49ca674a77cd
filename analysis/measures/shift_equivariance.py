"""Shift equivariance: does the network's answer move with its input, by whole pixels and by half a pixel?

Responds to: every artifact that is fixed to the lattice, of the encoder's downsampling (aliasing) as much as of the
decoder's upsampling; tone, phase variance and replicas together.
Noise floor: rounding, above 120 dB; for half a pixel the interpolation filter leaves about 50 dB on photographs.
Ground truth: inf dB (the images themselves move with themselves).
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, log10, nan

import torch
from torch import Tensor

from checkerscope.analysis import spectra
from checkerscope.analysis.lattice import Period, per_axis
from checkerscope.analysis.trial import Trial
from checkerscope.toolkit import checks

LABEL = "Shift equivariance"
SOURCE = "EQ-T and EQ-T_frac of Karras et al. 2021, arXiv:2106.12423, eq. 3, on real images, peak value 1, axis by axis"
UNITS = {
    "shift_equivariance.integer": "dB",
    "shift_equivariance.fractional": "dB",
}

#: Images that are shifted: each shift costs a pass through the network.
IMAGES = 16

Network = Callable[[Tensor], Tensor]


def shift_equivariance(network: Network, images: Tensor, period: Period, *, margin: int = 0) -> tuple[float, float]:
    """Return how well the network moves with its input, by whole pixels and by half a pixel, in dB.

    10 log10(1 / MSE) between network(shift x) and shift network(x): shifts by 1, L / 2 and L - 1 pixels along each axis
    by itself, since a diagonal one would leave a checkerboard as it is, and by half a pixel on all axes (plus multiples
    of L) with a 6-tap Lanczos filter. Shifted images are crops, so nothing wraps around. Higher is better.

    Args:
        network: Maps (n, C, *spatial) to the same shape, for sides that are multiples of the period.
        images: (N, C, *spatial) in a range of 1, sides that are multiples of the period.
        period: L, in pixels, the product of the strides; one number or one per axis.
        margin: Border to leave out, in pixels.

    Returns:
        Whole pixels, half a pixel; inf is perfect, and what every network is to whole pixels at L = 1.

    Raises:
        ValueError: If the images are no batch, not finite, or too small for what is cropped.

    >>> shift_equivariance(lambda x: 2 * x, torch.rand(1, 1, 16, 16), 2)[0]
    inf
    """
    x = spectra.check_finite(spectra.plain(spectra.check_images(images)))
    periods = per_axis(period, x.dim() - 2)
    least = [_least(p, margin) for p in periods]
    if any(side < need for side, need in zip(x.shape[2:], least, strict=True)):
        raise checks.mismatch("images", f"sides from {max(least)}", tuple(x.shape[2:]), "use larger images")
    with torch.no_grad():
        y = network(x)
        # one period is cut off, which leaves room for every shift
        whole = [_error(network, (x, y), start, cut=periods, lattice=(periods, margin)) for start in _starts(periods)]
        # half_pixel starts 2.5 pixels in: the first multiple of the period beyond that, plus one half
        corner = tuple(-(-2 // p) * p - 2 for p in periods)
        half = _error(network, (_half_pixel(x), _half_pixel(y)), corner, cut=corner, lattice=(periods, margin))
    return _decibel(sum(whole) / len(whole) if whole else 0.0), _decibel(half)


def _least(period: int, margin: int) -> int:
    return 2 * margin + 3 * period + 5


def _starts(periods: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return the shifts by whole pixels: by 1, L / 2 and L - 1 along one axis at a time."""
    along = [{1, p // 2, p - 1} - {0, p} for p in periods]
    dims = range(len(periods))
    return [
        tuple(shift * (axis == k) for k in dims)
        for shift in sorted(set().union(*along))
        for axis in dims
        if shift in along[axis]
    ]


def _error(
    network: Network,
    pair: tuple[Tensor, Tensor],
    start: tuple[int, ...],
    *,
    cut: tuple[int, ...],
    lattice: tuple[tuple[int, ...], int],
) -> float:
    """Return the MSE between the network's answer to the crop and the crop of its answer, inside the margin."""
    periods, margin = lattice
    shape = [(side - c) // p * p for side, c, p in zip(pair[0].shape[2:], cut, periods, strict=True)]
    moved, expected = (_crop(x, start, shape) for x in pair)
    inner = [side - 2 * margin for side in shape]
    corner = (margin,) * len(inner)
    difference = spectra.exact(_crop(network(moved), corner, inner)) - spectra.exact(_crop(expected, corner, inner))
    return float(difference.square().mean())


def _crop(x: Tensor, start: tuple[int, ...], shape: list[int]) -> Tensor:
    for axis, (first, side) in enumerate(zip(start, shape, strict=True), 2):
        x = x.narrow(axis, first, side)
    return x.contiguous()


def _half_pixel(x: Tensor) -> Tensor:
    """Return x at positions 2.5, 3.5, ... of every axis, each 5 pixels shorter, by a normalised Lanczos-3 filter."""
    t = torch.arange(6, dtype=torch.float64) - 2.5
    taps = torch.sinc(t) * torch.sinc(t / 3)
    for axis in range(2, x.dim()):
        side = x.shape[axis] - 5
        x = sum((float(tap / taps.sum()) * x.narrow(axis, k, side) for k, tap in enumerate(taps)), x.new_zeros(()))
    return x


def _decibel(error: float) -> float:
    return -10 * log10(error) if error else inf


def measure(trial: Trial) -> dict[str, float]:
    """Return both numbers for the first 16 held-out images; NaN where they are too small for the margin."""
    images = trial.inputs[:IMAGES]
    if min(images.shape[2:]) < _least(trial.period, trial.margin):
        return dict.fromkeys(UNITS, nan)
    whole, half = shift_equivariance(trial.model, images, trial.period, margin=trial.margin)
    return {"shift_equivariance.integer": whole, "shift_equivariance.fractional": half}
