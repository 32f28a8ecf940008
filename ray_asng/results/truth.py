"""What the architectures that the methods found are worth by a table: means, chance, ends of the scale, and costs.

The true accuracy is that of the architecture trained by itself. It is looked up for the report and steers nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ray_asng.results.collapse import COLLAPSED_READING, collapsed_text
from ray_asng.results.compared import (
    dataset_name,
    datasets,
    own_settings,
    reference_label,
    references,
    truth_column,
)
from ray_asng.results.document import Block, Bullets, Details, Heading, Paragraph, Table
from ray_asng.results.inline import literal
from ray_asng.results.paired import mean_ranks
from ray_asng.results.percent import percent, percent_range
from ray_asng.results.statistics import bootstrap_interval, mean_interval
from ray_asng.results.superiority import COMPARISON_READING, comparison_blocks
from ray_asng.results.trials import Ground, Groups, Trial, best_trial, counted, search_values
from ray_asng.results.units import count_text, seconds_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_READING = (
    "Mean and interval: over seeds; percentile bootstrap, the percentiles widened for few values (Hesterberg 2015). It "
    "cannot leave the range of the values: of normal ones, intervals from 3, 4, 5 and 8 seeds hold the mean in 76, "
    "87, 92 and 94 % of cases.",
    "Mean rank: 1 is best.",
    "Selected on validation: the seed whose path did best on the validation split, without a look at the table.",
    "Best of the seeds: chosen by the table itself, which no user could do; it grows with the number of seeds.",
    COLLAPSED_READING,
    "Random architecture: the mean of all in the space, and the range that holds 95 % of them.",
    "Optimum: the largest of all; under selected on validation, that of the best by the table's validation accuracy.",
    *COMPARISON_READING,
)

_Values = Mapping[str, Mapping[int, float]]

# A row about a space names so many searches at most; more than these are "the others".
_LABELS_IN_A_ROW = 3

_HEADER = (
    "method",
    "seeds",
    "mean [%]",
    "95 % interval",
    "mean rank",
    "selected on validation [%]",
    "best of the seeds [%]",
    "collapsed",
)


def section(ground: Ground, save: Callable[[str, Figure], str]) -> list[Block]:
    """The true accuracies of a ground for every data set, what differs by more than noise, and what it cost.

    Empty without a table. `save` is not used: there is no figure.
    """
    groups = own_settings(ground)
    found = datasets(ground)
    if not groups or not found:
        return []
    blocks: list[Block] = [
        Heading("What the found architectures are worth", 3),
        Paragraph(_introduction(found)),
        Details("How to read these tables", (Bullets(_READING),)),
    ]
    for dataset in found:
        values = {label: search_values(trials, truth_column(dataset)) for label, trials in groups.items()}
        blocks.append(Heading(f"True test accuracy on {dataset_name(dataset)}", 4))
        blocks.append(_accuracy_table(ground, groups, values, dataset))
        blocks += comparison_blocks(_finished(groups, values), reference_label(groups))
    return [*blocks, Heading("What the searches cost", 4), _cost_table(groups)]


def _introduction(found: Sequence[str]) -> str:
    text = (
        "The accuracy of the architecture that each search reported last, trained by itself, as the table has it. "
        "No search sees these numbers: they are looked up for this report."
    )
    if len(found) == 1:
        return text
    return (
        f"{text} All data sets judge the same architectures, so their tables are not independent of each other; "
        f"{dataset_name(found[0])} is the one to judge by."
    )


def _finished(groups: Groups, values: _Values) -> dict[str, Mapping[int, float]]:
    """The values of methods with a finished search; of others nothing is compared yet."""
    return {
        label: values[label] if any(trial.is_finished for trial in trials) else {} for label, trials in groups.items()
    }


def _accuracy_table(ground: Ground, groups: Groups, values: _Values, dataset: str) -> Table:
    column = truth_column(dataset)
    present = {label: each for label, each in _finished(groups, values).items() if each}
    ranks, seeds = mean_ranks(present)
    rows = [
        _method_row(ground, label, trials, values[label], column, ranks.get(label, float("nan")))
        for label, trials in groups.items()
    ]
    known = references(groups, column)
    largest = max((labels for labels, _ in known), key=len, default=())
    for labels, reference in known:
        where = "" if len(known) == 1 else f" ({_searches(labels, is_largest=labels is largest)})"
        spread = percent_range(reference.percentile(2.5), reference.percentile(97.5))
        rows.append((f"random architecture{where}", "—", percent(reference.mean), spread, "—", "—", "—", "—"))
        best, by_valid = percent(reference.best), percent(reference.best_by_valid)
        rows.append((f"optimum of the table{where}", "—", best, "—", "—", by_valid, best, "—"))
    return Table(_HEADER, tuple(rows), _table_note(seeds))


def _searches(labels: Sequence[str], *, is_largest: bool) -> str:
    """Which searches a row about a space belongs to; labels may hold commas."""
    if is_largest and len(labels) > _LABELS_IN_A_ROW:
        return "of the others"
    return "; ".join(map(literal, labels))


def _method_row(
    ground: Ground, label: str, trials: Sequence[Trial], values: Mapping[int, float], column: str, rank: float
) -> tuple[str, ...]:
    estimate = bootstrap_interval(list(values.values()))
    chosen = best_trial(ground, trials)
    finite = [value for value in values.values() if np.isfinite(value)]
    return (
        literal(label),
        _seeds_text(trials, len(finite)),
        percent(estimate.mean),
        percent_range(estimate.low, estimate.high),
        "—" if np.isnan(rank) else f"{rank:.1f}",
        "—" if chosen is None else percent(chosen.number(column)),
        percent(max(finite, default=None)),
        collapsed_text(trials),
    )


def _seeds_text(trials: Sequence[Trial], count: int) -> str:
    unfinished = [trial for trial in trials if not trial.is_finished]
    if not unfinished:
        return str(count)
    if len(unfinished) == len(trials):
        farthest = counted(trials)[0]
        return f"{count} at epoch {farthest.epochs[-1]:.0f} of {farthest.last('epochs')}, none finished"
    return f"{count} ({len(unfinished)} more unfinished)"


def _table_note(seeds: Sequence[int]) -> str:
    if not seeds:
        return "Mean rank: there is no seed that all methods finished."
    return (
        f"Mean rank: over the seed{'s' * (len(seeds) != 1)} {', '.join(map(str, seeds))}, which all methods finished."
    )


def _cost_table(groups: Groups) -> Table:
    header = ("method", "steps", "forward passes", "backward passes", "passes", "seconds of a search", "device")
    rows, totals = [], []
    for label, trials in groups.items():
        runs = counted(trials)
        means = [_mean(runs, name) for name in ("steps", "forward_passes", "backward_passes", "wall_seconds")]
        steps, forward, backward, seconds = means
        totals.append(forward + backward)
        devices = dict.fromkeys(str(trial.last("device")) for trial in runs if trial.last("device"))
        counts = tuple(map(count_text, (steps, forward, backward, forward + backward)))
        rows.append((literal(label), *counts, seconds_text(seconds), ", ".join(devices) or "—"))
    note = "Means over the counted searches. A pass is that of one path on one batch. " + _balance(totals)
    return Table(header, tuple(rows), note)


def _mean(trials: Sequence[Trial], column: str) -> float:
    return mean_interval([trial.number(column) for trial in trials]).mean


def _balance(totals: Sequence[float]) -> str:
    """Whether the methods had equal budgets."""
    known = [total for total in totals if total > 0]
    if not known:
        return "Passes were not reported."
    excess = max(known) / min(known) - 1
    if excess < 0.05:
        return f"The methods had equal passes (they differ by at most {100 * excess:.1f} %)."
    return f"The methods did not have equal passes: the most is {excess + 1:.2g} times the least."
