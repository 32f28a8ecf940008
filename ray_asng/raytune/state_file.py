"""A state on disk: one file, written whole or not at all, read without running code."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch


def save_state(state: Mapping[str, Any], path: Path) -> None:
    """Write `state` (tensors, numbers, strings, lists, dicts) to `path`."""
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    os.replace(temporary, path)


def load_state(path: Path) -> dict[str, Any]:
    """Read what `save_state` wrote; tensors come to the CPU.

    Raises:
        FileNotFoundError: the folder is not a checkpoint of this kind.
    """
    if not path.is_file():
        found = sorted(entry.name for entry in path.parent.glob("*")) if path.parent.is_dir() else "no such folder"
        raise FileNotFoundError(f"expected the checkpoint file {path.name} in {path.parent}, found {found}")
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
