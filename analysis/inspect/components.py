"""The orders that explain a field, found one by one, strongest first, each taken away before the next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import lcm, log

import numpy as np
from numpy.typing import NDArray

from checkerscope.analysis.inspect.maps import Maps, folded
from checkerscope.analysis.inspect.orders import LEAST_PERIODS, TESTS, Lines, denominators, evidence, measure

Floats = NDArray[np.float64]

#: Largest probability that clean images show a grid of any period.
LEVEL = 0.01
#: The periods that are told apart.
PERIODS = range(2, 65)
# Power relative to a stronger grid below which lines of another order may be its sidebands, -20 dB.
_SIDEBAND = 0.01
# Orders whose own p-value is above this are not looked at again once another has been taken away.
_SECOND_LOOK = 0.05


@dataclass(frozen=True, eq=False)
class Component:
    """What a field has at the lines of one order.

    Attributes:
        order: The order.
        periods: From row to row and from column to column; 1 where nothing differs.
        log_p: Natural log of its p-value, corrected for all tests of all orders.
        plane: Of the strongest evidence: 0 brightness, 1 colour.
        power: Mean square of the grid in each plane, noise taken off, before the residual's gain is undone, (planes,).
    """

    order: int
    periods: tuple[int, int]
    log_p: float
    plane: int
    power: Floats


@dataclass(frozen=True)
class Search:
    """What a search over orders has found.

    Attributes:
        components: Strongest evidence first.
        by_order: Natural log of the corrected p-value of every order before anything was taken away, at most 0.
    """

    components: tuple[Component, ...]
    by_order: dict[int, float]


def orders_for(shape: tuple[int, int], orders: Iterable[int] = PERIODS) -> list[int]:
    """Return the orders that images of a shape are long enough for."""
    return [order for order in orders if min(shape) >= LEAST_PERIODS * order]


def search(field: Floats, gain: Floats, maps: Maps, orders: Iterable[int] = PERIODS) -> Search:
    """Return the orders that stand out in a field, each tested after the stronger ones have been taken away.

    Args:
        field: (planes, height, width) of about unit variance.
        gain: What a unit grid adds to the field, same shape.
        maps: For the phases' inequality.
        orders: Those to look for.
    """
    waiting = orders_for(maps.shape, orders)
    tests = log(max(len(waiting), 1))
    inequality = {order: maps.inequality(order) for order in waiting}
    components: list[Component] = []
    first: dict[int, float] = {}
    while waiting:
        lines = {order: measure(field, order, images=maps.images) for order in waiting}
        found = {order: evidence(lines[order], inequality[order]) for order in waiting}
        first = first or {order: min(0.0, p + tests) for order, (p, _) in found.items()}
        standing_out = sorted((p, order) for order, (p, _) in found.items() if p + tests <= log(LEVEL))
        for log_p, order in standing_out:
            pattern = _pattern(field, gain, order)
            power = _power(pattern, gain, lines[order])
            waiting.remove(order)
            if power[found[order][1]] > 0 and not _is_sideband(order, power, components):
                periods = _periods(lines[order], inequality[order])
                components.append(Component(order, periods, log_p + tests, found[order][1], power))
                field = field - gain * _tiled(pattern, field.shape[1:])
                break
        else:
            break
        waiting = [order for order in waiting if found[order][0] < log(_SECOND_LOOK * TESTS)]
    return Search(tuple(components), first)


def _is_sideband(order: int, power: Floats, before: list[Component]) -> bool:
    """Return whether this may be what a stronger grid that varies over the image puts beside its own lines."""
    if any(one.order % order == 0 for one in before):
        return False
    return float(power.sum()) < _SIDEBAND * max((float(one.power.sum()) for one in before), default=0.0)


def _pattern(field: Floats, gain: Floats, order: int) -> Floats:
    """Return the least-squares grid of a period, cut down to the lines of that order, (planes, order, order)."""
    means = folded(field * gain, order) / np.maximum(folded(np.square(gain), order), 1e-300)
    phases = np.arange(order)
    transform = np.exp(-2j * np.pi * np.outer(phases, phases) / order)
    denominator = denominators(phases, order)
    own = np.lcm(denominator[:, None], denominator) == order
    spectrum = (transform @ means @ transform) * own
    return np.asarray((transform.conj() @ spectrum @ transform.conj()).real / order**2)


def _tiled(pattern: Floats, shape: tuple[int, ...]) -> Floats:
    repeats = [-(-side // period) for side, period in zip(shape, pattern.shape[1:], strict=True)]
    return np.tile(pattern, (1, *repeats))[:, : shape[0], : shape[1]]


def _power(pattern: Floats, gain: Floats, lines: Lines) -> Floats:
    """Return the mean square of a pattern less what the background alone would have left in it, from 0."""
    both = np.where((2 * lines.rows % lines.order == 0) & (2 * lines.columns % lines.order == 0), 1, 2)
    noise = (lines.density * both).sum(-1) / np.maximum(np.square(gain).sum((1, 2)), 1e-300)
    return np.maximum(np.square(pattern).mean((1, 2)) - noise, 0)


def _periods(lines: Lines, inequality: Floats) -> tuple[int, int]:
    """Return the smallest period of each axis whose lines leave nothing that stands out (a nested test)."""
    found = []
    for numerator in (lines.rows, lines.columns):
        denominator = denominators(numerator, lines.order)
        divisors = [d for d in range(1, lines.order) if lines.order % d == 0]
        limit = log(LEVEL / len(divisors))
        leaves_nothing = (d for d in divisors if evidence(lines, inequality, d % denominator > 0)[0] > limit)
        found.append(next(leaves_nothing, lines.order))
    return found[0], found[1]


@dataclass(frozen=True)
class Family:
    """Components that one grid explains.

    Attributes:
        periods: Of rows and columns; 1 where the grid does not differ along that axis.
        components: Strongest first.
    """

    periods: tuple[int, int]
    components: tuple[Component, ...]

    @property
    def log_p(self) -> float:
        """Natural log of the smallest corrected p-value."""
        return min(component.log_p for component in self.components)

    @property
    def power(self) -> float:
        """Mean square over all components and planes, for ranking."""
        return float(sum(component.power.sum() for component in self.components))


def families(components: Iterable[Component]) -> list[Family]:
    """Return the grids that explain the components, strongest first.

    An order belongs to a multiple of it that was found too and differs along the same axis. Stripes of different
    periods, one along the rows and one along the columns, are one grid with a period per axis.
    """
    left = sorted(components, key=lambda component: component.order)
    found: list[Family] = []
    while left:
        own = [component for component in left if _belongs(component, left[-1])]
        left = [component for component in left if component not in own]
        down, across = (lcm(*(component.periods[axis] for component in own)) for axis in (0, 1))
        found.append(Family((down, across), tuple(sorted(own, key=lambda component: component.log_p))))
    found.sort(key=lambda family: -family.power)
    if len(found) > 1:
        pairs = list(zip(found[0].periods, found[1].periods, strict=True))
        if all(max(pair) % min(pair) == 0 for pair in pairs):
            both = sorted((*found[0].components, *found[1].components), key=lambda component: component.log_p)
            found[:2] = [Family((max(pairs[0]), max(pairs[1])), tuple(both))]
    return found


def _belongs(component: Component, larger: Component) -> bool:
    shares_axis = any(min(periods) > 1 for periods in zip(component.periods, larger.periods, strict=True))
    return larger.order % component.order == 0 and shares_axis
