"""Search of tables and functions by few evaluations: ASNGSearch against random search, evolution, CatCMA and TPE.

Methods ask and are told directly, without Tune's processes. All search the same problem under a seed, and every one has
one set of settings for all problems. A value is the true one of what had the lowest loss so far (test accuracy, or the
loss without noise); intervals are 95 % bootstrap intervals of means over seeds. Differences are those of runs of one
seed; their p-values, of a paired t test and of ranks over all runs, are adjusted by Holm's method for the methods
compared on a problem. Ranks are 1 for the best of a seed, in the mean over the seeds that all methods have, then over
problems, with an interval over problems. A method with several trials out at a time is told what has come back, which
is what counts as its evaluations; a trial then takes its simulated seconds times a log-normal factor. Where a method
has fewer long runs than short ones, tables have the numbers of both, and curves end with the short ones.

Runs are kept in `runs.parquet` in the output folder: the same command goes on where it was interrupted, and more seeds,
methods or problems are added to what is there.

    python benchmarks/tabular_search.py --output tabular_search --processes 2
    python benchmarks/tabular_search.py --output tabular_search --ablate
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter
from report import leave, machine, table
from samplers import ABLATIONS, METHODS, OURS, Method
from search_panel import DURATION_DEVIATION, PANEL, Entry, KeptRuns, Task, check, points

from ray_asng.results.paired import PairedComparison, compare_paired, mean_ranks
from ray_asng.results.statistics import Estimate, bootstrap_interval
from ray_asng.results.style import headline, method_colours, plain_axes, save

SMOKE_PROBLEMS = ("leading-ones", "sphere-com")
SMOKE_EVALUATIONS = 25
COMPARED_AT = (400, 200, 50)

# Column -> how the reference stands to another method.
STANDINGS = ("ahead of", "not told apart from", "behind")


def reached(kept: KeptRuns, methods: Sequence[str], problem: str, evaluations: int) -> dict[str, dict[int, float]]:
    """Method -> seed -> true value after so many evaluations, for the runs that are so long."""
    return {
        method: {
            seed: run.after(evaluations)
            for seed, run in kept.of(method, problem).items()
            if run.evaluations >= evaluations
        }
        for method in methods
    }


def shortest(kept: KeptRuns, methods: Sequence[str], problem: str) -> int:
    """Up to how many evaluations all runs of these methods go."""
    return min(run.evaluations for method in methods for run in kept.of(method, problem).values())


def goodness(entry: Entry, values: Mapping[str, Mapping[int, float]]) -> dict[str, dict[int, float]]:
    """The values, turned so that more is better."""
    sign = 1.0 if entry.is_accuracy else -1.0
    return {method: {seed: sign * value for seed, value in row.items()} for method, row in values.items()}


def words(entry: Entry, mean: Estimate) -> str:
    """A mean with its interval."""
    digits = 2 if entry.is_accuracy else 4
    interval = "" if mean.low is None else f" ({mean.low:.{digits}f} to {mean.high:.{digits}f})"
    return f"{mean.mean:.{digits}f}{interval}"


def values_table(kept: KeptRuns, methods: Sequence[str], problem: str, evaluations: Sequence[int]) -> str:
    """What every method reached after so many evaluations, and what it took itself for one.

    Where a method has fewer long runs than short ones, `seeds` has the numbers of both.
    """
    entry, columns = PANEL[problem], [f"at {point}" for point in evaluations]
    by_point = [reached(kept, methods, problem, point) for point in evaluations]
    rows = []
    for method in methods:
        cells = [words(entry, bootstrap_interval(list(values[method].values()))) for values in by_point]
        runs = kept.of(method, problem).values()
        own = np.median([1e3 * run.own_seconds / run.evaluations for run in runs])
        # Of methods of seconds a run there may be fewer long runs than short ones.
        seeds = list(dict.fromkeys(len(values[method]) for values in by_point))
        rows.append((method, " / ".join(map(str, seeds)), *cells, f"{own:.2g}"))
    return table(("method", "seeds", *columns, "its own time, ms an evaluation"), rows)


def hours_table(kept: KeptRuns, methods: Sequence[str], problem: str, evaluations: int) -> str:
    """What every method reached by simulated hours, of the runs that are so long."""
    entry, rows = PANEL[problem], []
    for method in methods:
        runs = [run for run in kept.of(method, problem).values() if run.evaluations >= evaluations]
        by_hour = [[run.after_seconds(3600.0 * hours) for run in runs] for hours in entry.hours]
        last = np.median([run.total_seconds for run in runs]) / 3600.0
        reached_by = (words(entry, bootstrap_interval(values)) for values in by_hour)
        rows.append((method, len(runs), *reached_by, f"{last:.0f} h"))
    return table(("method", "seeds", *(f"{hours} h" for hours in entry.hours), "a run ended after"), rows)


def comparisons(
    kept: KeptRuns, methods: Sequence[str], problem: str, evaluations: int, reference: str = OURS
) -> list[PairedComparison]:
    """Every other method against the reference, more being better."""
    return compare_paired(goodness(PANEL[problem], reached(kept, methods, problem, evaluations)), reference)


def standing(comparison: PairedComparison) -> str:
    """How the reference stands to the other method, by the paired test."""
    if not comparison.is_more_than_noise:
        return STANDINGS[1]
    return STANDINGS[0] if comparison.difference < 0.0 else STANDINGS[2]


def comparison_table(problem: str, found: Sequence[PairedComparison]) -> str:
    """Differences in the unit of the values."""
    entry = PANEL[problem]
    rows = []
    for each in found:
        ends = [each.difference, *(end for end in (each.low, each.high) if end is not None)]
        mean, *interval = ends if entry.is_accuracy else [0.0 - end for end in ends]
        low, high = sorted(interval) if interval else (None, None)
        difference = words(entry, Estimate(mean, low, high, len(each.seeds)))
        tests = ["none" if p is None else f"{p:.2g}" for p in (each.p_value, each.rank_p_value)]
        rows.append((each.other, len(each.seeds), difference, *tests, f"{each.superiority:.2f}"))
    reference = found[0].reference if found else OURS
    columns = ("method", "pairs", f"its value minus that of {reference}", "p", "p of ranks", "share of runs it beats")
    return table(columns, rows)


def standings(
    found: Mapping[str, Sequence[PairedComparison]], evaluations: int, subject: str = OURS
) -> tuple[str, str]:
    """A sentence and a table on where the reference, called `subject`, is ahead and where not."""
    rows, counts = [], dict.fromkeys(STANDINGS, 0)
    for problem, each in found.items():
        others = {name: [c.other for c in each if standing(c) == name] for name in STANDINGS}
        rows.append((problem, *(", ".join(others[name]) or "none" for name in STANDINGS)))
        for name in STANDINGS:
            counts[name] += len(others[name])
    behind = [row[0] for row in rows if row[3] != "none"]
    ahead = [row[0] for row in rows if row[2] == row[3] == "none"]
    where = f"It is behind at least one on {'; '.join(behind)}." if behind else "It is behind none anywhere."
    alone = f"It is ahead of all others on {'; '.join(ahead)}." if ahead else "Nowhere is it ahead of all others."
    sentence = (
        f"At {evaluations} evaluations, by the adjusted paired test at 5 %: of {sum(counts.values())} comparisons "
        f"{subject} is ahead in {counts[STANDINGS[0]]} and behind in {counts[STANDINGS[2]]}; in {counts[STANDINGS[1]]} "
        f"the difference may be noise. {where} {alone}"
    )
    return sentence, table(("problem", *STANDINGS), rows)


def panel_ranks(
    kept: KeptRuns, methods: Sequence[str], problems: Sequence[str], evaluations: int
) -> dict[str, list[float]]:
    """Method -> its mean rank on every problem."""
    by_problem = [
        mean_ranks(goodness(PANEL[problem], reached(kept, methods, problem, evaluations)))[0] for problem in problems
    ]
    return {method: [ranks[method] for ranks in by_problem] for method in methods}


def ranks_table(kept: KeptRuns, methods: Sequence[str], problems: Sequence[str], evaluations: Sequence[int]) -> str:
    """Mean ranks over the panel, the best first."""
    by_point = [panel_ranks(kept, methods, problems, point) for point in evaluations]
    means = [{method: bootstrap_interval(ranks[method]) for method in methods} for ranks in by_point]
    rows = []
    for method in sorted(methods, key=lambda method: means[-1][method].mean):
        cells = [mean[method] for mean in means]
        shown = [f"{m.mean:.2f}" + ("" if m.low is None else f" ({m.low:.2f} to {m.high:.2f})") for m in cells]
        rows.append((method, *shown))
    return table(("method", *(f"mean rank at {point}" for point in evaluations)), rows)


def draw_ranks(kept: KeptRuns, methods: Sequence[str], problems: Sequence[str], evaluations: int) -> Figure:
    """Mean rank over the panel against evaluations."""
    # Farther on there would be fewer seeds, and a jump where the others leave.
    grid = [point for point in _grid(evaluations) if point <= min(shortest(kept, methods, each) for each in problems)]
    colours = method_colours(list(methods))
    figure = Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    plain_axes(axes, f"mean rank over {len(problems)} problems; 1 is best", "evaluations")
    by_point = [panel_ranks(kept, methods, problems, point) for point in grid]
    for method in methods:
        means = [float(np.mean(ranks[method])) for ranks in by_point]
        axes.plot(grid, means, label=method, color=colours[method], linewidth=2.4 if method == OURS else 1.4)
    _count_in_logs(axes)
    axes.invert_yaxis()
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    headline(figure, "Rank by the best found so far")
    return figure


def draw_incumbents(kept: KeptRuns, methods: Sequence[str], problems: Sequence[str], evaluations: int) -> Figure:
    """Mean true value of the best found so far against evaluations, a panel for each problem."""
    grid, colours, columns = _grid(evaluations), method_colours(list(methods)), min(4, len(problems))
    rows = -(-len(problems) // columns)
    figure = Figure(figsize=(3.4 * columns + 2.0, 2.6 * rows + 0.8), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, problem in zip(panels, problems, strict=False):
        entry = PANEL[problem]
        plain_axes(axes, f"{problem}{' [%]' if entry.is_accuracy else ''}", "evaluations")
        by_point = [reached(kept, methods, problem, point) for point in grid]
        for method in methods:
            end = shortest(kept, [method], problem)
            means = [float(np.mean(list(v[method].values()))) for g, v in zip(grid, by_point, strict=True) if g <= end]
            (line,) = axes.plot(
                grid[: len(means)], means, color=colours[method], linewidth=2.2 if method == OURS else 1.2
            )
            line.set_label(method)
        _count_in_logs(axes)
        axes.set_yscale("linear" if entry.is_accuracy else "log")
        axes.tick_params(axis="y", which="minor", labelsize=7)
    for axes in panels[len(problems) :]:
        axes.set_visible(False)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize=8)
    headline(figure, "True value of the best found so far, mean over seeds")
    return figure


def _count_in_logs(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator([10, 25, 50, 100, 200, 400]))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())


def _grid(evaluations: int) -> list[int]:
    # The first ones are random draws with most methods, and would take half of the axis.
    start = min(10, evaluations)
    return sorted({round(point) for point in np.geomspace(start, evaluations, 24)})


def problem_section(kept: KeptRuns, methods: Sequence[str], problem: str, evaluations: int) -> list[str]:
    """All tables of a problem."""
    entry, at = PANEL[problem], points(evaluations)
    about = f"{entry.about}; {'more' if entry.is_accuracy else 'less'} is better"
    blocks = [f"### {problem}", f"{about}.", values_table(kept, methods, problem, at)]
    if entry.hours:
        said = (
            f"By simulated hours of training, one after the other or as many at a time as a method has out. A run ends "
            f"after {evaluations} evaluations, and then keeps what it has."
        )
        blocks += [said, hours_table(kept, methods, problem, evaluations)]
    return blocks


def report(
    kept: KeptRuns, methods: Mapping[str, Method], problems: Sequence[str], evaluations: int, output: Path, name: str
) -> tuple[list[str], dict[str, Any]]:
    """The blocks of the report, whose figures are written into `output`, and the numbers for JSON."""
    at, names = points(evaluations), list(methods)
    pictures = []
    for what, draw in (("ranks", draw_ranks), ("incumbents", draw_incumbents)):
        path = save(draw(kept, names, problems, evaluations), output / f"{name}_{what}.png")
        pictures.append(f"![{what}]({path.name})")
    compared = [point for point in COMPARED_AT if point in at] or at
    found = {point: {each: comparisons(kept, names, each, point) for each in problems} for point in compared}
    blocks = ["## Over the panel", ranks_table(kept, names, problems, at), *pictures]
    mixed = [problem for problem in problems if PANEL[problem].is_mixed]
    rivals = [each for each in names if each == OURS or not each.startswith("asng-")]
    if mixed and rivals != [OURS]:
        blocks += [
            f"## Over the {len(mixed)} mixed functions, {OURS} against others",
            ranks_table(kept, rivals, mixed, at),
        ]
    for point, by_problem in found.items():
        blocks += [f"## Where {OURS} stands at {point} evaluations", *standings(by_problem, point)]
    blocks += ["## Methods", table(("method", "what it is"), [(each, methods[each].about) for each in names])]
    blocks.append("## Problems")
    for problem in problems:
        blocks += problem_section(kept, names, problem, evaluations)
        for point, by_problem in found.items():
            blocks += [f"At {point} evaluations:", comparison_table(problem, by_problem[problem])]
    return blocks, {"rows": numbers_of(kept, names, problems, at), "ranks": _ranks(kept, names, problems, at)}


def numbers_of(
    kept: KeptRuns, methods: Sequence[str], problems: Sequence[str], evaluations: Sequence[int]
) -> list[dict[str, Any]]:
    """Means with their intervals, for JSON."""
    rows = []
    for problem in problems:
        for point in evaluations:
            for method, values in reached(kept, methods, problem, point).items():
                mean = bootstrap_interval(list(values.values()))
                rows.append({"problem": problem, "method": method, "evaluations": point, **asdict(mean)})
    return rows


def _ranks(kept: KeptRuns, methods: Sequence[str], problems: Sequence[str], evaluations: Sequence[int]) -> Any:
    return {str(point): panel_ranks(kept, methods, problems, point) for point in evaluations}


def available(methods: Mapping[str, Method]) -> dict[str, Method]:
    """Those whose library is installed; a line on every other."""
    for name, method in methods.items():
        if not method.is_available:
            click.echo(f"{name} is left out: it needs {method.library}; pip install ray_asng[benchmark]", err=True)
    return {name: method for name, method in methods.items() if method.is_available}


def versions(methods: Mapping[str, Method]) -> dict[str, str]:
    """Of the libraries."""
    return {method.library: version(method.library) for method in methods.values() if method.library}


def named(known: Mapping[str, Any]) -> Callable[[click.Context, click.Parameter, str | None], list[str]]:
    """Reads names of `known` separated by commas; all of them by default."""

    def read_names(context: click.Context, parameter: click.Parameter, given: str | None) -> list[str]:
        chosen = list(known) if given is None else [name.strip() for name in given.split(",")]
        unknown = [name for name in chosen if name not in known]
        if unknown:
            raise click.BadParameter(f"{', '.join(unknown)}: choose among {', '.join(known)}")
        return chosen

    return read_names


@click.command()
@click.option("--output", type=click.Path(path_type=Path), default=Path("tabular_search"), show_default=True)
@click.option("--seeds", type=click.IntRange(1), help="Of every problem.  [default: 200; with --ablate 100]")
@click.option(
    "--dear-seeds", type=click.IntRange(1), default=30, show_default=True, help="Of methods of seconds a run."
)
@click.option("--evaluations", type=click.IntRange(2), default=200, show_default=True, help="Of a run.")
@click.option("--methods", callback=named(METHODS), help=f"Besides {OURS}, separated by commas.  [default: all]")
@click.option("--problems", callback=named(PANEL), help="Separated by commas.  [default: all]")
@click.option("--ablate", is_flag=True, help=f"Compare {OURS} with itself without each of its devices.")
@click.option("--processes", type=click.IntRange(1), default=1, show_default=True, help="That run at a time.")
@click.option("--smoke", is_flag=True, help="Two seeds, two problems, a few evaluations.")
def main(
    output: Path,
    seeds: int | None,
    dear_seeds: int,
    evaluations: int,
    methods: list[str],
    problems: list[str],
    ablate: bool,
    processes: int,
    smoke: bool,
) -> None:
    """Compare searches of tables and functions by few evaluations."""
    where, name = machine(), "tabular_search_ablation" if ablate else "tabular_search"
    chosen = ABLATIONS if ablate else available({each: METHODS[each] for each in METHODS if each in {OURS, *methods}})
    seeds = seeds or (100 if ablate else 200)
    if smoke:
        seeds, dear_seeds, evaluations, problems = 2, 2, SMOKE_EVALUATIONS, list(SMOKE_PROBLEMS)
    check({problem: PANEL[problem] for problem in problems})
    kept = KeptRuns(output / "runs.parquet")
    tasks = [
        Task(method_name, method, problem, PANEL[problem], seed, evaluations)
        for seed in range(max(seeds, dear_seeds))
        for problem in problems
        for method_name, method in chosen.items()
        if seed < (dear_seeds if method.is_dear else seeds)
    ]
    kept.complete(tasks, processes)
    blocks, numbers = report(kept, chosen, problems, evaluations, output, name)
    title = f"What each device of {OURS} is worth" if ablate else "Search of tables and functions by few evaluations"
    settings: dict[str, Any] = {
        "evaluations": evaluations,
        "deviation of log durations of parallel trials": DURATION_DEVIATION,
    }
    settings |= versions(chosen) | where
    leave(output, name, title, about=__doc__ or "", tables=blocks, settings=settings, numbers=numbers)
    click.echo("\n\n".join(blocks[:2]))


if __name__ == "__main__":
    main()
