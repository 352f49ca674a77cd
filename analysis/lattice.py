"""The lattice of a period: where a grid puts its lines in a spectrum, and how far they stand above what is around."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

from checkerscope.toolkit import checks

#: Half-width in bins of what a Hann-windowed line spreads to: its main lobe is a line and its two neighbours.
GUARD = 1

#: Half-width in bins of the neighbourhood that a line's background is taken from.
NEIGHBOURHOOD = 3


def lines(shape: tuple[int, ...], period: int) -> list[tuple[int, ...]]:
    """Return the bins of the lattice lines, the frequencies m / period per axis, without the zero frequency.

    Raises:
        ValueError: If a side is no multiple of the period, or has fewer than four periods: then a line has no
            background of its own.

    >>> lines((16, 16), 2)
    [(0, 8), (8, 0), (8, 8)]
    """
    checks.integer("period", period)
    if any(side % period or side < 4 * period for side in shape):
        raise checks.mismatch("images", f"sides that are multiples of {period}, from {4 * period}", tuple(shape))
    steps = [[m * side // period for m in range(period)] for side in shape]
    return list(product(*steps))[1:]


def excess(power: Tensor, period: int) -> Tensor:
    """Return how much each lattice line stands above the mean of its neighbours, (C, lines), in the order of `lines`.

    The neighbours are the bins within `NEIGHBOURHOOD` on every axis, without those within `GUARD` of any lattice
    line or of zero.

    Args:
        power: Powers, or squared magnitudes of coefficients, (C, *spatial), zero frequency first.
        period: Of the lattice, in pixels.

    Raises:
        ValueError: If a side is no multiple of the period or has fewer than four periods.
    """
    shape = tuple(power.shape[1:])
    bins = [torch.tensor(axis) for axis in zip(*lines(shape, period), strict=True)]
    if not bins:  # period 1 has no line
        return power.new_zeros(len(power), 0)
    free = _background_bins(shape, period).to(power)
    background = _neighbourhood_sum(power * free) / _neighbourhood_sum(free[None])
    index: tuple[slice | Tensor, ...] = (slice(None), *bins)
    return (power - background)[index]


def _background_bins(shape: tuple[int, ...], period: int) -> Tensor:
    """Return True at every bin that no lattice line, nor zero, leaks into."""
    leaks = torch.ones(shape, dtype=torch.bool)
    for axis, side in enumerate(shape):
        offset = torch.arange(side) % (side // period)
        near = torch.minimum(offset, side // period - offset) <= GUARD
        leaks &= near.reshape(-1, *(1,) * (len(shape) - axis - 1))
    return ~leaks


def _neighbourhood_sum(values: Tensor) -> Tensor:
    """Return the sum over each bin's neighbourhood, which wraps around as frequencies do."""
    for axis in range(1, values.dim()):
        values = torch.stack([values.roll(o, axis) for o in range(-NEIGHBOURHOOD, NEIGHBOURHOOD + 1)]).sum(0)
    return values
