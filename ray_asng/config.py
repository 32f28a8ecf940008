"""From a plain config (what Tune hands to a trial) to a search: names resolved, everything checked before training."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from torch import nn

from ray_asng import registry
from ray_asng.optimizers.base import MixingOptimizer, Optimizer
from ray_asng.randomness import drawing_from
from ray_asng.search import Device, Search
from ray_asng.settings import SearchSettings, check_name, check_number, check_whole
from ray_asng.space import nearest
from ray_asng.supernets.cost import COUNTS, ChildCost, flops, parameters, with_cost
from ray_asng.supernets.supernet import Supernet
from ray_asng.tabular.base import Table
from ray_asng.tasks.base import Task

Builder = Callable[..., Any]

_SETTINGS = tuple(setting.name for setting in dataclasses.fields(SearchSettings))


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchConfig:
    """The config of a search trial, checked. Every key of a Trainable's `config` but those of `SearchSettings`.

    Attributes:
        method: name, class or function building an optimizer from (space, seed=..., **method_options).
        space: name, class or function building an `nn.Module` from **space_options; or a module to copy.
        cost: what a method with a `penalty` or `budget` keeps small: "parameters" or "flops" (of one example) of the
            child that the search extracts, or a function from a child to a number; the space's own cost if None.
        task: name, class or function building a task from **task_options; or a task.
        seed: of everything random in the search.
        split_seed: of the cut into training and validation half, common to the seeds and methods of a study.
        train_fraction: share of the training half; the task's default (one half) if None.
        settings: lengths and rates.
        deterministic: use deterministic algorithms only (matters on CUDA).
        cpus, gpus: devices of a trial; None leaves them to Tune's `resources_per_trial` or `tune.with_resources`. A
            method that samples paths can use several whole GPUs, at most as many as paths of a step.
        memory_fraction: share of a GPU's memory that the trial may allocate; the allocated fraction of the GPU if None.
        data_dir: folder of data sets; the environment variable RAY_ASNG_DATA if None.
        table: name, class or function building a table (`tabular.base.Table`) from **table_options. What the
            architecture found so far reached there is reported with every epoch, and has no influence on the search.
        ranked_cells: random architectures whose inherited loss is compared with the table after the last epoch.
        label: what reports call the trial; the method by default, with the settings in which its trials differ.
        setting: what was varied in the trial of a sweep, "key=value"; for reports.
    """

    method: str | Builder = "asng"
    method_options: Mapping[str, Any] = field(default_factory=dict)
    space: str | Builder | nn.Module = "nasbench201"
    space_options: Mapping[str, Any] = field(default_factory=dict)
    cost: str | Callable[[nn.Module], float] | None = None
    task: str | Builder | Task = "digits"
    task_options: Mapping[str, Any] = field(default_factory=dict)
    seed: int
    split_seed: int = 0
    train_fraction: float | None = None
    settings: SearchSettings = field(default_factory=SearchSettings)
    deterministic: bool = False
    cpus: float | None = None
    gpus: float | None = None
    memory_fraction: float | None = None
    data_dir: str | None = None
    table: str | Builder | None = None
    table_options: Mapping[str, Any] = field(default_factory=dict)
    ranked_cells: int = 0
    label: str = ""
    setting: str = ""

    @classmethod
    def from_mapping(cls, config: Mapping[str, Any], objects: Mapping[str, Any] | None = None) -> SearchConfig:
        """Check a Trainable's config; keys that begin with two underscores are Tune's own and ignored.

        Args:
            config: plain values.
            objects: go over them and may be modules and tasks: what `tune.with_parameters` passes.

        Raises:
            ValueError: an unknown key, name or option, or a value out of range; says the nearest known one.
            TypeError: a module, array or tensor inside.
        """
        plain = {key: value for key, value in config.items() if not str(key).startswith("__")}
        for key, value in plain.items():
            _refuse_objects(str(key), value)
        own = {**plain, **(objects or {})}
        fields = tuple(f.name for f in dataclasses.fields(cls) if f.name != "settings")
        for key in own:
            if key not in fields + _SETTINGS:
                raise ValueError(f"unknown config key {key!r}{nearest(str(key), fields + _SETTINGS)}")
        if "seed" not in own:
            raise ValueError('the config needs a "seed", for example tune.grid_search([0, 1, 2, 3])')
        settings = SearchSettings(**{key: own[key] for key in _SETTINGS if key in own})
        return cls(settings=settings, **{key: own[key] for key in fields if key in own})

    def __post_init__(self) -> None:
        for name in ("seed", "split_seed", "ranked_cells"):
            check_whole(name, getattr(self, name), 0)
        for name in ("method_options", "space_options", "task_options", "table_options"):
            if not isinstance(getattr(self, name), Mapping):
                raise ValueError(f"{name} must be a dict from option to value, got {getattr(self, name)!r}")
        if self.cpus is not None:
            check_number("cpus", self.cpus, above=0.0)
        if self.gpus is not None:
            check_gpus(self.gpus)
        if self.memory_fraction is not None:
            check_number("memory_fraction", self.memory_fraction, above=0.0)
            if self.memory_fraction > 1.0:
                raise ValueError(f"memory_fraction must be at most 1, got {self.memory_fraction!r}")
        if self.train_fraction is not None:
            check_number("train_fraction", self.train_fraction, above=0.0, below=1.0)
        _check_options("method", self.method_builder, self.method_options)
        self._check_method_on_gpus()
        _check_options("space", self.space_builder, self.space_options)
        if self.cost is not None and not callable(self.cost):
            check_name("cost", self.cost, COUNTS)
        self._check_task()
        self._check_table()

    def _check_table(self) -> None:
        if self.table is not None:
            _check_options("table", registry.tables.resolve(self.table), self.table_options)
        elif self.table_options or self.ranked_cells:
            raise ValueError(
                f"table_options={dict(self.table_options)!r} and ranked_cells={self.ranked_cells} say something of a "
                f"table, and there is none; name one of {sorted(registry.tables)} as table"
            )

    def _check_method_on_gpus(self) -> None:
        """What `Search` would refuse too, but in a trial: said before any starts, where the method is a class."""
        method = self.method_builder
        if (self.gpus or 0) > 1 and isinstance(method, type) and issubclass(method, MixingOptimizer):
            raise ValueError(
                f"{name_of(self.method)} runs one mixture a step, which occupies one GPU; got gpus={self.gpus!r}"
            )

    def _check_task(self) -> None:
        """What is asked of the task must be something that it can be told."""
        asked = {"split_seed": self.split_seed or None, "train_fraction": self.train_fraction}
        given = {name for name, value in asked.items() if value is not None}
        if _is_task(self.task):
            given |= set(self.task_options)
        else:
            _check_options("task", self.task_builder, self.task_options)
            named, takes_any = _parameters(self.task_builder)
            given -= given if takes_any else set(named)
        if given:
            raise ValueError(
                f"the task {name_of(self.task)} cannot be told {sorted(given)}: it is built already, or its "
                "builder has no such parameter"
            )

    @property
    def method_builder(self) -> Builder:
        """The class or function behind `method`."""
        return registry.methods.resolve(self.method)

    @property
    def space_builder(self) -> Builder:
        """The class or function behind `space`."""
        if isinstance(self.space, nn.Module):
            return partial(copy.deepcopy, self.space)
        return registry.spaces.resolve(self.space)

    @property
    def task_builder(self) -> Builder:
        """The class or function behind `task`."""
        return registry.tasks.resolve(self.task)  # type: ignore[arg-type]  # a task object never gets here

    @property
    def options_alone(self) -> dict[str, Any]:
        """Options of the space for a network that is trained by itself, over those of the search.

        Affine batch norm, all channels and no edge weights, where the space knows these.
        """
        options = {"affine": True, "partial_channels": 1, "edge_weights": False}
        return _accepted(self.space_builder, options)

    def build_task(self) -> Task:
        """The task, its data loaded."""
        if _is_task(self.task):
            return self.task  # type: ignore[return-value]  # it was looked at
        common = {"split_seed": self.split_seed, "train_fraction": self.train_fraction, "data_dir": self.data_dir}
        given = {key: value for key, value in common.items() if value is not None}
        task: Task = self.task_builder(**_accepted(self.task_builder, given), **self.task_options)
        return task

    def build_table(self) -> Table | None:
        """The table, if there is one; its file is looked for in `data_dir`."""
        if self.table is None:
            return None
        builder = registry.tables.resolve(self.table)
        given = {} if self.data_dir is None else {"data_dir": self.data_dir}
        table: Table = builder(**_accepted(builder, given), **self.table_options)
        return table

    def build_module(self, task: Task, **options: Any) -> nn.Module:
        """The module with choices, for the classes and channels of `task`; `options` go over `space_options`."""
        chosen = {**_accepted(self.space_builder, task.network_options), **self.space_options, **options}
        module = self.space_builder(**chosen)
        if not isinstance(module, nn.Module):
            raise TypeError(f"the space {name_of(self.space)} must build an nn.Module, got {type(module)}")
        return module

    def build_search(self, device: Device | Sequence[Device] = "cpu", task: Task | None = None) -> Search:
        """The search that this config describes, at its start; on `task` if it has been built before.

        Args:
            device: one, or several for methods that sample paths.
            task: what `build_task` gave.
        """
        task = task or self.build_task()
        with drawing_from(torch.Generator().manual_seed(int(self.seed))):
            module = self.build_module(task)
        if getattr(module, "auxiliary_head", None) is not None:
            raise ValueError(
                "an auxiliary head helps to train a network by itself, and a search has no use for it: leave auxiliary "
                "out of the search's space_options, and put it into those of the retraining"
            )
        supernet = Supernet(module)
        if self.cost is not None:
            supernet.space = with_cost(supernet.space, self._child_cost(supernet, task))
        first = device if isinstance(device, torch.device | str) else next(iter(device))
        extra = _accepted(self.method_builder, {"device": first})
        optimizer = self.method_builder(supernet.space, seed=int(self.seed), **extra, **self.method_options)
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"the method {name_of(self.method)} must build an Optimizer, got {type(optimizer)}")
        return Search(supernet, task, optimizer, self.settings, seed=int(self.seed), device=device)

    def _child_cost(self, supernet: Supernet, task: Task) -> ChildCost:
        """What `cost` counts, on the children of `supernet`."""
        if callable(self.cost):
            return ChildCost(supernet, self.cost)
        if self.cost == "flops":
            inputs, _ = task.batch("valid", torch.arange(1))
            return flops(supernet, inputs)
        return parameters(supernet)

    def to_json(self) -> str:
        """The resolved config; classes and functions as `module:qualname`."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "settings"}
        settings = {name: getattr(self.settings, name) for name in _SETTINGS}
        return json.dumps({**plain, **settings}, default=as_json, sort_keys=True)


def check_gpus(gpus: object) -> None:
    """Refuse numbers of GPUs that Ray can never give: it would wait for them without a word.

    Raises:
        ValueError: neither a fraction below 1 nor a whole number.
    """
    check_number("gpus", gpus, low=0.0)
    if float(gpus) > 1 and float(gpus) != int(gpus):  # type: ignore[call-overload, arg-type]  # a number by now
        raise ValueError(f"gpus must be a fraction below 1 or a whole number, got {gpus!r}: Ray would wait for ever")


def as_json(value: Any) -> Any:
    """For `json.dumps`: numbers of numpy and paths as they are, classes, functions and objects by name."""
    if isinstance(value, np.generic):
        return value.item()
    return str(value) if isinstance(value, PurePath) else name_of(value)


def _is_task(given: Any) -> bool:
    """Whether it is a task itself, not the class of one, which has the same attributes."""
    return isinstance(given, Task) and not isinstance(given, type)


def name_of(given: Any) -> str:
    """The registry name, or `module:qualname` of a class, function or object."""
    if isinstance(given, str):
        return given
    named = given if hasattr(given, "__qualname__") else type(given)
    return f"{named.__module__}:{named.__qualname__}"


def _refuse_objects(key: str, value: Any) -> None:
    """A config is copied, printed and written as JSON by Tune, many times over: large objects do not belong there."""
    if isinstance(value, (nn.Module, np.ndarray, torch.Tensor)) or _is_task(value):
        outer = key.split(".")[0]
        raise TypeError(
            f"config key {key!r} holds a {type(value).__name__}; pass a name, class or function there, and objects "
            f"by tune.with_parameters(SearchTrainable, {outer}=...)"
        )
    if isinstance(value, Mapping):
        for inner, item in value.items():
            _refuse_objects(f"{key}.{inner}", item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _refuse_objects(f"{key}.", item)


def _parameters(builder: Builder) -> tuple[tuple[str, ...], bool]:
    """Names that `builder` can be called with, and whether it takes any others."""
    parameters = inspect.signature(builder).parameters.values()
    named = tuple(p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
    return named, any(p.kind is p.VAR_KEYWORD for p in parameters)


def _accepted(builder: Builder, options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `options` that the signature of `builder` names."""
    named, _ = _parameters(builder)
    return {name: value for name, value in options.items() if name in named}


def _check_options(kind: str, builder: Builder, options: Mapping[str, Any]) -> None:
    named, takes_any = _parameters(builder)
    reserved = ("space", "seed", "device") if kind == "method" else ()
    known = tuple(name for name in named if name not in reserved)
    for name in options:
        if name not in known and not takes_any:
            raise ValueError(f"unknown option {name!r} in {kind}_options{nearest(name, known)}")
