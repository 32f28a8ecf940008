"""How much the first step matters on the toy: iterations of ASNG, SNG and Adam to solve the selective squared error.

The toy of the paper (`ray_asng.supernets.toy`): 30 decisions of 5 options (n_theta = 120 free parameters), weights x
trained by SGD at a rate eta_x that falls to 0 along a cosine, and noise. An iteration draws two architectures for a
weight step and two for a step of the distribution. A run is solved when one of the four has a loss without noise of
1 / 5 or less, and has failed if that took more than 100 000 iterations.

ASNG begins with steps of length n_theta^-f and adapts them; SNG keeps them; Adam takes n_theta^-f as its learning rate
and walks along the same natural gradient of Fisher length 1. The seed of a run fixes the first weights and the noise,
so settings are compared on equal seeds; the intervals are percentiles of 10 000 resamples of the seeds, drawn for all
settings at once. At eta_x = 0.05 the noise keeps the weights off their optimum for long, so runs of one seed often end
at the same iteration, when the noise happens to leave them near it: the step matters less there than at 0.005. A median
that a failed run takes part in is a lower bound, and so is a ratio over it. Runs are kept in `runs.parquet` and made
once; an interrupted benchmark goes on from there.

    python benchmarks/toy_sensitivity.py --output toy_sensitivity --processes 2
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator
from report import leave, machine, table
from toy_runs import EXPONENTS, METHODS, KeptRuns, Run, Setting, first_steps

from ray_asng.results.style import headline, method_colours, plain_axes, save
from ray_asng.space import Floats

RATES = (0.05, 0.005)
# Method, eta_x, what its worst median over its best shall be.
EXPECTED = (("asng", 0.005, "at most", 2.5), ("sng", 0.005, "over", 5.0))
LENGTH, OPTIONS, LIMIT = 30, 5, 100_000
SMOKE_LENGTH, SMOKE_OPTIONS, SMOKE_LIMIT = 8, 3, 1_000
RESAMPLES = 10_000
MARKERS = ("o", "s", "^")


class Iterations(NamedTuple):
    """Runs of one method at one eta_x. E first steps, S seeds.

    Attributes:
        reached: (E, S) iterations, infinite where the run failed.
        limit: most iterations.
    """

    reached: Floats
    limit: int

    @property
    def failures(self) -> list[int]:
        """Of each first step, how many runs were not solved."""
        return [int(count) for count in np.isinf(self.reached).sum(axis=1)]

    def quartiles(self) -> Floats:
        """(E, 3) quartiles of iterations; failed runs count as infinite and quartiles end at the limit."""
        return np.minimum(quantiles(self.reached, (0.25, 0.5, 0.75)).T, self.limit)


def quantiles(values: Floats, shares: Sequence[float]) -> Floats:
    """(Q, ...) quantiles of (..., S) values that may be infinite, interpolated; infinite if such a one takes part."""
    ordered = np.sort(values, axis=-1)
    places = np.asarray(shares) * (values.shape[-1] - 1)
    low = np.moveaxis(ordered[..., np.floor(places).astype(int)], -1, 0)
    high = np.moveaxis(ordered[..., np.ceil(places).astype(int)], -1, 0)
    part = (places % 1.0).reshape(-1, *[1] * (values.ndim - 1))
    with np.errstate(invalid="ignore"):
        between = low + part * (high - low)
    return np.where(np.isfinite(high), between, np.where(part > 0.0, np.inf, low))


class Ratio(NamedTuple):
    """The worst median of iterations over the best, with its 95 % bootstrap interval; a bound ends at the limit."""

    value: float
    low: float
    high: float
    is_bound: bool

    def __str__(self) -> str:
        return f"{'at least ' * self.is_bound}{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def worst_over_best(iterations: Iterations) -> Ratio:
    """See `Ratio`. A median at the limit counts as the limit: the true ratio is larger."""
    count = iterations.reached.shape[1]
    drawn = np.random.default_rng(0).integers(0, count, (RESAMPLES, count))
    resampled = np.moveaxis(iterations.reached[:, drawn], 1, 0)
    whole = np.median(iterations.reached, axis=1)
    medians = np.minimum(np.median(resampled, axis=2), iterations.limit)
    ratios = medians.max(axis=1) / medians.min(axis=1)
    bounded = np.minimum(whole, iterations.limit)
    low, high = np.quantile(ratios, (0.025, 0.975)).tolist()
    return Ratio(float(bounded.max() / bounded.min()), low, high, bool(np.isinf(whole).any()))


def gather(runs: Mapping[Setting, Run], settings: Sequence[Setting]) -> dict[tuple[str, float], Iterations]:
    """(Method, eta_x) -> its runs, first steps and seeds in their order."""
    found: dict[tuple[str, float], dict[float, list[float]]] = {}
    for setting in settings:
        run = runs[setting]
        row = found.setdefault((setting.method, setting.rate), {}).setdefault(setting.exponent, [])
        row.append(run.iterations if run.is_solved else np.inf)
    limit = settings[0].limit
    return {key: Iterations(np.array(list(rows.values())), limit) for key, rows in found.items()}


def median_table(found: Mapping[tuple[str, float], Iterations], steps: Mapping[float, float]) -> str:
    """Quartiles and failures of every setting."""
    columns = ["eta_x", "f", "first step", *METHODS]
    rows = []
    for rate in RATES:
        for place, (exponent, step) in enumerate(steps.items()):
            cells = [_cell(found[method, rate], place) for method in METHODS]
            rows.append([rate, exponent, f"{step:.4f}", *cells])
    return table(columns, rows)


def _cell(iterations: Iterations, place: int) -> str:
    count, failures = iterations.reached.shape[1], iterations.failures[place]
    low, middle, high = (f"{value:.0f}" if np.isfinite(value) else "—" for value in _raw(iterations, place))
    return f"{middle} ({low} to {high})" + f"; {failures} of {count} failed" * bool(failures)


def _raw(iterations: Iterations, place: int) -> list[float]:
    found: list[float] = quantiles(iterations.reached[place], (0.25, 0.5, 0.75)).tolist()
    return found


def ratio_table(ratios: Mapping[tuple[str, float], Ratio]) -> str:
    """Worst over best of every method and eta_x."""
    rows = [[method, *(str(ratios[method, rate]) for rate in RATES)] for method in METHODS]
    return table(["worst median / best median", *(f"eta_x {rate}" for rate in RATES)], rows)


def verdict_table(ratios: Mapping[tuple[str, float], Ratio]) -> str:
    """What was to be shown, and whether the runs show it."""
    rows = []
    for method, rate, relation, bound in EXPECTED:
        ratio = ratios[method, rate]
        holds, low, high = ((value <= bound) is (relation == "at most") for value in ratio[:3])
        answer = "yes" if holds else "no"
        where = "the whole interval" if low and high else "not the whole interval"
        rows.append([f"{method} at eta_x {rate}", f"{relation} {bound}", str(ratio), answer, where])
    return table(["ratio", "expected", "found", "holds", "on the expected side"], rows)


def draw(found: Mapping[tuple[str, float], Iterations], steps: Mapping[float, float]) -> Figure:
    """Medians and quartiles of iterations against the first step, a panel for each eta_x."""
    figure = Figure(figsize=(9.0, 4.4), layout="constrained")
    colours = method_colours(list(METHODS))
    panels = figure.subplots(1, len(RATES), sharey=True)
    for axes, rate in zip(panels, RATES, strict=True):
        plain_axes(axes, f"weights at eta_x = {rate}", "first step, n_theta^-f")
        for turn, method in enumerate(METHODS):
            _draw_method(axes, found[method, rate], list(steps.values()), colours[method], turn)
        limit = found["asng", rate].limit  # the same at both rates
        axes.axhline(limit, color="#bfbfbf", linewidth=0.8, linestyle=":")
        axes.set(xscale="log", yscale="log")
        axes.set_xticks(list(steps.values()), [f"{step:.2g}\nf = {exponent:g}" for exponent, step in steps.items()])
        axes.xaxis.set_minor_locator(NullLocator())
    # Room for the counts of failed runs. Not before all is drawn: it fixes the lower end of both panels too.
    panels[0].set_ylim(top=3.5 * limit)
    panels[0].set_ylabel("iterations until solved", fontsize=9)
    handles = [
        Line2D([], [], color=colours[method], marker=marker, linewidth=2.0)
        for method, marker in zip(METHODS, MARKERS, strict=True)
    ]
    figure.legend(handles, list(METHODS), frameon=False, fontsize=9, loc="outside right upper")
    note = (
        "Lines: medians over seeds. Bands: quartiles. Crosses on the dotted line, the limit: runs that were not solved "
        "by then, with their number; medians and quartiles that they take part in are drawn at the limit."
    )
    headline(figure, "How much the first step matters on the toy", note)
    return figure


def _draw_method(axes: Axes, iterations: Iterations, steps: Sequence[float], colour: str, turn: int) -> None:
    low, middle, high = iterations.quartiles().T
    axes.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.plot(steps, middle, color=colour, marker=MARKERS[turn], markersize=5, linewidth=2.0)
    for step, failures in zip(steps, iterations.failures, strict=True):
        if failures:
            axes.plot([step], [iterations.limit], color=colour, marker="x", markersize=9, linestyle="")
            offset = (0, 7 + 10 * turn)
            place = (step, iterations.limit)
            axes.annotate(
                str(failures), place, offset, textcoords="offset points", ha="center", fontsize=8, color=colour
            )


def plan(seeds: int, *, smoke: bool) -> list[Setting]:
    """All runs, one seed after the other, so that what is done early covers all settings."""
    length, options, limit = (SMOKE_LENGTH, SMOKE_OPTIONS, SMOKE_LIMIT) if smoke else (LENGTH, OPTIONS, LIMIT)
    return [
        Setting(method, rate, exponent, seed, length, options, limit)
        for seed in range(seeds)
        for rate in RATES
        for method in METHODS
        for exponent in EXPONENTS
    ]


@click.command()
@click.option("--output", type=click.Path(path_type=Path), default=Path("toy_sensitivity"), show_default=True)
@click.option("--seeds", type=click.IntRange(2), default=20, show_default=True, help="Of every setting.")
@click.option("--processes", type=click.IntRange(1), default=1, show_default=True, help="That run at a time.")
@click.option("--smoke", is_flag=True, help="Two seeds of a small toy.")
def main(output: Path, seeds: int, processes: int, smoke: bool) -> None:
    """Compare how ASNG, SNG and Adam depend on their first step."""
    where = machine()
    settings = plan(2 if smoke else seeds, smoke=smoke)
    kept = KeptRuns(output / "runs.parquet")
    kept.complete(settings, processes)
    found = gather(kept.runs, settings)
    ratios = {key: worst_over_best(iterations) for key, iterations in found.items()}
    steps = first_steps(settings[0].length, settings[0].options)
    picture = save(draw(found, steps), output / "toy_sensitivity" / "iterations.png")
    seconds = sum(kept.runs[setting].seconds for setting in settings)
    used: dict[str, Any] = {"seeds": len(settings) // len(found) // len(steps), "limit": settings[0].limit}
    blocks = [
        verdict_table(ratios),
        ratio_table(ratios),
        f"![Iterations until solved against the first step]({picture.relative_to(output).as_posix()})",
        "Median (quartiles) of iterations until solved; a dash where failed runs take part in it:",
        median_table(found, steps),
        f"All runs together took {seconds / 60:.0f} minutes of one process.",
    ]
    shown = leave(
        output,
        "toy_sensitivity",
        "Sensitivity to the first step on the toy",
        about=__doc__ or "",
        tables=blocks,
        settings=used | where,
        numbers={"rows": [asdict(kept.runs[setting]) for setting in settings]},
    )
    click.echo(shown)


if __name__ == "__main__":
    main()
