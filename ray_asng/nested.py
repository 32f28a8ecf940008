"""Inputs and outputs of networks: a tensor, or tuples and dicts of them, taken apart and put together again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch


def map_tensors(function: Callable[[torch.Tensor], torch.Tensor], nested: Any) -> Any:
    """`nested` with `function` applied to every tensor inside; whatever else it holds stays as it is."""
    if isinstance(nested, torch.Tensor):
        return function(nested)
    if isinstance(nested, tuple):
        return tuple(map_tensors(function, part) for part in nested)
    if isinstance(nested, Mapping):
        return {name: map_tensors(function, part) for name, part in nested.items()}
    return nested
