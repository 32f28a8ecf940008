"""Accuracy against what was spent: by steps, by passes and by seconds, and what equal seconds would change."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, MaxNLocator

from ray_asng.results.anytime import CLOCKS, common_end, curve, state_at
from ray_asng.results.compared import dataset_name, datasets, first_reference, own_settings, truth_column
from ray_asng.results.document import Block, Heading, Paragraph, Picture, Table
from ray_asng.results.inline import literal
from ray_asng.results.percent import percent, points
from ray_asng.results.statistics import mean_interval
from ray_asng.results.style import INK, file_part, headline, legend_columns, method_colours, plain_axes
from ray_asng.results.trials import Ground, Groups, Trial, counted
from ray_asng.results.truth_axis import mark_reference, stretch_to_optimum
from ray_asng.results.units import is_fraction, scale_of, seconds_text

_AXES = {"steps": "weight steps", "passes": "forward + backward passes", "seconds": "seconds"}


def section(ground: Ground, save: Callable[[str, Figure], str]) -> list[Block]:
    """The anytime curves of a ground, and its methods at equal seconds; empty without a table."""
    groups, found = own_settings(ground), datasets(ground)
    if not groups or not found:
        return []
    path = save(f"anytime_{file_part(ground.space)}_{file_part(ground.task)}", anytime(ground))
    name = dataset_name(found[0])
    caption = (
        f"True test accuracy on {name} of the architecture that a search held most likely at the time, and the metric "
        f"of its path on the validation split, against what had been spent; {ground.name}"
    )
    text = (
        "Lines: median over seeds; bands: the middle half of the seeds; dots: where a method ended. The last report "
        "holds what a method chose at its end, which may differ from what was most likely before."
    )
    blocks: list[Block] = [Heading("What was reached at which cost", 3), Picture(path, caption), Paragraph(text)]
    return blocks + _equal_seconds(groups, found[0])


def anytime(ground: Ground) -> Figure:
    """Above the true accuracy of the present architecture, below the path metric; a column for each kind of cost."""
    groups = {label: counted(trials) for label, trials in own_settings(ground).items()}
    dataset = datasets(ground)[0]
    colours = method_colours(ground.labels)
    figure = Figure(figsize=(13, 7.4), layout="constrained")
    grid = figure.subplots(2, len(CLOCKS), sharex="col", sharey="row")
    path_unit = " [%]" if is_fraction(ground.metric) else ""
    rows = (
        (truth_column(dataset), f"True test accuracy on {dataset_name(dataset)} [%]", 100.0),
        (ground.path_metric, f"Path {ground.metric}, validation split{path_unit}", scale_of(ground.metric)),
    )
    for row, (column, title, scale) in enumerate(rows):
        for axes, clock in zip(grid[row], CLOCKS, strict=True):
            plain_axes(axes, title if clock == "steps" else "", _AXES[clock] if row else "")
            axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))
            for label, trials in groups.items():
                _draw(axes, trials, column, clock, colours[label], scale)
    _finish_truth(list(grid[0]), groups, truth_column(dataset))
    handles = [Line2D([], [], color=colours[label], linewidth=2.5) for label in groups]
    names = [f"{label} ({len(trials)})" for label, trials in groups.items()]
    columns = legend_columns(names, figure.get_figwidth())
    figure.legend(handles, names, loc="outside lower center", ncols=columns, frameon=False, labelcolor=INK)
    headline(figure, f"What was reached at which cost: {ground.name}")
    return figure


def _draw(axes: Axes, trials: list[Trial], column: str, clock: str, colour: str, scale: float) -> None:
    found = curve(trials, column, clock)
    if not len(found.cost):
        return
    low, median, high = scale * found.low, scale * found.median, scale * found.high
    # What a search holds most likely stays so until its next report.
    axes.plot(found.cost, median, color=colour, linewidth=1.6, drawstyle="steps-post")
    axes.plot(found.cost[-1:], median[-1:], color=colour, marker="o", markersize=4.5, zorder=3)
    if len(trials) > 1:
        axes.fill_between(found.cost, low, high, step="post", color=colour, alpha=0.1, linewidth=0)


def _finish_truth(panels: list[Axes], groups: Mapping[str, list[Trial]], column: str) -> None:
    """Scale and reference lines of the panels of true accuracies, which share their vertical axis."""
    reference = first_reference(groups, column)
    lowest = min((float(np.min(line.get_ydata())) for line in panels[0].lines), default=100.0)
    stretch_to_optimum(panels[0], reference, lowest)
    for axes in panels:
        mark_reference(axes, reference)


def _equal_seconds(groups: Groups, dataset: str) -> list[Block]:
    """Every method at the largest number of seconds that all reached."""
    column = truth_column(dataset)
    runs = {label: counted(trials) for label, trials in groups.items()}
    ends = {label: common_end(trials, "seconds") for label, trials in runs.items()}
    limit = common_end([trial for trials in runs.values() for trial in trials], "seconds")
    if np.isnan(limit):
        return []
    rows = []
    for label, trials in runs.items():
        early = [float(state_at(trial, column, "seconds", np.array([limit]))[0]) for trial in trials]
        then, last = mean_interval(early), mean_interval([trial.number(column) for trial in trials])
        is_whole = then.count == last.count
        rows.append(
            (
                literal(label),
                str(then.count),
                seconds_text(ends[label]),
                percent(then.mean),
                percent(last.mean),
                points(then.mean - last.mean) if is_whole else "—",
            )
        )
    at = f"mean at {seconds_text(limit)} [%]"
    header = ("method", "seeds", "seconds that all its seeds reached", at, "mean at the end [%]", "change [points]")
    note = (
        f"{seconds_text(limit)} is the longest time that every search reached. Up to then each had followed the "
        "learning rates of its whole length, so a search planned for that time might do better. Seconds hold for the "
        "machine, and for what ran beside the search."
    )
    name = dataset_name(dataset)
    return [
        Heading(f"What equal seconds would change: true test accuracy on {name}", 4),
        Table(header, tuple(rows), note),
    ]
