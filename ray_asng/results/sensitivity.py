"""How much each method depends on its settings: worst case, area and range of each sweep, and a panel for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from ray_asng.results.compared import dataset_name, datasets, first_reference, truth_column
from ray_asng.results.document import Block, Heading, Picture, Table
from ray_asng.results.inline import code, literal
from ray_asng.results.percent import percent
from ray_asng.results.style import FAINT, INK, file_part, headline, method_colours, plain_axes
from ray_asng.results.sweeps import Sweep, sweeps
from ray_asng.results.trials import Ground
from ray_asng.results.truth_axis import mark_reference, stretch_to_optimum

_COLUMNS = 5


def section(ground: Ground, save: Callable[[str, Figure], str]) -> list[Block]:
    """The sweeps of a ground; empty without any, or without a table."""
    found = datasets(ground)
    column = truth_column(found[0]) if found else ""
    swept = sweeps(ground, column) if found else []
    if not swept:
        return []
    name = dataset_name(found[0])
    path = save(f"sensitivity_{file_part(ground.space)}_{file_part(ground.task)}", small_multiples(ground))
    header = ("method", "setting", "values", "seeds", "default [%]", "worst [%]", "at", "area [%]", "range [points]")
    caption = f"True test accuracy on {name} against one setting at a time; {ground.name}"
    return [
        Heading("How much the methods depend on their settings", 3),
        Table(header, tuple(_row(sweep) for sweep in swept), _note(name)),
        Picture(path, caption),
    ]


def small_multiples(ground: Ground) -> Figure:
    """A panel for each sweep: mean true accuracy with its interval against the value."""
    dataset = datasets(ground)[0]
    column = truth_column(dataset)
    swept = sweeps(ground, column)
    places = _places(swept)
    rows, columns = (1 + max(place[axis] for place in places) for axis in (0, 1))
    colours = method_colours(list(dict.fromkeys(sweep.label for sweep in swept)))
    figure = Figure(figsize=(max(3.0 * columns, 7.0), 2.5 * rows + 1.0), layout="constrained")
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
    reference = first_reference(ground.searches, column)
    stretch_to_optimum(grid[0][0], reference, _lowest(swept))
    for axes in grid.flat:
        axes.axis("off")
    for sweep, place in zip(swept, places, strict=True):
        axes = grid[place]
        axes.axis("on")
        plain_axes(axes, sweep.label, sweep.key.removeprefix("method_options."))
        _draw(axes, sweep, colours[sweep.label])
        mark_reference(axes, reference)
        axes.tick_params(labelleft=place[1] == 0)
    title = f"True test accuracy on {dataset_name(dataset)} [%] against one setting at a time: {ground.name}"
    headline(figure, title, "Mean over seeds with its 95 % bootstrap interval. Dotted: the method's own settings.")
    return figure


def _row(sweep: Sweep) -> tuple[str, ...]:
    counts = sorted({estimate.count for estimate in sweep.estimates})
    means = sweep.means
    known = means[np.isfinite(means)]
    worst = sweep.values[int(np.nanargmin(means))] if len(known) else ""
    return (
        literal(sweep.label),
        code(sweep.key),
        literal(", ".join(sweep.values)),
        "–".join(map(str, dict.fromkeys((counts[0], counts[-1])))),
        percent(sweep.default.mean),
        percent(float(known.min())) if len(known) else "—",
        literal(worst) or "—",
        percent(sweep.area),
        percent(float(np.ptp(known))) if len(known) else "—",
    )


def _note(name: str) -> str:
    return (
        f"Mean true test accuracy on {name} over seeds, one setting varied and the others left as they are. Worst: the "
        "lowest of the means over the values. Area: the mean over the range of the values, of their logarithms where "
        "they span a decade, by trapezoids. Range: best less worst. Methods whose values were not spread equally wide "
        "cannot be compared by these numbers."
    )


def _places(swept: Sequence[Sweep]) -> list[tuple[int, int]]:
    """Row and column of each panel: every method begins a row."""
    places: list[tuple[int, int]] = []
    for sweep, before in zip(swept, (None, *swept), strict=False):
        row, column = places[-1] if places else (-1, 0)
        is_same = before is not None and before.label == sweep.label
        places.append((row, column + 1) if is_same and column + 1 < _COLUMNS else (row + 1, 0))
    return places


def _lowest(swept: Sequence[Sweep]) -> float:
    """The smallest mean or end of an interval, in percent."""
    ends = [end for sweep in swept for each in sweep.estimates for end in (each.mean, each.low) if end is not None]
    return 100.0 * min((end for end in ends if np.isfinite(end)), default=1.0)


def _draw(axes: Axes, sweep: Sweep, colour: str) -> None:
    numbers = sweep.numbers
    places = np.arange(len(sweep.values), dtype=np.float64) if numbers is None else numbers
    if sweep.is_logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
    means = 100.0 * sweep.means
    axes.plot(places, means, color=colour, linewidth=1.6, marker="o", markersize=4)
    for place, estimate in zip(places, sweep.estimates, strict=True):
        if estimate.low is not None and estimate.high is not None:
            axes.plot([place, place], [100.0 * estimate.low, 100.0 * estimate.high], color=colour, linewidth=1.1)
    if sweep.default.count:
        axes.axhline(100.0 * sweep.default.mean, color=INK, linewidth=1.0, linestyle=":", zorder=1)
    if sweep.default_value in sweep.values:
        at = places[sweep.values.index(sweep.default_value)]
        axes.axvline(at, color=FAINT, linewidth=1.0, linestyle=":", zorder=1)
    axes.set_xticks(places, sweep.values, rotation=0 if len("".join(sweep.values)) < 24 else 30)
