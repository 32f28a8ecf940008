"""A state on disk: one file, written whole or not at all, read without running code."""

from __future__ import annotations

import os
import pickle
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ray_asng.checkpoints import damage, experiment_of, how_to_go_on


def save_state(state: Mapping[str, Any], path: Path) -> None:
    """Write `state` (tensors, numbers, strings, lists, dicts) to `path`."""
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    os.replace(temporary, path)


def load_state(path: Path) -> dict[str, Any]:
    """Read what `save_state` wrote; tensors come to the CPU.

    Raises:
        FileNotFoundError: the folder is not a checkpoint of this kind.
        ValueError: the file is truncated or damaged; the message has the command that restores an older checkpoint.
    """
    if not path.is_file():
        found = sorted(entry.name for entry in path.parent.glob("*")) if path.parent.is_dir() else "no such folder"
        raise FileNotFoundError(f"expected the checkpoint file {path.name} in {path.parent}, found {found}")
    wrong = damage(path)
    if wrong is not None:
        raise ValueError(f"the checkpoint {path} {wrong}. {_remedy(path)}")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError) as error:
        first_line = str(error).partition("\n")[0]
        raise ValueError(f"the checkpoint {path} cannot be read: {first_line}. {_remedy(path)}") from error
    return state


def _remedy(path: Path) -> str:
    experiment = experiment_of(path)
    if experiment is None:
        return (
            "`ray-asng repair EXPERIMENT`, with the folder of the experiment (of a local copy, if it is not on a local "
            "disk), restores the newest good checkpoint"
        )
    repair = f"ray-asng repair {shlex.quote(str(experiment))}"
    return f"`{repair}` restores the newest good checkpoint; then go on with: {how_to_go_on(experiment)}"
