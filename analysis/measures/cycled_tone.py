"""Cycled tone: the tone on photographs, with the content cancelled by showing every photograph at every phase.

Responds to: tone on what photographs show, texture included; so also to what a non-linear layer makes of phase
variance, a tone that flat images do not have, and to the staircase that nearest-neighbour interpolation makes of a
slope, g / 2 for a mean slope of g per pixel at stride 2. Not to content: every pixel takes every phase once.
Noise floor: what the phases make of the same pixels differs, and averages out over pixels and images: bilinear
interpolation by 4 of all 144 test patches reads 6e-5, where `tone.residual_rms_unbiased` reads 2.5e-4.
Ground truth: exactly 0, for the images themselves and for any network that moves with its input.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from math import nan, prod

import torch
from torch import Tensor

from checkerscope.analysis import spectra
from checkerscope.analysis.lattice import Period, per_axis
from checkerscope.analysis.measures.tone import tone, unbiased_tone
from checkerscope.analysis.trial import Trial
from checkerscope.toolkit import checks

LABEL = "Cycled tone"
SOURCE = "this study; all shifts of an image after cycle spinning, Coifman and Donoho 1995"
UNITS = {
    "cycled_tone.rms": "image units",
    "cycled_tone.rms_unbiased": "image units",
}

Network = Callable[[Tensor], Tensor]


def cycled_tone(network: Network, images: Tensor, period: Period, *, margin: int = 0) -> float:
    """Return the RMS over phases of the network's mean answer to the same pixels, in image units.

    `tone` of `cycled_residual`: a grid a (-1)^(x + y) that the network adds reads |a|, whatever the images.

    Raises:
        ValueError: As `cycled_residual`.

    >>> round(cycled_tone(lambda x: 2 * x, torch.rand(1, 1, 16, 16), 2), 9)
    0.0
    """
    return tone(cycled_residual(network, images, period, margin=margin), period)


def cycled_residual(network: Network, images: Tensor, period: Period, *, margin: int = 0) -> Tensor:
    """Return the residual's mean at each phase, over pixels that were shown at every phase, (N, C, period, ...).

    The images are cropped at all period^d offsets from their corner, so that a pixel falls on phase p of the network's
    grid in exactly one of the crops. Only pixels that lie inside the margin of all crops count.

    Args:
        network: Maps (n, C, *spatial) to the same shape, for sides that are multiples of the period.
        images: (N, C, *spatial).
        period: L, in pixels, the product of the strides; one number or one per axis.
        margin: Border that padding may reach, in pixels.

    Raises:
        ValueError: If the images are no batch, not finite, or too small.
    """
    x = spectra.check_finite(spectra.plain(spectra.check_images(images)))
    dims = x.dim() - 2
    periods = per_axis(period, dims)
    least = [_least(p, margin) for p in periods]
    if any(side < need for side, need in zip(x.shape[2:], least, strict=True)):
        raise checks.mismatch("images", f"sides from {max(least)}", tuple(x.shape[2:]), "use larger images")
    cut = [(side // p - 1) * p for side, p in zip(x.shape[2:], periods, strict=True)]
    starts = [-(-margin // p) * p for p in periods]
    cells = [(n - margin) // p - start // p - 1 for n, p, start in zip(cut, periods, starts, strict=True)]
    inner = [n * p for n, p in zip(cells, periods, strict=True)]
    total = torch.zeros(*x.shape[:2], *periods, dtype=torch.float64, device=x.device)
    with torch.no_grad():
        for offset in product(*map(range, periods)):
            crop = _cut(x, offset, cut)
            residual = torch.cat([spectra.exact(network(part) - part) for part in crop.split(16)])
            # the same pixels in every crop, which begin at another phase in each
            first = [start + p - o for start, p, o in zip(starts, periods, offset, strict=True)]
            inside = _cut(residual, first, inner)
            for axis, length in enumerate(periods, start=2):  # axis by axis: the published numbers are rounded so
                inside = inside.unflatten(axis, (-1, length)).mean(axis)
            total += inside.roll([-o for o in offset], list(range(2, 2 + dims)))
    return spectra.check_finite(total / prod(periods), "residual")


def _least(period: int, margin: int) -> int:
    """Return the smallest side that leaves one cell: both margins in whole cells, the room to shift, and the cell."""
    return (2 * -(-margin // period) + 3) * period


def _cut(x: Tensor, start: tuple[int, ...] | list[int], shape: list[int]) -> Tensor:
    for axis, (first, length) in enumerate(zip(start, shape, strict=True), 2):
        x = x.narrow(axis, first, length)
    return x.contiguous()


def measure(trial: Trial) -> dict[str, float]:
    """Return the tone over all held-out images, and the same from products of different images.

    NaN where the images are too small for the margin, or the model was shown other images than it should make.
    """
    if trial.shown is not None and trial.shown is not trial.target:
        return dict.fromkeys(UNITS, nan)
    if min(trial.target.shape[2:]) < _least(trial.period, trial.margin):
        return dict.fromkeys(UNITS, nan)
    means = cycled_residual(trial.model, trial.target, trial.period, margin=trial.margin)
    return {
        "cycled_tone.rms": tone(means, trial.period),
        "cycled_tone.rms_unbiased": unbiased_tone(means, trial.period),
    }
