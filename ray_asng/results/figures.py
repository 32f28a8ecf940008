"""The figures of a ground as blocks of its report: how searches went, what they found, what children reach.

There are never more of a kind than can be looked at; what is left out is said where it would stand.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TypeAlias

from matplotlib.figure import Figure

from ray_asng.results.architecture_graph import architecture_figure, read_graph
from ray_asng.results.curve_plots import convergence, curves
from ray_asng.results.document import Block, Paragraph, Picture
from ray_asng.results.inline import literal
from ray_asng.results.probability_plot import moves, probabilities
from ray_asng.results.retraining_plot import retraining
from ray_asng.results.style import file_part
from ray_asng.results.trials import Ground, Trial, best_trial
from ray_asng.results.units import metric_text

Save: TypeAlias = Callable[[str, Figure], str]
"""Stores a figure under a name and returns its path relative to the report's folder."""

MOST_METHODS = 12
"""Of more methods, curves over epochs and found cells are drawn for the first ones only: colours run out."""

MOST_SEARCHES = 12
"""Of more searches, probabilities are drawn for the first seeds of every method only."""


def course(ground: Ground, save: Save) -> list[Block]:
    """Losses, metrics and the state of the distributions over epochs."""
    drawn, notes = _few_methods(ground)
    if not drawn.searches:
        return []
    return [
        Picture(save("curves", curves(drawn)), f"Loss and {ground.metric} over epochs"),
        Picture(save("convergence", convergence(drawn)), "How decided the distributions are over epochs"),
        *notes,
    ]


def children(ground: Ground, save: Save) -> list[Block]:
    """What the retrained children reach on the test split."""
    if not ground.retrainings:
        return []
    return [Picture(save("retraining", retraining(ground)), f"Test {ground.metric} of the retrained children")]


def cells(ground: Ground, save: Save) -> list[Block]:
    """A drawing of the best found architecture of each label that can be drawn."""
    drawn, notes = _few_methods(ground)
    pictures = [
        Picture(save(f"architecture_{file_part(label)}", _cell(ground, label, best)), f"Found by {label}")
        for label, best, problem in _best_graphs(drawn)
        if best is not None and not problem
    ]
    return [*pictures, *notes] if pictures else []


def undrawn(ground: Ground) -> list[str]:
    """A sentence for each label whose best found architecture cannot be drawn."""
    return [
        f"{literal(ground.name)}: no drawing of what {literal(label)} found: {literal(problem)}."
        for label, _, problem in _best_graphs(ground)
        if problem
    ]


def distributions(ground: Ground, save: Save) -> list[Block]:
    """The probabilities of the searches over epochs, a figure each."""
    moving = [(label, trial) for label, trial in _seed_by_seed(ground) if moves(trial)]
    order = list(ground.searches)
    shown = sorted(moving[:MOST_SEARCHES], key=lambda pair: order.index(pair[0]))
    blocks: list[Block] = [
        Picture(
            save(f"probabilities_{file_part(label)}_seed{trial.last('seed')}", probabilities(ground, label, trial)),
            f"Probabilities of {label}, seed {trial.last('seed')}, over epochs",
            is_detail=True,
        )
        for label, trial in shown
    ]
    if len(moving) > len(shown):
        blocks.append(Paragraph(f"Drawn for {len(shown)} of {len(moving)} searches: the first seeds of each method."))
    return blocks


def _few_methods(ground: Ground) -> tuple[Ground, list[Block]]:
    """The ground with the methods that are drawn, and what to say of the others."""
    kept = ground.without_sweeps()
    labels = list(kept.searches)[:MOST_METHODS]
    if len(labels) == len(ground.searches):
        return ground, []
    drawn = kept.only(labels)
    what = "those that no sweep changed" if len(labels) == len(kept.searches) else "the first ones"
    return drawn, [Paragraph(f"Drawn for {len(labels)} of {len(ground.searches)} rows of the table: {what}.")]


def _seed_by_seed(ground: Ground) -> list[tuple[str, Trial]]:
    """Label and trial: the first seed of every label, then the second of every label, ..."""
    ranked = [
        (place, label, trial)
        for label, trials in ground.without_sweeps().searches.items()
        for place, trial in enumerate(trials)
    ]
    return [(label, trial) for _, label, trial in sorted(ranked, key=lambda entry: entry[0])]


def _best_graphs(ground: Ground) -> list[tuple[str, Trial | None, str]]:
    """Label, its best trial, and why that one cannot be drawn (empty if it can)."""
    found = []
    for label, trials in ground.without_sweeps().searches.items():
        best = best_trial(ground, trials)
        found.append((label, best, _problem(best.last("architecture_graph") if best else "")))
    return found


def _problem(graph: str | None) -> str:
    if not graph:
        return "no graph was reported"
    try:
        read_graph(graph)
    except ValueError as error:
        return str(error)
    return ""


def _cell(ground: Ground, label: str, best: Trial) -> Figure:
    value = metric_text(ground.metric, best.number(ground.path_metric))
    title = f"Found by {label}, seed {best.last('seed')}: {ground.name}"
    note = f"Path {ground.metric} {value} on the validation split, the best of {len(ground.searches[label])} seed(s)."
    return architecture_figure(best.last("architecture_graph"), title, note, _options(best))


def _options(trial: Trial) -> Sequence[str]:
    decisions = json.loads(trial.last("decisions") or "[]")
    return list(dict.fromkeys(option for decision in decisions for option in decision.get("options", ())))
