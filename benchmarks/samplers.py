"""Methods that search by few evaluations behind one ask and tell: those of this package and of other libraries.

Other libraries (Optuna, cmaes, HyperOpt) are imported when one of their methods is built, so none of them is needed for
the rest. Every one has the settings that it comes with.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

from ray_asng import registry
from ray_asng.optimizers.base import Proposal
from ray_asng.raytune.domains import to_param_space
from ray_asng.raytune.searcher import ASNGSearch
from ray_asng.space import Categorical, Decision, Integer, SearchSpace, Value


class Sampler(Protocol):
    """One search; evaluations are known by their numbers, 0, 1, ..., and may be told in any order."""

    def ask(self, number: int) -> Mapping[str, Value]:
        """What evaluation `number` tries."""

    def tell(self, number: int, loss: float) -> None:
        """What came of it; lower is better."""


@dataclass(frozen=True)
class Method:
    """A row of a report.

    Attributes:
        build: (space, seed) -> a new search.
        about: in words.
        workers: evaluations that run at a time.
        library: that must be installed, by the name of its import; "" for none.
        is_dear: whether a run takes seconds, so that fewer seeds are run.
    """

    build: Callable[[SearchSpace, int], Sampler]
    about: str
    workers: int = 1
    library: str = ""
    is_dear: bool = False

    @property
    def is_available(self) -> bool:
        """Whether its library is installed."""
        return not self.library or find_spec(self.library) is not None


class ByOptimizer:
    """A sampling method of the registry, told one loss at a time."""

    def __init__(self, space: SearchSpace, seed: int, method: str) -> None:
        self._optimizer = registry.methods.resolve(method)(space, seed)
        self._out: dict[int, Proposal] = {}

    def ask(self, number: int) -> Mapping[str, Value]:
        """See `Sampler`."""
        (self._out[number],) = self._optimizer.ask(1)
        return self._out[number].architecture

    def tell(self, number: int, loss: float) -> None:
        """See `Sampler`."""
        self._optimizer.tell([self._out.pop(number)], [loss])


class ByASNGSearch:
    """`ASNGSearch` as Tune calls it, without Tune's processes.

    Args:
        space, seed: as everywhere.
        workers: what Tune would tell it of its concurrency.
        options: of `ASNGSearch`.
    """

    def __init__(self, space: SearchSpace, seed: int, workers: int = 1, **options: Any) -> None:
        self.search = ASNGSearch(to_param_space(space), metric="loss", mode="min", seed=seed, **options)
        self.search.set_max_concurrency(workers)

    def ask(self, number: int) -> Mapping[str, Value]:
        """See `Sampler`."""
        return self.search.suggest(str(number))

    def tell(self, number: int, loss: float) -> None:
        """See `Sampler`."""
        self.search.on_trial_complete(str(number), {"loss": loss})
        if self.search.counts["internal"]:
            raise RuntimeError("ASNGSearch met an error of its own, which it has logged; its runs would not count")


class ByOptuna:
    """Optuna's tree-structured Parzen estimator; `options` are those of its `TPESampler`."""

    def __init__(self, space: SearchSpace, seed: int, **options: Any) -> None:
        optuna: Any = import_module("optuna")
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # `multivariate` is one
            sampler = optuna.samplers.TPESampler(seed=seed, **options)
        self._study = optuna.create_study(sampler=sampler)
        self._kinds = optuna.distributions
        self._distributions = {decision.name: self._distribution(decision) for decision in space.decisions}
        self._out: dict[int, Any] = {}

    def _distribution(self, decision: Decision) -> Any:
        if isinstance(decision, Categorical):
            return self._kinds.CategoricalDistribution(decision.options)
        if isinstance(decision, Integer):
            return self._kinds.IntDistribution(decision.low, decision.high, step=decision.step)
        return self._kinds.FloatDistribution(decision.low, decision.high, log=decision.log)

    def ask(self, number: int) -> Mapping[str, Value]:
        """See `Sampler`."""
        self._out[number] = self._study.ask(self._distributions)
        found: dict[str, Value] = self._out[number].params
        return found

    def tell(self, number: int, loss: float) -> None:
        """See `Sampler`."""
        self._study.tell(self._out.pop(number), loss)


class ByCatCMAwM:
    """CatCMA with margin of the `cmaes` package; it learns when the results of a whole population are in."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        cmaes: Any = import_module("cmaes")
        self._space = space
        self._integers = [number for number in space.numeric if isinstance(number, Integer)]
        self._reals = [number for number in space.numeric if not isinstance(number, Integer)]
        self._search = cmaes.CatCMAwM(
            # Reals in the coordinate of the space, which is the logarithm where it has one.
            x_space=[list(real.bounds) for real in self._reals] or None,
            z_space=[list(integer.values) for integer in self._integers] or None,
            c_space=[len(decision.options) for decision in space.categorical] or None,
            seed=seed,
        )
        self._out: dict[int, Any] = {}
        self._told: list[tuple[Any, float]] = []

    def ask(self, number: int) -> Mapping[str, Value]:
        """See `Sampler`."""
        solution = self._out[number] = self._search.ask()
        found: dict[str, Value] = {}
        if solution.c is not None:
            options = np.argmax(solution.c, axis=1)
            found |= {d.name: d.options[option] for d, option in zip(self._space.categorical, options, strict=True)}
        if solution.z is not None:
            found |= {d.name: int(value) for d, value in zip(self._integers, solution.z, strict=True)}
        if solution.x is not None:
            found |= {d.name: d.decode(float(value)) for d, value in zip(self._reals, solution.x, strict=True)}
        return found

    def tell(self, number: int, loss: float) -> None:
        """See `Sampler`."""
        self._told.append((self._out.pop(number), loss))
        if len(self._told) == self._search.population_size:
            self._search.tell(self._told)
            self._told = []


class ByHyperOpt:
    """HyperOpt's tree-structured Parzen estimator."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        hyperopt: Any = import_module("hyperopt")
        self._hyperopt = hyperopt
        self._space = {decision.name: self._expression(decision) for decision in space.decisions}
        self._domain = hyperopt.base.Domain(_never, self._space)
        self._trials = hyperopt.Trials()
        self._rng = np.random.default_rng(seed)
        self._out: dict[int, Any] = {}

    def _expression(self, decision: Decision) -> Any:
        hp = self._hyperopt.hp
        if isinstance(decision, Categorical):
            return hp.choice(decision.name, list(decision.options))
        if isinstance(decision, Integer):
            return decision.low + decision.step * hp.randint(decision.name, len(decision.values))
        if decision.log:
            return hp.loguniform(decision.name, math.log(decision.low), math.log(decision.high))
        return hp.uniform(decision.name, decision.low, decision.high)

    def ask(self, number: int) -> Mapping[str, Value]:
        """See `Sampler`."""
        base = self._hyperopt.base
        ids = self._trials.new_trial_ids(1)
        (trial,) = self._hyperopt.tpe.suggest(
            ids, self._domain, self._trials, int(self._rng.integers(2**31)), verbose=False
        )
        self._trials.insert_trial_docs([trial])
        self._trials.refresh()
        self._out[number] = next(each for each in self._trials.trials if each["tid"] == ids[0])
        found = self._hyperopt.space_eval(self._space, base.spec_from_misc(trial["misc"]))
        return {name: value.item() if isinstance(value, np.generic) else value for name, value in found.items()}

    def tell(self, number: int, loss: float) -> None:
        """See `Sampler`."""
        trial = self._out.pop(number)
        trial["state"] = self._hyperopt.JOB_STATE_DONE
        trial["result"] = {"loss": loss, "status": self._hyperopt.STATUS_OK}
        self._trials.refresh()


def _never(config: Any) -> float:
    raise RuntimeError("HyperOpt was to suggest, not to evaluate")


OURS = "asng-search"

_PLAIN: dict[str, Any] = {
    "method_options": {"reuse": 0, "snr_threshold": 1.5, "initial_sigma": 0.5, "exponential": False},
    "samples": 2,
}

METHODS = {
    OURS: Method(ByASNGSearch, "`ASNGSearch` with its defaults"),
    f"{OURS}-16": Method(
        partial(ByASNGSearch, workers=16), "`ASNGSearch` with its defaults and 16 trials out at a time", workers=16
    ),
    "asng-plain": Method(
        partial(ByASNGSearch, **_PLAIN),
        "`ASNGSearch` with the published settings of ASNG: lambda 2, alpha 1.5, no result learnt from twice; but no "
        "point is tried twice either",
    ),
    "random": Method(partial(ByOptimizer, method="random_search"), "uniform draws"),
    "evolution": Method(
        partial(ByOptimizer, method="evolution"), "regularised evolution of this package: population 10, tournament 3"
    ),
    "catcmawm": Method(ByCatCMAwM, "CatCMA with margin, of the package `cmaes`", library="cmaes"),
    # Both by name, since Optuna 5 turned its default from the one into the other.
    "optuna-tpe-univariate": Method(
        partial(ByOptuna, multivariate=False), "TPE of Optuna with multivariate=False", library="optuna", is_dear=True
    ),
    "optuna-tpe-multivariate": Method(
        partial(ByOptuna, multivariate=True), "TPE of Optuna with multivariate=True", library="optuna", is_dear=True
    ),
    "hyperopt-tpe": Method(ByHyperOpt, "TPE of HyperOpt", library="hyperopt", is_dear=True),
}

ABLATIONS = {
    OURS: METHODS[OURS],
    "reuse 0": Method(partial(ByASNGSearch, method_options={"reuse": 0}), "learns from no result twice"),
    "retries 0": Method(partial(ByASNGSearch, retries=0), "tries points again"),
    "snr_threshold 1.5": Method(
        partial(ByASNGSearch, method_options={"snr_threshold": 1.5}), "alpha as published, for independent results"
    ),
    "initial_sigma 0.5": Method(
        partial(ByASNGSearch, method_options={"initial_sigma": 0.5}), "numbers begin as wide as published"
    ),
    "exponential False": Method(
        partial(ByASNGSearch, method_options={"exponential": False}),
        "numbers move in their second moment, as published",
    ),
    "samples 2": Method(partial(ByASNGSearch, samples=2), "lambda 2, and the 16 last results learnt from"),
    "samples 8": Method(partial(ByASNGSearch, samples=8), "lambda 8, and the 64 last results learnt from"),
}
"""`ASNGSearch` as it is, then without each of its devices."""
