"""Bit-for-bit comparison of nested values: states, batches, reports, outputs of networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch


def difference(one: Any, other: Any, place: str = "") -> str:
    """Where two values differ first and how, such as "['s'][3]: 1.0 and 2.0"; empty if they are equal.

    Tensors and arrays must agree in shape, type and every element; NaN equals NaN.

    Args:
        one: tensors, arrays, numbers, strings, and mappings and sequences of them.
        other: likewise.
        place: what stands before the place in the answer.
    """
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        one, other = torch.from_numpy(one.copy()), torch.from_numpy(other.copy())
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return "" if _equal_tensors(one, other) else f"{place}: {_shown(one)} and {_shown(other)}"
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        if list(one) != list(other):
            return f"{place}: the keys {list(one)} and {list(other)}"
        return _first(difference(one[key], other[key], f"{place}[{key!r}]") for key in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        if len(one) != len(other):
            return f"{place}: {len(one)} and {len(other)} elements"
        return _first(difference(a, b, f"{place}[{i}]") for i, (a, b) in enumerate(zip(one, other, strict=True)))
    if one == other or (one != one and other != other):  # the second: NaN
        return ""
    return f"{place}: {one!r} and {other!r}"


def tensors(value: Any) -> Iterator[torch.Tensor]:
    """All tensors in a nested value, in order."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from tensors(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from tensors(part)


def _equal_tensors(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return bool(((one == other) | ((one != one) & (other != other))).all())


def _shown(tensor: torch.Tensor) -> str:
    if tensor.numel() <= 8:
        return str(tensor.tolist())
    return f"a tensor {tuple(tensor.shape)} that begins with {tensor.flatten()[:4].tolist()}"


def _first(differences: Iterator[str]) -> str:
    return next(filter(None, differences), "")
