"""What the options of `ray-asng search` and `ray-asng retrain` stand for: the fields of a job."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ray_asng.typed import key_values, name_and_seeds

DEFAULT_METHODS = ("asng:4", "random_search:2", "darts:2")
_SMOKE_METHODS = ("asng:1", "darts:1")
DEFAULT_SPACE, DEFAULT_TASK = "nasbench201", "digits"
DEFAULT_SEEDS = 4
"""Of methods that are typed without :SEEDS."""

# Sizes of the default job: four minutes on two cores. Those of --smoke end in under a minute.
DEFAULT: dict[str, Any] = {"epochs": 20, "retrain_epochs": 30, "space_options": {"width": 8, "cells": 1}}
# Trained alone, networks that narrow differ by their width more than by their cells.
_RETRAINED_WIDTH = 16
_SMOKE: dict[str, Any] = {
    "epochs": 2,
    "steps_per_epoch": 4,
    "retrain_epochs": 1,
    "space_options": {"width": 4, "cells": 1},
}


def job_fields(
    *,
    methods: tuple[str, ...] | None,
    seeds: int | None,
    space: str | None,
    task: str | None,
    settings: tuple[str, ...],
    retrain_epochs: int | None,
    retrain_settings: tuple[str, ...],
    random_architectures: int,
    hand_made: int,
    data_dir: Path | None,
    max_concurrent: int | None,
    smoke: bool,
    recipe_name: str | None = None,
    epochs: int | None = None,
    patience: int | None = None,
    retrain_seeds: int = 1,
    architectures: Sequence[str] = (),
) -> dict[str, Any]:
    """The fields of a `Job` but its output and command; what is None was not given.

    `methods` None means no search at all; of the others see `ray-asng search --help`.

    Raises:
        ValueError: an unknown recipe, a method named twice, or text that is not KEY=JSON or NAME:SEEDS.
    """
    from ray_asng.recipes import find_recipe  # not for --help

    given = key_values("--set", settings)
    if recipe_name is None:
        config, retraining, own_methods = _default(space or DEFAULT_SPACE, given, smoke=smoke)
    else:
        config, retraining, own_methods = find_recipe(recipe_name).job(smoke=smoke)
    config |= {key: value for key, value in (("space", space), ("task", task), ("epochs", epochs)) if value is not None}
    config |= given
    if data_dir is not None:
        config["data_dir"] = str(data_dir.resolve())
    if retrain_epochs is not None:
        retraining["epochs"] = retrain_epochs
    retraining |= key_values("--set-retrain", retrain_settings)
    return {
        "methods": _methods(methods, own_methods, seeds),
        "config": config,
        "retraining": retraining if retraining["epochs"] else None,
        "retrain_seeds": retrain_seeds,
        "architectures": list(architectures),
        "random_architectures": random_architectures,
        "hand_made": hand_made,
        "max_concurrent": max_concurrent,
        "patience": patience,
    }


def _default(space: str, given: dict[str, Any], *, smoke: bool) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """Config, retraining and methods without a recipe."""
    size = _SMOKE if smoke else DEFAULT
    config = {key: value for key, value in size.items() if key != "retrain_epochs"}
    if space != DEFAULT_SPACE:
        del config["space_options"]
    config |= {"space": space, "task": DEFAULT_TASK}
    is_default_size = "space_options" in config and "space_options" not in given and not smoke
    retrained_as = {"space_options": {"width": _RETRAINED_WIDTH}} if is_default_size else {}
    methods = _SMOKE_METHODS if smoke else DEFAULT_METHODS
    return config, {**retrained_as, "epochs": size["retrain_epochs"]}, dict(name_and_seeds(text, 1) for text in methods)


def _methods(typed: tuple[str, ...] | None, own: dict[str, int], seeds: int | None) -> dict[str, int]:
    """Method -> number of seeds: what was typed, or the methods of the job itself."""
    if typed is None:
        return {}
    pairs = [name_and_seeds(text, seeds or DEFAULT_SEEDS) for text in typed]
    repeated = sorted({name for name, _ in pairs if [other for other, _ in pairs].count(name) > 1})
    if repeated:
        raise ValueError(f"--method names {repeated} more than once; give each method once, as NAME:SEEDS")
    if pairs:
        return dict(pairs)
    return own if seeds is None else dict.fromkeys(own, seeds)
