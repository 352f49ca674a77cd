"""A test for a grid of a known period, with a null hypothesis that holds for photographs.

A grid of period L has all its power at the lattice lines, the frequencies m / L per axis. Two p-values are found for
every line and channel and joined by the Cauchy rule, because a tone lives in few lines:

* *across images*: images that were cropped without regard to the grid have line coefficients of random phase, so
  their mean over N >= 4 images is zero; it is compared with their own scatter and needs no model of the background;
* *local background*: the power at the line against its neighbours in frequency, for any number of images.

The period may differ from axis to axis, and two periods per axis are enough for the test across images: with fewer than
four a line has no neighbours that no other line leaks into, so that there is no local background to test against, and
each image is weighted by its contrast alone.

`measure_lines` does what is per image, the rest combines images, so that thousands of sets can be drawn from one pool.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import scipy.stats
import torch
from numpy.typing import NDArray
from torch import Tensor

from checkerscope.analysis import spectra
from checkerscope.analysis.lattice import GUARD, Period, bins, per_axis, sides_of
from checkerscope.toolkit import checks

Floats = NDArray[np.float64]

# Half-width in bins of the neighbourhood of a line: wider gains degrees of freedom and loses resemblance.
_RADIUS = 6
# A Hann window makes neighbouring bins alike: k bins in a row hold k / 1.944 independent powers.
_HANN = 1.944
# Whitened bins of photographs scatter more than an exponential law allows.
_OVERDISPERSION = 1.5
# The shape of the background is not known better than so many degrees of freedom would tell, however many the images:
# spectra flatten towards 1/2, and the fit reads up to 1.5 dB too little there.
_MISFIT = 15.0
# The local scale of one image, from few bins, is shrunk towards its smooth fit as if so many bins more had agreed.
_SHRINKAGE = 3.0
# Amplitude relative to an image's root mean square below which nothing is told from float32 rounding, which may itself
# follow the grid.
_ROUNDING = 1e-6
# Fewer images leave the across-image test less than three degrees of freedom.
_ACROSS_FROM = 4
# Prior standard deviations of the smooth fit in natural-log power: level, slope, curvature, anisotropy, ridges.
_SLOPE, _CURVATURE, _ANISOTROPY, _RIDGE, _RIDGE_SLOPE = 3.0, 0.3, 0.3, 0.5, 0.2
# Periods per axis from which a line has a background of its own, and from which there is a line at all to speak of.
_LOCAL_FROM, _FEWEST = 4, 2
# A single image with p = 1 at one line must not outvote all the others.
_LARGEST_P = 0.999


@dataclass(frozen=True)
class PeriodicityResult:
    """Is there a grid of this period?

    Attributes:
        statistic: Cauchy statistic, the mean of tan(pi (1/2 - p)) over tests, lines and channels.
        p_value: Of that statistic: small where there is a grid. Bounded below by about 1e-300.
        across: p-value of the across-image test alone; NaN for fewer than four images.
        local: p-value of the local-background test alone; NaN for fewer than four periods on an axis.
        strongest: Frequency of the line with the smallest p-value, in cycles per pixel, per axis.
    """

    statistic: float
    p_value: float
    across: float
    local: float
    strongest: tuple[float, ...]


@dataclass(frozen=True)
class Lines:
    """The lattice lines of a pool of images, one of each conjugate pair.

    Attributes:
        coefficient: Complex window-corrected coefficients, (..., images, channels, lines).
        fit: Power that the smooth fit of the image's log-spectrum expects there, same shape.
        ratio: Mean power over fit of the line's neighbours, same shape.
        floor: Power of rounding errors, (..., images, channels, 1).
        bins: Independent neighbours of each line, (lines,); 0 where there are too few periods for any.
        real: Whether the coefficient is real: the line is its own negative, (lines,).
        frequencies: In cycles per pixel, (lines, axes).
    """

    coefficient: NDArray[np.complex128]
    fit: Floats
    ratio: Floats
    floor: Floats
    bins: Floats
    real: NDArray[np.bool_]
    frequencies: Floats

    @property
    def has_background(self) -> bool:
        """Whether every line has neighbours to be compared with."""
        return bool((self.bins > 0).all())

    def pick(self, index: NDArray[np.intp]) -> Lines:
        """Return sets of images: `index` (..., images) replaces the image axis of a pool."""
        return replace(
            self,
            coefficient=self.coefficient[index],
            fit=self.fit[index],
            ratio=self.ratio[index],
            floor=self.floor[index],
        )


def periodicity_test(images: Tensor, period: Period) -> PeriodicityResult:
    """Return the evidence for a grid of `period` pixels that is fixed with respect to the images' corner.

    Calibrated on coloured noise and photographs: `benchmarks/calibration.json`. The null hypothesis of four images and
    more is that they were cropped at random offsets; pictures that are aligned with each other (faces) have a mean
    picture, which the across-image test takes for a grid at long periods: look at `local` then.

    Args:
        images: (N, C, *spatial) with one to three axes, any real dtype and scale. Channels of an image may depend on
            each other; images may not. Cut to multiples of the period.
        period: From 2 pixels, one number or one per axis (1 on an axis that has no grid). Fewer than four images need
            at least four periods per axis, and eight for any power; four images and more at least two.

    Raises:
        ValueError: For another shape, NaN or infinity, period < 2, or too few periods.

    >>> board = torch.ones(8).cumsum(0).remainder(2).repeat(2)
    >>> periodicity_test((board[:, None] + board).remainder(2)[None, None], 2).p_value < 1e-9
    True
    >>> periodicity_test(torch.ones(4, 3, 16, 16), 2).p_value > 0.5
    True
    >>> stripes = torch.ones(8).cumsum(0).remainder(2).expand(5, 1, 20, 8)
    >>> periodicity_test(stripes, (1, 2)).strongest
    (0.0, 0.5)
    """
    lines = measure_lines(images, period)
    tests = {}
    if lines.has_background:
        tests["local"] = local_p_values(lines)
    if len(images) >= _ACROSS_FROM:
        tests["across"] = across_p_values(lines)
    together = np.stack(list(tests.values()))
    statistic, p_value = cauchy_rule(together.reshape(-1))
    each = {name: float(cauchy_rule(test.reshape(-1))[1]) for name, test in tests.items()}
    across, local = (each.get(name, np.nan) for name in ("across", "local"))
    strongest = tuple(map(float, lines.frequencies[together.min(axis=(0, 1)).argmin()]))
    return PeriodicityResult(float(statistic), float(p_value), across, local, strongest)


def measure_lines(images: Tensor, period: Period) -> Lines:
    """Return coefficient, smooth fit and neighbours of every lattice line of every image.

    The fit is a penalised least-squares fit of log-power on log-frequency, its square, direction, and a ridge along
    each axis, without the bins that a lattice line leaks into. Neighbours of a line on an axis (or plane) are taken
    along it, because natural images have a ridge there.

    Raises:
        ValueError: As `periodicity_test`.
    """
    periods = _periods(images, period)
    shape = tuple(side - side % p for side, p in zip(images.shape[2:], periods, strict=True))
    lattice = _lattice(shape, periods)
    parts = [_measure(spectra.interior(chunk, periods).cpu(), lattice) for chunk in spectra.in_chunks(images)]
    coefficient, fit, ratio, floor = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
    counts = [
        len(near) / _HANN ** np.count_nonzero(line) for line, near in zip(lattice.bins, lattice.around, strict=True)
    ]
    frequencies = lattice.bins / np.array(shape)
    frequencies = np.where(frequencies > 0.5, frequencies - 1, frequencies)
    return Lines(coefficient, fit, ratio, floor, np.array(counts) / _OVERDISPERSION, lattice.real, frequencies)


def _periods(images: Tensor, period: Period) -> tuple[int, ...]:
    """Return the period per axis, after complaints about what cannot be tested."""
    dims = spectra.check_images(images).dim() - 2
    periods = per_axis(period, dims, minimum=1 if isinstance(period, tuple | list) else 2)
    if max(periods) < 2:
        raise checks.mismatch("period", "2 or more on at least one axis", periods)
    sides = tuple(images.shape[2:])
    whole = min(side // p for side, p in zip(sides, periods, strict=True))
    if whole < (_FEWEST if len(images) >= _ACROSS_FROM else _LOCAL_FROM):
        least = _FEWEST if len(images) >= _ACROSS_FROM else _LOCAL_FROM
        fix = "" if least == _FEWEST else f"or use at least {_ACROSS_FROM} images of {_FEWEST} periods"
        raise checks.mismatch("images", sides_of(periods, least), sides, fix)
    return periods


@dataclass(frozen=True)
class _Lattice:
    """What all images of one shape share: line bins, their neighbours, and the columns and solver of the fit."""

    bins: NDArray[np.intp]  # (lines, axes), one of each conjugate pair
    real: NDArray[np.bool_]  # (lines,)
    around: list[NDArray[np.intp]]  # of each line: (neighbours,), flat; none where there are too few periods
    columns: Tensor  # (pixels, columns)
    kept: Tensor  # (kept bins,), flat
    solver: Tensor  # (kept bins, columns): log-power to coefficients of the fit


def _lattice(shape: tuple[int, ...], periods: tuple[int, ...]) -> _Lattice:
    every = np.array(bins(shape, periods))
    flat, mirrored = _flat(every, shape), _flat(-every, shape)
    first = flat <= mirrored
    real = (flat == mirrored)[first]
    if min(side // p for side, p in zip(shape, periods, strict=True)) < _LOCAL_FROM:
        nothing = torch.empty(0)
        return _Lattice(every[first], real, [np.empty(0, np.intp)] * len(real), nothing, nothing, nothing)
    columns, precision = _columns(shape)
    plane = np.moveaxis(np.indices(shape), 0, -1).reshape(-1, len(shape))
    once = _flat(plane, shape) <= _flat(-plane, shape)  # P(-f) = P(f)
    kept = torch.from_numpy(np.flatnonzero(once & ~_leaks(plane, shape, periods)))
    design = columns[kept]
    solver = torch.linalg.solve(design.T @ design + precision, design.T).T
    around = [_neighbours(line, shape, periods) for line in every[first]]
    return _Lattice(every[first], real, around, columns, kept, solver)


def _flat(bins: NDArray[np.intp], shape: tuple[int, ...]) -> NDArray[np.intp]:
    return np.ravel_multi_index(tuple((bins % shape).T), shape)


def _leaks(places: NDArray[np.intp], shape: tuple[int, ...], periods: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return whether a lattice line, or zero, leaks into each of the bins (..., axes)."""
    step = np.array(shape) // np.array(periods)
    offset = places % step
    return (np.minimum(offset, step - offset) <= GUARD).all(axis=-1)


def _neighbours(line: NDArray[np.intp], shape: tuple[int, ...], periods: tuple[int, ...]) -> NDArray[np.intp]:
    """Return the flat bins around a line that no line leaks into, one of each conjugate pair."""
    reach = [range(-_RADIUS, _RADIUS + 1) if position else range(1) for position in line]
    places = line + np.array(list(product(*reach)))
    places = places[~_leaks(places, shape, periods)]
    flat, mirrored = _flat(places, shape), _flat(-places, shape)
    return np.unique(np.where(np.isin(mirrored, flat), np.minimum(flat, mirrored), flat))


def _columns(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return the fit's columns (pixels, columns) and their prior precision (columns, columns).

    The precision is that of a log-periodogram (variance pi^2 / 6) with Hann-correlated neighbours over the prior's.
    """
    plane = torch.stack(torch.meshgrid(*[torch.fft.fftfreq(n, 1 / n) for n in shape], indexing="ij"), dim=-1).double()
    f = plane / torch.tensor(shape)
    square = f.square().sum(-1).clamp(min=1e-12)
    slope = square.log() / 2
    slope = slope - slope.mean()
    columns, spread = [torch.ones_like(slope), slope, slope.square()], [1e6, _SLOPE, _CURVATURE]
    for axis in range(len(shape) if len(shape) > 1 else 0):
        direction = f[..., axis].square() / square
        ridge = (plane.abs().sum(-1) - plane[..., axis].abs() <= 1).double()
        columns += [direction, direction.square(), ridge, ridge * slope]
        spread += [_ANISOTROPY, _ANISOTROPY, _RIDGE, _RIDGE_SLOPE]
    noise = np.pi**2 / 6 * _HANN ** len(shape)
    return torch.stack(columns, -1).flatten(0, -2), torch.diag(noise / torch.tensor(spread).double() ** 2)


def _measure(images: Tensor, lattice: _Lattice) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return coefficient, fit, ratio and floor of a few images."""
    spectrum = spectra.coefficients(images).flatten(2)
    floor = images.flatten(2).square().mean(-1, keepdim=True) * _ROUNDING**2
    floor = floor.clamp(min=torch.finfo(torch.float64).tiny)  # of an image of zeros
    power = spectrum.real.square() + spectrum.imag.square() + floor
    if not len(lattice.kept):
        return _without_background(spectrum, power, floor, _flat(lattice.bins, images.shape[2:]))
    weights = power[..., lattice.kept].log() @ lattice.solver
    lines = torch.from_numpy(_flat(lattice.bins, images.shape[2:]))
    ratios = [(power[..., near] / (weights @ lattice.columns[near].T).exp()).mean(-1) for near in lattice.around]
    return spectrum[..., lines], (weights @ lattice.columns[lines].T).exp(), torch.stack(ratios, -1), floor


def _without_background(
    spectrum: Tensor, power: Tensor, floor: Tensor, lines: NDArray[np.intp]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the same for too few periods: the fit is the image's mean power, no neighbour says more."""
    found = spectrum[..., torch.from_numpy(lines)]
    fit = power.mean(-1, keepdim=True).expand(found.shape)
    return found, fit, torch.ones_like(fit), floor


def across_p_values(lines: Lines) -> Floats:
    """Return the p-value of every line and channel, (..., channels, lines), that its mean over images is zero.

    Each coefficient is divided by its image's own background, so that F(2, 2N - 2) holds for the complex and
    F(1, N - 1) for the real ones, were they normal; their heavier tails make the test conservative.

    Raises:
        ValueError: For fewer than four images.
    """
    n = lines.coefficient.shape[-3]
    if n < _ACROSS_FROM:
        raise checks.mismatch("images", f"at least {_ACROSS_FROM}", n, "use local_p_values")
    ratio = (lines.ratio * lines.bins + _SHRINKAGE) / (lines.bins + _SHRINKAGE)
    background = lines.fit * ratio
    z = lines.coefficient / np.sqrt(background)
    total, mean = (np.abs(z) ** 2).sum(-3), np.abs(z.sum(-3)) ** 2 / n
    # rounding counts as scatter, so that images without content have none of their rounding errors tested
    scatter = (total - mean) / (n - 1) + (lines.floor / background).mean(-3)
    degrees = np.where(lines.real, 1, 2)
    return np.asarray(scipy.stats.f.sf(mean / scatter, degrees, degrees * (n - 1)))


def local_p_values(lines: Lines) -> Floats:
    """Return the p-value of every line and channel, (..., channels, lines), that it stands out from its neighbours.

    The sum over images is weighted by background^(-1/2), and its expected power is that of the neighbours, image by
    image; images that are much smoother than the median one do not gain more weight. The degrees of freedom follow
    Welch and Satterthwaite, and stay below a bound for what the background's shape hides.

    Raises:
        ValueError: If the lines have no neighbours, for fewer than four periods on an axis.
    """
    if not lines.has_background:
        raise checks.mismatch("lines", f"at least {_LOCAL_FROM} periods per axis", "fewer", "use across_p_values")
    weight = 1 / (lines.fit + np.median(lines.fit, axis=-3, keepdims=True))
    peak = np.abs((np.sqrt(weight) * lines.coefficient).sum(-3)) ** 2
    expected = weight * lines.fit * lines.ratio
    background = expected.sum(-3)
    images = background**2 / (expected**2).sum(-3)  # effective number
    degrees = np.maximum(1, 1 / (1 / (2 * lines.bins * images) + 1 / _MISFIT))
    return np.asarray(scipy.stats.f.sf(peak / background, np.where(lines.real, 1, 2), degrees))


def cauchy_rule(p_values: Floats) -> tuple[Floats, Floats]:
    """Return statistic and p-value of the Cauchy combination over the last axis.

    Source: Liu and Xie 2020, doi:10.1080/01621459.2018.1554485: its tail holds under dependence. We cap p-values at
    0.999, so that one dead line cannot hide the others.

    >>> [round(float(value), 3) for value in cauchy_rule(np.array([0.05, 0.05]))]
    [6.314, 0.05]
    """
    p = np.clip(p_values, 1e-300, _LARGEST_P)
    # cot(pi p) = tan(pi (1/2 - p)) keeps its precision for tiny p
    statistic = (1 / np.tan(np.pi * p)).mean(-1)
    return statistic, np.arctan2(1, statistic) / np.pi
