"""What drawing architectures and learning from their losses costs: `ask` and `tell` of every sampling method.

Each registered method that learns from losses proposes lambda architectures (`ask`) and is told their losses (`tell`),
which are drawn outside of the timed part. Beside it run two transcriptions of the published ASNG on bare arrays, which
neither check what they are told nor make architectures: `vectorised`, written for numpy, and `by row`, which goes
through the decisions one after the other where the published code does. Before the first measurement, ASNG and both
transcriptions must reach the same distribution from the same draws. All of them alternate in one process with one
thread, each for some steps on end (ten at 40 decisions), so that what it needs is in the caches. The ratios are medians
over the rounds with 95 % bootstrap intervals; the microseconds are for orientation. Growth is the cost at 10 000
decisions over ten times the cost at 1 000: linear is 1.

    python benchmarks/optimizer_cost.py --output optimizer_cost
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
import numpy as np
import report
from interleaved import Estimate, interleave, ratio
from threadpoolctl import threadpool_limits

from ray_asng import Categorical, Integer, Real, SearchSpace, registry
from ray_asng.optimizers.asng import ASNG
from ray_asng.optimizers.base import SamplingOptimizer
from ray_asng.space import Floats, Ints


class Vectorised:
    """One state of ASNG over D categorical decisions, with the update as numpy is usually written."""

    def __init__(self, counts: Ints) -> None:
        self.counts = counts
        self.exists = np.arange(counts.max()) < counts[:, None]
        self.theta: Floats = self.exists / counts[:, None]
        self.floor = np.where(self.exists, 1.0 / (len(counts) * (counts[:, None] - 1)), 0.0)
        self.s = np.zeros(int((counts - 1).sum()))
        self.gamma, self.Delta = 0.0, 1.0
        self.rng = np.random.default_rng(0)

    def sample(self, count: int) -> Ints:
        """(count, D) option indices."""
        draws = self.rng.random((count, len(self.counts), 1))
        return np.asarray(np.minimum((draws >= self.theta.cumsum(axis=1)).sum(axis=2), self.counts - 1))

    def update(self, options: Ints, losses: Floats) -> None:
        """One step from (N, D) options and (N,) losses, no two of them equal."""
        one_hot = options[:, :, None] == np.arange(self.theta.shape[1])
        gradient = (utility(losses)[:, None, None] * (one_hot - self.theta)).mean(axis=0)
        whitened = self.whitened(gradient)
        norm = np.linalg.norm(whitened)
        if norm < 1e-12:
            return
        delta = 1.0 / self.Delta
        beta = delta / math.sqrt(len(self.s))
        self.theta = self.theta + delta * gradient / norm
        self.s = (1.0 - beta) * self.s + math.sqrt(beta * (2.0 - beta)) * whitened / norm
        self.gamma = (1.0 - beta) ** 2 * self.gamma + beta * (2.0 - beta)
        self.Delta *= math.exp(beta * (self.gamma - self.s @ self.s / 1.5))
        self.project()

    def whitened(self, gradient: Floats) -> Floats:
        """(n_theta,) the gradient in coordinates with Euclidean Fisher metric."""
        last = self.theta[np.arange(len(self.counts)), self.counts - 1][:, None]
        is_free = np.arange(self.theta.shape[1]) < self.counts[:, None] - 1
        root = np.sqrt(np.where(self.exists, self.theta, 1.0))
        others = (gradient * is_free).sum(axis=1, keepdims=True)
        return np.asarray((gradient / root + root * others / (last + np.sqrt(last)))[is_free])

    def project(self) -> None:
        """Lift to the floors and take the surplus in proportion to the height above them."""
        lifted = np.maximum(self.theta, self.floor)
        total = lifted.sum(axis=1, keepdims=True)
        room = total - self.floor.sum(axis=1, keepdims=True)
        lifted -= (total - 1.0) * (lifted - self.floor) / room
        self.theta = lifted / lifted.sum(axis=1, keepdims=True)


class ByRow(Vectorised):
    """The same with a Python loop over the decisions in the Fisher root and in the projection."""

    def whitened(self, gradient: Floats) -> Floats:
        """(n_theta,) the gradient in coordinates with Euclidean Fisher metric."""
        parts: list[float] = []
        for row, change, count in zip(self.theta, gradient, self.counts, strict=True):
            free, last = row[: count - 1], row[count - 1]
            part = change[: count - 1] / np.sqrt(free)
            part += np.sqrt(free) * change[: count - 1].sum() / (last + np.sqrt(last))
            parts += list(part)
        return np.array(parts)

    def project(self) -> None:
        """Lift to the floors and take the surplus in proportion to the height above them."""
        for place, count in enumerate(self.counts):
            row, floor = self.theta[place, :count], self.floor[place, 0]
            row = np.maximum(row, floor)
            row -= (row.sum() - 1.0) * (row - floor) / (row.sum() - count * floor)
            self.theta[place, :count] = row / row.sum()


def utility(losses: Floats) -> Floats:
    """(N,) 1/m for the best m = ceil(N / 4) of different losses, -1/m for the worst."""
    selected = math.ceil(len(losses) / 4)
    utilities = np.zeros(len(losses))
    order = np.argsort(losses)
    utilities[order[:selected]] = 1.0 / selected
    utilities[order[-selected:]] = -1.0 / selected
    return utilities


def categorical(*counts: int) -> SearchSpace:
    """Decisions with these numbers of options."""
    return SearchSpace([Categorical(f"edge_{place}", _names(count)) for place, count in enumerate(counts)])


def mixed(decisions: int) -> SearchSpace:
    """In turn a decision among 5 options, an integer, a real, a real in its logarithm."""
    kinds: list[Callable[[str], Any]] = [
        lambda name: Categorical(name, _names(5)),
        lambda name: Integer(name, 16, 64),
        lambda name: Real(name, 0.0, 1.0),
        lambda name: Real(name, 1e-4, 1.0, log=True),
    ]
    return SearchSpace([kinds[place % 4](f"decision_{place}") for place in range(decisions)])


def _names(count: int) -> list[str]:
    return [f"option_{place}" for place in range(count)]


# The cell of ENAS: in each of 2 cells, 5 nodes with two inputs among 2 to 6 and two operations among 5.
ENAS_MICRO = [count for _ in range(2) for inputs in range(2, 7) for count in (inputs, inputs, 5, 5)]

# Space -> how it is made, lambda, rounds.
CASES: dict[str, tuple[Callable[[], SearchSpace], int, int]] = {
    "40 of the ENAS cell, lambda 2": (lambda: categorical(*ENAS_MICRO), 2, 300),
    "40 of the ENAS cell, lambda 8": (lambda: categorical(*ENAS_MICRO), 8, 200),
    "40 of 5 options, lambda 2": (lambda: categorical(*[5] * 40), 2, 300),
    "40 of 5 options, lambda 8": (lambda: categorical(*[5] * 40), 8, 200),
    "40 mixed, lambda 2": (lambda: mixed(40), 2, 200),
    "10 of 5 options, lambda 2": (lambda: categorical(*[5] * 10), 2, 200),
    "100 of 5 options, lambda 2": (lambda: categorical(*[5] * 100), 2, 100),
    "1 000 of 5 options, lambda 2": (lambda: categorical(*[5] * 1_000), 2, 60),
    "10 000 of 5 options, lambda 2": (lambda: categorical(*[5] * 10_000), 2, 20),
}
GROWTHS: dict[str, Callable[[int], SearchSpace]] = {
    "of 5 options": lambda decisions: categorical(*[5] * decisions),
    "mixed": mixed,
}
GROWTH_ROUNDS = 40
YARDSTICKS: dict[str, Callable[[Ints], Vectorised]] = {"vectorised": Vectorised, "by row": ByRow}


def sampling_methods() -> dict[str, Callable[..., SamplingOptimizer]]:
    """The methods that learn from losses of whole architectures of any space, and treat all decisions at once."""
    return {name: registry.methods[name] for name in ("asng", "sng", "random_search")}


class Jobs:
    """What is timed on one space: `ask`, `tell` and both of every method, and both of the yardsticks.

    A job runs its step `steps` times.

    Args:
        space: yardsticks run if it has categorical decisions alone.
        samples: lambda.
    """

    def __init__(self, space: SearchSpace, samples: int) -> None:
        self.samples = samples
        self.steps = max(1, 400 // len(space))
        self.rng = np.random.default_rng(0)
        self.methods = {name: build(space, seed=0) for name, build in sampling_methods().items()}
        self.jobs: dict[str, Callable[[], object]] = {}
        for name in self.methods:
            self.jobs |= self.parts_of(name)
        if not space.numeric:
            counts = np.array([len(decision.options) for decision in space.categorical])
            self.jobs |= {name: self.both_of(build(counts)) for name, build in YARDSTICKS.items()}
        self.renew()

    def renew(self) -> None:
        """Fresh losses, and fresh proposals for the jobs that only tell."""
        self.losses = self.rng.random(self.samples)
        self.given = self.losses.tolist()
        self.pending = {name: method.ask(self.samples) for name, method in self.methods.items()}

    def parts_of(self, name: str) -> dict[str, Callable[[], object]]:
        """The three jobs of a method."""
        method, samples = self.methods[name], self.samples
        return {
            f"{name} ask": self.repeated(lambda: method.ask(samples)),
            f"{name} tell": self.repeated(lambda: method.tell(self.pending[name], self.given)),
            name: self.repeated(lambda: method.tell(method.ask(samples), self.given)),
        }

    def both_of(self, yardstick: Vectorised) -> Callable[[], object]:
        """Sampling and update of a yardstick."""
        return self.repeated(lambda: yardstick.update(yardstick.sample(self.samples), self.losses))

    def repeated(self, step: Callable[[], object]) -> Callable[[], object]:
        """The step as often as one job runs it."""

        def job() -> None:
            for _ in range(self.steps):
                step()

        return job


def check_yardsticks() -> None:
    """Raise unless ASNG and its transcriptions do the same."""
    counts = np.array(ENAS_MICRO)
    losses = np.random.default_rng(0)
    asng, others = ASNG(categorical(*ENAS_MICRO)), [build(counts) for build in YARDSTICKS.values()]
    for _ in range(200):
        told = losses.random(2)
        asng.tell(asng.ask(2), told)
        for other in others:
            other.update(other.sample(2), told)
    if not all(np.allclose(other.theta, asng.theta, rtol=0.0, atol=1e-9) for other in others):
        raise click.ClickException("the transcriptions and ASNG went different ways; their times cannot be compared")


def measure(space: SearchSpace, samples: int, rounds: int) -> dict[str, Floats]:
    """Seconds of a step of every job of a space, (rounds,) each."""
    jobs = Jobs(space, samples)
    seconds = interleave(jobs.jobs, rounds, before=jobs.renew)
    return {name: values / jobs.steps for name, values in seconds.items()}


def growth(build: Callable[[int], SearchSpace], rounds: int) -> dict[str, Estimate]:
    """Method -> cost of both at 10 000 decisions over ten times that at 1 000."""
    small, large = Jobs(build(1_000), 2), Jobs(build(10_000), 2)
    jobs: dict[str, Callable[[], object]] = {}
    for name in small.methods:
        jobs |= {f"{name} small": small.jobs[name], f"{name} large": large.jobs[name]}

    def renew() -> None:
        small.renew()
        large.renew()

    seconds = interleave(jobs, rounds, before=renew)
    return {name: ratio(seconds[f"{name} large"], 10.0 * seconds[f"{name} small"]) for name in small.methods}


def rows_of(case: str, seconds: dict[str, Floats]) -> Iterable[list[str]]:
    """A row for every method and yardstick."""
    known = [name for name in YARDSTICKS if name in seconds]
    for name in (*sampling_methods(), *known):
        parts = [f"{1e6 * np.median(seconds[job]):.0f}" if job in seconds else "" for job in _parts(name)]
        ratios = [str(ratio(seconds[name], seconds[other])) if other in known else "" for other in YARDSTICKS]
        yield [case, name, *parts, f"{1e6 * seconds[name].min():.0f}", *ratios]


def _parts(name: str) -> tuple[str, str, str]:
    return f"{name} ask", f"{name} tell", name


def numbers_of(seconds: dict[str, Floats]) -> dict[str, Any]:
    """For JSON: microseconds of every job, and ratios of the whole to the yardsticks."""
    known = [name for name in YARDSTICKS if name in seconds]
    return {
        job: {
            "microseconds": Estimate.of(1e6 * values).numbers(),
            "least microseconds": 1e6 * float(values.min()),
            **{f"over {other}": ratio(values, seconds[other]).numbers() for other in known},
        }
        for job, values in seconds.items()
    }


@click.command()
@click.option("--output", type=click.Path(path_type=Path), default=Path("optimizer_cost"), show_default=True)
@click.option("--smoke", is_flag=True, help="A few rounds.")
def main(output: Path, smoke: bool) -> None:
    """Measure ask and tell of the sampling methods."""
    settings = {"threads": 1, "numpy": np.__version__, **report.machine()}
    check_yardsticks()
    with threadpool_limits(1):
        cases = {}
        for case, (build, samples, rounds) in CASES.items():
            cases[case] = measure(build(), samples, 3 if smoke else rounds)
            click.echo(f"{case}: asng {1e6 * np.median(cases[case]['asng']):.0f} us")
        growths = {name: growth(build, 3 if smoke else GROWTH_ROUNDS) for name, build in GROWTHS.items()}
    columns = ["decisions", "method", "ask, us", "tell, us", "both, us", "least, us"]
    costs = report.table(
        [*columns, *(f"both / {name}" for name in YARDSTICKS)],
        [row for case, seconds in cases.items() for row in rows_of(case, seconds)],
    )
    growing = report.table(
        ["decisions", *sampling_methods()],
        [[name, *map(str, by_method.values())] for name, by_method in growths.items()],
    )
    numbers = {
        "cases": {case: numbers_of(seconds) for case, seconds in cases.items()},
        "growth": {
            name: {method: estimate.numbers() for method, estimate in by_method.items()}
            for name, by_method in growths.items()
        },
    }
    shown = report.leave(
        output,
        "optimizer_cost",
        "Cost of drawing architectures and learning from them",
        about=__doc__,
        tables=[costs, "Growth from 1 000 to 10 000 decisions, lambda 2; linear is 1:", growing],
        settings=settings,
        numbers=numbers,
    )
    click.echo(shown)


if __name__ == "__main__":
    main()
