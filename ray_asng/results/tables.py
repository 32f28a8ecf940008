"""The numbers of a ground as rows: one for each method, one for each seed; and the short table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ray_asng.results.schema import FailedTrial, failed_trials
from ray_asng.results.statistics import Comparison, Estimate, compare, mean_interval
from ray_asng.results.trials import BASELINE, Ground, Trial, child_values, counted, grounds, search_values
from ray_asng.results.units import bytes_text, count_text, estimate_text, metric_text, seconds_text


@dataclass(frozen=True, slots=True)
class MethodRow:
    """What a ground says of one method.

    Attributes:
        sampled: metric of the paths (or the mixture) that the last epoch ran on validation batches, over the seeds: how
            well the shared weights serve what the method draws.
        path: path metric on the validation split, over the seeds of the searches.
        test: test metric, over the retrained children.
        parameters: mean over the children; NaN without any.
        wall_seconds: mean time of one search; NaN without any.
        samples_per_second: mean over searches of the median over epochs.
        peak_memory_bytes: of the search that needed most.
    """

    label: str
    sampled: Estimate
    path: Estimate
    test: Estimate
    parameters: float
    wall_seconds: float
    samples_per_second: float
    peak_memory_bytes: float


def method_rows(ground: Ground) -> list[MethodRow]:
    """One row for each label of the ground, the baseline last."""
    return [_method_row(ground, label) for label in ground.labels]


def seed_rows(ground: Ground) -> list[list[str]]:
    """Texts for each search: label, seed, path metric, test metric of its child, parameters, FLOPs, time.

    Children that no search of the ground found (the baseline, or searches of elsewhere) follow with a dash.
    """
    rows = []
    for label, trials in ground.searches.items():
        retrained = ground.retrainings.get(label, [])
        for trial in trials:
            of_seed = [child for child in retrained if child.last("search_seed") == trial.last("seed")]
            path = metric_text(ground.metric, _or_none(trial.number(ground.path_metric)))
            rows.append(
                [
                    label,
                    _seed_text(trial),
                    path,
                    *_child_cells(ground, of_seed),
                    seconds_text(trial.number("wall_seconds")),
                ]
            )
    for label, retrained in ground.retrainings.items():
        seeds = {trial.last("seed") for trial in ground.searches.get(label, [])}
        for child in retrained:
            if child.last("search_seed") not in seeds:
                rows.append([label, "—", "—", *_child_cells(ground, [child]), "—"])
    return rows


def architecture_lines(ground: Ground) -> list[str]:
    """One line for each search, and for each child without one: label, seed, architecture in its field's notation."""
    found = [
        (label, f"seed {trial.last('seed')}", architecture_text(trial))
        for label, trials in ground.searches.items()
        for trial in trials
    ]
    found += [(BASELINE, "", architecture_text(child)) for child in ground.retrainings.get(BASELINE, [])]
    width = max((len(label) for label, _, _ in found), default=0)
    return [f"{label:{width}}  {seed:7}  {text}" for label, seed, text in found if text]


def architecture_text(trial: Trial) -> str:
    """The architecture of the last report in the notation of its field, or as JSON; empty if none was reported."""
    return str(trial.last("architecture_text") or trial.last("architecture") or "")


def path_comparisons(ground: Ground) -> list[Comparison]:
    """Each search method against the first one, by the path metric on the validation split; sweeps left out."""
    searches = ground.without_sweeps().searches
    groups = {label: list(search_values(searches[label], ground.path_metric).values()) for label in searches}
    return compare(groups, next(iter(groups))) if groups else []


def child_comparisons(ground: Ground) -> list[Comparison]:
    """Each method's children, and the baseline, against those of the first method, by the test metric."""
    retrained = ground.retrainings
    groups = {label: list(child_values(retrained[label], ground.test_metric).values()) for label in retrained}
    return compare(groups, next(iter(groups))) if groups else []


def terminal_table(table: pa.Table) -> str:
    """The methods of every ground in aligned columns, for a terminal.

    Args:
        table: of `collect` or `read_table`.
    """
    blocks = [_ground_block(ground) for ground in grounds(table)]
    failures = failed_trials(table)
    if failures:
        blocks.append("\n".join(_failure_line(failure) for failure in failures))
    return "\n\n".join(blocks) if blocks else "no search and no retraining has reported yet"


def last_good_value(failure: FailedTrial) -> str:
    """The last reported metric of a failed trial with its column: "path_accuracy 91.3 %"; a dash if there is none."""
    if failure.value is None:
        return "—"
    return f"{failure.column} {metric_text(failure.column, failure.value)}"


def _failure_line(failure: FailedTrial) -> str:
    reached = f"after epoch {failure.epoch}" if failure.epoch else "before its first report"
    return f"failed {reached}: {failure.trial} {failure.method} — {failure.error}"


def _ground_block(ground: Ground) -> str:
    header = ["method", "seeds", f"path {ground.metric} (valid)", f"test {ground.metric}", "parameters", "search"]
    lines = [header]
    for row in method_rows(ground):
        seeds = str(len(search_values(ground.searches.get(row.label, []), ground.path_metric)) or "—")
        lines.append(
            [
                row.label,
                seeds,
                estimate_text(ground.metric, row.path),
                estimate_text(ground.metric, row.test),
                count_text(row.parameters),
                seconds_text(row.wall_seconds),
            ]
        )
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    texts = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    rule = "  ".join("-" * width for width in widths)
    note = "mean ± 95 % t interval over seeds (searches) or children (retraining)"
    return "\n".join([f"{ground.space} on {ground.task}", texts[0], rule, *texts[1:], note])


def _method_row(ground: Ground, label: str) -> MethodRow:
    searches = counted(ground.searches.get(label, []))
    retrained = ground.retrainings.get(label, [])
    return MethodRow(
        label=label,
        sampled=mean_interval(list(search_values(searches, f"valid_{ground.metric}").values())),
        path=mean_interval(list(search_values(searches, ground.path_metric).values())),
        test=mean_interval(list(child_values(retrained, ground.test_metric).values())),
        parameters=_mean(list(child_values(retrained, "parameters").values())),
        wall_seconds=_mean([trial.number("wall_seconds") for trial in searches]),
        samples_per_second=_mean([_median(trial) for trial in searches]),
        peak_memory_bytes=max((trial.number("peak_memory_bytes") for trial in searches), default=float("nan")),
    )


def _median(trial: Trial) -> float:
    rates = trial.series("samples_per_second")
    finite = rates[np.isfinite(rates)]
    return float(np.median(finite)) if len(finite) else float("nan")


def _mean(values: Sequence[float]) -> float:
    return mean_interval(values).mean


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else value


def _seed_text(trial: Trial) -> str:
    seed = trial.last("seed")
    if trial.is_finished and not trial.ended_early:
        return str(seed)
    how = f"{trial.ended} at " if trial.ended else ""
    return f"{seed} ({how}epoch {trial.epochs[-1]:.0f} of {trial.last('epochs')})"


def _child_cells(ground: Ground, children: Sequence[Trial]) -> list[str]:
    """Test metric, parameters and FLOPs of the child (or children) of one search."""
    if not children:
        return ["—", "—", "—"]
    tests = [metric_text(ground.metric, _or_none(child.number(ground.test_metric))) for child in children]
    unfinished = "" if all(child.is_finished for child in children) else " (unfinished)"
    parameters = count_text(children[0].number("parameters"))
    return [", ".join(tests) + unfinished, parameters, count_text(children[0].number("flops"))]


def method_cells(ground: Ground, row: MethodRow) -> list[str]:
    """The texts of a method's row: label, seeds, path, test, sampled paths, parameters, time, rate, memory."""
    seeds = len(search_values(ground.searches.get(row.label, []), ground.path_metric))
    return [
        "random architecture (no search)" if row.label == BASELINE else row.label,
        str(seeds) if seeds else "—",
        estimate_text(ground.metric, row.path),
        estimate_text(ground.metric, row.test),
        estimate_text(ground.metric, row.sampled),
        count_text(row.parameters),
        seconds_text(row.wall_seconds),
        "—" if np.isnan(row.samples_per_second) else f"{row.samples_per_second:.0f}",
        bytes_text(row.peak_memory_bytes),
    ]
