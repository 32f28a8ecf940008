"""Means, intervals and comparisons."""

import math

import numpy as np
import pytest
from scipy import stats

from ray_asng.results.statistics import bootstrap_interval, compare, holm, mean_interval


def test_the_interval_is_that_of_student():
    """Mean 3, standard error sqrt(2.5 / 5) = 0.7071, t(0.975, 4) = 2.776445 (any table)."""
    estimate = mean_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert estimate.mean == 3.0
    assert estimate.half_width == pytest.approx(2.776445 * math.sqrt(0.5), rel=1e-6)
    assert estimate.low == pytest.approx(3.0 - estimate.half_width)


def test_the_interval_covers_the_truth_19_times_in_20():
    """2000 samples of 4: coverage has a standard error of 0.005, the bounds are four of them."""
    rng = np.random.default_rng(0)
    estimates = [mean_interval(rng.normal(0.9, 0.02, 4).tolist()) for _ in range(2000)]
    covered = np.mean([estimate.low <= 0.9 <= estimate.high for estimate in estimates])
    assert 0.93 < covered < 0.97


def test_one_value_has_a_mean_and_no_interval():
    estimate = mean_interval([0.9])
    assert (estimate.mean, estimate.low, estimate.high, estimate.half_width, estimate.count) == (0.9, *[None] * 3, 1)


def test_values_that_are_no_numbers_lower_the_count():
    assert mean_interval([0.5, math.nan, 0.7, math.inf]).count == 2
    assert mean_interval([math.nan]).count == 0


def test_holm_multiplies_by_the_comparisons_left_and_never_decreases():
    """0.01 * 4, 0.03 * 3 = 0.04 * 2 lifted to 0.09, 0.04, and 0.005 * 4: the textbook example."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_counts_only_what_was_tested():
    assert holm([0.01, None, 0.04]) == [0.02, None, 0.04]


def test_the_bootstrap_finds_the_quantiles_of_all_resamples_of_three_values():
    """Widened for three values (expansion 5.27 deviations), the interval is the range of the 27 resamples' means."""
    estimate = bootstrap_interval([1.0, 2.0, 6.0])
    assert (estimate.mean, estimate.low, estimate.high, estimate.count) == (3.0, 1.0, 6.0, 3)


def test_the_bootstrap_of_five_takes_the_widened_percentile():
    """Share sf(2.776 sqrt(5 / 4)) = 0.00095: past the 1 of 3125 resamples without a spread, within the next 5."""
    assert bootstrap_interval([0.0, 1.0, 10.0, 100.0, 1000.0]).low == pytest.approx(1 / 5)


def test_the_bootstrap_of_many_values_is_that_of_a_normal_mean():
    """400 values: the standard error by formula; percentiles of 9999 resamples scatter by about 2 % of it."""
    values = np.random.default_rng(3).exponential(1.0, 400)
    estimate = bootstrap_interval(values.tolist())
    error = values.std(ddof=1) / 20
    assert estimate.high - estimate.mean == pytest.approx(1.96 * error, rel=0.1)
    assert estimate.mean - estimate.low == pytest.approx(1.96 * error, rel=0.1)


def test_the_bootstrap_of_five_covers_the_truth_nine_times_in_ten():
    """400 samples: 0.92 expected with a standard error of 0.014; plain percentiles cover 0.83."""
    rng = np.random.default_rng(0)
    estimates = [bootstrap_interval(rng.normal(0.9, 0.02, 5).tolist()) for _ in range(400)]
    assert 0.88 < np.mean([estimate.low <= 0.9 <= estimate.high for estimate in estimates]) < 0.96


def test_the_bootstrap_interval_leans_to_the_side_where_values_lie_far_out():
    estimate = bootstrap_interval([0.93, 0.93, 0.94, 0.94, 0.54])
    assert estimate.mean - estimate.low > 2 * (estimate.high - estimate.mean)


def test_the_bootstrap_gives_the_same_interval_every_time():
    assert bootstrap_interval([0.91, 0.92, 0.95, 0.9]) == bootstrap_interval([0.91, 0.92, 0.95, 0.9])


def test_the_bootstrap_of_one_value_has_no_interval_and_of_equal_values_an_empty_one():
    assert (bootstrap_interval([0.9]).low, bootstrap_interval([0.9, math.nan]).high) == (None, None)
    assert bootstrap_interval([]).count == 0
    equal = bootstrap_interval([0.543] * 5)
    assert (equal.low, equal.high) == pytest.approx((0.543, 0.543))


def test_comparisons_are_other_minus_reference():
    (comparison,) = compare({"asng": [0.5, 0.6], "darts": [0.8, 0.9]}, "asng")
    assert (comparison.other, comparison.reference) == ("darts", "asng")
    assert comparison.difference == pytest.approx(0.3)
    assert comparison.low < 0.3 < comparison.high


def test_unequal_spreads_are_not_pooled():
    """Squared errors 2/2 = 1 and 0.02/2 = 0.01; Welch's degrees of freedom 1.01**2 / (1 + 0.0001) = 1.02."""
    (comparison,) = compare({"steady": [4.9, 5.1], "wild": [1.0, 3.0]}, "steady")
    expected = stats.t.ppf(0.975, 1.01**2 / 1.0001) * math.sqrt(1.01)
    assert comparison.high - comparison.difference == pytest.approx(expected, rel=1e-9)


def test_a_clear_difference_is_more_than_noise_and_a_small_one_is_not():
    close = {"asng": [0.90, 0.91, 0.92, 0.93], "darts": [0.91, 0.92, 0.90, 0.94], "snas": [0.5, 0.51, 0.49, 0.5]}
    verdicts = {entry.other: entry.is_more_than_noise for entry in compare(close, "asng")}
    assert verdicts == {"darts": False, "snas": True}


def test_more_comparisons_make_each_harder_to_pass():
    values = {"a": [1.0, 1.1, 1.2, 1.3], "b": [1.3, 1.4, 1.5, 1.6]}
    (alone,) = compare(values, "a")
    among = compare({**values, "c": [1.0, 1.1, 1.2, 1.31], "d": [1.0, 1.1, 1.2, 1.29]}, "a")
    assert among[0].p_value == pytest.approx(3 * alone.p_value)


@pytest.mark.parametrize("others", [[0.9], [], [math.nan, 0.9], [0.8, 0.8]])
def test_too_few_values_or_no_spread_give_no_test(others):
    (comparison,) = compare({"asng": [0.8, 0.8], "darts": others}, "asng")
    assert (comparison.p_value, comparison.low, comparison.is_more_than_noise) == (None, None, None)


def test_equal_methods_are_called_different_once_in_twenty_families():
    """400 families of 3 equal methods with 4 seeds: at most 5 % expected (Welch is a little cautious)."""
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(400):
        groups = {name: rng.normal(0.9, 0.01, 4).tolist() for name in "abc"}
        alarms += any(entry.is_more_than_noise for entry in compare(groups, "a"))
    assert alarms <= 33  # binomial(400, 0.05) exceeds 33 less than once in 500
