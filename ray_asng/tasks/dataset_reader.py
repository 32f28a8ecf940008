"""Reading a map-style data set of torch once, item by item, into arrays: in memory, or in a file that is then mapped.

The file of a data set holds the arrays one after another, so that it is written in one pass, under the lock of
`decode_cache`: of several trials that start together one reads and the others wait.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from ray_asng.tasks.decode_cache import cached_array

Item: TypeAlias = dict[str, NDArray[Any]]
"""Label -> numbers of one item; the last label is that of the target."""

_logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_WORDS = 10.0
# Items read twice before the others, to see whether they are the same both times and what the file was made from.
_LOOKED_AT = 8
# Every array in the file begins at a multiple of it.
_ALIGNMENT = 64
_TARGET = "target"


@dataclass(frozen=True, slots=True)
class _Source:
    """A data set and what its items look like."""

    label: str
    dataset: Any
    count: int
    first: Item

    def item(self, index: int) -> Item:
        """Item number `index`, in the form, shapes and types of the first one."""
        item = _numbers(self.label, index, self.dataset)
        for name, values in item.items():
            expected = self.first.get(name)
            if expected is None or len(item) != len(self.first):
                raise ValueError(
                    f"item {index} of {self.label} has {list(item)}, item 0 has {list(self.first)}; they must agree"
                )
            if (values.shape, values.dtype) != (expected.shape, expected.dtype):
                raise ValueError(
                    f"item {index} of {self.label} has {name} of shape {values.shape} and type {values.dtype}, item 0 "
                    f"of shape {expected.shape} and type {expected.dtype}; crop, resize, pad or convert them alike"
                )
        return item

    @property
    def byte_counts(self) -> list[int]:
        """Of the array of each label."""
        return [self.count * values.nbytes for values in self.first.values()]


def read_dataset(label: str, dataset: Any, folder: Path | None) -> tuple[Any, NDArray[Any]]:
    """Inputs and targets of all items, as arrays.

    Args:
        label: what the data set is, for error messages and the name of the file.
        dataset: with `__len__` and `__getitem__`; an item is a pair (inputs, target), the inputs a tensor, array or
            number, or a tuple or dict of such.
        folder: for a file that is then mapped; without it the arrays are in memory.

    Returns:
        Inputs (an array, or a tuple or dict of such) and targets, one row an item.

    Raises:
        TypeError: no such data set, or items that are no pairs of numbers.
        ValueError: an empty data set, items that differ in shape or type, or that are random.
        MemoryError: more than half of the memory of the machine, and no folder.
    """
    source = _opened(label, dataset)
    sample = _repeatable_sample(source)
    arrays = _in_memory(source) if folder is None else _in_file(source, sample, folder)
    targets = arrays.pop(_TARGET)
    inputs = _inputs_of(dataset[0])
    if isinstance(inputs, Mapping):
        return dict(zip(inputs, arrays.values(), strict=True)), targets
    return tuple(arrays.values()) if isinstance(inputs, tuple) else next(iter(arrays.values())), targets


def _opened(label: str, dataset: Any) -> _Source:
    if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
        raise TypeError(
            f"{label} must have __len__ and __getitem__, got a {type(dataset).__name__}; read a stream into a list "
            "first, or write it to arrays and use from_tensors"
        )
    count = len(dataset)
    if not count:
        raise ValueError(f"{label} is empty; it needs at least one item")
    return _Source(label, dataset, count, _numbers(label, 0, dataset))


def _numbers(label: str, index: int, dataset: Any) -> Item:
    """The numbers of an item."""
    try:
        item = dataset[index]
    except (IndexError, KeyError) as error:
        raise ValueError(f"item {index} of {label}, of {len(dataset)}, cannot be read: {error!r}") from error
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        raise TypeError(
            f"item {index} of {label} must be a pair (inputs, target), got a {type(item).__name__}; wrap the data set "
            "in one that gives pairs"
        )
    inputs = _inputs_of(item)
    if isinstance(inputs, Mapping):
        named = {f"inputs[{key!r}]": value for key, value in inputs.items()}
    elif isinstance(inputs, tuple):
        named = {f"inputs[{place}]": value for place, value in enumerate(inputs)}
    else:
        named = {"inputs": inputs}
    return {name: _array(label, index, name, value) for name, value in {**named, _TARGET: item[1]}.items()}


def _inputs_of(item: Sequence[Any]) -> Any:
    # Loaders turn tuples into lists.
    return tuple(item[0]) if isinstance(item[0], list) else item[0]


def _array(label: str, index: int, name: str, value: Any) -> NDArray[Any]:
    if isinstance(value, torch.Tensor):
        value = value.detach().to(torch.float32) if value.dtype is torch.bfloat16 else value.detach()
        value = value.numpy(force=True)
    if not isinstance(value, (np.ndarray, np.generic, bool, int, float)):
        raise TypeError(
            f"item {index} of {label} has {name} of type {type(value).__name__}; give the data set a transform that "
            "makes a tensor of it, such as torchvision's PILToTensor for images"
        )
    array = np.asarray(value)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"item {index} of {label} has {name} of {array.dtype}; encode it as numbers")
    # Batches have floats of 32 bits anyway.
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _repeatable_sample(source: _Source) -> str:
    """A hash of a few items, each read twice: it tells one state of the data from another."""
    digest = hashlib.sha256()
    for index in sorted({int(place) for place in np.linspace(0, source.count - 1, _LOOKED_AT)}):
        once, again = source.item(index), source.item(index)
        for name, values in once.items():
            if values.tobytes() != again[name].tobytes():
                raise ValueError(
                    f"item {index} of {source.label} is not the same when it is read twice: its transform is random, "
                    "and reading the data once would fix what it drew. Take the random part out of the transform and "
                    "give it as augment=, a function (inputs, generator) of a batch"
                )
            digest.update(values.tobytes())
    return digest.hexdigest()


def _in_memory(source: _Source) -> Item:
    needed = sum(source.byte_counts)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed > memory / 2:
        raise MemoryError(
            f"{source.label} needs {needed / 2**30:.1f} GiB, more than half of the {memory / 2**30:.1f} GiB of this "
            "machine; give cache_dir=, a folder for a file that is then read a batch at a time"
        )
    arrays = {name: np.empty((source.count, *values.shape), values.dtype) for name, values in source.first.items()}
    _fill(arrays, source)
    return arrays


def _in_file(source: _Source, sample: str, folder: Path) -> Item:
    shapes = {name: [list(values.shape), values.dtype.str] for name, values in source.first.items()}
    content = {"label": source.label, "count": source.count, "items": shapes, "sample": sample}
    starts = [0]
    for count in source.byte_counts:
        starts.append(math.ceil((starts[-1] + count) / _ALIGNMENT) * _ALIGNMENT)

    def arrays_in(buffer: NDArray[Any]) -> Item:
        return {
            name: np.ndarray((source.count, *values.shape), values.dtype, buffer=buffer, offset=start)
            for (name, values), start in zip(source.first.items(), starts[:-1], strict=True)
        }

    def write(path: Path) -> None:
        buffer = np.lib.format.open_memmap(path, "w+", np.uint8, (starts[-1],))
        _fill(arrays_in(buffer), source)
        buffer.flush()

    name = "".join(letter if letter.isalnum() else "-" for letter in source.label)
    return arrays_in(cached_array(name, content, write, folder))


def _fill(arrays: Item, source: _Source) -> None:
    said = time.monotonic()
    for index in range(source.count):
        for name, values in source.item(index).items():
            arrays[name][index] = values
        if time.monotonic() - said > _SECONDS_BETWEEN_WORDS:
            said = time.monotonic()
            _logger.info("read %d of %d items of %s", index + 1, source.count, source.label)
