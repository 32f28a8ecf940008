"""Rows of data, one an example, from which batches are taken: in memory, in a memory-mapped file, or joined.

Where rows live follows from what was given. Tensors and arrays are held in memory and move to the task's device.
Memory maps of numpy stay in their file on the host, on whatever device the task is, and the rows of a batch are read
and copied. They are known by the path of the file, so a pickled task is small; the file must lie at the same path
wherever the task is used.

Dimension letters: N rows, B rows of a batch.
"""

from __future__ import annotations

import copy
import itertools
import mmap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Check: TypeAlias = Callable[[str, Tensor, Tensor], None]
"""Called with a label, (B, ...) values and the (B,) rows that they are of; raises ValueError for wrong values."""

_ROWS_AT_ONCE = 1024


class Rows(Protocol):
    """Rows of numbers.

    Attributes:
        label: what they are, for error messages.
        shape: of one row.
        dtype: of batches.
        is_mapped: whether any lie in a file.
    """

    @property
    def label(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> torch.dtype: ...
    @property
    def is_mapped(self) -> bool: ...

    def __len__(self) -> int: ...

    def take(self, rows: Tensor, device: torch.device) -> Tensor:
        """Copies of the (B,) `rows`, indices on the CPU, as (B, *shape) of type `dtype` on `device`."""

    def to(self, device: torch.device) -> Rows:
        """The rows, those in memory on `device`."""

    def checked(self, check: Check, rows: Tensor) -> Rows:
        """Those of the (B,) `rows` that are in memory checked now, those in a file at every batch that is taken."""


@final
class HeldRows:
    """Rows in memory.

    Args:
        label: what they are, for error messages.
        values: (N, ...), shared and not copied unless `dtype` is narrower.
        dtype: of batches.
    """

    is_mapped = False

    def __init__(self, label: str, values: Tensor, dtype: torch.dtype) -> None:
        self.label = label
        self.dtype = dtype
        # What is wider than a batch's type loses nothing by being stored in that.
        self.values = values.to(dtype) if dtype.itemsize < values.dtype.itemsize else values

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row."""
        return tuple(self.values.shape[1:])

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Tensor, device: torch.device) -> Tensor:
        """See `Rows`."""
        return self.values.index_select(0, rows.to(self.values.device)).to(device, self.dtype)

    def to(self, device: torch.device) -> HeldRows:
        """See `Rows`."""
        return HeldRows(self.label, self.values.to(device), self.dtype)

    def checked(self, check: Check, rows: Tensor) -> HeldRows:
        """See `Rows`."""
        for some in torch.split(rows, _ROWS_AT_ONCE):
            check(self.label, self.take(some, self.values.device), some)
        return self


@final
class MappedRows:
    """Rows in a memory-mapped file, of which none is in memory but those of a batch.

    Args:
        label: what they are, for error messages.
        array: (N, ...), a memory map or a view of one. Its file is opened anew for reading only: what was changed in
            a map that is copied on write is not seen.
        dtype: of batches.

    Raises:
        ValueError: the memory map has no path.
    """

    is_mapped = True

    def __init__(self, label: str, array: NDArray[Any], dtype: torch.dtype) -> None:
        root = mapped_root(array)
        if root is None or root.filename is None:
            raise ValueError(f"{label} must be a memory map of a file with a path; open it by np.load(mmap_mode='r')")
        self.label = label
        self.dtype = dtype
        self._check: Check | None = None
        first = array.__array_interface__["data"][0] - root.__array_interface__["data"][0]
        self._place = (Path(root.filename), root.offset, root.nbytes, first, array.shape, array.strides, array.dtype)
        self._array = _opened(*self._place)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_array"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._array = _opened(*self._place)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row."""
        return tuple(self._array.shape[1:])

    def __len__(self) -> int:
        return len(self._array)

    def take(self, rows: Tensor, device: torch.device) -> Tensor:
        """See `Rows`."""
        # numpy copies the rows, so that torch gets an array that it may write to, in the byte order it needs.
        values = _as_tensor(self._array.take(rows.numpy(), axis=0)).to(self.dtype)
        if self._check is not None:
            self._check(self.label, values, rows)
        return values.to(device)

    def to(self, device: torch.device) -> MappedRows:
        """See `Rows`; they stay where they are."""
        return self

    def checked(self, check: Check, rows: Tensor) -> MappedRows:
        """See `Rows`."""
        checking = copy.copy(self)
        checking._check = check
        return checking


@final
class JoinedRows:
    """Several rows one after another, without a copy of them.

    Args:
        parts: in order; alike in shape and type.

    Raises:
        ValueError: they are not alike; names the part.
    """

    def __init__(self, parts: Sequence[Rows]) -> None:
        first = parts[0]
        for part in parts[1:]:
            if (part.shape, part.dtype) != (first.shape, first.dtype):
                raise ValueError(
                    f"{first.label} has examples of shape {first.shape} and type {first.dtype}, {part.label} of shape "
                    f"{part.shape} and type {part.dtype}; they must agree (pad or convert one of them)"
                )
        self.parts = tuple(parts)
        self.label, self.shape, self.dtype = first.label, first.shape, first.dtype
        self.is_mapped = any(part.is_mapped for part in parts)
        self._starts = torch.tensor([0, *itertools.accumulate(len(part) for part in parts)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def take(self, rows: Tensor, device: torch.device) -> Tensor:
        """See `Rows`."""
        pieces = [(part.take(own, device), places) for part, own, places in self._by_part(rows)]
        if len(pieces) == 1:
            return pieces[0][0]
        # `places` say where each row of the pieces belongs in the batch; its inverse brings them there.
        order = torch.cat([places for _, places in pieces]).argsort()
        return torch.cat([piece for piece, _ in pieces]).index_select(0, order.to(device))

    def to(self, device: torch.device) -> JoinedRows:
        """See `Rows`."""
        return JoinedRows([part.to(device) for part in self.parts])

    def checked(self, check: Check, rows: Tensor) -> JoinedRows:
        """See `Rows`."""
        own = {id(part): own for part, own, _ in self._by_part(rows)}
        return JoinedRows([part.checked(check, own.get(id(part), rows[:0])) for part in self.parts])

    def _by_part(self, rows: Tensor) -> Iterator[tuple[Rows, Tensor, Tensor]]:
        """Each part that has some of the rows, these as its own, and their places among `rows`."""
        number = torch.bucketize(rows, self._starts[1:], right=True)
        for place, part in enumerate(self.parts):
            places = (number == place).nonzero().flatten()
            if len(places):
                yield part, rows[places] - self._starts[place], places


def mapped_root(array: Any) -> np.memmap[Any, Any] | None:
    """The memory map that an array is, or is a view of; None if it is in memory."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap):
            return array
        array = array.base
    return None


def _opened(
    path: Path,
    offset: int,
    length: int,
    first: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    dtype: np.dtype[Any],
) -> NDArray[Any]:
    """The view of this place in a file: `length` bytes from `offset`, in which the array begins at `first`."""
    remedy = "put the file where it was, at the same path on every machine that uses the task"
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}, of which a task has a memory map; {remedy}")
    held = path.stat().st_size
    if held < offset + length:
        raise ValueError(f"{path} has {held} bytes, the memory map of a task needs {offset + length}; {remedy}")
    mapped = np.memmap(path, np.uint8, "r", offset, (length,))
    return np.ndarray(shape, dtype, buffer=mapped, offset=first, strides=strides)


def as_tensor(label: str, values: Any) -> Tensor:
    """A tensor of an array in memory; shares its memory where torch can.

    Raises:
        TypeError: not numbers; says what to do.
    """
    if isinstance(values, Tensor):
        if values.layout is not torch.strided or values.is_nested:
            raise TypeError(f"{label} must be a dense tensor, got layout {values.layout}; use to_dense() or pad it")
        return values.detach()
    if values.dtype.kind not in "biufc":
        raise TypeError(
            f"{label} must be numbers, got an array of {values.dtype}; encode words and categories as integers, and "
            "pad rows to one length"
        )
    can_share = values.flags.writeable and values.dtype.isnative and all(stride >= 0 for stride in values.strides)
    return _as_tensor(values if can_share else values.copy())


def _as_tensor(values: NDArray[Any]) -> Tensor:
    return torch.from_numpy(values.astype(values.dtype.newbyteorder("="), copy=False))
