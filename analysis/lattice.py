"""The lattice of a period: where a grid puts its lines in a spectrum, and how far they stand above what is around."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor

from checkerscope.toolkit import checks

#: Pixels after which a grid repeats: one number for all spatial axes, or one per axis.
Period = int | Sequence[int]

#: Half-width in bins of what a Hann-windowed line spreads to: its main lobe is a line and its two neighbours.
GUARD = 1

#: Half-width in bins of the neighbourhood that a line's background is taken from.
NEIGHBOURHOOD = 3


def per_axis(period: Period, dims: int, subject: str = "period", *, minimum: int = 1) -> tuple[int, ...]:
    """Return a period (or another length in pixels) for each of `dims` spatial axes.

    Raises:
        ValueError: If a length is no integer from `minimum`, or there is not one per axis.

    >>> per_axis(4, 2), per_axis((20, 100, 100), 3)
    ((4, 4), (20, 100, 100))
    """
    if not isinstance(period, Sequence) or isinstance(period, str):
        return (checks.integer(subject, period, minimum=minimum),) * dims
    if len(period) != dims:
        raise checks.mismatch(subject, f"one length, or one for each of {dims} spatial axes", tuple(period))
    return tuple(checks.integer(f"{subject} of axis {axis}", p, minimum=minimum) for axis, p in enumerate(period))


def lines(shape: tuple[int, ...], period: Period) -> list[tuple[int, ...]]:
    """Return the bins of the lattice lines, the frequencies m / period per axis, without the zero frequency.

    Raises:
        ValueError: If a side is no multiple of the period, or has fewer than four periods: then a line has no
            background of its own.

    >>> lines((16, 16), 2)
    [(0, 8), (8, 0), (8, 8)]
    """
    periods = per_axis(period, len(shape))
    if any(side % p or side < 4 * p for side, p in zip(shape, periods, strict=True)):
        raise checks.mismatch("images", sides_of(periods, 4), tuple(shape))
    return bins(shape, periods)


def bins(shape: tuple[int, ...], periods: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return the bins of the lattice lines of any whole number of periods per axis."""
    steps = [[m * side // p for m in range(p)] for side, p in zip(shape, periods, strict=True)]
    return list(product(*steps))[1:]


def sides_of(periods: tuple[int, ...], least: int) -> str:
    """Return in words what sides a test needs: whole periods, `least` of them.

    >>> sides_of((8, 8), 4), sides_of((1, 8), 2)
    ('sides that are multiples of 8, from 32', 'sides that are multiples of 1 x 8, from 2 x 16')
    """
    lengths = periods[:1] if len(set(periods)) == 1 else periods
    multiples, smallest = (" x ".join(str(p * times) for p in lengths) for times in (1, least))
    return f"sides that are multiples of {multiples}, from {smallest}"


def excess(power: Tensor, period: Period) -> Tensor:
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
    places = [torch.tensor(axis) for axis in zip(*lines(shape, period), strict=True)]
    if not places:  # period 1 has no line
        return power.new_zeros(len(power), 0)
    free = _background_bins(shape, per_axis(period, len(shape))).to(power)
    background = _neighbourhood_sum(power * free) / _neighbourhood_sum(free[None])
    index: tuple[slice | Tensor, ...] = (slice(None), *places)
    return (power - background)[index]


def _background_bins(shape: tuple[int, ...], periods: tuple[int, ...]) -> Tensor:
    """Return True at every bin that no lattice line, nor zero, leaks into."""
    leaks = torch.ones(shape, dtype=torch.bool)
    for axis, (side, period) in enumerate(zip(shape, periods, strict=True)):
        offset = torch.arange(side) % (side // period)
        near = torch.minimum(offset, side // period - offset) <= GUARD
        leaks &= near.reshape(-1, *(1,) * (len(shape) - axis - 1))
    return ~leaks


def _neighbourhood_sum(values: Tensor) -> Tensor:
    """Return the sum over each bin's neighbourhood, which wraps around as frequencies do."""
    for axis in range(1, values.dim()):
        values = torch.stack([values.roll(o, axis) for o in range(-NEIGHBOURHOOD, NEIGHBOURHOOD + 1)]).sum(0)
    return values
