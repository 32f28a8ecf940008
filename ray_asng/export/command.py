"""`ray-asng export`: from what a search or a retraining left on disk to the files of an export."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ray_asng.config import SearchConfig
from ray_asng.export.formats import FORMATS, chosen_formats
from ray_asng.export.found import FoundChild, find_child
from ray_asng.export.recipe import build_child, imported
from ray_asng.export.writing import Exported, export
from ray_asng.state import load_weights
from ray_asng.tasks.base import Task
from ray_asng.tasks.image_task import ImageTask

# What of a search's config says how network and data are made; the rest is about training.
_KEYS = ("space", "space_options", "task", "task_options", "split_seed", "train_fraction", "data_dir")

_COMPARED = 64
"""Examples of the test split on which the files are compared with the child."""


def export_found(
    given: Path,
    output: Path,
    *,
    weights: Path | None = None,
    formats: Sequence[str] = (),
    settings: Mapping[str, Any],
    overwrite: bool,
    say: Callable[[str], None],
) -> Exported:
    """Export the child that `given` stands for (see `find_child`), compared on test data of its task.

    Args:
        given: folder or file.
        output: folder of the export.
        weights: of an architecture that has none of its own.
        formats: their names; all that are installed if there is none.
        settings: over the config of the search, such as data_dir.
        overwrite: replace an export that is there.
        say: told what is done, a line at a time.

    Raises:
        As `find_child` and `export` do, and of the task what it raises if its data are missing.
    """
    chosen_formats(formats or None)  # what is missing is said before data are read
    found = find_child(given, weights)
    say(f"{found.source}: {found.text or found.architecture}")
    config = _config(found, settings)
    task = config.build_task()
    options = _space_options(found, config, task)
    space = str(settings.get("space", found.search.get("space", config.space)))
    child = build_child(space, options, found.architecture)
    _load_into(child, found)
    inputs, _ = task.batch("test", torch.arange(min(_COMPARED, task.size("test"))))
    say(f"exported and compared with the child on {min(_COMPARED, task.size('test'))} test examples of {task.name}:")
    recipe = {
        "space": space,
        "space_options": options,
        "architecture": found.architecture,
        "architecture_text": found.text,
        "task": task.name,
        "task_options": dict(config.task_options),
        **_preprocessing(task),
    }
    done = export(
        child,
        inputs,
        output,
        formats or None,
        recipe=recipe,
        overwrite=overwrite,
        on_written=lambda file: say(str(file)),
    )
    for name in FORMATS if not formats else ():
        if FORMATS[name].missing():
            say(f"{name:<14}left out: needs {', '.join(FORMATS[name].missing())}; pip install 'ray_asng[export]'")
    say(f"{'recipe':<14}{done.recipe.stat().st_size / 1024:10.1f} KiB   {'':<27}{done.recipe}")
    return done


def _config(found: FoundChild, settings: Mapping[str, Any]) -> SearchConfig:
    recorded = {key: found.search[key] for key in _KEYS if found.search.get(key) is not None}
    config = {**recorded, **settings, "seed": 0}
    for key in ("space", "task"):
        if ":" in str(config.get(key, "")):
            config[key] = imported(config[key])
    return SearchConfig.from_mapping(config)


def _space_options(found: FoundChild, config: SearchConfig, task: Task) -> dict[str, Any]:
    """All that the space is built with, so that it can be built without the task."""
    known = inspect.signature(config.space_builder).parameters
    by_task = {name: value for name, value in task.network_options.items() if name in known}
    if found.space_options is None:
        return {**by_task, **config.options_alone, **config.space_options}
    return {**by_task, **config.space_options, **config.options_alone, **found.space_options}


def _load_into(child: nn.Module, found: FoundChild) -> None:
    """Load the weights, or say in one line that they are of another network."""
    wanted, given = (
        {name: tuple(tensor.shape) for name, tensor in weights.items()}
        for weights in (child.state_dict(), found.weights)
    )
    different = [name for name in {**wanted, **given} if wanted.get(name) != given.get(name)]
    if different:
        name = different[0]
        shapes = f"{given.get(name, 'none')} for {wanted.get(name, 'none')}"
        raise ValueError(
            f"the weights in {found.source} are of another network than was built: {len(different)} tensors differ, "
            f"such as {name!r} of shape {shapes}; say how theirs was built by --set space_options=JSON, such as "
            '\'{"width": 16, "cells": 1}\''
        )
    load_weights(child, found.weights)


def _preprocessing(task: Task) -> dict[str, Any]:
    """What images went through before they became inputs."""
    if not isinstance(task, ImageTask):
        return {}
    words = "(value - mean) / std for each channel, with values from 0 (black) to 1"
    return {"preprocessing": {"mean": task.mean.tolist(), "std": task.std.tolist(), "inputs": words}}
