"""How many searches ended with (nearly) nothing but options without weights: skip connections, pooling, noise.

References:
    Zela et al., "Understanding and Robustifying Differentiable Architecture Search", ICLR 2020.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ray_asng.results.compared import datasets
from ray_asng.results.document import Block, Heading, Table
from ray_asng.results.inline import literal
from ray_asng.results.percent import percent, percent_range
from ray_asng.results.statistics import bootstrap_interval
from ray_asng.results.trials import Ground, Trial, counted, search_values

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLLAPSED_SHARE = 0.9
"""A search has collapsed if at least this share of its decisions that could have weights is for an option without."""

COLLAPSED_READING = (
    f"Collapsed: at least {100 * COLLAPSED_SHARE:.0f} % of the decisions are for options without weights."
)

_HEADER = ("method", "collapsed", "decisions without weights: mean [%]", "95 % interval", "least [%]", "most [%]")
_NOTE = (
    f"{COLLAPSED_READING} Decisions: those that run in the found network and had an option with weights. Interval: "
    "percentile bootstrap over seeds, the percentiles widened for few values (Hesterberg 2015)."
)


def has_collapsed(trial: Trial) -> bool:
    """Whether a search ended with (nearly) nothing but options without weights."""
    return trial.ended == "collapsed" or trial.number("parameter_free_share") >= COLLAPSED_SHARE


def collapsed_text(trials: Sequence[Trial]) -> str:
    """How many of the runs that count have collapsed: "1 of 3"."""
    runs = counted(trials)
    return f"{sum(map(has_collapsed, runs))} of {len(runs)}"


def section(ground: Ground, save: Callable[[str, Figure], str]) -> list[Block]:
    """Of every method, how many searches collapsed, and the share of decisions for options without weights.

    Empty where no search chose anything without weights, and where the table of true accuracies says it (`truth`).
    `save` is not used: there is no figure.
    """
    groups = ground.without_sweeps().searches
    shares = {label: _finite(search_values(trials, "parameter_free_share")) for label, trials in groups.items()}
    if datasets(ground) or not any(share > 0.0 for found in shares.values() for share in found):
        return []
    rows = tuple(_row(label, groups[label], found) for label, found in shares.items())
    return [Heading("How many searches collapsed", 3), Table(_HEADER, rows, _NOTE)]


def _finite(values: Mapping[int, float]) -> list[float]:
    return [value for value in values.values() if np.isfinite(value)]


def _row(label: str, trials: Sequence[Trial], shares: Sequence[float]) -> tuple[str, ...]:
    estimate = bootstrap_interval(shares)
    return (
        literal(label),
        collapsed_text(trials),
        percent(estimate.mean),
        percent_range(estimate.low, estimate.high),
        percent(min(shares, default=None)),
        percent(max(shares, default=None)),
    )
