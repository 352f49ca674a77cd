"""Comparisons over seeds that several claims make."""

from __future__ import annotations

import math
from collections.abc import Sequence

from checkerscope.analysis.statistics import paired_difference
from checkerscope.experiments.verdicts.contract import Number, over

#: Tone of a constant float32 image, in image units: a ratio to less than that says nothing.
ROUNDING = 1e-8


def difference(first: Sequence[float], second: Sequence[float], unit: str) -> Number:
    """Return the mean of first minus second, paired by seed, with its t interval."""
    found = paired_difference(first, second)
    return Number(found.mean, unit, found.low, found.high, found.n)


def ratio(first: Sequence[float], second: Sequence[float]) -> Number:
    """Return the geometric mean of first over second, paired by seed, with its interval; both from `ROUNDING` on.

    >>> round(ratio([2.0, 8.0], [1.0, 2.0]).value, 4)
    2.8284
    """
    pairs = zip(first, second, strict=True)
    logs = over([math.log(max(a, ROUNDING) / max(b, ROUNDING)) for a, b in pairs])
    low, high = (None if bound is None else math.exp(bound) for bound in (logs.low, logs.high))
    return Number(math.exp(logs.value), "ratio", low, high, logs.n)


def above(number: Number, limit: float) -> bool:
    """Return whether the whole interval lies above a limit."""
    return number.low is not None and number.low > limit


def below(number: Number, limit: float) -> bool:
    """Return whether the whole interval lies below a limit."""
    return number.high is not None and number.high < limit
