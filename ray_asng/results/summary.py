"""The words of a report: what was run, what came out, what is more than noise, and what is missing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ray_asng.results.schema import FailedTrial, failed_trials, recorded_command
from ray_asng.results.statistics import Comparison
from ray_asng.results.tables import (
    architecture_lines,
    architecture_text,
    child_comparisons,
    last_good_value,
    method_cells,
    method_rows,
    path_comparisons,
    seed_rows,
)
from ray_asng.results.trials import BASELINE, EARLY, STOPPED, Study, Trial, best_trial, search_values, studies
from ray_asng.results.units import difference_text, is_fraction, metric_text

_FEW = 5
"""Below this number of independent values on a side, a test finds only large differences."""


def summary(table: pa.Table, figures: Sequence[str], gaps: Sequence[str]) -> str:
    """The report as Markdown.

    Args:
        table: of `collect` or `read_table`.
        figures: paths of the figures, relative to the report.
        gaps: what could not be shown, besides what `missing` finds.
    """
    found = studies(table)
    parts = ["# Results"]
    if not found:
        parts.append("No search and no retraining has reported yet.")
    for study in found:
        parts += _study_parts(study)
    parts += _failure_parts(failed_trials(table))
    notes = [*(note for study in found for note in missing(study)), *gaps]
    if notes:
        parts += ["## Missing or incomplete", _bullets(notes)]
    if figures:
        parts += ["## Figures", "\n\n".join(f"![{name}]({name})" for name in figures)]
    parts += ["## How it was made", *_origin_parts(table, found)]
    return "\n\n".join(parts) + "\n"


def missing(study: Study) -> list[str]:
    """What a reader would expect of this study and does not find, a sentence each."""
    notes = []
    where = f"{study.space} on {study.task}"
    if not study.searches:
        notes.append(f"{where}: no search, only retraining.")
    if not study.retrainings:
        notes.append(f"{where}: nothing was retrained yet, so there is no test {study.metric}.")
    elif BASELINE not in study.retrainings:
        notes.append(f"{where}: no random architecture was retrained, so nothing shows what searching is worth.")
    for label, trials in study.searches.items():
        values = search_values(trials, study.path_metric)
        if len(values) == 1:
            notes.append(f"{where}: {label} has one seed only, so it has no interval and no test.")
        broken = [seed for seed, value in values.items() if not np.isfinite(value)]
        if broken:
            notes.append(f"{where}: {label}, seed(s) {broken}: no finite {study.path_metric}; left out of the mean.")
    for label, trials in (*study.searches.items(), *study.retrainings.items()):
        notes += [f"{where}: {_unfinished(label, trial)}" for trial in trials if not trial.is_finished]
    return notes


def comparison_text(comparison: Comparison, metric: str, higher_is_better: bool) -> str:
    """One sentence: the difference, its interval, and whether it is more than noise."""
    names = f"{comparison.other} against {comparison.reference}"
    if min(comparison.counts) == 0:
        return f"{names}: no finite values on one side, nothing to compare."
    unit = " percentage points" if is_fraction(metric) else ""
    difference = f"{names}: {difference_text(metric, comparison.difference)}{unit}"
    counts = f"{comparison.counts[0]} and {comparison.counts[1]} values"
    if comparison.p_value is None or comparison.low is None or comparison.high is None:
        return (
            f"{difference}. Whether this is more than noise cannot be told: a test needs at least two values on both "
            f"sides and some spread ({counts})."
        )
    interval = f"95 % interval {difference_text(metric, comparison.low)} to {difference_text(metric, comparison.high)}"
    if comparison.is_more_than_noise:
        is_better = (comparison.difference > 0) == higher_is_better
        verdict = f"{comparison.other} is {'better' if is_better else 'worse'}, by more than noise."
    else:
        verdict = "not more than noise explains."
        if min(comparison.counts) < _FEW:
            verdict = "not more than noise explains; so few values would show a large difference only."
    return f"{difference} ({interval}; p = {comparison.p_value:.2g}; {counts}): {verdict}"


def _study_parts(study: Study) -> list[str]:
    parts = [f"## {study.space} on {study.task}", _bullets(_facts(study)), "### Methods", _method_table(study)]
    parts += ["### Is a difference more than noise?", *_comparison_parts(study)]
    parts += ["### Every seed", _seed_table(study)]
    lines = architecture_lines(study)
    if lines:
        parts += ["### Found architectures", "```text\n" + "\n".join(lines) + "\n```"]
    best = best_trial(study, [trial for trials in study.searches.values() for trial in trials])
    if best is not None:
        parts += ["### Best architecture", _best_text(study, best)]
    return parts


def _facts(study: Study) -> list[str]:
    facts = [f"Metric: {study.metric} ({'higher' if study.higher_is_better else 'lower'} is better)."]
    for kind, groups in (("Search", study.searches), ("Retraining", study.retrainings)):
        for label, trials in groups.items():
            column = "seed" if kind == "Search" else "search_seed"
            seeds = ", ".join(_distinct([trial.last(column) for trial in trials if trial.last(column) != -1]))
            epochs = " or ".join(_distinct([trial.last("epochs") for trial in trials])) or "an unknown number of"
            found_by = f" {'seeds' if kind == 'Search' else 'found by seeds'} {seeds};" if seeds else ""
            plural = "" if len(trials) == 1 else "s"
            facts.append(f"{kind}, {label}: {len(trials)} trial{plural};{found_by} {epochs} epochs.{_early(trials)}")
    return facts


def _early(trials: Sequence[Trial]) -> str:
    """A sentence for each way in which trials of a group ended early; empty if none did."""
    sentences = ""
    for how in EARLY:
        ended = sorted(int(trial.epochs[-1]) for trial in trials if trial.ended == how)
        if ended:
            at = f"epoch{'s' * (len(ended) > 1)} {', '.join(map(str, ended))}"
            sentences += f" {len(ended)} of {len(trials)} {how} and ended at {at}."
    return sentences


def _method_table(study: Study) -> str:
    header = [
        "method",
        "seeds",
        f"path {study.metric}, validation",
        f"test {study.metric}, retrained",
        "parameters",
        "search time",
        "samples/s",
        "peak memory",
    ]
    rows = [method_cells(study, row) for row in method_rows(study)]
    note = (
        "Mean ± half the 95 % interval by Student's t, over seeds for searches and over children for retraining. "
        "Path: the most likely architecture with the shared weights. Time and rate: mean of a search; memory: largest."
    )
    return f"{_markdown_table(header, rows)}\n\n{note}"


def _seed_table(study: Study) -> str:
    header = ["method", "seed", f"path {study.metric}", f"test {study.metric}", "parameters", "FLOPs", "time"]
    return _markdown_table(header, seed_rows(study))


def _comparison_parts(study: Study) -> list[str]:
    parts = []
    titles = (
        (path_comparisons(study), f"By path {study.metric} on the validation split:"),
        (child_comparisons(study), f"By test {study.metric} of the retrained children:"),
    )
    for comparisons, title in titles:
        if comparisons:
            texts = [comparison_text(entry, study.metric, study.higher_is_better) for entry in comparisons]
            parts.append(f"{title}\n\n{_bullets(texts)}")
    if not parts:
        return ["There is only one method, so there is nothing to compare."]
    note = "Welch's test; p-values adjusted by Holm within each list; intervals are those of the single difference."
    return [*parts, note]


def _best_text(study: Study, best: Trial) -> str:
    value = metric_text(study.metric, best.number(study.path_metric))
    return (
        f"Chosen by the path {study.metric} on the validation split, never by the test split: "
        f"{best.last('method')}, seed {best.last('seed')}, {value}.\n\n`{architecture_text(best)}`"
    )


def _unfinished(label: str, trial: Trial) -> str:
    how = "was stopped" if trial.ended == STOPPED else "stands"
    return (
        f"{trial.last('kind')} of {label}, seed {trial.last('seed')}, {how} at epoch {trial.epochs[-1]:.0f} of "
        f"{trial.last('epochs')}; it does not count where finished ones do."
    )


def _failure_parts(failures: Sequence[FailedTrial]) -> list[str]:
    if not failures:
        return []
    header = ["experiment", "trial", "method", "seed", "last epoch", "value", "good checkpoint", "error"]
    rows = [
        [
            failure.experiment,
            failure.trial,
            failure.method or "—",
            "—" if failure.seed is None else str(failure.seed),
            str(failure.epoch or failure.iteration),
            last_good_value(failure),
            failure.checkpoint or "—",
            f"`{failure.error}`",
        ]
        for failure in failures
    ]
    return [
        "## Failed trials",
        _markdown_table(header, rows),
        "Last good state: the last epoch that was reported, its metric, and the newest checkpoint that is not damaged.",
    ]


def _origin_parts(table: pa.Table, found: Sequence[Study]) -> list[str]:
    facts = []
    devices = _distinct(table.column("device").to_pylist())
    if devices:
        facts.append(f"Device: {', '.join(devices)}.")
    for versions in _distinct(table.column("versions").to_pylist()):
        facts.append(f"Versions: {_versions_text(versions)}.")
    facts.append(
        "Every number above is computed from results.parquet; its column config_json has each trial's settings."
    )
    command = recorded_command(table)
    if command:
        return [_bullets(facts), f"To make it again:\n\n```sh\n{command}\n```"]
    calls = [call for study in found for trials in study.searches.values() for call in _calls(trials)]
    if not calls:
        return [_bullets(facts)]
    imports = "from ray import tune\nfrom ray_asng import SearchTrainable"
    code = "\n".join([imports, "", *calls])
    return [_bullets(facts), f"The command was not recorded. The searches again:\n\n```python\n{code}\n```"]


def _calls(trials: Sequence[Trial]) -> list[str]:
    config: dict[str, Any] = json.loads(trials[0].last("config_json") or "{}")
    if not config:
        return []
    config.pop("seed", None)
    seeds = sorted({int(trial.last("seed") or 0) for trial in trials})
    return [f"tune.run(SearchTrainable, config={{**{config!r}, 'seed': tune.grid_search({seeds})}})"]


def _versions_text(versions: str) -> str:
    try:
        return ", ".join(f"{name} {version}" for name, version in json.loads(versions).items())
    except (json.JSONDecodeError, AttributeError):
        return versions


def _distinct(values: Sequence[Any]) -> list[str]:
    return [str(value) for value in dict.fromkeys(values) if value not in (None, "")]


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _bullets(texts: Sequence[str]) -> str:
    return "\n".join(f"- {text}" for text in texts)
