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


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its t interval; `low` and `high` are None if `count` < 2, the mean is NaN if it is 0."""

    mean: float
    low: float | None
    high: float | None
    count: int

    @property
    def half_width(self) -> float | None:
        """Half the length of the interval."""
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
    finite = _finite(values)
    if len(finite) == 0:
        return Estimate(float("nan"), None, None, 0)
    mean = float(finite.mean())
    if len(finite) == 1:
        return Estimate(mean, None, None, 1)
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, len(finite) - 1) * stats.sem(finite))
    return Estimate(mean, mean - half, mean + half, len(finite))


def compare(groups: Mapping[str, Sequence[float]], reference: str) -> list[Comparison]:
    """Compare each other group with `reference`; the p-values are adjusted together.

    Args:
        groups: label -> values of the independent runs.
        reference: one of the labels.
    """
    raw = [_welch(other, groups[other], reference, groups[reference]) for other in groups if other != reference]
    tested = [comparison.p_value for comparison in raw if comparison.p_value is not None]
    adjusted = iter(holm(tested))
    return [
        comparison if comparison.p_value is None else replace(comparison, p_value=next(adjusted)) for comparison in raw
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust (m,) p-values by Holm's step-down method: each may then be compared with the level itself.

    References:
        Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scand. J. Statistics 6, 1979.
    """
    count = len(p_values)
    order = np.argsort(p_values, kind="stable")
    steps = np.asarray(p_values, dtype=np.float64)[order] * (count - np.arange(count))
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(value) for value in adjusted]


def _welch(other: str, other_values: Sequence[float], reference: str, reference_values: Sequence[float]) -> Comparison:
    first, second = _finite(other_values), _finite(reference_values)
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


def _finite(values: Sequence[float]) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    return array[np.isfinite(array)]
