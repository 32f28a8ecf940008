"""A whole one-shot search as one Tune trial.

Tune runs many of them side by side: seeds, methods, tasks, settings. One `step` is one epoch; a checkpoint holds the
whole state, so a trial that is stopped, killed or moved goes on bit for bit.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune import PlacementGroupFactory

from ray_asng.config import SearchConfig, name_of
from ray_asng.raytune.allocation import check_request, claim_devices, release_memory, request
from ray_asng.raytune.report_log import ReportLog
from ray_asng.raytune.state_file import load_state, save_state
from ray_asng.raytune.table_columns import TableColumns
from ray_asng.raytune.versions import versions
from ray_asng.search import Search
from ray_asng.space import Categorical, Decision, Integer

CHECKPOINT_FILE = "search.pt"

_NO_TRIAL = "default"
"""What Ray calls the trial of a Trainable that is used without Tune."""


class SearchTrainable(tune.Trainable):
    """One search; give it to `tune.run` or `tune.Tuner`.

    The keys of `config` are those of `SearchConfig` and `SearchSettings`; only `seed` has no default. Resources come
    from the config's `cpus` and `gpus`, or else from `resources_per_trial` or `tune.with_resources`. Objects that do
    not belong into a config, such as a task holding data, are passed by
    `tune.with_parameters(SearchTrainable, task=...)`.

    Each result is one epoch, with the same plain and finite keys every time (`ray_asng.results.schema` describes
    them); the last one has `done: True`. With `tune.run`, checkpoints need
    `checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1, checkpoint_at_end=True)`.

    Raises (in the driver, where Tune asks for resources, so before any trial starts; what `tune.with_parameters`
    holds back is checked in `setup`):
        ValueError: an unknown method, space, task, key or option, or a value out of range.
        TypeError: a module, array or tensor in the config.

    Example:
        >>> tune.run(SearchTrainable, config={"method": "darts", "seed": tune.grid_search([0, 1]), "epochs": 20})
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Let subclasses that answer for resources themselves check the config all the same.

        `tune.with_resources` makes such a subclass, and nothing else of a Trainable is called in the driver.
        """
        super().__init_subclass__(**kwargs)
        if "default_resource_request" not in cls.__dict__:
            return
        answer = cls.__dict__["default_resource_request"].__func__

        def checked_request(own: type[SearchTrainable], config: Mapping[str, Any]) -> PlacementGroupFactory | None:
            by_config = super(cls, own).default_resource_request(dict(config))
            wanted: PlacementGroupFactory | None = answer(own, config)
            check_request(wanted, by_config)
            return wanted

        cls.default_resource_request = classmethod(checked_request)  # type: ignore[assignment, method-assign]

    @classmethod
    def default_resource_request(cls, config: Mapping[str, Any]) -> PlacementGroupFactory | None:
        """What `cpus` and `gpus` of the config ask for; None without them. Checks the config on the way."""
        if cls.setup is not SearchTrainable.setup:
            # tune.with_parameters holds objects back until setup; what they are built with is checked there.
            config = {key: value for key, value in config.items() if not key.endswith("_options")}
        return request(cls._checked(config, {}))

    @classmethod
    def _checked(cls, config: Mapping[str, Any], objects: Mapping[str, Any]) -> SearchConfig:
        return SearchConfig.from_mapping(config, objects)

    def setup(self, config: dict[str, Any], **objects: Any) -> None:
        """Build the search; `objects` are what `tune.with_parameters` passes and go over the config."""
        self._objects = objects
        self._start(config)

    def _start(self, config: Mapping[str, Any]) -> None:
        self.resolved = self._checked(config, self._objects)
        self.devices = claim_devices(self.resolved, self.trial_resources)
        self.search: Search = self.resolved.build_search(self.devices)
        table = self.resolved.build_table()
        self._columns = None if table is None else TableColumns(table, self.search, self.resolved)
        self._constant = self._describe()
        self._reported = ReportLog()

    def _describe(self) -> dict[str, Any]:
        """What is the same in every result of the trial."""
        return {
            "kind": "search",
            "method": name_of(self.resolved.method),
            "space": name_of(self.resolved.space),
            "task": self.search.task.name,
            "seed": int(self.resolved.seed),
            "split_seed": int(self.resolved.split_seed),
            "metric": self.search.task.metric,
            "higher_is_better": self.search.task.higher_is_better,
            "epochs": self.resolved.settings.epochs,
            "decisions": json.dumps([_decision_words(decision) for decision in self.search.space.decisions]),
            "device": ", ".join(str(device) for device in self.devices),
            "versions": json.dumps(versions()),
            "config_json": self.resolved.to_json(),
            "label": self.resolved.label,
            "setting": self.resolved.setting,
            **(self._columns.constant if self._columns else {}),
        }

    def step(self) -> dict[str, Any]:
        """Run one epoch. A trial that had finished when it was restored reports its last one again."""
        metrics = self.search.report if self.search.is_done else self.search.run_epoch()
        architecture = self.search.architecture
        graph = self.search.space.graph(architecture)
        return {
            **self._constant,
            **metrics,
            **(self._columns.of_epoch(self.search) if self._columns else {}),
            "architecture_text": self.search.space.text(architecture),
            "architecture_graph": "" if graph is None else json.dumps(graph),
            "ended": "finished" if self.search.is_done else "",
            "done": self.search.is_done,
        }

    def log_result(self, result: dict[str, Any]) -> None:
        """Keep what is reported for the checkpoints; called by Tune's `train` with the complete result."""
        self._reported.add(result)

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the whole state into one file of fixed name, and beside it the reports so far."""
        self._reported.save(Path(checkpoint_dir))
        state = {**self.search.state_dict(), "trial": self.trial_id, "split_seed": int(self.resolved.split_seed)}
        save_state(state, Path(checkpoint_dir) / CHECKPOINT_FILE)

    def load_checkpoint(self, checkpoint_dir: str) -> None:  # type: ignore[override]  # a directory is what is saved
        """Go on from a checkpoint; the config of this trial stays.

        A trial that takes over another's checkpoint draws its own numbers from there on. PBT hands over the other's
        whole config, the seed included, so what makes them its own is the number of the trial.

        Raises:
            ValueError: a checkpoint of another space, method, weight optimizer, network or split, of another format,
                or a damaged one.
        """
        state = load_state(Path(checkpoint_dir) / CHECKPOINT_FILE)
        self.search.load_state_dict(state)  # refuses another format before anything else is read
        if state["split_seed"] != self.resolved.split_seed:
            raise ValueError(
                f"the checkpoint was made with split_seed={state['split_seed']}, this trial has "
                f"split_seed={self.resolved.split_seed}: examples it has trained on would now choose architectures; "
                "resume with the split it was made with"
            )
        if self.trial_id != _NO_TRIAL and state["trial"] != self.trial_id:
            # Tune's ids end in the number of the trial, which is the same when an experiment is repeated.
            self.search.draw_anew(zlib.crc32(self.trial_id.rpartition("_")[2].encode()))
        self._reported.load(Path(checkpoint_dir), self.trial_id, self.iteration)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Start anew with another config in the same process."""
        # Two supernets at a time may not fit. There is none if the config before this one was refused.
        vars(self).pop("search", None)
        release_memory()
        self._start(new_config)
        return True


class ASNGTrainable(SearchTrainable):
    """`SearchTrainable` whose method is ASNG.

    Example:
        >>> tune.run(ASNGTrainable, config={"space": "nasbench201", "task": "digits", "seed": 0, "epochs": 20})
    """

    @classmethod
    def _checked(cls, config: Mapping[str, Any], objects: Mapping[str, Any]) -> SearchConfig:
        checked = super()._checked(config, objects)
        if checked.method != "asng":
            raise ValueError(
                f"ASNGTrainable runs the method 'asng', the config asks for {checked.method!r}; use SearchTrainable"
            )
        return checked


def _decision_words(decision: Decision) -> dict[str, Any]:
    if isinstance(decision, Categorical):
        return {"name": decision.name, "options": list(decision.options)}
    numbers = {"name": decision.name, "low": decision.low, "high": decision.high}
    return {**numbers, "step": decision.step} if isinstance(decision, Integer) else numbers
