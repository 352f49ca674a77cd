"""How strong a grid of known period is, in all images together and in each of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from checkerscope.analysis.inspect.components import Family
from checkerscope.analysis.inspect.maps import Maps, folded
from checkerscope.analysis.inspect.orders import LEAST_PERIODS, denominators, measure
from checkerscope.analysis.inspect.residuals import Pixels, gain, highpass, level, planes

Floats = NDArray[np.float64]
Complex = NDArray[np.complex128]


@dataclass(frozen=True)
class Strength:
    """A grid's strength.

    Attributes:
        pattern: Its values in red, green and blue, (3, rows, columns), in image units, mean zero.
        rms: Root of its mean square over channels and phases, noise taken off.
        contrast: Root mean square over images and channels of the standard deviation over pixels.
        by_order: Root mean square of the lines of each order.
        share: Of each image: its grid as a multiple of the common one, (images,).
        deviation: Standard deviation of the share without a grid, (images,).
        contrasts: Contrast of each image, (images,).
    """

    pattern: Floats
    rms: float
    contrast: float
    by_order: dict[int, float]
    share: Floats
    deviation: Floats
    contrasts: Floats


class Samples:
    """Sums over the pixels of each phase of a grid, of all images and of each."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self._plane = family.components[0].plane
        rows, columns = family.periods
        # upper and lower half of every image, which share the grid and not the noise
        self._colour = np.zeros((2, 3, rows, columns))
        self._weights = np.zeros((2, 1, rows, columns))
        self._levelled: list[NDArray[np.float32]] = []
        self._images: list[tuple[float, float, int]] = []  # weight per phase, contrast, pixels

    def add(self, image: Pixels, contrast: float) -> None:
        """Add an image (3, height, width) and its contrast."""
        content_free = highpass(image)
        found = level(planes(content_free)[self._plane, None])
        levelled, weight = found.levelled[0], 1 / found.spread[0]
        colour = content_free * weight
        rows, columns = self._family.periods
        middle = max(1, image.shape[1] // rows // 2) * rows
        for half, part in enumerate((slice(0, middle), slice(middle, None))):
            self._colour[half] += folded(colour[:, part], rows, columns)
            self._weights[half] += folded(weight[None, part], rows, columns)
        self._levelled.append(folded(levelled, rows, columns).astype(np.float32))
        self._images.append((float(weight.sum(dtype=np.float64)) / (rows * columns), contrast, levelled.size))

    def strength(self, maps: Maps) -> Strength:
        """Return the strength of the grid; `maps` tell what the noise is at its lines."""
        periods, orders = self._family.periods, _orders(self._family.periods)
        chosen = np.isin(orders, [component.order for component in self._family.components])
        means = self._colour / np.maximum(self._weights, 1e-300)
        whole = self._colour.sum(0) / np.maximum(self._weights.sum(0), 1e-300)
        upper, lower = spectrum(means)
        # noise differs between the halves and falls out of their product
        power = (upper * lower.conj()).real.mean(0) / np.square(_gain(periods))
        share, deviation = self._shares(chosen, _density(self._family, maps, self._plane))
        contrasts = np.array([contrast for _, contrast, _ in self._images])
        return Strength(
            pattern=_inverse(spectrum(whole) * chosen / _gain(periods)),
            rms=_root(power[chosen]),
            contrast=float(np.sqrt(np.square(contrasts).mean())),
            by_order={one.order: _root(power[orders == one.order]) for one in self._family.components},
            share=share,
            deviation=deviation,
            contrasts=contrasts,
        )

    def _shares(self, chosen: NDArray[np.bool_], density: Floats) -> tuple[Floats, Floats]:
        """Return the matched filter's estimate of every image's share and its deviation; all others make the filter."""
        total: Floats = np.sum(self._levelled, axis=0, dtype=np.float64)
        weight = sum(each for each, _, _ in self._images)
        shares, deviations = [], []
        for levelled, (own_weight, _, pixels) in zip(self._levelled, self._images, strict=True):
            is_alone = len(self._levelled) == 1
            rest: Floats = total if is_alone else total - levelled.astype(np.float64)
            mean = rest / max(weight if is_alone else weight - own_weight, 1e-300)
            # sums over the phases: what the others' grid would add to this image, and what is in it
            expected, own = (
                spectrum(sums)[chosen] * mean.size for sums in (mean * own_weight, levelled.astype(np.float64))
            )
            square = max(float((np.abs(expected) ** 2 / density[chosen]).sum()), 1e-300)
            shares.append(float(((expected.conj() * own).real / density[chosen]).sum()) / square)
            deviations.append(float(np.sqrt(pixels / square)))
        return np.array(shares), np.array(deviations)


def spectrum(pattern: Floats) -> Complex:
    """Return the coefficients of patterns (..., rows, columns): a mean square is the sum of their squares."""
    down, across = (_fourier(side) for side in pattern.shape[-2:])
    return np.asarray(down @ pattern @ across / (pattern.shape[-1] * pattern.shape[-2]))


def _inverse(coefficients: Complex) -> Floats:
    down, across = (_fourier(side).conj() for side in coefficients.shape[-2:])
    return np.asarray((down @ coefficients @ across).real)


def _fourier(side: int) -> Complex:
    phases = np.arange(side)
    return np.exp(-2j * np.pi * np.outer(phases, phases) / side)


def _root(power: Floats) -> float:
    return float(np.sqrt(max(0.0, power.sum())))


def _gain(periods: tuple[int, int]) -> Floats:
    rows, columns = (np.arange(period) / period for period in periods)
    found = gain(rows[:, None], columns)
    found[0, 0] = 1.0  # the mean is no grid, and is never asked for
    return found


def _orders(periods: tuple[int, int]) -> NDArray[np.intp]:
    """Return the order of every frequency of a pattern, (rows, columns)."""
    down, across = (denominators(np.arange(period), period) for period in periods)
    return np.asarray(np.lcm(down[:, None], across))


def _density(family: Family, maps: Maps, plane: int) -> Floats:
    """Return the background at all lines of the pattern, relative to white noise of unit variance."""
    rows, columns = family.periods
    found = np.ones((rows, columns))
    period = int(np.lcm(rows, columns))
    if LEAST_PERIODS * period > min(maps.shape):
        return found
    lines = measure(maps.tone()[0], period, whole=True)
    for sign in (1, -1):
        down, across = lines.rows * sign * rows, lines.columns * sign * columns
        inside = (down % period == 0) & (across % period == 0)
        found[down[inside] // period % rows, across[inside] // period % columns] = lines.density[plane, inside]
    return found
