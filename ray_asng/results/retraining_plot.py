"""Figure of the retrained children: what each found architecture reaches on the test split."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ray_asng.results.curve_plots import draw_groups
from ray_asng.results.statistics import Estimate, mean_interval
from ray_asng.results.style import FAINT, INK, headline, method_colours, plain_axes
from ray_asng.results.trials import Ground, child_values
from ray_asng.results.units import estimate_text, is_fraction, scale_of


def retraining(ground: Ground) -> Figure:
    """Left: a dot for each child, mean and 95 % interval of each method. Right: the test metric over epochs."""
    unit = " [%]" if is_fraction(ground.metric) else ""
    colours = method_colours(ground.labels)
    labels = list(ground.retrainings)
    values = {label: list(child_values(ground.retrainings[label], ground.test_metric).values()) for label in labels}
    figure = Figure(figsize=(11, 1.9 + 0.75 * max(len(labels), 3)), layout="constrained")
    dots, history = figure.subplots(1, 2, width_ratios=(1.25, 1))
    plain_axes(dots, f"Test {ground.metric}{unit} of each child")
    for row, label in enumerate(labels):
        _draw_children(dots, row, values[label], ground.metric, colours[label])
    _name_rows(dots, labels)
    _limit(dots, [scale_of(ground.metric) * value for label in labels for value in values[label]])
    plain_axes(history, f"Test {ground.metric}{unit} in the second half of retraining", "epoch")
    draw_groups(history, ground.retrainings, ground.test_metric, colours, scale_of(ground.metric))
    _fit_second_half(history, ground)
    headline(
        figure,
        f"Retrained from scratch: {ground.space} on {ground.task}",
        "Dot: one found architecture. Diamond and bar: mean of the method and its 95 % interval, cut at the frame.",
    )
    return figure


def _draw_children(axes: Axes, row: int, values: list[float], metric: str, colour: str) -> None:
    scale = scale_of(metric)
    estimate = mean_interval(values)
    # Below the mean, in a fixed zigzag instead of noise: equal dots stay apart and the picture is reproducible.
    offsets = [0.2 + 0.08 * (index % 3) for index in range(len(values))] if estimate.count > 1 else [0.0]
    axes.scatter(
        [scale * value for value in values],
        [row + offset for offset in offsets],
        s=34,
        color=colour,
        alpha=0.65,
        linewidths=0,
        zorder=3,
    )
    if estimate.low is not None and estimate.high is not None:
        ends = (scale * estimate.low, scale * estimate.high)
        axes.plot(ends, (row, row), color=colour, linewidth=2.2, solid_capstyle="butt", zorder=2)
    if estimate.count > 1:
        axes.scatter([scale * estimate.mean], [row], marker="D", s=52, color=colour, edgecolor="white", zorder=4)
    _annotate(axes, row, estimate, metric)


def _annotate(axes: Axes, row: int, estimate: Estimate, metric: str) -> None:
    text = estimate_text(metric, estimate) if estimate.count else "no finite value"
    axes.annotate(
        text,
        (1.0, row - 0.3),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="center",
        fontsize=8.5,
        color=INK,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0},
        zorder=5,
    )


def _name_rows(axes: Axes, labels: list[str]) -> None:
    axes.set_yticks(range(len(labels)), [label.replace("_", " ") for label in labels], fontsize=9)
    axes.set_ylim(len(labels) - 0.5, -0.6)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color="#e6e6e6", linewidth=0.8)
    for row in range(len(labels) - 1):
        axes.axhline(row + 0.5, color=FAINT, linewidth=0.4, alpha=0.5)


def _fit_second_half(axes: Axes, ground: Ground) -> None:
    """Show the second half of the epochs only: the first ones would flatten what differs at the end."""
    trials = [trial for group in ground.retrainings.values() for trial in group]
    epochs = [trial.epochs[len(trial.rows) // 2 :] for trial in trials]
    first, last = min(half[0] for half in epochs), max(half[-1] for half in epochs)
    if first < last:
        axes.set_xlim(first - 0.02 * (last - first), last + 0.02 * (last - first))
    late = [trial.series(ground.test_metric)[len(trial.rows) // 2 :] for trial in trials]
    values = scale_of(ground.metric) * np.concatenate(late)
    finite = values[np.isfinite(values)]
    if len(finite) and np.ptp(finite) > 0:
        margin = 0.08 * float(np.ptp(finite))
        axes.set_ylim(finite.min() - margin, finite.max() + margin)


def _limit(axes: Axes, shown: list[float]) -> None:
    """Fit the axis to the dots: the interval of two values would squeeze them into one place."""
    finite = np.array([value for value in shown if np.isfinite(value)])
    if not len(finite):
        return
    margin = 0.35 * float(np.ptp(finite)) or 0.01 * abs(float(finite[0])) or 1.0
    axes.set_xlim(finite.min() - margin, finite.max() + margin)
