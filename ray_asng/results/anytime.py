"""How good a search was when it had cost so much: the state of a trial by steps, by passes and by seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ray_asng.results.statistics import Floats
from ray_asng.results.trials import Trial

CLOCKS = {
    "steps": ("steps",),
    "passes": ("forward_passes", "backward_passes"),
    "seconds": ("wall_seconds",),
}
"""What is counted -> the columns whose sum counts it."""


_POINTS = 200


@dataclass(frozen=True, slots=True)
class Curve:
    """What a group of searches has reached when each of them had cost so much.

    Attributes:
        cost: (G,) evenly spaced, from where all trials have reported to where the last one ends, or to where the
            first unfinished one stands.
        median, low, high: (G,) over the trials; low and high are the quartiles.
    """

    cost: Floats
    median: Floats
    low: Floats
    high: Floats


def curve(trials: Sequence[Trial], column: str, clock: str) -> Curve:
    """Median and quartiles of a column over trials, at equal cost.

    Args:
        trials: of one method.
        column: what is drawn.
        clock: one of `CLOCKS`.
    """
    reported = [trial for trial in trials if len(_reports(trial, column, clock)[0])]
    if not reported:
        return Curve(*(np.empty(0) for _ in range(4)))
    costs = [_reports(trial, column, clock)[0] for trial in reported]
    start = max(each[0] for each in costs)
    # A finished search has its result from then on. So budgets that differ by a step do not cut off the last reports.
    open_ends = [each[-1] for each, trial in zip(costs, reported, strict=True) if not trial.is_finished]
    end = max(start, min(open_ends, default=max(each[-1] for each in costs)))
    grid = np.unique(np.linspace(start, end, _POINTS))
    values = np.array([state_at(trial, column, clock, grid) for trial in reported])
    low, median, high = np.quantile(values, (0.25, 0.5, 0.75), axis=0)
    return Curve(grid, median, low, high)


def state_at(trial: Trial, column: str, clock: str, cost: Floats) -> Floats:
    """(G,) values of the last report at or before each cost (G,), NaN before the first."""
    costs, values = _reports(trial, column, clock)
    place = np.searchsorted(costs, cost, side="right") - 1
    return np.where(place < 0, np.nan, values[np.maximum(place, 0)]) if len(costs) else np.full(len(cost), np.nan)


def common_end(trials: Sequence[Trial], clock: str) -> float:
    """The largest cost that all trials reached; NaN if none reported any.

    A search that ended itself, having converged or collapsed, has its result from then on: it sets no limit unless
    all ended so.
    """
    ends = [(trial.ended_early, clock_of(trial, clock)) for trial in trials]
    known = [(early, float(np.nanmax(costs))) for early, costs in ends if np.isfinite(costs).any()]
    if not known:
        return float("nan")
    limits = [end for early, end in known if not early]
    return min(limits) if limits else max(end for _, end in known)


def clock_of(trial: Trial, clock: str) -> Floats:
    """(R,) what the trial had cost at each report, NaN where it was not reported."""
    return np.asarray(np.sum([trial.series(column) for column in CLOCKS[clock]], axis=0))


def _reports(trial: Trial, column: str, clock: str) -> tuple[Floats, Floats]:
    """Costs and values of the reports that have both."""
    costs, values = clock_of(trial, clock), trial.series(column)
    known = np.isfinite(costs) & np.isfinite(values)
    return costs[known], values[known]
