"""Comparisons of runs that share a seed."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from ray_asng.results.paired import compare_paired, mean_ranks, smallest_rank_p_value, superiority


def by_seed(values):
    return dict(enumerate(values))


def test_the_t_test_is_that_of_the_differences():
    """Differences 1, 2, 3, 4, 5: mean 3, standard error sqrt(0.5), so t = 4.2426 at 4 degrees of freedom."""
    reference = by_seed([0.3, 0.1, 0.7, 0.5, 0.2])
    other = {seed: value + seed + 1.0 for seed, value in reference.items()}
    (comparison,) = compare_paired({"asng": reference, "darts": other}, "asng")
    assert comparison.difference == pytest.approx(3.0)
    assert comparison.p_value == pytest.approx(2 * stats.t.sf(3 / math.sqrt(0.5), 4))
    assert comparison.high - comparison.difference == pytest.approx(2.776445 * math.sqrt(0.5), rel=1e-6)


def test_the_rank_sum_counts_all_ways_to_deal_out_the_runs_ties_and_all():
    first, second = [0.5, 0.7, 0.7, 0.9], [0.4, 0.5, 0.6, 0.7, 0.3]
    pooled = first + second
    observed = abs(superiority(np.array(first), np.array(second)) - 0.5)
    ways = list(itertools.combinations(range(9), 4))
    extreme = 0
    for way in ways:
        one = np.array([pooled[index] for index in way])
        rest = np.array([pooled[index] for index in range(9) if index not in way])
        extreme += superiority(one, rest) - 0.5 >= observed - 1e-12
    (comparison,) = compare_paired({"asng": by_seed(second), "darts": by_seed(first)}, "asng")
    assert comparison.rank_p_value == pytest.approx(2 * extreme / len(ways))


def test_the_rank_sum_sees_the_order_alone():
    others = by_seed([0.5, 0.8, 0.9, 1.0])
    near, far = (compare_paired({"asng": by_seed([0.3, 0.6, 0.7, last]), "b": others}, "asng")[0] for last in (1.1, 99))
    assert near.rank_p_value == far.rank_p_value
    assert near.p_value != far.p_value


def test_runs_that_do_not_overlap_have_the_smallest_p_value_of_the_rank_sum():
    groups = {"asng": by_seed([0.91, 0.92, 0.93, 0.94, 0.95]), "darts": by_seed([0.1, 0.2, 0.5, 0.6, 0.1])}
    (comparison,) = compare_paired(groups, "asng")
    assert comparison.rank_p_value == pytest.approx(smallest_rank_p_value((5, 5))) == pytest.approx(2 / 252)
    assert comparison.superiority == 0.0


def test_superiority_counts_ties_half():
    assert superiority(np.array([1.0, 2.0]), np.array([1.0, 0.0])) == (0.5 + 1 + 1 + 1) / 4
    assert superiority(np.array([1.0]), np.array([1.0])) == 0.5
    assert math.isnan(superiority(np.array([]), np.array([1.0])))


def test_only_seeds_that_both_have_are_paired():
    groups = {"asng": {0: 0.9, 1: 0.8, 2: math.nan, 5: 0.7}, "darts": {0: 0.8, 1: 0.6, 2: 0.5, 7: 0.1}}
    (comparison,) = compare_paired(groups, "asng")
    assert comparison.seeds == (0, 1)
    assert comparison.difference == pytest.approx(-0.15)
    assert comparison.counts == (4, 3)


def test_pairing_sees_a_difference_that_the_spread_of_seeds_hides():
    reference = by_seed([0.1, 0.9, 0.4, 0.7, 0.2])
    other = {seed: value + 0.01 + 0.001 * seed for seed, value in reference.items()}
    (comparison,) = compare_paired({"asng": reference, "darts": other}, "asng")
    assert comparison.is_more_than_noise
    assert comparison.rank_p_value > 0.5


def test_each_test_is_adjusted_for_all_comparisons():
    rng = np.random.default_rng(0)
    groups = {name: by_seed(rng.normal(mean, 0.1, 6)) for name, mean in (("a", 0.0), ("b", 1.0), ("c", 0.9), ("d", 0))}
    together = {entry.other: entry for entry in compare_paired(groups, "a")}
    alone = {name: compare_paired({"a": groups["a"], name: groups[name]}, "a")[0] for name in "bcd"}
    smallest = min("bcd", key=lambda name: alone[name].p_value)
    assert together[smallest].p_value == pytest.approx(3 * alone[smallest].p_value)
    assert together["b"].rank_p_value == pytest.approx(min(1.0, 3 * alone["b"].rank_p_value))


@pytest.mark.parametrize(("other", "difference"), [([0.6, 0.6, 0.6], -0.1), ([0.7, 0.7, 0.7], 0.0), ([0.7], 0.0)])
def test_differences_without_spread_give_no_t_test(other, difference):
    (comparison,) = compare_paired({"asng": by_seed([0.7, 0.7, 0.7]), "darts": by_seed(other)}, "asng")
    assert (comparison.p_value, comparison.low, comparison.is_more_than_noise) == (None, None, None)
    assert comparison.difference == pytest.approx(difference)


def test_differences_equal_up_to_rounding_have_no_spread():
    reference = by_seed([0.1, 0.2, 0.3, 0.4])
    (comparison,) = compare_paired({"a": reference, "b": {seed: value + 0.7 for seed, value in reference.items()}}, "a")
    assert comparison.p_value is None


@pytest.mark.parametrize("other", [{}, {9: 0.5}, {0: math.nan}])
def test_without_a_seed_in_common_there_is_nothing_to_compare(other):
    (comparison,) = compare_paired({"asng": {0: 0.7, 1: 0.8}, "darts": other}, "asng")
    assert comparison.seeds == ()
    assert math.isnan(comparison.difference)
    assert (comparison.p_value, comparison.rank_p_value) == (None, None)


def test_methods_alike_that_collapse_at_times_are_called_different_once_in_twenty():
    """300 pairs of 5 runs that collapse with probability 0.3: at most 5 % expected, 15 + 3.1 deviations = 27."""
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(300):
        values = np.where(rng.random((2, 5)) < 0.3, 0.543, rng.normal(0.93, 0.004, (2, 5)))
        (comparison,) = compare_paired({"a": by_seed(values[0]), "b": by_seed(values[1])}, "a")
        alarms += bool(comparison.is_more_than_noise)
    assert alarms <= 27


def test_ranks_begin_with_the_largest_and_ties_share_theirs():
    ranks, seeds = mean_ranks({"a": {0: 3.0, 1: 1.0}, "b": {0: 2.0, 1: 1.0}, "c": {0: 1.0, 1: 0.5, 2: 9.0}})
    assert ranks == {"a": 1.25, "b": 1.75, "c": 3.0}
    assert seeds == (0, 1)


def test_ranks_need_a_seed_that_all_have():
    ranks, seeds = mean_ranks({"a": {0: 1.0}, "b": {1: 1.0}})
    assert seeds == ()
    assert all(math.isnan(rank) for rank in ranks.values())
