"""The lattice lines of one order, and the evidence that they stand out.

A line (a / n, b / m) in lowest terms has the order lcm(n, m): the smallest period that has it. Orders share no line,
so that a grid of 2 px, whose line is in the lattices of 4, 6 and 8 px as well, is evidence for order 2 alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.special
import torch
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter, uniform_filter1d

from checkerscope.analysis import spectra
from checkerscope.analysis.lattice import GUARD

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]

#: Least number of periods along each side: then a line has a background of its own.
LEAST_PERIODS = 4
#: Longest side of a spectrum: larger maps are folded to a multiple of the period about as long.
LONGEST = 512
# Half-width in bins of a line's neighbourhood: an eighth of a cycle per pixel, over which a spectrum hardly changes,
# but no fewer and no more bins than these.
_EIGHTH, _LEAST_RADIUS, _MOST_RADIUS = 8, 6, 12
# A Hann window makes neighbouring bins alike: k bins in a row hold k / 1.944 independent powers.
_HANN = 1.944
# Bins of photographs scatter more than an exponential law allows, and the background's shape hides something.
_OVERDISPERSION, _MISFIT = 1.5, 30.0
# The spectrum of a few images has peaks of its own, from textures and, on the axes, from streaks and horizons.
_FEW_IMAGES, _ON_AXIS, _MISFIT_OF_FEW = 4, 3.0, 15.0
# Power relative to white noise of the residual's variance below which nothing is told from rounding.
_ROUNDING = 1e-7
#: Tests per order: rows, columns and both, in either plane, by the sum and by the strongest line.
TESTS = 12


@dataclass(frozen=True)
class Lines:
    """The lines of an order, one of each conjugate pair.

    Attributes:
        order: Their order.
        rows: Numerator over the order of the frequency from row to row, (lines,).
        columns: The same from column to column.
        log_p: Natural log of the p-value that a line is no stronger than its neighbours, (planes, lines).
        density: What the neighbours have, relative to white noise of unit variance, (planes, lines).
    """

    order: int
    rows: Integers
    columns: Integers
    log_p: Floats
    density: Floats

    @property
    def direction(self) -> Integers:
        """0 where only rows differ, 1 where only columns do, 2 else, (lines,)."""
        return np.where(self.columns == 0, 0, np.where(self.rows == 0, 1, 2))


def numerators(period: int, *, whole: bool = False) -> tuple[Integers, Integers]:
    """Return the numerators of the lines of an order, one of each conjugate pair; all of the period's if `whole`.

    >>> [line.tolist() for line in numerators(2)]
    [[0, 1, 1], [1, 0, 1]]
    """
    rows, columns = np.divmod(np.arange(period * period), period)
    order = np.lcm(denominators(rows, period), denominators(columns, period))
    first = rows * period + columns <= (-rows % period) * period + (-columns % period)
    kept = first & ((order > 1) if whole else (order == period))
    return rows[kept], columns[kept]


def denominators(numerator: Integers, period: int) -> Integers:
    """Return the denominator of numerator / period in lowest terms."""
    return period // np.gcd(numerator, period)


def measure(field: Floats, order: int, *, images: int = 1, whole: bool = False) -> Lines:
    """Return the lines of an order in a field (planes, height, width) of about unit variance.

    A line on an axis is held against its neighbours on that axis, because natural images have a ridge there.

    Args:
        field: Of `Maps`.
        order: The order.
        images: How many images the field is made of.
        whole: All lines of that period instead.
    """
    power = _power(field, order)
    shape = power.shape[1], power.shape[2]
    around = _surroundings(shape, order, whole)
    background = uniform_filter(power * around.free, (0, *_window(shape)), mode="wrap")[:, around.down, around.across]
    for axis, on_axis in enumerate((around.columns == 0, around.rows == 0)):
        at = (around.down, around.across)[axis][on_axis]
        along = (power[:, :, 0] if axis == 0 else power[:, 0]) * around.free_along[axis]
        background[:, on_axis] = uniform_filter1d(along, _window(shape)[axis], axis=1, mode="wrap")[:, at]
    expected = np.maximum(background / around.share, 1e-300)
    real = (2 * around.rows % order == 0) & (2 * around.columns % order == 0)
    is_few = images < _FEW_IMAGES
    scatter = np.where(is_few & ((around.rows == 0) | (around.columns == 0)), _ON_AXIS, _OVERDISPERSION)
    degrees = 2 / (scatter / around.bins + 1 / (_MISFIT_OF_FEW if is_few else _MISFIT))
    log_p = _log_tail(power[:, around.down, around.across] / expected, degrees, real)
    white = 1.5**2 / np.prod(shape)
    return Lines(order, around.rows, around.columns, np.maximum(log_p, -700.0), expected / white)


def _log_tail(ratio: Floats, degrees: Floats, real: NDArray[np.bool_]) -> Floats:
    """Return the log p-values of powers over backgrounds with some degrees of freedom, F(2, d) or F(1, d) if real."""
    complex_tail = -degrees / 2 * np.log1p(2 * ratio / degrees)
    real_tail = 2 * scipy.special.stdtr(degrees, -np.sqrt(ratio))
    return np.where(real, np.log(np.maximum(real_tail, 1e-300)), complex_tail)


@dataclass(frozen=True)
class _Surroundings:
    """What lies around the lines of an order in all spectra of a shape.

    Attributes:
        rows, columns: As `Lines`.
        down, across: The lines' bins, (lines,).
        free: Bins that no line of the period leaks into, (height, width).
        free_along: The same on each axis.
        share: Share of free bins in each line's neighbourhood, (lines,).
        bins: Independent bins that each line's background is made of, (lines,).
    """

    rows: Integers
    columns: Integers
    down: Integers
    across: Integers
    free: NDArray[np.bool_]
    free_along: tuple[NDArray[np.bool_], NDArray[np.bool_]]
    share: Floats
    bins: Floats


@lru_cache(maxsize=256)
def _surroundings(shape: tuple[int, int], order: int, whole: bool) -> _Surroundings:
    steps = [side // order for side in shape]
    rows, columns = numerators(order, whole=whole)
    down, across = rows * steps[0], columns * steps[1]
    near = [_is_near(side, step) for side, step in zip(shape, steps, strict=True)]
    free = ~(near[0][:, None] & near[1])
    size = _window(shape)
    share = uniform_filter(free.astype(np.float64), size, mode="wrap")[down, across]
    count = share * size[0] * size[1] / _HANN**2
    for axis, on_axis in enumerate((columns == 0, rows == 0)):
        along = uniform_filter1d((~near[axis]).astype(np.float64), size[axis], mode="wrap")
        share[on_axis] = along[(down, across)[axis][on_axis]]
        count[on_axis] = share[on_axis] * size[axis] / _HANN
    sure = np.maximum(share, 1e-12), np.maximum(count, 1e-12)
    return _Surroundings(rows, columns, down, across, free, (~near[0], ~near[1]), *sure)


def _window(shape: tuple[int, int]) -> tuple[int, int]:
    """Return the sides in bins of a line's neighbourhood."""
    down, across = (2 * min(_MOST_RADIUS, max(_LEAST_RADIUS, side // _EIGHTH)) + 1 for side in shape)
    return down, across


def _power(field: Floats, period: int) -> Floats:
    """Return the Hann-windowed power at all bins, with what rounding may have."""
    whole = fit(field, period)
    power = spectra.coefficients(torch.from_numpy(np.ascontiguousarray(whole))[None])[0].abs().square().numpy()
    return np.asarray(power + _ROUNDING * 1.5**2 / np.prod(whole.shape[1:]))


def fit(field: Floats, period: int) -> Floats:
    """Return a field cut to multiples of the period and, where it is long, folded to about `LONGEST`."""
    for axis in (1, 2):
        side = field.shape[axis]
        parts = -(-side // LONGEST)
        length = side // (parts * period) * period
        kept = np.moveaxis(field, axis, -1)[..., : parts * length]
        field = np.moveaxis(kept.reshape(*kept.shape[:-1], parts, length).sum(-2) / np.sqrt(parts), -1, axis)
    return field


def _is_near(side: int, step: int) -> NDArray[np.bool_]:
    offset = np.arange(side) % step
    return np.minimum(offset, step - offset) <= GUARD


def evidence(lines: Lines, inequality: Floats, chosen: NDArray[np.bool_] | None = None) -> tuple[float, int]:
    """Return the smallest log p-value of the tests of an order, corrected for their number, and its plane.

    Each direction and plane has two tests: the strongest line, and Fisher's sum of log p-values, which finds a grid
    that is spread over hundreds of lines. Its degrees of freedom are divided by the phases' `inequality`.

    Args:
        lines: Of one order.
        inequality: `Maps.inequality`, (planes,).
        chosen: Lines to look at, (lines,); all by default.
    """
    chosen = np.ones(len(lines.rows), dtype=bool) if chosen is None else chosen
    found = [(0.0, 0)]
    for plane, log_p in enumerate(lines.log_p):
        for direction in range(3):
            some = log_p[chosen & (lines.direction == direction)]
            if some.size:
                found.append((np.log(some.size) + some.min() + np.log(TESTS), plane))
            if some.size > 1:
                shape = some.size / inequality[plane]
                found.append((_log_gamma_tail(-some.sum() / inequality[plane], shape) + np.log(TESTS), plane))
    best = min(found)
    return float(best[0]), best[1]


def _log_gamma_tail(value: float, shape: float) -> float:
    """Return the log probability that a gamma variable of unit scale exceeds a value, also where it is below 1e-300."""
    tail = float(scipy.special.gammaincc(shape, value))
    if tail > 1e-290:
        return float(np.log(tail))
    # the first term of the asymptotic series, an upper bound for value > shape
    return float((shape - 1) * np.log(value) - value - scipy.special.gammaln(shape) - np.log1p(-(shape - 1) / value))
