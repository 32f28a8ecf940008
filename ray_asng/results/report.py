"""From results.parquet alone to summary.md, the figures and best_architecture.json."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from matplotlib.figure import Figure

from ray_asng.results.architecture_graph import architecture_figure
from ray_asng.results.curve_plots import convergence, curves
from ray_asng.results.probability_plot import moves, probabilities
from ray_asng.results.retraining_plot import retraining
from ray_asng.results.store import read_table, write_text
from ray_asng.results.style import file_part, save
from ray_asng.results.summary import missing, summary
from ray_asng.results.tables import terminal_table
from ray_asng.results.trials import Study, Trial, best_trial, studies
from ray_asng.results.units import metric_text


@dataclass(frozen=True, slots=True)
class Report:
    """What was written, and what could not be.

    Attributes:
        summary: the Markdown file.
        figures: the PNG files.
        best_architectures: a JSON file for each study that has a search; one if there is one study.
        missing: what a reader would expect and does not find, a sentence each.
        table: the short text table for a terminal.
    """

    summary: Path
    figures: tuple[Path, ...]
    best_architectures: tuple[Path, ...]
    missing: tuple[str, ...]
    table: str


def write_report(folder: Path) -> Report:
    """Write summary.md, figures/ and best_architecture.json beside results.parquet.

    With several studies (spaces or tasks) the names of their files end with space and task.

    Raises:
        FileNotFoundError: the folder has no results.parquet.
        ValueError: results.parquet cannot be read by this version.
    """
    table = read_table(folder)
    found = studies(table)
    figures: list[Path] = []
    best: list[Path] = []
    gaps: list[str] = []
    for study in found:
        suffix = f"_{file_part(study.space)}_{file_part(study.task)}" if len(found) > 1 else ""
        for name, figure in history_figures(study):
            figures.append(save(figure, folder / "figures" / f"{name}{suffix}.png"))
        drawn, undrawn = architecture_figures(study)
        figures += [save(figure, folder / "figures" / f"{name}{suffix}.png") for name, figure in drawn]
        gaps += undrawn
        chosen = best_trial(study, [trial for trials in study.searches.values() for trial in trials])
        if chosen is not None:
            path = folder / f"best_architecture{suffix}.json"
            write_text(path, _best_json(study, chosen))
            best.append(path)
    text = summary(table, [path.relative_to(folder).as_posix() for path in figures], gaps)
    write_text(folder / "summary.md", text)
    notes = (*(note for study in found for note in missing(study)), *gaps)
    return Report(folder / "summary.md", tuple(figures), tuple(best), notes, terminal_table(table))


def best_search(table: pa.Table) -> Trial:
    """The search with the best path metric on the validation split; the test split has no say.

    Finished searches come first. `last("architecture")` of the result is what it found.

    Raises:
        ValueError: no search with a finite path metric, or several studies, whose metrics do not compare.
    """
    found = [study for study in studies(table) if study.searches]
    if len(found) > 1:
        names = [f"{study.space} on {study.task}" for study in found]
        raise ValueError(f"the best of several studies is not defined: {names}; keep the rows of one space and task")
    trials = [trial for study in found for group in study.searches.values() for trial in group]
    best = best_trial(found[0], trials) if found else None
    if best is None:
        raise ValueError("no search in these results has reported a finite path metric; finish a search first")
    return best


def history_figures(study: Study) -> Iterator[tuple[str, Figure]]:
    """Name and figure of all that changes over epochs, and of the retrained children."""
    if study.searches:
        yield "curves", curves(study)
        yield "convergence", convergence(study)
    for label, trials in study.searches.items():
        for trial in trials:
            if moves(trial):
                yield f"probabilities_{file_part(label)}_seed{trial.last('seed')}", probabilities(study, label, trial)
    if study.retrainings:
        yield "retraining", retraining(study)


def architecture_figures(study: Study) -> tuple[list[tuple[str, Figure]], list[str]]:
    """Drawings of the best found architecture of each label, and a sentence for each that cannot be drawn."""
    drawn, undrawn = [], []
    for label, trials in study.searches.items():
        best = best_trial(study, trials)
        graph = best.last("architecture_graph") if best else ""
        if best is None or not graph:
            undrawn.append(f"{study.space} on {study.task}: no drawing of what {label} found: no graph was reported.")
            continue
        value = metric_text(study.metric, best.number(study.path_metric))
        title = f"Found by {label}, seed {best.last('seed')}: {study.space} on {study.task}"
        note = f"Path {study.metric} {value} on the validation split, the best of {len(trials)} seed(s)."
        try:
            figure = architecture_figure(graph, title, note, _options(best))
        except ValueError as error:
            undrawn.append(f"{study.space} on {study.task}: no drawing of what {label} found: {error}.")
            continue
        drawn.append((f"architecture_{file_part(label)}", figure))
    return drawn, undrawn


def _options(trial: Trial) -> list[str]:
    decisions = json.loads(trial.last("decisions") or "[]")
    return list(dict.fromkeys(option for decision in decisions for option in decision.get("options", ())))


def _best_json(study: Study, best: Trial) -> str:
    found = {
        "architecture": json.loads(best.last("architecture") or "{}"),
        "text": best.last("architecture_text"),
        "method": best.last("method"),
        "seed": best.last("seed"),
        "space": study.space,
        "task": study.task,
        study.path_metric: best.number(study.path_metric),
    }
    return json.dumps(found, indent=2) + "\n"
