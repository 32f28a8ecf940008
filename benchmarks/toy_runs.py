"""Runs of the toy of the paper by one method from one first step, and one file in which they are kept."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ray_asng.optimizers.asng import ASNG
from ray_asng.optimizers.natural_adam import NaturalAdam
from ray_asng.optimizers.natural_gradient import NaturalGradientOptimizer
from ray_asng.optimizers.sng import SNG
from ray_asng.results.store import replacing
from ray_asng.space import SearchSpace
from ray_asng.supernets.toy import Toy, cosine
from ray_asng.tabular.selective_squared_error import SelectiveSquaredError

Build = Callable[[SearchSpace, int, float], NaturalGradientOptimizer]
METHODS: dict[str, Build] = {
    "asng": lambda space, seed, step: ASNG(space, seed, initial_step=step),
    "sng": lambda space, seed, step: SNG(space, seed, step=step),
    "natural_adam": lambda space, seed, step: NaturalAdam(space, seed, learning_rate=step),
}
EXPONENTS = (0.0, 0.25, 0.5, 0.75, 1.0)
SAVED_EVERY = 30.0  # seconds


@dataclass(frozen=True)
class Setting:
    """What a run is made of.

    Attributes:
        method: a name of `METHODS`.
        rate: the first learning rate of the weights [eta_x].
        exponent: the first step is n_theta to the minus this [f].
        seed: of weights, noise and proposals.
        length, options: of the selective squared error.
        limit: most iterations.
    """

    method: str
    rate: float
    exponent: float
    seed: int
    length: int
    options: int
    limit: int


@dataclass(frozen=True)
class Run:
    """A finished run: whether it was solved, after how many iterations it ended, and the seconds that it took."""

    setting: Setting
    is_solved: bool
    iterations: int
    seconds: float


def simulate(setting: Setting) -> Run:
    """Search until the toy is solved or the limit is reached."""
    began = time.perf_counter()
    toy_seed, method_seed = np.random.SeedSequence(setting.seed).generate_state(2).tolist()
    toy = Toy(SelectiveSquaredError(setting.length, setting.options), toy_seed)
    first_step = first_steps(setting.length, setting.options)[setting.exponent]
    method = METHODS[setting.method](toy.space, method_seed, first_step)
    for iteration in range(setting.limit):
        # The weight step does not move the distribution, so all four come from the same one.
        proposals = method.ask(4)
        options = np.array([proposal.options for proposal in proposals])
        trained = toy.train(options[:2], cosine(setting.rate, iteration, setting.limit))
        found = toy.evaluate(options[2:])
        method.tell(proposals[2:], found.losses)
        if min(*trained.noise_free, *found.noise_free) <= toy.target:
            return Run(setting, True, iteration + 1, time.perf_counter() - began)
    return Run(setting, False, setting.limit, time.perf_counter() - began)


def first_steps(length: int, options: int) -> dict[float, float]:
    """Exponent f -> n_theta^-f."""
    return {exponent: float(length * (options - 1)) ** -exponent for exponent in EXPONENTS}


class KeptRuns:
    """The runs in one Parquet file.

    Args:
        path: read if it is there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.runs: dict[Setting, Run] = {}
        for row in pq.read_table(path).to_pylist() if path.is_file() else []:
            run = Run(**{**row, "setting": Setting(**row["setting"])})
            self.runs[run.setting] = run

    def complete(self, settings: Sequence[Setting], processes: int) -> None:
        """Make the runs that are missing; what is done stays if this is interrupted."""
        missing = [setting for setting in settings if setting not in self.runs]
        if not missing:
            return
        saved = time.monotonic()
        label = f"{len(missing)} of {len(settings)} runs"
        with (
            spreading(processes) as spread,
            click.progressbar(length=len(missing), label=label, file=sys.stderr) as bar,
        ):
            try:
                for run in spread(missing):
                    self.runs[run.setting] = run
                    bar.update(1)
                    if time.monotonic() - saved > SAVED_EVERY:
                        self.write()
                        saved = time.monotonic()
            finally:
                self.write()

    def write(self) -> None:
        """Write all runs by replacement, in the order of their settings."""
        rows = [asdict(run) for run in sorted(self.runs.values(), key=lambda run: tuple(asdict(run.setting).values()))]
        if rows:
            with replacing(self.path) as file:
                pq.write_table(pa.Table.from_pylist(rows), file)


@contextmanager
def spreading(processes: int) -> Iterator[Callable[[Iterable[Setting]], Iterable[Run]]]:
    """What makes runs in so many processes, as they end."""
    if processes == 1:
        yield lambda settings: map(simulate, settings)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        try:
            yield lambda settings: (
                done.result() for done in as_completed([pool.submit(simulate, s) for s in settings])
            )
        finally:
            pool.shutdown(cancel_futures=True)
