"""What late results are worth to ASNGSearch: counted as fresh ones, counted by importance, or none learnt from again.

With many trials out, a result comes back when the distribution that it was drawn from has moved on. Three ways to take
it, at 1, 4, 16 and 64 trials out, with durations drawn at random:

- as is: a late result counts as a fresh one when it comes, and is learnt from again with a weight for how far the
  distribution has moved since it came (`ray_asng.optimizers.reuse`);
- by its draw: its weight is for how far the distribution has moved since it was drawn, so a late one counts less from
  the beginning. Never trusted more than 1, as with all weights;
- no reuse: a late result counts as a fresh one when it comes, and never again.

Values are the true ones of what had the lowest loss so far; evaluations are counted as they come back. With one trial
out nothing is late, so the first two ways are the same.

What is lost with 64 out is not the way's alone: 200 evaluations are then hardly more than three rounds. So other
methods run with 1 and with 64 out too, as they come; CatCMAwM, which knows generations only, is told results in the
order of their return. Runs are kept in `runs.parquet` and made once.

    python benchmarks/late_results.py --output late_results --processes 2
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from report import leave, machine
from samplers import METHODS, ByASNGSearch, Method
from search_panel import DURATION_DEVIATION, PANEL, KeptRuns, Task, check, points
from tabular_search import available, comparison_table, comparisons, numbers_of, standings, values_table, versions

from ray_asng.optimizers.asng import ASNG
from ray_asng.optimizers.distribution import Distribution
from ray_asng.optimizers.reuse import Results, Reuse
from ray_asng.results.paired import PairedComparison
from ray_asng.space import Floats, Ints, SearchSpace

PROBLEMS: tuple[str, ...] = ("nasbench201-cifar10", "leading-ones", "one-max-noisy", "rotated-ellipsoid-com")
SMOKE_PROBLEMS: tuple[str, ...] = ("leading-ones", "one-max-noisy")
WORKERS = (1, 4, 16, 64)
OTHERS = ("random", "evolution", "catcmawm", "optuna-tpe-multivariate")
OTHERS_WORKERS = (1, 64)
EVALUATIONS, SMOKE_EVALUATIONS = 200, 30
_FARTHEST = 700.0  # as logarithm; the exponential of minus 745 is zero


class ReuseByDraw(Reuse):
    """Weighs results by the distribution that they were drawn from.

    Attributes:
        drawn: natural logarithms of the densities at the draws of the results that are told next, in their order.
    """

    def __init__(self, capacity: int, distribution: Distribution) -> None:
        super().__init__(capacity, distribution)
        self.drawn: list[float] = []

    def add(self, options: Ints, values: Floats, losses: Floats, distribution: Distribution) -> Results:
        """As `Reuse.add`, with other densities for the fresh results."""
        super().add(options, values, losses, distribution)
        logs = self.results.logs.copy()
        # They may be so late that their densities now are too small for numbers; weights of zero alone have no ranks.
        logs[-len(losses) :] = np.minimum(self.drawn[: len(losses)], logs[-len(losses) :] + _FARTHEST)
        del self.drawn[: len(losses)]
        self.results = self.results._replace(logs=logs)
        return self.results


class ByDraw(ByASNGSearch):
    """`ASNGSearch` whose results are weighed by the distribution that they were drawn from."""

    def __init__(self, space: SearchSpace, seed: int, workers: int) -> None:
        super().__init__(space, seed, workers)
        # There is no setting for this on purpose, so it is done behind the back of the search.
        _, optimizer = self.search._start()
        if not isinstance(optimizer, ASNG):
            raise TypeError(f"ASNGSearch was to search by ASNG, but does so by {type(optimizer).__name__}")
        self._reuse = optimizer._reuse = ReuseByDraw(optimizer._reuse.capacity, optimizer.distribution)

    def tell(self, number: int, loss: float) -> None:
        """See `Sampler`."""
        self._reuse.drawn.append(self.search._live[str(number)].log_probability)
        super().tell(number, loss)


def ways(workers: int) -> dict[str, Method]:
    """The three ways with so many trials out."""
    return {
        f"as is, {workers} out": Method(partial(ByASNGSearch, workers=workers), "", workers),
        f"by its draw, {workers} out": Method(partial(ByDraw, workers=workers), "", workers),
        f"no reuse, {workers} out": Method(
            partial(ByASNGSearch, workers=workers, method_options={"reuse": 0}), "", workers
        ),
    }


def others(workers: int) -> dict[str, Method]:
    """The other methods whose libraries are installed, with so many trials out."""
    return {
        f"{name}, {workers} out": replace(METHODS[name], workers=workers)
        for name in OTHERS
        if METHODS[name].is_available
    }


def compare(kept: KeptRuns, problems: Sequence[str], evaluations: int) -> dict[str, dict[int, list[PairedComparison]]]:
    """Problem -> trials out -> the other ways against the first one."""
    return {
        problem: {
            workers: comparisons(kept, list(ways(workers)), problem, evaluations, next(iter(ways(workers))))
            for workers in WORKERS
        }
        for problem in problems
    }


def compare_with_others(kept: KeptRuns, problem: str, workers: int, evaluations: int) -> list[PairedComparison]:
    """The other methods against ASNGSearch as it is, with as many trials out."""
    first = next(iter(ways(workers)))
    return comparisons(kept, [first, *others(workers)], problem, evaluations, first)


def others_section(kept: KeptRuns, problems: Sequence[str], evaluations: int) -> list[str]:
    """What many trials out cost the other methods, and how they stand to ASNGSearch then."""
    blocks = ["## Other methods with as many out"]
    for workers in OTHERS_WORKERS:
        found = {problem: compare_with_others(kept, problem, workers, evaluations) for problem in problems}
        blocks += [f"With {workers} out:", *standings(found, evaluations, "ASNGSearch as it is")]
    names = [name for workers in OTHERS_WORKERS for name in (next(iter(ways(workers))), *others(workers))]
    for problem in problems:
        blocks += [f"### {problem}", values_table(kept, names, problem, points(evaluations))]
    return blocks


def section(kept: KeptRuns, problem: str, evaluations: int, found: Mapping[int, list[PairedComparison]]) -> list[str]:
    """Values of all ways, and what the others are against the first one."""
    names = [name for workers in WORKERS for name in ways(workers)]
    about = f"{PANEL[problem].about}; {'more' if PANEL[problem].is_accuracy else 'less'} is better."
    blocks = [f"## {problem}", about, values_table(kept, names, problem, points(evaluations))]
    for workers, each in found.items():
        blocks += [f"With {workers} out, at {evaluations} evaluations:", comparison_table(problem, each)]
    return blocks


@click.command()
@click.option("--output", type=click.Path(path_type=Path), default=Path("late_results"), show_default=True)
@click.option("--seeds", type=click.IntRange(1), default=100, show_default=True, help="Of every way and problem.")
@click.option("--processes", type=click.IntRange(1), default=1, show_default=True, help="That run at a time.")
@click.option("--smoke", is_flag=True, help="Two seeds, two problems, a few evaluations.")
def main(output: Path, seeds: int, processes: int, smoke: bool) -> None:
    """Compare ways to learn from late results."""
    where = machine()
    problems, evaluations = (SMOKE_PROBLEMS, SMOKE_EVALUATIONS) if smoke else (PROBLEMS, EVALUATIONS)
    seeds = 2 if smoke else seeds
    check({problem: PANEL[problem] for problem in problems})
    kept = KeptRuns(output / "runs.parquet")
    used = available({name: METHODS[name] for name in OTHERS})
    methods = {name: method for workers in WORKERS for name, method in ways(workers).items()}
    methods |= {name: method for workers in OTHERS_WORKERS for name, method in others(workers).items()}
    tasks = [
        Task(name, method, problem, PANEL[problem], seed, evaluations)
        for seed in range(seeds)
        for problem in problems
        for name, method in methods.items()
    ]
    kept.complete(tasks, processes)
    found = compare(kept, problems, evaluations)
    flat = {f"{problem}, {workers} out": each for problem in problems for workers, each in found[problem].items()}
    blocks = list(standings(flat, evaluations, "ASNGSearch as it is"))
    for problem in problems:
        blocks += section(kept, problem, evaluations, found[problem])
    blocks += others_section(kept, problems, evaluations)
    settings: dict[str, Any] = {"evaluations": evaluations, "deviation of log durations": DURATION_DEVIATION}
    settings |= versions(used) | where
    leave(
        output,
        "late_results",
        "Ways to learn from late results",
        about=__doc__ or "",
        tables=blocks,
        settings=settings,
        numbers={"rows": numbers_of(kept, list(methods), problems, points(evaluations))},
    )
    click.echo("\n\n".join(blocks))


if __name__ == "__main__":
    main()
