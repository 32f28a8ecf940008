"""Figure of one search: the probabilities of its options over the epochs, one panel a decision."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ray_asng.results.statistics import Floats
from ray_asng.results.style import INK, headline, option_colours, plain_axes
from ray_asng.results.trials import Ground, Trial

_COLUMNS = 3


def moves(trial: Trial) -> bool:
    """Whether the search reported probabilities that changed (random search has no more than a flat picture)."""
    reported = [row["probabilities"] for row in trial.rows if row.get("probabilities")]
    return bool(trial.last("decisions")) and any(probabilities != reported[0] for probabilities in reported)


def probabilities(ground: Ground, label: str, trial: Trial) -> Figure:
    """Lines by option in one panel for each decision; of a number, its mean with one standard deviation."""
    decisions = json.loads(trial.last("decisions"))
    rows = -(-len(decisions) // _COLUMNS)
    figure = Figure(figsize=(10.5, 1.3 + 2.1 * rows), layout="constrained")
    grid = figure.subplots(rows, _COLUMNS, squeeze=False, sharex=True)
    colours = option_colours(list(dict.fromkeys(option for entry in decisions for option in entry.get("options", ()))))
    for index, axes in enumerate(grid.flat):
        if index >= len(decisions):
            axes.axis("off")
            continue
        decision = decisions[index]
        is_lowest = index + _COLUMNS >= len(decisions)
        plain_axes(axes, str(decision["name"]), "epoch" if is_lowest else "")
        axes.tick_params(labelbottom=is_lowest, labelleft=index % _COLUMNS == 0 or "options" not in decision)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        epochs, values = _history(trial, index)
        if "options" in decision:
            _draw_options(axes, epochs, values, decision["options"], colours)
        else:
            _draw_number(axes, epochs, values, decision)
    _legend(figure, colours)
    headline(figure, f"Probabilities of {label}, seed {trial.last('seed')}: {ground.space} on {ground.task}")
    return figure


def _history(trial: Trial, index: int) -> tuple[Floats, Floats]:
    """(E,) epochs and (E, K) probabilities of one decision, of the reports that have them."""
    epochs = [epoch for epoch, row in zip(trial.epochs, trial.rows, strict=True) if row.get("probabilities")]
    values = [row["probabilities"][index] for row in trial.rows if row.get("probabilities")]
    return np.array(epochs), np.array(values, dtype=np.float64)


def _draw_options(axes: Axes, epochs: Floats, values: Floats, options: list[str], colours: Mapping[str, str]) -> None:
    for column, option in enumerate(options):
        is_chosen = column == int(np.argmax(values[-1]))
        axes.plot(
            epochs,
            values[:, column],
            color=colours[option],
            linewidth=2.6 if is_chosen else 1.4,
            alpha=1.0 if is_chosen else 0.8,
            zorder=3 if is_chosen else 2,
        )
    axes.set_ylim(-0.03, 1.03)


def _draw_number(axes: Axes, epochs: Floats, values: Floats, decision: Mapping[str, Any]) -> None:
    low, high = float(decision["low"]), float(decision["high"])
    if "step" in decision:
        numbers = low + float(decision["step"]) * np.arange(values.shape[1])
        mean = values @ numbers
        deviation = np.sqrt(np.maximum(values @ numbers**2 - mean**2, 0.0))
    else:
        mean, deviation = values[:, 0], values[:, 1]
    axes.plot(epochs, mean, color=INK, linewidth=2)
    axes.fill_between(epochs, mean - deviation, mean + deviation, color=INK, alpha=0.15, linewidth=0)
    margin = 0.03 * (high - low)
    axes.set_ylim(low - margin, high + margin)


def _legend(figure: Figure, colours: Mapping[str, str]) -> None:
    if colours:
        handles = [Line2D([], [], color=colour, linewidth=2.5) for colour in colours.values()]
        figure.legend(
            handles,
            list(colours),
            loc="outside lower center",
            ncols=min(len(colours), 6),
            frameon=False,
            fontsize=9,
            labelcolor=INK,
        )
