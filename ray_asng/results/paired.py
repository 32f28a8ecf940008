"""Whether runs that share a seed differ by more than noise, by how much, and how often one is ahead.

Two tests, since no single one satisfies at three to eight seeds:

- The paired t test asks whether the mean difference of runs that share a seed is 0, and takes it as normal. Where two
  methods are alike, the differences of pairs are symmetric about 0 whatever the values look like, and the test then
  rejects too rarely rather than too often when a few runs go wrong. It also misses much there: a method that sometimes
  collapses is much worse on average, and by so unsteady an amount that its mean says little.
- The rank sum asks whether runs of one method tend to lie above those of the other, and supposes nothing but
  independent runs; its p-value is the share of all ways to deal out the runs, 2 of 252 at best for five against five.

Flipping signs of paired differences (or signed ranks) would suppose as little, but for five seeds gives no p-value
below 2 / 2**5 = 0.0625, so it could never tell anything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from ray_asng.results.statistics import CONFIDENCE, SIGNIFICANCE, Floats, finite_values, holm

# More than the 12 870 ways to deal out 16 values to two sides of 8.
_WAYS = 20_000
# Differences that are equal up to rounding have no spread to test against.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """Another method's mean minus the reference's over the seeds that both have, with two paired tests.

    Attributes:
        seeds: those that both have, with finite values.
        difference: NaN without a seed in common.
        low, high: 95 % interval of this one difference by Student's t (not adjusted); None without a t test.
        p_value: two-sided paired t test, adjusted by Holm's method for all comparisons made together; None with fewer
            than two seeds in common, or if all pairs differ by the same.
        superiority: share of pairs of a run of the other and one of the reference, over all seeds of both, in which
            the other's value is larger; ties count half. NaN if one has no value.
        rank_p_value: whether `superiority` differs from one half: two-sided, exact, adjusted like `p_value`; None
            with fewer than two values on a side.
        counts: values of the other and of the reference.
    """

    other: str
    reference: str
    seeds: tuple[int, ...]
    difference: float
    low: float | None
    high: float | None
    p_value: float | None
    superiority: float
    rank_p_value: float | None
    counts: tuple[int, int]

    @property
    def is_more_than_noise(self) -> bool | None:
        """Whether the adjusted t test rejects equal means at 5 %; None without a test."""
        return None if self.p_value is None else self.p_value < SIGNIFICANCE


def compare_paired(groups: Mapping[str, Mapping[int, float]], reference: str) -> list[PairedComparison]:
    """Compare each other group with `reference` seed by seed; the p-values of each test are adjusted together.

    Args:
        groups: label -> seed -> value.
        reference: one of the labels.
    """
    raw = [_paired(other, groups[other], reference, groups[reference]) for other in groups if other != reference]
    by_t = holm([comparison.p_value for comparison in raw])
    by_rank = holm([comparison.rank_p_value for comparison in raw])
    return [
        replace(comparison, p_value=p_value, rank_p_value=rank_p_value)
        for comparison, p_value, rank_p_value in zip(raw, by_t, by_rank, strict=True)
    ]


def smallest_rank_p_value(counts: tuple[int, int]) -> float:
    """The smallest two-sided p-value that the rank sum of so many values on either side can give."""
    return min(1.0, 2.0 / math.comb(sum(counts), counts[0]))


def superiority(values: Floats, reference: Floats) -> float:
    """Share of pairs of (n,) `values` and (m,) `reference` in which the value is larger; ties count half.

    NaN if there is no pair.
    """
    if min(len(values), len(reference)) == 0:
        return float("nan")
    return float(stats.mannwhitneyu(values, reference).statistic) / (len(values) * len(reference))


def mean_ranks(groups: Mapping[str, Mapping[int, float]]) -> tuple[dict[str, float], tuple[int, ...]]:
    """Mean rank of every group over the seeds that all groups have, 1 for the largest value, and these seeds.

    Groups of equal value share the mean of their ranks. Ranks are NaN without a seed in common.
    """
    seeds = _common(*groups.values())
    values = np.array([[group[seed] for seed in seeds] for group in groups.values()], dtype=np.float64)
    if not seeds:
        return {label: float("nan") for label in groups}, ()
    ranks: Floats = stats.rankdata(-values, axis=0).mean(axis=1)
    return {label: float(rank) for label, rank in zip(groups, ranks, strict=True)}, seeds


def _paired(
    other: str, other_values: Mapping[int, float], reference: str, reference_values: Mapping[int, float]
) -> PairedComparison:
    seeds = _common(other_values, reference_values)
    differences = np.array([other_values[seed] - reference_values[seed] for seed in seeds], dtype=np.float64)
    by_t = _paired_t(differences)
    first, second = (finite_values(list(values.values())) for values in (other_values, reference_values))
    return PairedComparison(
        other=other,
        reference=reference,
        seeds=seeds,
        difference=float(differences.mean()) if seeds else float("nan"),
        low=None if by_t is None else by_t[0],
        high=None if by_t is None else by_t[1],
        p_value=None if by_t is None else by_t[2],
        superiority=superiority(first, second),
        rank_p_value=_rank_sum(first, second),
        counts=(len(first), len(second)),
    )


def _paired_t(differences: Floats) -> tuple[float, float, float] | None:
    """Interval of the mean and p-value; None where there is no spread to judge by."""
    if len(differences) < 2 or np.ptp(differences) <= _ROUNDING * np.abs(differences).max():
        return None
    test = stats.ttest_1samp(differences, 0.0)
    interval = test.confidence_interval(CONFIDENCE)
    return float(interval.low), float(interval.high), float(test.pvalue)


def _rank_sum(first: Floats, second: Floats) -> float | None:
    """Two-sided p-value of the rank sum over all ways to deal out the (n,) and (m,) values, ties and all.

    `scipy.stats.mannwhitneyu` is exact only without ties, and equal architectures have equal truths. Beyond eight
    values against eight, ways are drawn at random.
    """
    if min(len(first), len(second)) < 2:
        return None
    ranks = stats.rankdata(np.concatenate([first, second]))
    test = stats.permutation_test(
        (ranks[: len(first)], ranks[len(first) :]),
        _difference_of_means,
        permutation_type="independent",
        vectorized=True,
        n_resamples=_WAYS,
        random_state=np.random.default_rng(0),
    )
    return float(test.pvalue)


def _difference_of_means(first: Floats, second: Floats, axis: int) -> Floats:
    return np.asarray(first.mean(axis=axis) - second.mean(axis=axis))


def _common(*groups: Mapping[int, float]) -> tuple[int, ...]:
    """The seeds for which all groups have a finite value."""
    finite = [{seed for seed, value in group.items() if np.isfinite(value)} for group in groups]
    return tuple(sorted(set.intersection(*finite))) if finite else ()
