"""Grids of maps and of weights: phase means and variances, and what an enlargement's taps say by themselves.

The period may differ between axes (audio, images, video).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from math import log10, prod

import torch
from torch import Tensor

from checkerscope.analysis.audit.growth.lineage import Period
from checkerscope.analysis.audit.growth.records import Taps
from checkerscope.toolkit.geometry import Axis
from checkerscope.toolkit.geometry.overlap import phase_counts

#: Below this a power ratio is rounding; an exact zero reads as this.
FLOOR_DB = -200.0
#: How many times stronger than what content leaves by chance a grid has to be: the lines of one map's content scatter.
SURE = 9.0


def decibel(power: float, reference: float) -> float:
    """Return 10 log10(power / reference), not below `FLOOR_DB`.

    >>> decibel(1.0, 100.0), decibel(0.0, 1.0)
    (-20.0, -200.0)
    """
    ratio = power / reference if reference > 0 else 0.0
    return max(FLOOR_DB, 10 * log10(ratio)) if ratio > 0 else FLOOR_DB


def centre(x: Tensor, period: Period) -> Tensor:
    """Return the central half of a map per axis, in whole periods and starting at one, float64.

    The outer quarters are left out because of what a border does to them; a map of fewer than four periods is cut
    to whole periods only.
    """
    x = x.detach().to("cpu", torch.float64)  # some devices have no double precision
    for axis, p in enumerate(period, start=2):
        side = x.shape[axis]
        start = side // 4 // p * p
        length = max(1, (side - 2 * start) // p) * p
        x = x.narrow(axis, start, min(length, side))
    return x


def cells(x: Tensor, period: Period) -> Tensor:
    """Return a map cut into cells of one period, (N, C, cells, phases).

    >>> cells(torch.arange(6.0).reshape(1, 1, 6), (2,))[0, 0]
    tensor([[0., 1.],
            [2., 3.],
            [4., 5.]])
    """
    d = len(period)
    split = [size for side, p in zip(x.shape[2:], period, strict=True) for size in (side // p, p)]
    x = x.reshape(*x.shape[:2], *split)
    order = [0, 1, *range(2, 2 + 2 * d, 2), *range(3, 3 + 2 * d, 2)]
    return x.permute(order).reshape(x.shape[0], x.shape[1], -1, prod(period))


def pattern(x: Tensor, period: Period) -> Tensor:
    """Return the mean of every phase without the mean of all, (N, C, phases): the fixed grid of a map.

    The mean is weighted by a Hann window over the map, position by position. A grid comes out as it is; a slope,
    whose phases differ as well, all but vanishes (a plain mean would take it for a grid).

    >>> [round(float(v), 2) for v in pattern(torch.arange(64.0).reshape(1, 1, 64), (2,)).flatten()]
    [0.0, -0.0]
    """
    weights = cells(_window(x.shape[2:]).to(x)[None, None], period)
    means = (weights * cells(x, period)).sum(2) / weights.sum(2)
    return means - means.mean(-1, keepdim=True)


def _window(shape: Sequence[int]) -> Tensor:
    """Return a Hann window over a map, never zero."""
    window = torch.ones((), dtype=torch.float64)
    for side in shape:
        line = torch.sin(torch.pi * (torch.arange(side, dtype=torch.float64) + 0.5) / side).square()
        window = window[..., None] * line
    return window


def grid_power(x: Tensor, period: Period) -> tuple[float, float]:
    """Return the mean square of the fixed grid, and how much of it is chance: content differs between phases, too.

    How far the cells of a map differ from each other tells how much its phase means scatter, within a cell and, as the
    window weighs the phases of one cell a little differently, from cell to cell. Where nothing but the grid varies,
    nothing is chance.
    """
    deviations = cells(x, period)
    levels = deviations.mean(-1, keepdim=True)
    deviations = deviations - levels
    power = float(pattern(x, period).square().mean())
    if deviations.shape[2] < 2:
        return power, 0.0
    weights = cells(_window(x.shape[2:])[None, None], period)
    weights = weights / weights.sum(2, keepdim=True)
    share = float(weights.square().sum(2).mean())  # one over the effective cell count
    uneven = float((weights - weights.mean(-1, keepdim=True)).square().sum(2).mean())
    return power, float(deviations.var(2).mean()) * share + float(levels.var(2).mean()) * uneven


def periodic_grid(x: Tensor, period: Period) -> tuple[float, float]:
    """Return the mean square of the fixed grid of a map without border, and of all that varies in it.

    Nothing is left out and nothing weighed: content that is periodic with the whole map has equal phase means.
    """
    x = x.detach().to("cpu", torch.float64)
    for axis, p in enumerate(period, start=2):
        x = x.narrow(axis, 0, x.shape[axis] // p * p)
    means = cells(x, period).mean(2)
    spatial = tuple(range(2, x.dim()))
    whole = (x - x.mean(spatial, keepdim=True)).square().mean()
    return float((means - means.mean(-1, keepdim=True)).square().mean()), float(whole)


def tone_power(x: Tensor, period: Period) -> float:
    """Return the mean square of the fixed grid beyond chance; 0 unless it is `SURE` times as strong as that."""
    power, chance = grid_power(x, period)
    return power - chance if power - chance > SURE * chance else 0.0


def tone_by_period(x: Tensor, periods: Iterable[Period]) -> dict[Period, float]:
    """Return the tone power of each period beyond that of the periods that divide it."""
    return beyond_divisors({period: tone_power(centre(x, period), period) for period in periods})


def beyond_divisors(folded: Mapping[Period, float]) -> dict[Period, float]:
    """Return powers by period, shortest first, each less the strongest of a period that divides it.

    >>> beyond_divisors({(4,): 3.0, (2,): 1.0})
    {(2,): 1.0, (4,): 2.0}
    """
    return {
        period: max(
            0.0,
            folded[period] - max((q for p, q in folded.items() if p != period and _divides(p, period)), default=0.0),
        )
        for period in sorted(folded, key=prod)
    }


def _divides(a: Period, b: Period) -> bool:
    return all(y % x == 0 for x, y in zip(a, b, strict=True))


def across(x: Tensor, axis: int, periods: Iterable[Period]) -> tuple[Tensor, dict[Period, Period]]:
    """Return a map averaged along one spatial axis, and what is left of each period on the other axes, if anything.

    What rises evenly along that axis is gone; what is left is the grid that runs across it.
    """
    left = {period: tuple(1 if i == axis else p for i, p in enumerate(period)) for period in periods}
    longest = max((period[axis] for period in periods), default=1)
    whole = centre(x, tuple(longest if i == axis else 1 for i in range(x.dim() - 2)))
    return whole.mean(2 + axis, keepdim=True), {p: rest for p, rest in left.items() if max(rest) > 1}


def phase_variance(x: Tensor, period: Period) -> float:
    """Return the relative spread of the variances of the phases: their AC power over their squared mean.

    Variances are over cells, per image and channel; what a finite number of cells leaves (2 v^2 / (n - 1) for normal
    values) is subtracted. NaN for fewer than two cells or a map without variance.
    """
    c = cells(x, period)
    n = c.shape[2]
    if n < 2:
        return float("nan")
    v = c.var(2).mean((0, 1))
    mean = v.mean()
    if not mean > 0:
        return float("nan")
    noise = 2 * v.square().mean() / (n - 1) / (c.shape[0] * c.shape[1])
    return max(0.0, float(((v - mean).square().mean() - noise) / mean.square()))


def contrast(x: Tensor, dims: int) -> float:
    """Return the mean square of a map around its spatial mean, over its central half."""
    inner = centre(x, (1,) * dims)
    axes = tuple(range(2, x.dim()))
    return float((inner - inner.mean(axes, keepdim=True)).square().mean())


def level(x: Tensor, dims: int) -> float:
    """Return the mean square of a map over its central half."""
    return float(centre(x, (1,) * dims).square().mean())


def name_of(period: Sequence[int]) -> str:
    """Return a period for people: "4", or "1x8x8" where the axes differ.

    >>> name_of((4, 4)), name_of((1, 8, 8))
    ('4', '1x8x8')
    """
    return str(period[0]) if len(set(period)) == 1 else "x".join(map(str, period))


def phase_gains(taps: Taps) -> Tensor:
    """Return the level of every phase on a constant of one, per pair of channels, float64 (C_in, C_out, phases).

    Only what is connected counts: with groups, C_out is the number of outputs per group.
    """
    weight = taps.weight.double()
    if taps.order is not None:
        sums = weight.flatten(2).sum(-1) if weight.dim() > 2 else weight  # channel, C_in
        return sums[taps.order.to(sums.device)].permute(2, 0, 1)
    for axis, (stride, dilation) in enumerate(zip(taps.strides, taps.dilation, strict=True), start=2):
        phase = torch.arange(weight.shape[axis], device=weight.device) * dilation % stride
        sums = weight.new_zeros(*weight.shape[:axis], stride, *weight.shape[axis + 1 :])
        weight = sums.index_add(axis, phase, weight)
    return weight.flatten(2)


def gain_spread(taps: Taps) -> float:
    """Return the RMS deviation of the phase gains from their mean over the phases, over their RMS; 0 for no gain.

    >>> gain_spread(Taps(torch.tensor([[[1.0, 2.0, 1.0]]]), (2,), (1,)))
    0.0
    """
    gains = phase_gains(taps)
    power = gains.square().mean()
    return float(((gains - gains.mean(-1, keepdim=True)).square().mean() / power).sqrt()) if power > 0 else 0.0


def overlap(taps: Taps) -> float | None:
    """Return the highest over the lowest number of taps that reach an output pixel, inf where some get none.

    None for a shuffle, where every pixel gets the same number.
    """
    if taps.order is not None:
        return None
    sizes = zip(taps.weight.shape[2:], taps.strides, taps.dilation, strict=True)
    counts = [phase_counts([Axis(k, s, dilation=d)]) for k, s, d in sizes]
    return float(reduce(lambda ratio, c: ratio * (c.max() / c.min() if c.min() else float("inf")), counts, 1.0))
