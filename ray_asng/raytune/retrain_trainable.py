"""The retraining of one architecture from scratch as one Tune trial; one `step` is one epoch."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from ray import tune

from ray_asng.config import SearchConfig, as_json, name_of
from ray_asng.randomness import drawing_from
from ray_asng.raytune.allocation import claim_devices, release_memory, request
from ray_asng.raytune.report_log import ReportLog
from ray_asng.raytune.state_file import load_state, save_state
from ray_asng.raytune.versions import versions
from ray_asng.retrain import Retraining, RetrainSettings
from ray_asng.settings import check_whole
from ray_asng.space import Architecture, SearchSpace, nearest
from ray_asng.supernets.supernet import Supernet
from ray_asng.supernets.width_search import width_for_parameters
from ray_asng.tasks.base import Task

CHECKPOINT_FILE = "retraining.pt"

_RECIPE = tuple(setting.name for setting in dataclasses.fields(RetrainSettings))
_OWN = ("search", "found", "seed", "space_options", "parameter_limit", "task_options")


class RetrainTrainable(tune.Trainable):
    """One retraining.

    Keys of `config`: `search`, the config of the search (space, task, split, devices); `found`, what it found: a dict
    with `architecture` (decision name -> option), and for reports `method` and `seed`; `seed` of the retraining;
    `space_options` over those of the search (by default what a network trained by itself has); `parameter_limit`, with
    which the child gets the largest `width` at which it has at most so many parameters; `task_options` over those of
    the search; and the fields of `RetrainSettings`.

    Raises (in `setup`):
        ValueError: an unknown key, an architecture that is not of the space, or a limit that no width keeps or that
            stands beside a width.
    """

    @classmethod
    def default_resource_request(cls, config: Mapping[str, Any]) -> tune.PlacementGroupFactory | None:
        """What `cpus` and `gpus` of the search's config ask for, but one GPU at most; None without them."""
        search = SearchConfig.from_mapping(config["search"])
        return request(search if search.gpus is None else dataclasses.replace(search, gpus=min(1, search.gpus)))

    def setup(self, config: dict[str, Any]) -> None:
        """Build the child with fresh weights."""
        known = (*_RECIPE, *_OWN)
        for key in config:
            if key not in known and not key.startswith("__"):
                raise ValueError(f"unknown config key {key!r}{nearest(key, known)}")
        self.resolved = retrained_config(config)
        self.device = claim_devices(self.resolved, self.trial_resources)[0]
        task = self.resolved.build_task()
        config = {**config, "space_options": space_options(self.resolved, config, task)}
        self.retraining, space = build_retraining(self.resolved, config, task, self.device)
        self.architecture: Architecture = space.architecture(config["found"]["architecture"])
        self._constant = self._describe(config, space)
        self._reported = ReportLog()

    def _describe(self, config: Mapping[str, Any], space: SearchSpace) -> dict[str, Any]:
        graph = space.graph(self.architecture)
        task = self.retraining.task
        return {
            "kind": "retraining",
            "method": config["found"].get("method", "given"),
            "search_seed": int(config["found"].get("seed", -1)),
            "space": name_of(self.resolved.space),
            "task": task.name,
            "seed": int(config["seed"]),
            "split_seed": int(self.resolved.split_seed),
            "metric": task.metric,
            "higher_is_better": task.higher_is_better,
            "epochs": self.retraining.settings.epochs,
            "architecture": self.architecture.to_json(),
            "architecture_text": space.text(self.architecture),
            "architecture_graph": "" if graph is None else json.dumps(graph),
            "device": str(self.device),
            "versions": json.dumps(versions()),
            "config_json": json.dumps(config, default=as_json, sort_keys=True),
        }

    def step(self) -> dict[str, Any]:
        """Run one epoch. A trial that had finished when it was restored reports its last one again."""
        metrics = self.retraining.report if self.retraining.is_done else self.retraining.run_epoch()
        is_done = self.retraining.is_done
        return {**self._constant, **metrics, "ended": "finished" if is_done else "", "done": is_done}

    def log_result(self, result: dict[str, Any]) -> None:
        """Keep what is reported for the checkpoints; called by Tune's `train` with the complete result."""
        self._reported.add(result)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the whole state into one file of fixed name, and beside it the reports so far."""
        self._reported.save(Path(checkpoint_dir))
        save_state(self.retraining.state_dict(), Path(checkpoint_dir) / CHECKPOINT_FILE)

    def load_checkpoint(self, checkpoint_dir: str) -> None:  # type: ignore[override]  # a directory is what is saved
        """Go on from a checkpoint."""
        self.retraining.load_state_dict(load_state(Path(checkpoint_dir) / CHECKPOINT_FILE))
        self._reported.load(Path(checkpoint_dir), self.trial_id, self.iteration)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Start anew with another config in the same process."""
        vars(self).pop("retraining", None)
        release_memory()
        self.setup(new_config)
        return True


def build_retraining(
    search: SearchConfig, config: Mapping[str, Any], task: Task, device: torch.device | str = "cpu"
) -> tuple[Retraining, SearchSpace]:
    """The retraining that the config of a `RetrainTrainable` describes, at its start, and the space it is from.

    Its `space_options` are all that the child is built with over those of the search.
    """
    seed = int(config["seed"])
    with drawing_from(torch.Generator().manual_seed(seed)):
        supernet = Supernet(search.build_module(task, **config["space_options"]))
        architecture = supernet.space.architecture(config["found"]["architecture"])
        child = supernet.build_child(architecture)
    retraining = Retraining(
        child,
        task,
        RetrainSettings(**{key: config[key] for key in _RECIPE if key in config}),
        choice_paths=supernet.paths_in_child(architecture),
        seed=seed,
        device=device,
    )
    return retraining, supernet.space


def retrained_config(config: Mapping[str, Any]) -> SearchConfig:
    """The config of the search, checked, with the options of the task that hold for its retraining."""
    search = config["search"]
    options = {**search.get("task_options", {}), **config.get("task_options", {})}
    return SearchConfig.from_mapping({**search, "task_options": options})


def space_options(search: SearchConfig, config: Mapping[str, Any], task: Task) -> dict[str, Any]:
    """What the child is built with over the options of the search.

    Affine batch norm, all channels and no edge weights where the space knows these, and the width where the number of
    parameters is limited.
    """
    known = inspect.signature(search.space_builder).parameters
    options = {**search.options_alone, **config.get("space_options", {})}
    limit = config.get("parameter_limit")
    if limit is None:
        return options
    if "width" not in known or "width" in options:
        raise ValueError(
            f"parameter_limit={limit!r} finds the width of the network, so the space must have one "
            f"({name_of(search.space)} has the options {sorted(known)}) and the retraining's space_options must not; "
            f"they are {options}"
        )
    check_whole("parameter_limit", limit, 1)
    build = partial(search.build_module, task, **options)
    return {**options, "width": width_for_parameters(build, config["found"]["architecture"], limit)}
