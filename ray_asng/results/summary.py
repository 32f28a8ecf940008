"""What a report says: what was run, what came out, what is more than noise, and what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa

from ray_asng.results import anytime_plot, collapse, figures, published, rank_correlation, sensitivity, truth
from ray_asng.results.document import Block, Bullets, Code, Heading, Paragraph, Table
from ray_asng.results.figures import Save
from ray_asng.results.inline import code, literal
from ray_asng.results.missing import missing
from ray_asng.results.origin import distinct, origin, settings
from ray_asng.results.schema import FailedTrial, failed_trials
from ray_asng.results.statistics import Comparison
from ray_asng.results.style import file_part
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
from ray_asng.results.trials import EARLY, Ground, Trial, best_trial, grounds
from ray_asng.results.units import difference_text, is_fraction, metric_text

_BY_TABLE = (
    truth.section,
    anytime_plot.section,
    rank_correlation.section,
    sensitivity.section,
    published.section,
)
"""What is said of searches whose architectures stand in a table of true accuracies; nothing of others."""

_FEW = 5
"""Below this number of independent values on a side, a test finds only large differences."""


def content(
    table: pa.Table,
    save: Save,
    gaps: Sequence[str] = (),
    sources: Sequence[str] = ("results.parquet",),
    restored: Sequence[Block] = (),
) -> list[Block]:
    """The report as blocks.

    Args:
        table: of `collect` or `read_table`.
        save: stores a figure under a name and returns its path relative to the report. With several grounds the
            names end with space and task.
        gaps: what could not be read, besides what `missing` finds.
        sources: what the table was read from.
        restored: what is shown of restored images.
    """
    found = grounds(table)
    blocks: list[Block] = [Heading("Results", 1)]
    if not found:
        blocks.append(Paragraph("No search and no retraining has reported yet."))
    for ground in found:
        blocks += [Heading(literal(ground.name)), Paragraph(_overview(ground))]
        blocks += [block for section in _BY_TABLE for block in section(ground, save)]
        blocks += _ground_blocks(ground, _with_suffix(save, ground) if len(found) > 1 else save)
    blocks += restored
    blocks += _failure_blocks(failed_trials(table))
    notes = (*gaps, *(note for ground in found for note in missing(ground)))
    if notes:
        blocks += [Heading("Missing or incomplete"), Bullets(notes)]
    blocks += [Heading("How it was made"), *origin(table, found, sources), *settings(found)]
    return blocks


def comparison_text(comparison: Comparison, metric: str, higher_is_better: bool) -> str:
    """One sentence: the difference, its interval, and whether it is more than noise."""
    other, names = literal(comparison.other), f"{literal(comparison.other)} against {literal(comparison.reference)}"
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
        verdict = f"{other} is {'better' if is_better else 'worse'}, by more than noise."
    else:
        verdict = "not more than noise explains."
        if min(comparison.counts) < _FEW:
            verdict = "not more than noise explains; so few values would show a large difference only."
    return f"{difference} ({interval}; p = {comparison.p_value:.2g}; {counts}): {verdict}"


def suffix(ground: Ground) -> str:
    """What the file names of a ground end with where there are several."""
    return f"_{file_part(ground.space)}_{file_part(ground.task)}"


def _with_suffix(save: Save, ground: Ground) -> Save:
    return lambda name, figure: save(f"{name}{suffix(ground)}", figure)


def _ground_blocks(ground: Ground, save: Save) -> list[Block]:
    blocks: list[Block] = [Heading("Methods", 3), _method_table(ground), *figures.children(ground, save)]
    blocks += [Heading("Is a difference more than noise?", 3), *_comparison_blocks(ground)]
    blocks += collapse.section(ground, save)
    went = figures.course(ground, save)
    if went:
        blocks += [Heading("How the searches went", 3), *went]
    blocks += _found_blocks(ground, save)
    blocks += [Heading("What was run", 3), Bullets(tuple(_facts(ground)))]
    blocks += [Heading("Every seed", 3), _seed_table(ground)]
    drawn = figures.distributions(ground, save)
    if drawn:
        blocks += [Heading("Probabilities of each search", 3), *drawn]
    return blocks


def _found_blocks(ground: Ground, save: Save) -> list[Block]:
    blocks: list[Block] = []
    lines = architecture_lines(ground)
    if lines:
        blocks += [Heading("Found architectures", 3), *figures.cells(ground, save), Code("\n".join(lines))]
    best = best_trial(ground, [trial for trials in ground.searches.values() for trial in trials])
    if best is not None:
        value = metric_text(ground.metric, best.number(ground.path_metric))
        chosen = (
            f"Chosen by the path {ground.metric} on the validation split, never by the test split: "
            f"{literal(best.last('label') or best.last('method') or 'unnamed')}, seed {best.last('seed')}, {value}."
        )
        blocks += [Heading("Best architecture", 3), Paragraph(chosen), Paragraph(code(architecture_text(best)))]
    return blocks


def _overview(ground: Ground) -> str:
    counts = []
    for one, several, groups in (
        ("search", "searches", ground.searches),
        ("retraining", "retrainings", ground.retrainings),
    ):
        if groups:
            count = sum(len(trials) for trials in groups.values())
            counts.append(f"{count} {one if count == 1 else several}")
    direction = "higher" if ground.higher_is_better else "lower"
    return f"{' and '.join(counts)}. Metric: {literal(ground.metric)} ({direction} is better)."


def _facts(ground: Ground) -> list[str]:
    facts = []
    for kind, groups in (("Search", ground.searches), ("Retraining", ground.retrainings)):
        for label, trials in groups.items():
            column = "seed" if kind == "Search" else "search_seed"
            seeds = ", ".join(distinct([trial.last(column) for trial in trials if trial.last(column) != -1]))
            epochs = " or ".join(distinct([trial.last("epochs") for trial in trials])) or "an unknown number of"
            found_by = f" {'seeds' if kind == 'Search' else 'found by seeds'} {seeds};" if seeds else ""
            count = f"{len(trials)} trial{'' if len(trials) == 1 else 's'}"
            facts.append(f"{kind}, {literal(label)}: {count};{found_by} {epochs} epochs.{_early(trials)}")
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


def _method_table(ground: Ground) -> Table:
    header = (
        "method",
        "seeds",
        f"path {ground.metric}, validation",
        f"test {ground.metric}, retrained",
        f"sampled {ground.metric}, validation",
        "parameters",
        "search time",
        "samples/s",
        "peak memory",
    )
    note = (
        "Mean ± half the 95 % interval by Student's t, over seeds for searches and over children for retraining "
        "(of a hand-made one, over its retrainings). "
        "Sampled: what the architecture steps of the last epoch ran, paths or a mixture; path: the most likely "
        "architecture, both with the shared weights. Time and rate: mean of a search; memory: largest."
    )
    return Table(header, _literal_rows(method_cells(ground, row) for row in method_rows(ground)), note)


def _seed_table(ground: Ground) -> Table:
    header = ("method", "seed", f"path {ground.metric}", f"test {ground.metric}", "parameters", "FLOPs", "time")
    return Table(header, _literal_rows(seed_rows(ground)))


def _comparison_blocks(ground: Ground) -> list[Block]:
    blocks: list[Block] = []
    titles = (
        (path_comparisons(ground), f"By path {ground.metric} on the validation split:"),
        (child_comparisons(ground), f"By test {ground.metric} of the retrained children:"),
    )
    for comparisons, title in titles:
        if comparisons:
            texts = (comparison_text(entry, ground.metric, ground.higher_is_better) for entry in comparisons)
            blocks += [Paragraph(title), Bullets(tuple(texts))]
    if not blocks:
        return [Paragraph("There is only one method, so there is nothing to compare.")]
    note = "Welch's test; p-values adjusted by Holm within each list; intervals are those of the single difference."
    return [*blocks, Paragraph(note)]


def _failure_blocks(failures: Sequence[FailedTrial]) -> list[Block]:
    if not failures:
        return []
    header = ("experiment", "trial", "method", "seed", "last epoch", "value", "good checkpoint", "error")
    rows = tuple(
        (
            literal(failure.experiment),
            literal(failure.trial),
            literal(failure.method or "—"),
            "—" if failure.seed is None else str(failure.seed),
            str(failure.epoch or failure.iteration),
            literal(last_good_value(failure)),
            literal(failure.checkpoint or "—"),
            code(failure.error),
        )
        for failure in failures
    )
    note = (
        "Last good state: the last epoch that was reported, its metric, and the newest checkpoint that is not damaged."
    )
    return [Heading("Failed trials"), Table(header, rows, note)]


def _literal_rows(rows: Iterable[Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(literal(cell) for cell in row) for row in rows)
