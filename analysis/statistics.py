"""Numbers over seeds and images: intervals, paired comparisons, multiple testing, rank correlation, periodicity.

NaN policy: every function here refuses NaN and infinity. Whoever collects values decides what an undefined value means,
drops it in the open and reports how many are left (`n` of each result).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.stats
from numpy.typing import ArrayLike, NDArray

from checkerscope.analysis.periodicity import PeriodicityResult as PeriodicityResult
from checkerscope.analysis.periodicity import periodicity_test as periodicity_test
from checkerscope.toolkit import checks

Floats = NDArray[np.float64]

# From here on the bootstrap has enough values to resample; below, its intervals are far too short.
_BOOTSTRAP_FROM = 20
# 2^14 sign patterns of 14 pairs still take milliseconds.
_EXACT_UP_TO = 14
_FLIPS = 9999


@dataclass(frozen=True)
class Interval:
    """A mean (or another statistic of location) with its confidence interval.

    Attributes:
        n: Number of values it rests on.
        mean: The estimate, NaN for no values.
        low: Lower bound, NaN for fewer than two values.
        high: Upper bound, NaN for fewer than two values.
    """

    n: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class PairedDifference:
    """Mean difference of pairs, its t interval, and the p-value of a sign-flip test.

    Attributes:
        n: Number of pairs.
        mean: Mean of first minus second.
        low: Lower bound of the t interval, NaN for fewer than two pairs.
        high: Upper bound.
        p_value: Two-sided; no smaller than 2^(1 - n), so five seeds cannot reach 0.05.
    """

    n: int
    mean: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's correlation of observations that come in clusters.

    Attributes:
        n: Number of observations.
        clusters: Number of clusters.
        correlation: Over all observations; NaN if one variable is constant.
        low: Lower bound of the percentile interval, clusters resampled; NaN for fewer than three clusters.
        high: Upper bound.
        within: Correlation of the ranks inside each cluster, centred and pooled; NaN if no cluster has an order.
    """

    n: int
    clusters: int
    correlation: float
    low: float
    high: float
    within: float


def _finite(subject: str, values: ArrayLike) -> Floats:
    """Return `values` as a float64 vector, refusing NaN and infinity."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise checks.mismatch(subject, "one axis", f"shape {array.shape}", "pass one value per seed or image")
    bad = int(array.size - np.isfinite(array).sum())
    if bad:
        raise checks.mismatch(
            subject, "finite numbers", f"{bad} of {array.size} not finite", "drop and count them first"
        )
    return array


def _level(level: float) -> float:
    if not 0 < level < 1:
        raise checks.mismatch("level", "a number between 0 and 1", level, "use 0.95")
    return level


def _t_bounds(array: Floats, level: float) -> tuple[float, float]:
    """Return the bounds of Student's interval of the mean; NaN for fewer than two values."""
    if array.size < 2:
        return np.nan, np.nan
    half = scipy.stats.t.ppf((1 + level) / 2, array.size - 1) * array.std(ddof=1) / np.sqrt(array.size)
    return float(array.mean() - half), float(array.mean() + half)


def interval(values: ArrayLike, *, level: float = 0.95, seed: int = 0) -> Interval:
    """Return the mean of `values` with its confidence interval.

    Fewer than 20 values: Student's t interval, which keeps its level for a handful of seeds if they scatter about
    normally. From 20 on: percentile bootstrap of 2,000 resamples, which follows a skewed distribution.

    Args:
        values: One number per seed or image, finite. None: everything NaN; one: NaN bounds.
        level: Confidence level.
        seed: Of the bootstrap.

    Raises:
        ValueError: For NaN, infinity, more than one axis, or a level outside (0, 1).

    >>> interval([1.0, 1.0, 1.0])
    Interval(n=3, mean=1.0, low=1.0, high=1.0)
    """
    array = _finite("values", values)
    if array.size >= _BOOTSTRAP_FROM:
        return stratified_bootstrap([array], np.mean, level=level, seed=seed)
    low, high = _t_bounds(array, _level(level))
    return Interval(array.size, float(array.mean()) if array.size else np.nan, low, high)


def interquartile_mean(values: ArrayLike, axis: int = -1) -> Floats:
    """Return the mean of the middle half: floor(n / 4) values are cut at either end.

    Source: Agarwal et al. 2021, arXiv:2108.13264; they cut in the same way.

    >>> float(interquartile_mean([0.0, 1.0, 2.0, 9.0]))
    1.5
    """
    return np.asarray(scipy.stats.trim_mean(np.asarray(values, dtype=np.float64), 0.25, axis=axis))


def stratified_bootstrap(
    strata: Sequence[ArrayLike],
    statistic: Callable[..., Floats] = interquartile_mean,
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return a statistic of all values with its percentile bootstrap interval, resampled inside each stratum.

    Source: Agarwal et al. 2021, arXiv:2108.13264, section 4: the strata are tasks (here arms or image sources), the
    values of a stratum its seeds.

    Args:
        strata: One vector per stratum, finite, none empty.
        statistic: Of all values together, called as `statistic(values, axis=-1)`.
        level: Confidence level.
        draws: Number of resamples.
        seed: Of the resampling.

    Raises:
        ValueError: For an empty stratum, no stratum, NaN or infinity, or a level outside (0, 1).
    """
    checks.integer("draws", draws)
    arrays = [_finite(f"stratum {i}", stratum) for i, stratum in enumerate(strata)]
    if not arrays or not all(array.size for array in arrays):
        raise checks.mismatch("strata", "at least one, each with values", [array.size for array in arrays])
    rng = np.random.default_rng(seed)
    resampled = [array[rng.integers(array.size, size=(draws, array.size))] for array in arrays]
    found = np.quantile(
        statistic(np.concatenate(resampled, axis=-1), axis=-1), [0.5 - _level(level) / 2, 0.5 + level / 2]
    )
    pooled = np.concatenate(arrays)
    return Interval(pooled.size, float(statistic(pooled, axis=-1)), float(found[0]), float(found[1]))


def paired_difference(first: ArrayLike, second: ArrayLike, *, level: float = 0.95, seed: int = 0) -> PairedDifference:
    """Return the mean of first minus second, paired by position, with a t interval and a sign-flip p-value.

    Under the null hypothesis each difference is as likely as its negative. All 2^n sign patterns are counted up to
    n = 14, 9,999 random ones (and the observed) beyond.

    Raises:
        ValueError: For different lengths, no pair, NaN or infinity, or a level outside (0, 1).

    >>> paired_difference([2.0, 3.0, 5.0, 4.0, 6.0], [1.0, 1.0, 2.0, 2.0, 3.0]).p_value
    0.0625
    """
    one, two = _finite("first", first), _finite("second", second)
    if one.size != two.size or not one.size:
        raise checks.mismatch("pairs", "as many first as second values", f"{one.size} and {two.size}", "pair by seed")
    difference = one - two
    low, high = _t_bounds(difference, _level(level))
    return PairedDifference(one.size, float(difference.mean()), low, high, _sign_flip(difference, seed))


def _sign_flip(difference: Floats, seed: int) -> float:
    """Return the share of sign patterns whose |sum| is at least the observed one."""
    exact = difference.size <= _EXACT_UP_TO
    if exact:
        patterns = np.arange(2**difference.size)[:, None] >> np.arange(difference.size) & 1
    else:
        patterns = np.random.default_rng(seed).integers(2, size=(_FLIPS, difference.size))
    sums = np.abs((1 - 2 * patterns) @ difference)
    # Equal sums may differ in their last bit, by the order of addition.
    reached = sums >= np.abs(difference.sum()) - 1e-12 * np.abs(difference).sum()
    return float(reached.mean()) if exact else float((reached.sum() + 1) / (reached.size + 1))


def false_discovery_control(p_values: ArrayLike) -> Floats:
    """Return Benjamini-Hochberg adjusted p-values: reject those up to q to keep the false discovery rate at q.

    Holds for independent and for positively dependent tests (Benjamini and Yekutieli 2001).

    Raises:
        ValueError: For NaN or a value outside [0, 1].

    >>> false_discovery_control([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.04, 0.04]
    """
    array = _finite("p_values", p_values)
    if array.size and (array.min() < 0 or array.max() > 1):
        raise checks.mismatch("p_values", "numbers from 0 to 1", f"{array.min()} to {array.max()}")
    return scipy.stats.false_discovery_control(array) if array.size else array


def clustered_rank_correlation(
    x: ArrayLike, y: ArrayLike, clusters: Sequence[object], *, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> RankCorrelation:
    """Return Spearman's correlation with an interval that counts clusters, not observations.

    Seeds of one arm resemble each other; resampling whole arms (cluster bootstrap, Field and Welsh 2007) keeps the
    interval honest about it.

    Args:
        x: One value per observation.
        y: As many.
        clusters: Label of each observation's cluster (the arm).
        level: Confidence level.
        draws: Number of resamples; those in which a variable is constant are left out.
        seed: Of the resampling.

    Raises:
        ValueError: For different lengths, fewer than two observations, NaN or infinity, or a level outside (0, 1).
    """
    one, two = _finite("x", x), _finite("y", y)
    if not one.size == two.size == len(clusters) >= 2:
        raise checks.mismatch(
            "observations", "x, y and clusters of one length from 2", (one.size, two.size, len(clusters))
        )
    checks.integer("draws", draws)
    labels = {label: i for i, label in enumerate(dict.fromkeys(clusters))}
    codes = np.array([labels[label] for label in clusters])
    groups = [np.flatnonzero(codes == i) for i in range(len(labels))]
    low, high = _cluster_bounds(one, two, groups, level=_level(level), draws=draws, seed=seed)
    ranks = [np.concatenate([_centred_ranks(v[group]) for group in groups]) for v in (one, two)]
    correlation, within = _correlation(_centred_ranks(one), _centred_ranks(two)), _correlation(*ranks)
    return RankCorrelation(one.size, len(groups), correlation, low, high, within)


def _centred_ranks(values: Floats) -> Floats:
    # scipy's rankdata takes ten times as long for a few dozen values, and thousands of resamples are ranked
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (counts.cumsum() - (counts - 1) / 2)[place] - (values.size + 1) / 2


def _correlation(x: Floats, y: Floats) -> float:
    """Return the correlation of two centred vectors; NaN if one of them vanishes."""
    norm = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / norm) if norm > 0 else np.nan


def _cluster_bounds(
    x: Floats, y: Floats, groups: list[NDArray[np.intp]], *, level: float, draws: int, seed: int
) -> tuple[float, float]:
    if len(groups) < 3:  # one or two clusters say nothing about their scatter
        return np.nan, np.nan
    rng = np.random.default_rng(seed)
    picks = (np.concatenate([groups[i] for i in rng.integers(len(groups), size=len(groups))]) for _ in range(draws))
    found = np.array([_correlation(_centred_ranks(x[pick]), _centred_ranks(y[pick])) for pick in picks])
    defined = found[np.isfinite(found)]
    if not defined.size:
        return np.nan, np.nan
    low, high = np.quantile(defined, [0.5 - level / 2, 0.5 + level / 2])
    return float(low), float(high)
