"""Statistics over seeds: known answers, agreement with scipy, coverage, error paths."""

import numpy as np
import pytest
import scipy.stats

from checkerscope.analysis import statistics


def test_small_interval_is_students():
    values = np.random.default_rng(0).normal(size=5)
    got = statistics.interval(values)
    low, high = scipy.stats.t.interval(0.95, 4, values.mean(), scipy.stats.sem(values))
    assert got.n == 5
    assert (got.mean, got.low, got.high) == pytest.approx((values.mean(), low, high))


def test_interval_covers_at_its_level():
    rng = np.random.default_rng(1)
    found = [statistics.interval(rng.normal(3, 2, size=5), level=0.9) for _ in range(1000)]
    assert np.mean([one.low <= 3 <= one.high for one in found]) == pytest.approx(0.9, abs=0.03)


def test_large_interval_is_bootstrapped_and_repeatable():
    values = np.random.default_rng(2).exponential(size=40)
    got = statistics.interval(values, seed=3)
    assert got == statistics.interval(values, seed=3)
    assert got.low < values.mean() < got.high
    assert got.high - got.low == pytest.approx(2 * 1.96 * scipy.stats.sem(values), rel=0.3)


def test_interval_of_none_one_and_constant():
    assert np.isnan(statistics.interval([]).mean)
    one = statistics.interval([2.0])
    assert (one.n, one.mean) == (1, 2.0)
    assert np.isnan([one.low, one.high]).all()
    for n in (2, 30):
        assert statistics.interval([0.1] * n) == statistics.Interval(
            n, pytest.approx(0.1), pytest.approx(0.1), pytest.approx(0.1)
        )


@pytest.mark.parametrize(
    ("values", "level", "message"),
    [
        ([1.0, float("nan")], 0.95, "values: expected finite numbers, got 1 of 2 not finite"),
        ([[1.0]], 0.95, r"values: expected one axis, got shape \(1, 1\)"),
        ([1.0, 2.0], 95, "level: expected a number between 0 and 1, got 95; use 0.95"),
    ],
)
def test_interval_refuses(values, level, message):
    with pytest.raises(ValueError, match=message):
        statistics.interval(values, level=level)


def test_interquartile_mean_drops_the_tails():
    assert statistics.interquartile_mean([-1e9, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 1e9]) == 3.5
    assert statistics.interquartile_mean(np.arange(12.0).reshape(3, 4)).tolist() == [1.5, 5.5, 9.5]


def test_stratified_bootstrap_keeps_strata_apart():
    strata = [np.full(5, 1.0), np.full(7, 2.0)]
    got = statistics.stratified_bootstrap(strata, np.mean, draws=100)
    assert got == statistics.Interval(12, pytest.approx(19 / 12), pytest.approx(19 / 12), pytest.approx(19 / 12))


def test_stratified_bootstrap_narrows_with_more_values():
    rng = np.random.default_rng(0)
    few, many = (statistics.stratified_bootstrap(rng.normal(size=(3, n)), seed=1) for n in (10, 160))
    assert (few.high - few.low) / (many.high - many.low) == pytest.approx(4, rel=0.35)


@pytest.mark.parametrize(
    ("strata", "message"),
    [
        ([], "strata: expected at least one, each with values"),
        ([[1.0], []], r"strata: expected at least one, each with values, got \[1, 0\]"),
        ([[1.0], [np.inf]], "stratum 1: expected finite numbers"),
    ],
)
def test_stratified_bootstrap_refuses(strata, message):
    with pytest.raises(ValueError, match=message):
        statistics.stratified_bootstrap(strata)


@pytest.mark.parametrize("n", [5, 9])
def test_sign_flips_agree_with_scipy(n):
    first, second = np.random.default_rng(n).normal([[0.5], [0.0]], 1, size=(2, n))
    got = statistics.paired_difference(first, second)
    reference = scipy.stats.permutation_test(
        (first, second), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=np.inf
    )
    assert got.p_value == pytest.approx(reference.pvalue)
    assert got.mean == pytest.approx(np.mean(first - second))


def test_random_sign_flips_approach_the_t_test():
    difference = np.random.default_rng(4).normal(0.3, 1, size=40)
    got = statistics.paired_difference(difference, np.zeros(40))
    assert got.p_value == pytest.approx(scipy.stats.ttest_1samp(difference, 0).pvalue, abs=0.01)
    low, high = scipy.stats.ttest_1samp(difference, 0).confidence_interval()
    assert (got.low, got.high) == pytest.approx((low, high))


def test_equal_pairs_differ_by_nothing():
    assert statistics.paired_difference([1.0, 2.0], [1.0, 2.0]).p_value == 1


@pytest.mark.parametrize(("first", "second"), [([1.0], [1.0, 2.0]), ([], [])])
def test_pairs_must_match(first, second):
    with pytest.raises(ValueError, match="pairs: expected as many first as second values"):
        statistics.paired_difference(first, second)


def test_false_discovery_control_agrees_with_scipy():
    p_values = np.random.default_rng(0).uniform(size=20)
    assert statistics.false_discovery_control(p_values) == pytest.approx(scipy.stats.false_discovery_control(p_values))
    assert statistics.false_discovery_control([]).size == 0


@pytest.mark.parametrize(
    ("p_values", "message"), [([0.1, np.nan], "finite numbers"), ([0.1, 1.5], "p_values: expected numbers from 0 to 1")]
)
def test_false_discovery_control_refuses(p_values, message):
    with pytest.raises(ValueError, match=message):
        statistics.false_discovery_control(p_values)


def test_rank_correlation_agrees_with_scipy():
    x, y = np.random.default_rng(5).normal(size=(2, 30)).round(1)
    got = statistics.clustered_rank_correlation(x, x + y, list(range(30)), draws=200)
    assert got.correlation == pytest.approx(scipy.stats.spearmanr(x, x + y).statistic)
    assert got.low < got.correlation < got.high
    assert np.isnan(got.within)


def test_rank_correlation_counts_clusters():
    rng = np.random.default_rng(6)
    arms = np.repeat(np.arange(8), 20)
    shared = rng.normal(size=(2, 8))[:, arms]
    x, y = shared + 0.01 * rng.normal(size=(2, 160))
    clustered = statistics.clustered_rank_correlation(x, y, arms.tolist(), draws=300)
    single = statistics.clustered_rank_correlation(x, y, list(range(160)), draws=300)
    assert clustered.clusters == 8
    assert clustered.high - clustered.low > 2 * (single.high - single.low)
    assert abs(clustered.within) < 0.2


def test_rank_correlation_within_arms_may_oppose_the_whole():
    x, y = [1.0, 2.0, 3.0, 11.0, 12.0, 13.0], [3.0, 2.0, 1.0, 13.0, 12.0, 11.0]
    got = statistics.clustered_rank_correlation(x, y, list("aaabbb"))
    assert got.within == pytest.approx(-1)
    assert got.correlation > 0.5
    assert np.isnan([got.low, got.high]).all()


def test_rank_correlation_of_a_constant_is_undefined():
    got = statistics.clustered_rank_correlation([1.0] * 4, [1.0, 2.0, 3.0, 4.0], list("abcd"), draws=10)
    assert np.isnan([got.correlation, got.low, got.high]).all()


def test_rank_correlation_refuses_lengths():
    with pytest.raises(ValueError, match="observations: expected x, y and clusters of one length from 2"):
        statistics.clustered_rank_correlation([1.0, 2.0], [1.0, 2.0], ["a"])
