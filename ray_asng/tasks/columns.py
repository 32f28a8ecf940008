"""What a network is called with, example by example: one array, or a tuple or dict of arrays, as columns of rows.

Types of batches: floats of any width come as float32, in which networks compute; integers come as they are, but
unsigned ones of more than 8 bits as int64, since torch hardly computes with them. Targets that are integers come as
int64.

Dimension letters: N examples, B examples of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ray_asng.tasks.rows import Check, HeldRows, JoinedRows, MappedRows, Rows, as_tensor, mapped_root

_WIDE_UNSIGNED = (torch.uint16, torch.uint32, torch.uint64)


@dataclass(frozen=True, slots=True)
class Inputs:
    """The columns of the inputs, alike in length.

    Attributes:
        columns: in order.
        keys: of a dict; None for a tuple or a single column.
        is_single: whether the inputs are one column by itself.
    """

    columns: tuple[Rows, ...]
    keys: tuple[str, ...] | None
    is_single: bool

    def __len__(self) -> int:
        return len(self.columns[0])

    def take(self, rows: Tensor, device: torch.device) -> Any:
        """A batch of the (B,) `rows`: a (B, ...) tensor, or a tuple or dict of such, on `device`."""
        taken = tuple(column.take(rows, device) for column in self.columns)
        if self.keys is not None:
            return dict(zip(self.keys, taken, strict=True))
        return taken[0] if self.is_single else taken

    def to(self, device: torch.device) -> Inputs:
        """The columns, those in memory on `device`."""
        return self._with(lambda column: column.to(device))

    def checked(self, check: Check, rows: Tensor) -> Inputs:
        """The columns with `check` applied, see `Rows.checked`."""
        return self._with(lambda column: column.checked(check, rows))

    def _with(self, change: Callable[[Rows], Rows]) -> Inputs:
        return replace(self, columns=tuple(map(change, self.columns)))


def input_columns(part: str, inputs: Any) -> Inputs:
    """Columns of what a user gave as inputs.

    Args:
        part: what they are the inputs of, before the word in error messages: "", "valid ", "test ".
        inputs: (N, ...) tensor, array or memory map, or a tuple or dict of such.

    Raises:
        TypeError: something else, or a dict whose keys are no names.
        ValueError: no examples, or columns of different length.
    """
    label = f"{part}inputs"
    if isinstance(inputs, Mapping):
        wrong = [key for key in inputs if not isinstance(key, str) or not key.isidentifier()]
        if wrong:
            raise TypeError(f"{label} have the key {wrong[0]!r}; the network gets them by name, as in forward(image)")
        named = {f"{label}[{key!r}]": values for key, values in inputs.items()}
    elif isinstance(inputs, tuple):
        named = {f"{label}[{place}]": values for place, values in enumerate(inputs)}
    else:
        named = {label: inputs}
    if not named:
        raise ValueError(f"{label} are empty; give at least one tensor")
    columns = tuple(_column(name, values, _input_type) for name, values in named.items())
    for column in columns[1:]:
        check_lengths(columns[0], column)
    keys = tuple(inputs) if isinstance(inputs, Mapping) else None
    return Inputs(columns, keys, not isinstance(inputs, (Mapping, tuple)))


def target_column(part: str, targets: Any) -> Rows:
    """The column of what a user gave as targets.

    A memory map of one number an example is read into memory, since it is small beside the inputs.

    Raises:
        TypeError: neither a tensor nor an array.
        ValueError: no examples.
    """
    if isinstance(targets, (tuple, Mapping)):
        raise TypeError(
            f"{part}targets must be one tensor or array, got a {type(targets).__name__}; put several into one tensor "
            "(N, k) and take it apart in a loss function of your own"
        )
    if mapped_root(targets) is not None and targets.ndim == 1:
        targets = np.array(targets)
    return _column(f"{part}targets", targets, _target_type)


def joined_inputs(parts: Sequence[Inputs]) -> Inputs:
    """Inputs one after another.

    Raises:
        ValueError: they differ in their columns, or these in shape or type.
    """
    first = parts[0]
    for other in parts[1:]:
        if (first.keys, first.is_single, len(first.columns)) != (other.keys, other.is_single, len(other.columns)):
            raise ValueError(
                f"{_words(first)} and {_words(other)}; train, valid and test must be built alike, keys in one order"
            )
    return replace(first, columns=tuple(joined(columns) for columns in zip(*[p.columns for p in parts], strict=True)))


def joined(parts: Sequence[Rows]) -> Rows:
    """Rows one after another; those of a single part as they are."""
    return JoinedRows(parts) if len(parts) > 1 else parts[0]


def check_lengths(one: Rows, other: Rows) -> None:
    """Raise ValueError unless both have as many rows."""
    if len(one) != len(other):
        raise ValueError(f"{one.label} has {len(one)} examples and {other.label} has {len(other)}; they must agree")


def _words(inputs: Inputs) -> str:
    label = inputs.columns[0].label.split("[")[0]
    if inputs.keys is not None:
        return f"{label} are a dict of {list(inputs.keys)}"
    return f"{label} are one tensor" if inputs.is_single else f"{label} are a tuple of {len(inputs.columns)}"


def _column(label: str, values: Any, batch_type: Callable[[torch.dtype], torch.dtype]) -> Rows:
    if not isinstance(values, (Tensor, np.ndarray)):
        hint = "pad sequences to one length and stack them; " if isinstance(values, list) else ""
        raise TypeError(
            f"{label} must be a torch tensor or a numpy array, got a {type(values).__name__}; {hint}"
            "several inputs go into a tuple or a dict, a table into table.to_numpy()"
        )
    if values.ndim < 1 or not all(values.shape):
        raise ValueError(f"{label} must have the shape (N, ...) with at least one example, got {tuple(values.shape)}")
    if isinstance(values, Tensor) or mapped_root(values) is None:
        tensor = as_tensor(label, values)
        return HeldRows(label, _computable(tensor), batch_type(tensor.dtype))
    # One row tells the type that torch has for the array's.
    return MappedRows(label, values, batch_type(as_tensor(label, np.array(values[:1])).dtype))


def _computable(tensor: Tensor) -> Tensor:
    return tensor.to(torch.int64) if tensor.dtype in _WIDE_UNSIGNED else tensor


def _input_type(dtype: torch.dtype) -> torch.dtype:
    if dtype.is_floating_point:
        return torch.float32
    return torch.int64 if dtype in _WIDE_UNSIGNED else dtype


def _target_type(dtype: torch.dtype) -> torch.dtype:
    if dtype.is_floating_point:
        return torch.float32
    return dtype if dtype is torch.bool or dtype.is_complex else torch.int64
