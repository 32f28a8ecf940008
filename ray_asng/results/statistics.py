"""Means with intervals, and whether a difference between methods is more than noise.

The unit is the independent run (a seed), never an epoch or a batch. Values that are no finite numbers are left out
and lower the count. With fewer than two values there is a mean but no interval and no test.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats: TypeAlias = NDArray[np.float64]

CONFIDENCE = 0.95
SIGNIFICANCE = 1.0 - CONFIDENCE

_RESAMPLES = 9999


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95 % interval; `low` and `high` are None if `count` < 2, the mean is NaN if it is 0."""

    mean: float
    low: float | None
    high: float | None
    count: int

    @property
    def half_width(self) -> float | None:
        """Half the length of an interval that has the mean in its middle, as that of `mean_interval`."""
        return None if self.high is None else self.high - self.mean


@dataclass(frozen=True, slots=True)
class Comparison:
    """Another method's mean minus the reference's, with Welch's test.

    Attributes:
        difference: NaN if one of the two has no value.
        low, high: 95 % interval of this one difference (not adjusted); None without a test.
        p_value: two-sided, adjusted by Holm's method for all comparisons made together; None without a test:
            fewer than two values on a side, or no spread at all.
        counts: values of the other method and of the reference.
    """

    other: str
    reference: str
    difference: float
    low: float | None
    high: float | None
    p_value: float | None
    counts: tuple[int, int]

    @property
    def is_more_than_noise(self) -> bool | None:
        """Whether the adjusted test rejects equal means at 5 %; None without a test."""
        return None if self.p_value is None else self.p_value < SIGNIFICANCE


def mean_interval(values: Sequence[float]) -> Estimate:
    """Mean and 95 % interval by Student's t of (n,) independent values."""
    finite = finite_values(values)
    if len(finite) == 0:
        return Estimate(float("nan"), None, None, 0)
    mean = float(finite.mean())
    if len(finite) == 1:
        return Estimate(mean, None, None, 1)
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, len(finite) - 1) * stats.sem(finite))
    return Estimate(mean, mean - half, mean + half, len(finite))


def bootstrap_interval(values: Sequence[float]) -> Estimate:
    """Mean and 95 % interval by the percentile bootstrap of (n,) independent values, widened for small n.

    Resampling n values understates their spread by (n - 1) / n and knows nothing of the heavy tails of Student's t.
    So the percentiles are taken farther out, by as much as makes the interval that of Student's t where the means
    of resamples are normal. It still cannot leave the range of the values: the mean of a normal distribution is
    covered by 76, 87, 92 and 94 % of the intervals from 3, 4, 5 and 8 values (plain percentiles: 76, 78, 83, 90 %).

    References:
        Hesterberg, "What Teachers Should Know About the Bootstrap", The American Statistician 69, 2015, section 4.
    """
    finite = finite_values(values)
    count = len(finite)
    mean = float(finite.mean()) if count else float("nan")
    if count < 2:
        return Estimate(mean, None, None, count)
    expansion = float(stats.t.ppf(0.5 + CONFIDENCE / 2, count - 1)) * np.sqrt(count / (count - 1))
    result = stats.bootstrap(
        (finite,),
        np.mean,
        n_resamples=_RESAMPLES,
        confidence_level=1.0 - 2.0 * stats.norm.sf(expansion),
        method="percentile",
        random_state=np.random.default_rng(0),
    )
    interval = result.confidence_interval
    return Estimate(mean, float(interval.low), float(interval.high), count)


def compare(groups: Mapping[str, Sequence[float]], reference: str) -> list[Comparison]:
    """Compare each other group with `reference`; the p-values are adjusted together.

    Args:
        groups: label -> values of the independent runs.
        reference: one of the labels.
    """
    raw = [_welch(other, groups[other], reference, groups[reference]) for other in groups if other != reference]
    adjusted = holm([comparison.p_value for comparison in raw])
    return [replace(comparison, p_value=p_value) for comparison, p_value in zip(raw, adjusted, strict=True)]


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjust (m,) p-values by Holm's step-down method: each may then be compared with the level itself.

    None, where there was no test, stays None and does not count as a comparison.

    References:
        Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scand. J. Statistics 6, 1979.
    """
    tested = [index for index, value in enumerate(p_values) if value is not None]
    raw = np.array([value for value in p_values if value is not None], dtype=np.float64)
    order = np.argsort(raw, kind="stable")
    steps = raw[order] * (len(raw) - np.arange(len(raw)))
    lifted = np.minimum(np.maximum.accumulate(steps), 1.0)
    adjusted: list[float | None] = [None] * len(p_values)
    for place, value in zip(order, lifted, strict=True):
        adjusted[tested[place]] = float(value)
    return adjusted


def _welch(other: str, other_values: Sequence[float], reference: str, reference_values: Sequence[float]) -> Comparison:
    first, second = finite_values(other_values), finite_values(reference_values)
    counts = (len(first), len(second))
    difference = float(first.mean() - second.mean()) if min(counts) > 0 else float("nan")
    if min(counts) < 2 or np.ptp(first) == np.ptp(second) == 0:
        return Comparison(other, reference, difference, None, None, None, counts)
    with warnings.catch_warnings():
        # Two children with equal accuracy leave one side without spread; Welch's test stands that, scipy warns.
        warnings.simplefilter("ignore", RuntimeWarning)
        test = stats.ttest_ind(first, second, equal_var=False)
    interval = test.confidence_interval(CONFIDENCE)
    return Comparison(
        other, reference, difference, float(interval.low), float(interval.high), float(test.pvalue), counts
    )


def finite_values(values: Sequence[float]) -> Floats:
    """(m,) those of (n,) values that are finite numbers."""
    array = np.asarray(values, dtype=np.float64)
    return array[np.isfinite(array)]
