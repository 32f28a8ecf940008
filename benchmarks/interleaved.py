"""Pieces of work timed side by side in one process, so that a noisy machine treats them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import bootstrap


@dataclass(frozen=True)
class Estimate:
    """The median of repeated measurements.

    Attributes:
        median: of the values.
        low, high: the 95 % bootstrap interval of the median.
        repeats: number of values.
    """

    median: float
    low: float
    high: float
    repeats: int

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Estimate:
        """Of (N,) values; the interval of fewer than two is the value itself."""
        low = high = median = float(np.median(values))
        if len(np.unique(values)) > 1:
            # By percentiles: scipy's default is not defined where leaving out any one value leaves the median alike.
            found = bootstrap((values,), np.median, method="percentile", rng=np.random.default_rng(0))
            low, high = found.confidence_interval
        return cls(median, float(low), float(high), len(values))

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.low:.3f} to {self.high:.3f})"

    def numbers(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def interleave(
    jobs: Mapping[str, Callable[[], object]],
    repeats: int,
    *,
    warmups: int = 3,
    before: Callable[[], object] = lambda: None,
    device: torch.device | str = "cpu",
) -> dict[str, NDArray[np.float64]]:
    """Seconds of each job, (repeats,) by name, entries of one round side by side.

    Args:
        jobs: run one after the other in every round; who begins moves on from round to round, since whoever comes
            second may find warm caches.
        repeats: rounds that count.
        warmups: rounds before them that do not.
        before: run, and not timed, at the begin of every round.
        device: waited for at both ends of every job.
    """
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    names = list(jobs)
    for number in range(warmups + repeats):
        before()
        first = number % len(names)
        for name in names[first:] + names[:first]:
            _wait(device)
            started = time.perf_counter()
            jobs[name]()
            _wait(device)
            seconds[name].append(time.perf_counter() - started)
    return {name: np.array(values[warmups:]) for name, values in seconds.items()}


def ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> Estimate:
    """The median of the rounds' ratios: what slows a whole round down cancels."""
    return Estimate.of(above / below)


def _wait(device: torch.device | str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
