"""Figures of searches over epochs: loss and metric, and how the distribution settles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ray_asng.results.statistics import Floats
from ray_asng.results.style import INK, headline, method_colours, plain_axes
from ray_asng.results.trials import Ground, Groups, Trial, counted
from ray_asng.results.units import is_fraction, scale_of

_NOTE = "Thin: each seed. Thick: mean of the seeds. Band: one standard deviation around it."


def curves(ground: Ground) -> Figure:
    """Loss and metric of all searches: on training batches, on validation batches, and of the most likely path."""
    metric = ground.metric
    unit = " [%]" if is_fraction(metric) else ""
    colours = method_colours(ground.labels)
    figure = Figure(figsize=(11, 6), layout="constrained")
    grid = figure.subplots(2, 3)
    panels = {
        (0, 0): ("train_loss", "Loss, training batches"),
        (0, 1): ("valid_loss", "Loss, validation batches"),
        (1, 0): (f"train_{metric}", f"{metric.capitalize()}{unit}, training batches"),
        (1, 1): (f"valid_{metric}", f"{metric.capitalize()}{unit}, validation batches"),
        (1, 2): (ground.path_metric, f"{metric.capitalize()}{unit}, most likely path, validation split"),
    }
    for place, (column, title) in panels.items():
        plain_axes(grid[place], title, "epoch" if place[0] == 1 else "")
        scale = 1.0 if column.endswith("_loss") else scale_of(metric)
        draw_groups(grid[place], ground.searches, column, colours, scale)
    _legend(grid[0, 2], ground.searches, colours)
    headline(figure, f"Searches in {ground.space} on {ground.task}", _NOTE)
    return figure


def convergence(ground: Ground) -> Figure:
    """How decided the distributions are, and how much they lean to options without parameters."""
    colours = method_colours(ground.labels)
    figure = Figure(figsize=(12, 3.9), layout="constrained")
    grid = figure.subplots(1, 4, width_ratios=(3, 3, 3, 1.5))
    panels = (
        ("convergence", "Convergence: mean largest probability"),
        ("entropy", "Mean entropy of a decision [nat]"),
        ("parameter_free_share", "Share of parameter-free options"),
    )
    for axes, (column, title) in zip(grid, panels, strict=False):
        plain_axes(axes, title, "epoch")
        draw_groups(axes, ground.searches, column, colours)
    grid[0].set_ylim(top=1.02)
    grid[1].set_ylim(bottom=0)
    grid[2].set_ylim(-0.02, 1.02)
    _legend(grid[3], ground.searches, colours)
    headline(figure, f"How the searches settle: {ground.space} on {ground.task}", _NOTE)
    return figure


def draw_groups(axes: Axes, groups: Groups, column: str, colours: Mapping[str, str], scale: float = 1.0) -> None:
    """Draw a column of every trial as a thin line, with mean and band of every label."""
    drawn = False
    for label, trials in groups.items():
        for trial in trials:
            values = scale * trial.series(column)
            marker = "o" if np.isfinite(values).sum() == 1 else ""
            axes.plot(
                trial.epochs, values, color=colours[label], linewidth=0.8, alpha=0.45, marker=marker, markersize=4
            )
            drawn = drawn or bool(np.isfinite(values).any())
        _draw_mean(axes, counted(trials), column, colours[label], scale)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    if not drawn:
        axes.text(0.5, 0.5, "not reported", transform=axes.transAxes, ha="center", color=INK, fontsize=9)


def _draw_mean(axes: Axes, trials: Sequence[Trial], column: str, colour: str, scale: float) -> None:
    epochs, values = _aligned(trials, column)
    if not len(epochs):
        return
    mean = scale * values.mean(axis=0)
    axes.plot(epochs, mean, color=colour, linewidth=2.0, solid_capstyle="round")
    if len(values) > 1:
        deviation = scale * values.std(axis=0, ddof=1)
        axes.fill_between(epochs, mean - deviation, mean + deviation, color=colour, alpha=0.13, linewidth=0)


def _aligned(trials: Sequence[Trial], column: str) -> tuple[Floats, Floats]:
    """(E,) the epochs that all trials reported, and (n, E) their values."""
    if not trials:
        return np.empty(0), np.empty((0, 0))
    by_epoch = [dict(zip(trial.epochs.tolist(), trial.series(column).tolist(), strict=True)) for trial in trials]
    common = sorted(set.intersection(*(set(values) for values in by_epoch)))
    return np.array(common), np.array([[values[epoch] for epoch in common] for values in by_epoch])


def _legend(axes: Axes, groups: Groups, colours: Mapping[str, str]) -> None:
    axes.axis("off")
    handles = [Line2D([], [], color=colours[label], linewidth=2.5) for label in groups]
    labels = [f"{label}  ({len(trials)} seed{'s' * (len(trials) > 1)})" for label, trials in groups.items()]
    axes.legend(handles, labels, loc="center left", frameon=False, fontsize=10, labelcolor=INK)
