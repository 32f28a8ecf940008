"""The main job: searches by several methods and seeds as one Tune experiment, then retrainings of what they found.

Both experiments stand below the output folder, which is all that is needed to go on after an interruption.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ray import tune

from ray_asng.config import SearchConfig
from ray_asng.raytune.restored_pictures import draw_restored
from ray_asng.raytune.resumable import Experiment, ray_session, results_and_report
from ray_asng.raytune.retrain_trainable import (
    CHECKPOINT_FILE,
    RetrainTrainable,
    build_retraining,
    retrained_config,
    space_options,
)
from ray_asng.raytune.state_file import load_state
from ray_asng.raytune.stopper import SearchStopper
from ray_asng.raytune.trainable import SearchTrainable
from ray_asng.results.report import Report
from ray_asng.results.store import replacing
from ray_asng.results.trials import HAND_MADE
from ray_asng.retrain import RetrainSettings, measured_weights
from ray_asng.supernets.supernet import Supernet

logger = logging.getLogger(__name__)

RANDOM_ARCHITECTURE = "random_architecture"
GIVEN = "given"


@dataclass(frozen=True)
class Rehearsal:
    """What building everything once has told.

    Attributes:
        metric: of the task.
        given: architectures to retrain that no search has to find, as `found` of a `RetrainTrainable`.
        hand_made: that of the network itself, likewise; None if it has none.
    """

    metric: str
    given: list[dict[str, Any]]
    hand_made: dict[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the main job does.

    Attributes:
        output: folder of everything it writes.
        methods: name -> number of seeds (0, 1, ...); none leaves searching out.
        config: what all searches have in common, as for `SearchTrainable`.
        retraining: fields of `RetrainSettings`, `space_options` and `task_options` over those of the searches, and
            `parameter_limit`, as for `RetrainTrainable`; None leaves retraining out.
        retrain_seeds: retrainings of every architecture (seeds 0, 1, ...).
        architectures: what is retrained besides what the searches find, as JSON or in the notation of the space.
        random_architectures: how many uniformly drawn architectures are retrained for comparison.
        hand_made: how often that of the network itself (its method `hand_made`) is, if it has one: seeds 0, 1, ...
        checkpoint_every: epochs between checkpoints.
        max_concurrent: trials at a time; as many as the resources allow if None.
        patience: of a `SearchStopper` that ends searches which have converged or collapsed; None lets them run on.
        command: what was typed, for the report.
    """

    output: Path
    methods: Mapping[str, int]
    config: Mapping[str, Any]
    retraining: Mapping[str, Any] | None = field(default_factory=dict)
    retrain_seeds: int = 1
    architectures: Sequence[str] = ()
    random_architectures: int = 1
    hand_made: int = 1
    checkpoint_every: int = 5
    max_concurrent: int | None = None
    patience: int | None = None
    command: str = ""

    def checked_config(self) -> SearchConfig:
        """The config of a search of this job; those of all methods are checked."""
        for key in ("method", "seed"):
            if key in self.config:
                raise ValueError(f"the job sets {key!r} itself, from its methods and their numbers of seeds")
        for method, seeds in self.methods.items():
            if seeds < 1:
                raise ValueError(f"method {method!r} needs at least one seed, got {seeds}")
            SearchConfig.from_mapping({**self.config, "method": method, "seed": 0})
        if self.retraining is not None:
            beside = ("space_options", "parameter_limit", "task_options")
            RetrainSettings.from_mapping({key: value for key, value in self.retraining.items() if key not in beside})
        return SearchConfig.from_mapping({**self.config, "seed": 0})

    def rehearse(self) -> Rehearsal:
        """Build everything once, so that whatever is wrong is said before anything is started.

        Raises:
            ValueError, TypeError: a bad config or recipe, or an architecture that is not of the space.
            FileNotFoundError: missing data.
        """
        config = self.checked_config()
        if not self.methods and self.retraining is None:
            raise ValueError("the job has neither a method nor a retraining; there is nothing to do")
        task = config.build_task()
        for method in self.methods:
            SearchConfig.from_mapping({**self.config, "method": method, "seed": 0}).build_search(task=task)
        module = config.build_module(task)
        metric, space = task.metric, Supernet(module).space
        rng = np.random.default_rng(0)
        drawn = [space.sample(rng) for _ in range(self.random_architectures)]
        given = [
            *({"architecture": dict(space.parse(text)), "method": GIVEN, "seed": -1} for text in self.architectures),
            *({"architecture": dict(found), "method": RANDOM_ARCHITECTURE, "seed": -1} for found in drawn),
        ]
        if self.retraining is not None:
            example = {"architecture": dict(space.sample(rng))}
            first = {"search": {**self.config, "seed": 0}, "seed": 0, **self.retraining, "found": example}
            retrained = retrained_config(first)
            if "task_options" in self.retraining:
                task = retrained.build_task()
            build_retraining(retrained, {**first, "space_options": space_options(retrained, first, task)}, task)
        return Rehearsal(metric, given, _hand_made(module))

    def save(self) -> None:
        """Write the job into its folder, so that `load` can take it up."""
        plain = {**dataclasses.asdict(self), "output": None}
        (self.output / "job.json").write_text(json.dumps(plain, indent=2) + "\n")

    @classmethod
    def load(cls, output: Path) -> Job:
        """The job that was started in `output`.

        Raises:
            FileNotFoundError: none was.
        """
        path = output / "job.json"
        if not path.is_file():
            raise FileNotFoundError(f"{output} holds no job to resume (no job.json); start it without --resume")
        return cls(**{**json.loads(path.read_text()), "output": output})


def run_job(job: Job, rehearsal: Rehearsal) -> Report:
    """Run a job, or go on with it; returns its report.

    Raises:
        RuntimeError: every search failed, or every retraining.
    """
    with ray_session():
        searches = _searches(job, rehearsal)
        found = [_found(result.metrics) for result in searches if result.error is None and result.metrics]
        retrained = _retrainings(job, rehearsal, "retraining", [*found, *rehearsal.given], job.retrain_seeds)
        hand_made = [] if rehearsal.hand_made is None else [rehearsal.hand_made]
        by_hand = _retrainings(job, rehearsal, HAND_MADE, hand_made, job.hand_made)
    draw_restored(job.output, [*retrained, *by_hand])
    report = results_and_report(job.output, job.command)
    if found and retrained:
        _save_best_child(job.output, retrained)
    return report


def _searches(job: Job, rehearsal: Rehearsal) -> list[tune.Result]:
    if not job.methods:
        return []
    space, points = _search_space(job)
    return Experiment(
        folder=job.output / "tune" / "search",
        trainable=SearchTrainable,
        param_space=space,
        points=points,
        name=lambda config: f"{config['method']}_seed{config['seed']}",
        columns=("epoch", "train_loss", f"path_{rehearsal.metric}"),
        checkpoint_every=job.checkpoint_every,
        max_concurrent=job.max_concurrent,
        stop=None if job.patience is None else SearchStopper(job.patience),
    ).run()


def _retrainings(
    job: Job, rehearsal: Rehearsal, folder: str, found: list[dict[str, Any]], seeds: int
) -> list[tune.Result]:
    """Retrain what was found so many times each."""
    if job.retraining is None or not found or not seeds:
        return []
    return Experiment(
        folder=job.output / "tune" / folder,
        trainable=RetrainTrainable,
        param_space=_retraining_space(job, found, seeds),
        name=_retraining_name,
        columns=("epoch", "train_loss", f"test_{rehearsal.metric}"),
        checkpoint_every=job.checkpoint_every,
        max_concurrent=job.max_concurrent,
    ).run()


def _hand_made(module: torch.nn.Module) -> dict[str, Any] | None:
    make = getattr(module, "hand_made", None)
    return None if make is None else {"architecture": dict(make()), "method": HAND_MADE, "seed": -1}


def _search_space(job: Job) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The param_space of all searches, and the (method, seed) points in it that are run."""
    points = [{"method": method, "seed": seed} for method, seeds in job.methods.items() for seed in range(seeds)]
    most = max(job.methods.values())
    return {**job.config, "method": tune.choice(list(job.methods)), "seed": tune.randint(0, most + 1)}, points


def _retraining_space(job: Job, found: list[dict[str, Any]], seeds: int) -> dict[str, Any]:
    """The param_space of retrainings."""
    return {
        "search": {**job.config, "seed": 0},
        "found": tune.grid_search(found),
        "seed": tune.grid_search(list(range(seeds))),
        **(job.retraining or {}),
    }


def _retraining_name(config: Mapping[str, Any]) -> str:
    found = config["found"]
    return f"{found['method']}{found['seed'] if found['seed'] >= 0 else ''}_seed{config['seed']}"


def _found(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """What a search found, from its last result."""
    architecture = json.loads(metrics["architecture"])
    return {"architecture": architecture, "method": metrics["method"], "seed": metrics["seed"]}


def _save_best_child(output: Path, retrained: Sequence[tune.Result]) -> None:
    """Write the weights of the best search's retrained child, with what is needed to build it again."""
    best = json.loads((output / "best_architecture.json").read_text())
    for result in retrained:
        if result.checkpoint is None or not result.metrics:
            continue
        if (result.metrics["method"], result.metrics["search_seed"]) == (best["method"], best["seed"]):
            with result.checkpoint.as_directory() as folder:
                state = load_state(Path(folder) / CHECKPOINT_FILE)
            config = json.loads(result.metrics["config_json"])
            child = {**best, "config": config, "state_dict": measured_weights(state)}
            with replacing(output / "best_child.pt") as file:
                torch.save(child, file)
            return
    logger.warning("the best architecture was not retrained; %s is not written", output / "best_child.pt")
