"""ASNG, or another sampling method, as a search algorithm of Tune for any `param_space`.

    >>> search = ASNGSearch(metric="loss", mode="min", seed=0)
    >>> config = tune.TuneConfig(search_alg=search, num_samples=200, max_concurrent_trials=4)
    >>> tune.Tuner(trainable, param_space={"lr": tune.loguniform(1e-4, 1.0)}, tune_config=config).fit()

It never waits: any number of trials may be out, and a step is taken as soon as `samples` results have come back,
whichever these are. What late results count for is told in `optimizers.reuse`.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from ray import cloudpickle
from ray.tune.search import UNDEFINED_METRIC_MODE, UNDEFINED_SEARCH_SPACE, Searcher
from ray.tune.utils import merge_dicts

from ray_asng import registry
from ray_asng.optimizers.base import Proposal, SamplingOptimizer
from ray_asng.raytune.domains import ParamSpace
from ray_asng.raytune.search_defaults import asng_defaults
from ray_asng.space import Architecture, Value

logger = logging.getLogger(__name__)

STATE_FORMAT = 1

_MODES = ("min", "max")


class ASNGSearch(Searcher):
    """Searches a `param_space` by a sampling method of this package.

    Results that are NaN, infinite or missing, and trials that failed, rank worst. A trial that was stopped before its
    first result teaches nothing. A finite result counts even if the trial is reported as failed.

    Args:
        space: a `param_space`, if Tune is not given one.
        metric: that trials report.
        mode: "min" or "max".
        points_to_evaluate: configs to try first; what they leave out is drawn.
        evaluated_rewards: the metric of each of these, which are then not tried again.
        seed: of the proposals; drawn if None.
        method: "asng", the name of another sampling method, or a function (space, seed, **method_options) to one.
        method_options: of the method; by default, for ASNG, those of `search_defaults`.
        samples: results for one step [lambda]. By default, for ASNG, 4, or the root of the number of concurrent trials
            if that is more; the method's own for others. From 25 on, ASNG is `wa_asng`, unless `method_options` say
            what to `reuse`.
        retries: a point that was tried already is drawn again at most so often. 0 evaluates points again, which suits
            objectives with much noise.

    Attributes:
        counts: what happened so far: "suggested", "learnt", "failed", "not finite", "unknown", "internal".

    Raises:
        ValueError: a mode, method, option or domain that does not exist or cannot be searched, grid_search, or a
            point outside its domain; named, with the remedy.
    """

    def __init__(
        self,
        space: Mapping[str, Any] | None = None,
        metric: str | None = None,
        mode: str | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        evaluated_rewards: Sequence[float] | None = None,
        seed: int | None = None,
        *,
        method: str | Callable[..., Any] = "asng",
        method_options: Mapping[str, Any] | None = None,
        samples: int | None = None,
        retries: int = 100,
    ) -> None:
        if mode is not None and mode not in _MODES:
            raise ValueError(f"mode must be one of {_MODES}, got {mode!r}")
        if retries < 0:
            raise ValueError(f"retries must be at least 0, got {retries!r}")
        super().__init__(metric=metric, mode=mode)
        self._settings: dict[str, Any] = {
            "seed": int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed,
            "method": method,
            "method_options": None if method_options is None else dict(method_options),
            "samples": samples,
            "retries": retries,
        }
        self._params: ParamSpace | None = None
        self._optimizer: SamplingOptimizer | None = None
        self._concurrent = 1
        self._points = [dict(point) for point in points_to_evaluate or ()]
        self._rewards = None if evaluated_rewards is None else [float(reward) for reward in evaluated_rewards]
        if self._rewards is not None and len(self._rewards) != len(self._points):
            raise ValueError(
                f"evaluated_rewards must have one reward for each of the {len(self._points)} points_to_evaluate, "
                f"got {len(self._rewards)}"
            )
        self._live: dict[str, Proposal] = {}
        self._batch: list[tuple[Proposal, float]] = []
        self._tried: set[bytes] = set()
        self.counts: Counter[str] = Counter()
        if space is not None:
            self._take(space)

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        """Take Tune's `param_space`, unless there is one already; see `Searcher.set_search_properties`."""
        if self._params is not None:
            return False
        if mode is not None and mode not in _MODES:
            raise ValueError(f"mode must be one of {_MODES}, got {mode!r}")
        self._metric, self._mode = metric or self._metric, mode or self._mode
        if self._metric is None and self._mode is not None:
            self._metric = "_metric"  # what Tune calls the one value of a function
        self._take(config)
        return True

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """Note how many trials will be out; Tune counts them."""
        self._concurrent = max_concurrent
        return False

    def _take(self, param_space: Mapping[str, Any]) -> None:
        self._params = ParamSpace.read(param_space)
        if self._params is None:
            return
        for point in self._points:
            self._params.check(point, param_space)
        # Now rather than at the first trial, so that what is wrong is said before anything runs.
        self._build(self._params)

    def _build(self, params: ParamSpace) -> SamplingOptimizer:
        settings = self._settings
        method, options = settings["method"], settings["method_options"]
        samples = settings["samples"]
        if method == "asng":
            method, samples, options = asng_defaults(params.space, self._concurrent, samples, options or {})
        try:
            optimizer = registry.methods.resolve(method)(params.space, settings["seed"], **(options or {}))
        except TypeError as error:
            raise ValueError(f"method {method!r} does not take method_options={options!r}: {error}") from error
        if not isinstance(optimizer, SamplingOptimizer):
            raise ValueError(
                f"method {method!r} mixes the options of a network and cannot choose trials; use a method that "
                "samples, such as 'asng', 'sng', 'evolution' or 'random_search'"
            )
        self._samples = max(samples or optimizer.samples, optimizer.least_samples)
        return optimizer

    def _start(self) -> tuple[ParamSpace, SamplingOptimizer]:
        """The space and the optimizer, which is built at the first need: only then is the concurrency known."""
        if self._params is None:
            raise RuntimeError(UNDEFINED_SEARCH_SPACE.format(cls=type(self).__name__, space="space"))
        if not self._metric or not self._mode:
            raise RuntimeError(
                UNDEFINED_METRIC_MODE.format(cls=type(self).__name__, metric=self._metric, mode=self._mode)
            )
        if self._optimizer is None:
            self._optimizer = self._build(self._params)
            if self._rewards is not None:
                for point, reward in zip(self._points, self._rewards, strict=True):
                    self._learn(self._pointed(point), self._loss(reward))
                self._points, self._rewards = [], None
        return self._params, self._optimizer

    def suggest(self, trial_id: str) -> dict[str, Any]:
        """The searched part of the config of a new trial.

        Raises:
            RuntimeError: there is no space, metric or mode yet.
        """
        params, optimizer = self._start()
        proposal, point = None, {}
        with self._guarded("a trial was proposed"):
            point = self._points.pop(0) if self._points else {}
            proposal = self._pointed(point) if point else self._untried(optimizer)
        if proposal is None:
            rng = np.random.default_rng((self._settings["seed"], self.counts["suggested"]))
            proposal = self._bare(params.space.sample(rng))
        self._tried.add(_digest(proposal.architecture))
        self._live[trial_id] = proposal
        self.counts["suggested"] += 1
        # A point's numbers are given as they came, not as their coordinates give them back.
        return merge_dicts(params.config(proposal.architecture), point)

    def _untried(self, optimizer: SamplingOptimizer) -> Proposal:
        """A proposal that was not tried before, if one is drawn in time."""
        (proposal,) = optimizer.ask(1)
        for _ in range(self._settings["retries"]):
            if _digest(proposal.architecture) not in self._tried:
                break
            (proposal,) = optimizer.ask(1)
        return proposal

    def _pointed(self, point: Mapping[str, Any]) -> Proposal:
        """A config as a proposal; parameters that it leaves out are drawn."""
        params, optimizer = self._start()
        drawn = params.config(optimizer.ask(1)[0].architecture)
        return self._bare(params.architecture(merge_dicts(drawn, dict(point))))

    def _bare(self, architecture: Architecture) -> Proposal:
        params, _ = self._start()
        return Proposal(architecture, *params.space.encode(architecture))

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Intermediate results teach nothing: they are of another length of training than the last ones."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Learn from the last result of a trial. Trials that are not known, or were completed before, are counted."""
        with self._guarded("a result was learnt from"):
            proposal = self._live.get(trial_id)
            if proposal is None:
                self._count("unknown", f"trial {trial_id} was not proposed by this search, or has ended before")
                return
            if error and not self._is_finite(result):
                # Kept among the live ones: Tune may run it again (`restart_errored`), and then it has a result.
                self._count("failed", f"trial {trial_id} failed; failed trials rank worst")
                self._learn(proposal, math.inf)
                return
            del self._live[trial_id]
            if result is None:
                return
            if not self._is_finite(result):
                self._count("not finite", f"trial {trial_id} ended without a finite {self._metric!r}; that ranks worst")
            self._learn(proposal, self._loss(result.get(str(self._metric))))

    def add_evaluated_point(
        self,
        parameters: dict[str, Any],
        value: float,
        error: bool = False,
        pruned: bool = False,
        intermediate_values: list[float] | None = None,
    ) -> None:
        """Learn from a point that was evaluated elsewhere.

        Args:
            parameters: a config; keys that are not searched do not matter.
            value: of the metric; of the last result if the trial was pruned.
            error: whether it failed, which ranks worst.
            pruned: whether a scheduler ended it.
            intermediate_values: teach nothing.

        Raises:
            ValueError: a parameter is missing or outside its domain.
        """
        params, _ = self._start()
        proposal = self._bare(params.architecture(parameters))
        self._tried.add(_digest(proposal.architecture))
        self._learn(proposal, math.inf if error else self._loss(value))

    def _is_finite(self, result: Mapping[str, Any] | None) -> bool:
        return result is not None and math.isfinite(self._loss(result.get(str(self._metric))))

    def _loss(self, value: Any) -> float:
        """What is minimised; infinity for what is no finite number."""
        try:
            number = float(value)
        except (TypeError, ValueError):
            return math.inf
        if not math.isfinite(number):
            return math.inf
        return number if self._mode == "min" else -number

    def _learn(self, proposal: Proposal, loss: float) -> None:
        """Note a result, and take a step if there are enough."""
        _, optimizer = self._start()
        self._batch.append((proposal, loss))
        if len(self._batch) >= self._samples:
            batch, self._batch = self._batch, []
            optimizer.tell([proposal for proposal, _ in batch], [loss for _, loss in batch])
            self.counts["learnt"] += len(batch)

    def _count(self, what: str, first_time: str) -> None:
        self.counts[what] += 1
        if self.counts[what] == 1:
            logger.warning("%s. More of these are counted in silence; see `counts`.", first_time)

    @contextmanager
    def _guarded(self, doing: str) -> Iterator[None]:
        """Tune ends the experiment if a searcher raises; a fault in here must not cost the user his trials."""
        try:
            yield
        except Exception:
            self.counts["internal"] += 1
            logger.exception(
                "ASNGSearch met an error of its own when %s; the experiment goes on. Please report it.", doing
            )

    def save(self, checkpoint_path: str) -> None:
        """Write everything that the future depends on; see `Searcher.save`."""
        with self._guarded("its state was saved"):
            state: bytes = cloudpickle.dumps(self._state())  # type: ignore[no-untyped-call]
            Path(checkpoint_path).write_bytes(state)

    def restore(self, checkpoint_path: str) -> None:
        """Take over what `save` wrote: the same future bit for bit, in any process.

        Raises:
            ValueError: a file of another format.
        """
        state = cloudpickle.loads(Path(checkpoint_path).read_bytes())
        if not isinstance(state, dict) or state.get("format") != STATE_FORMAT:
            found = state.get("format") if isinstance(state, dict) else type(state).__name__
            raise ValueError(
                f"{checkpoint_path} is not a state of ASNGSearch of format {STATE_FORMAT}, but {found!r}; "
                "go on with the version of the package that wrote it"
            )
        self._metric, self._mode = state["metric"], state["mode"]
        self._settings, self._concurrent = state["settings"], state["concurrent"]
        self._params = None if state["params"] is None else ParamSpace.from_state(state["params"])
        self._points, self._rewards = state["points"], state["rewards"]
        self._tried, self.counts = set(state["tried"]), Counter(state["counts"])
        self._optimizer, self._live, self._batch = None, {}, []
        if self._params is not None and state["optimizer"] is not None:
            self._optimizer = self._build(self._params)
            self._optimizer.load_state_dict(state["optimizer"])
            self._live = {trial: self._proposal(row) for trial, row in state["live"].items()}
            self._batch = [(self._proposal(row), loss) for row, loss in state["batch"]]

    def _state(self) -> dict[str, Any]:
        return {
            "format": STATE_FORMAT,
            "metric": self._metric,
            "mode": self._mode,
            "settings": self._settings,
            "concurrent": self._concurrent,
            "params": None if self._params is None else self._params.state(),
            "points": self._points,
            "rewards": self._rewards,
            "tried": sorted(self._tried),
            "counts": dict(self.counts),
            "optimizer": None if self._optimizer is None else self._optimizer.state_dict(),
            "live": {trial: _row(proposal) for trial, proposal in self._live.items()},
            "batch": [(_row(proposal), loss) for proposal, loss in self._batch],
        }

    def _proposal(self, row: Sequence[Any]) -> Proposal:
        params, _ = self._start()
        values, raw_options, raw_values, log_probability, version = row
        return Proposal(
            params.space.architecture(values),
            np.array(raw_options, dtype=np.int64),
            np.array(raw_values, dtype=np.float64),
            log_probability,
            version,
        )


def _row(proposal: Proposal) -> tuple[Any, ...]:
    """A proposal as plain data."""
    raw = proposal.options.tolist(), proposal.values.tolist()
    return dict(proposal.architecture), *raw, proposal.log_probability, proposal.version


def _digest(architecture: Mapping[str, Value]) -> bytes:
    """Eight bytes that stand for an architecture in all processes."""
    return blake2b(repr(list(architecture.items())).encode(), digest_size=8).digest()
