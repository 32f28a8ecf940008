"""Problems to search by few evaluations, simulated searches of them, and one file in which the searches are kept.

What a search has found after so many evaluations is the architecture with the lowest loss that it saw; what is reported
is its true value: test accuracy where the loss is of validation, the loss without noise where there is noise.
"""

from __future__ import annotations

import heapq
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from samplers import Method

from ray_asng.results.store import replacing
from ray_asng.space import Value
from ray_asng.tabular.base import Problem
from ray_asng.tabular.mixed import EllipsoidCLO, Proximity, RotatedEllipsoidCOM, SphereCOM
from ray_asng.tabular.nasbench201_problem import NASBench201Problem
from ray_asng.tabular.pseudo_boolean import LeadingOnes, OneMax
from ray_asng.tabular.selective_squared_error import SelectiveSquaredError
from ray_asng.tabular.wrappers import Noisy, Shifted

# What a machine adds to the seconds of a trial where several run: a log-normal factor of this deviation.
DURATION_DEVIATION = 0.5
SAVED_EVERY = 30.0  # seconds


@dataclass(frozen=True)
class Entry:
    """A problem of the panel.

    Attributes:
        build: seed -> the problem with the optimum, and the noise, of this seed.
        about: in words.
        hours: simulated ones at which values are reported too, where seconds are recorded ones.
        is_mixed: whether it has categorical, integer and real decisions.
    """

    build: Callable[[int], Problem]
    about: str
    hours: tuple[int, ...] = ()
    is_mixed: bool = False

    @property
    def is_accuracy(self) -> bool:
        """Whether the true value is an accuracy in percent and not a loss."""
        return bool(self.hours)


@cache
def _nasbench201(dataset: str) -> NASBench201Problem:
    return NASBench201Problem(dataset=dataset)


def _table(seed: int, dataset: str) -> Problem:
    return _nasbench201(dataset)


def _seeded(seed: int, kind: Callable[..., Problem], **sizes: int) -> Problem:
    return kind(seed=seed, **sizes)


def _shifted(seed: int, kind: Callable[..., Problem], **sizes: int) -> Problem:
    return Shifted(kind(**sizes), seed)


def _noisy(seed: int, build: Callable[[int], Problem], deviation: float) -> Problem:
    return Noisy(build(seed), deviation, seed)


def _panel() -> dict[str, Entry]:
    hours = (3, 6, 12, 24, 48, 96)  # that half of the cells would take for 6, 12, 24, 47, 95, 189 evaluations
    panel = {
        f"nasbench201-{dataset}": Entry(
            partial(_table, dataset=dataset),
            "found by validation accuracy, reported as test accuracy [%], both after 200 epochs",
            tuple(scale * hour for hour in hours),
        )
        for dataset, scale in (("cifar10", 1), ("cifar100", 2), ("ImageNet16-120", 6))
    }
    one_max = partial(_seeded, kind=OneMax, length=30)
    panel["one-max"] = Entry(one_max, "30 binary decisions")
    panel["one-max-noisy"] = Entry(
        partial(_noisy, build=one_max, deviation=1.0), "30 binary decisions; noise as large as what one of them does"
    )
    panel["leading-ones"] = Entry(partial(_seeded, kind=LeadingOnes, length=15), "15 binary decisions")
    selective = partial(_shifted, kind=SelectiveSquaredError, length=4, options=3)
    panel["selective-squared-error"] = Entry(selective, "4 decisions of 3 options, 12 reals; shifted")
    sizes = "3 decisions of 4 options, 2 integers, 3 reals"
    for name, kind in (
        ("sphere-com", SphereCOM),
        ("ellipsoid-clo", EllipsoidCLO),
        ("rotated-ellipsoid-com", RotatedEllipsoidCOM),
        ("proximity", Proximity),
    ):
        mixed = partial(_seeded, kind=kind)
        panel[name] = Entry(mixed, f"{sizes}; chance has a loss of 1", is_mixed=True)
        noisy = partial(_noisy, build=mixed, deviation=0.1)
        about = f"{sizes}; chance has a loss of 1, noise a deviation of 0.1"
        panel[f"{name}-noisy"] = Entry(noisy, about, is_mixed=True)
    return panel


PANEL = _panel()


@dataclass(frozen=True)
class Run:
    """One search. N is the number of times that a better loss than all before was seen.

    Attributes:
        method, problem, seed: what makes it; methods of one seed search the same problem.
        evaluations: how many results were told.
        at: (N,) after how many evaluations.
        values: (N,) true values of what had the best loss from then on.
        seconds: (N,) simulated ones until then.
        total_seconds: simulated ones until the last evaluation.
        own_seconds: that the method itself took for all proposals and results.
    """

    method: str
    problem: str
    seed: int
    evaluations: int
    at: list[int]
    values: list[float]
    seconds: list[float]
    total_seconds: float
    own_seconds: float

    def after(self, evaluations: int) -> float:
        """The true value of the incumbent after so many evaluations."""
        return self.values[int(np.searchsorted(self.at, evaluations, side="right")) - 1]

    def after_seconds(self, seconds: float) -> float:
        """The true value of the incumbent at so many simulated seconds; NaN if nothing was finished by then."""
        place = int(np.searchsorted(self.seconds, seconds, side="right"))
        return self.values[place - 1] if place else math.nan


@dataclass(frozen=True)
class Task:
    """A run that is to be made; what `Run` says of the names holds."""

    method_name: str
    method: Method
    problem_name: str
    entry: Entry
    seed: int
    evaluations: int


class _Clock:
    """Adds up the seconds spent inside."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - began


def simulate(task: Task) -> Run:
    """Search once: as many evaluations as the method has workers are out at any time, until enough have come back."""
    # Not the seed of the problem: a method could draw from it what the problem did, its optimum.
    sampler_seed, duration_seed = np.random.SeedSequence([task.seed, 1]).generate_state(2).tolist()
    problem, own, rng = task.entry.build(task.seed), _Clock(), np.random.default_rng(duration_seed)
    sampler = task.method.build(problem.space, sampler_seed)
    out: list[tuple[float, int, Mapping[str, Value], float]] = []
    asked, best, now = 0, math.inf, 0.0
    improvements: list[tuple[int, float, float]] = []
    for told in range(1, task.evaluations + 1):
        while len(out) < task.method.workers:
            with own.running():
                config = sampler.ask(asked)
            # Where one trial runs at a time its duration changes no order, so it stays what was recorded.
            factor = math.exp(DURATION_DEVIATION * rng.normal()) if task.method.workers > 1 else 1.0
            heapq.heappush(out, (now + factor * problem.seconds(config), asked, config, problem.loss(config)))
            asked += 1
        now, number, config, loss = heapq.heappop(out)
        with own.running():
            sampler.tell(number, loss)
        if loss < best:
            best = loss
            improvements.append((told, true_value(problem, config), now))
    at, values, seconds = (list(column) for column in zip(*improvements, strict=True))
    whose = task.method_name, task.problem_name, task.seed, task.evaluations
    return Run(*whose, at, values, seconds, total_seconds=now, own_seconds=own.seconds)


def true_value(problem: Problem, config: Mapping[str, Value]) -> float:
    """What is reported of an architecture, and not shown to the search."""
    if isinstance(problem, NASBench201Problem):
        return problem.value(config)
    return problem.noise_free(config) if isinstance(problem, Noisy) else problem.loss(config)


class KeptRuns:
    """The runs in one Parquet file, by method, problem and seed.

    Args:
        path: read if it is there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.runs: dict[tuple[str, str], dict[int, Run]] = {}
        for row in pq.read_table(path).to_pylist() if path.is_file() else []:
            self._put(Run(**row))

    def _put(self, run: Run) -> None:
        self.runs.setdefault((run.method, run.problem), {})[run.seed] = run

    def complete(self, tasks: Sequence[Task], processes: int) -> None:
        """Make the runs that are missing or too short; what is done stays if this is interrupted."""
        missing = [task for task in tasks if self._length(task) < task.evaluations]
        if not missing:
            return
        saved = time.monotonic()
        label = f"{len(missing)} of {len(tasks)} runs"
        with _mapping(processes) as spread, click.progressbar(length=len(missing), label=label, file=sys.stderr) as bar:
            try:
                for run in spread(missing):
                    self._put(run)
                    bar.update(1)
                    if time.monotonic() - saved > SAVED_EVERY:
                        self.write()
                        saved = time.monotonic()
            finally:
                self.write()

    def _length(self, task: Task) -> int:
        found = self.of(task.method_name, task.problem_name).get(task.seed)
        return 0 if found is None else found.evaluations

    def write(self) -> None:
        """Write all runs by replacement, in the order of method, problem and seed."""
        rows = [asdict(run) for _, runs in sorted(self.runs.items()) for _, run in sorted(runs.items())]
        if rows:
            with replacing(self.path) as file:
                pq.write_table(pa.Table.from_pylist(rows), file)

    def of(self, method: str, problem: str) -> dict[int, Run]:
        """Seed -> run."""
        return self.runs.get((method, problem), {})


@contextmanager
def _mapping(processes: int) -> Iterator[Callable[[Iterable[Task]], Iterable[Run]]]:
    """What simulates tasks in so many processes, in their order."""
    if processes == 1:
        yield partial(map, simulate)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield partial(pool.map, simulate, chunksize=4)


def points(evaluations: int) -> tuple[int, ...]:
    """After how many evaluations values are reported."""
    return tuple(point for point in (50, 100, 200, 400) if point <= evaluations) or (evaluations,)


def check(problems: Mapping[str, Entry]) -> None:
    """Build every problem once.

    Raises:
        click.ClickException: the table of one is missing; says how to get it.
    """
    for name, entry in problems.items():
        try:
            entry.build(0)
        except FileNotFoundError as error:
            raise click.ClickException(f"{name}: {error}; or choose others by --problems") from error
