"""The NAS-Bench-201 table: what every cell reached when it was trained by itself, looked up.

The table is one Parquet file, a row a cell; a column is read when something first asks for it. `nats_archive.convert`
makes such a file from the official release:

    op_0_1 ... op_2_3                  option indices of the six edges; their names are in the schema metadata `ops`
    DATASET_SPLIT_acc_EPOCHS           accuracy in percent, mean over the public seeds; ..._seeds: a list of them
    cifar10_valid_train_time_200_s, cifar100_train_time_200_s, imagenet16_120_train_time_200_s
    params, flops_cifar10, flops_imagenet16_120

CIFAR-10 `valid` is of training on half the training images, `test` of training on all of them. So a fair search looks
at `valid` alone, counts the seconds of what it looked up, and reports `test`.

References:
    Dong & Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search", ICLR 2020.
    Dong, Liu, Musial & Gabrys, "NATS-Bench: Benchmarking NAS Algorithms for Architecture Topology and Size", 2021.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ray_asng.space import Architecture, Floats, Ints, SearchSpace, Value, nearest
from ray_asng.tasks.folders import data_folder

DATASETS = {"cifar10": "cifar10", "cifar100": "cifar100", "ImageNet16-120": "imagenet16_120"}
"""Name of a data set -> how the columns call it."""

EDGES = ("0_1", "0_2", "1_2", "0_3", "1_3", "2_3")

SPLITS = ("valid", "test")

_SECONDS = {"cifar10": "cifar10_valid_train_time_200_s"}
_SECONDS |= {name: f"{DATASETS[name]}_train_time_200_s" for name in ("cifar100", "ImageNet16-120")}

# What the classifiers of 100 and 120 classes (64 weights and a bias each) have more than the one of 10 classes.
_LARGER_HEAD = {"cifar10": 0, "cifar100": 90 * 65, "ImageNet16-120": 110 * 65}


class NASBench201Table:
    """Accuracy, seconds, parameters and FLOPs of the cells in a table.

    An architecture is any mapping from `edge_0_1` ... `edge_2_3` to operations, such as those of the space.

    Args:
        path: of the Parquet file, absolute or within the data folder.
        data_dir: the data folder; by default the one that the environment variable RAY_ASNG_DATA names.

    Attributes:
        operations: their names, in the order of the option indices.
        truth: the value of `look_up` by which inherited losses are judged.

    Raises:
        FileNotFoundError: no such file; says how to get one.
        ValueError: not such a table.

    Example:
        >>> table = NASBench201Table()
        >>> table.accuracy(table.best("cifar10", "test"), "cifar10", "test")
    """

    truth = "cifar10_valid_accuracy"

    def __init__(
        self,
        path: str | os.PathLike[str] = "nasbench201.parquet",
        data_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        self.path = _find(path, data_dir)
        self._read: dict[str, Floats] = {}
        try:
            schema = pq.read_schema(self.path)
        except pa.ArrowInvalid as error:
            raise ValueError(f"{self.path} is not a Parquet file, or is damaged: {error}") from error
        self._names: list[str] = schema.names
        if b"ops" not in (schema.metadata or {}):
            raise ValueError(f"{self.path} is no NAS-Bench-201 table: its schema metadata lack `ops`, a list of names")
        self.operations: tuple[str, ...] = tuple(json.loads(schema.metadata[b"ops"]))
        self._codes = np.stack([self._numbers(f"op_{edge}") for edge in EDGES], axis=1).astype(np.int64)
        self._shape = (len(self.operations),) * len(EDGES)
        if self._codes.size and not 0 <= self._codes.min() <= self._codes.max() < len(self.operations):
            raise ValueError(f"{self.path} has option indices that its list of operations {self.operations} lacks")
        self._row_of = np.full(self._shape, -1, dtype=np.int32)
        self._row_of[tuple(self._codes.T)] = np.arange(len(self._codes))

    def __len__(self) -> int:
        """Number of cells."""
        return len(self._codes)

    def architecture(self, row: int) -> Architecture:
        """The cell of a row."""
        return Architecture(
            {f"edge_{edge}": self.operations[code] for edge, code in zip(EDGES, self._codes[row], strict=True)}
        )

    def row(self, architecture: Mapping[str, Value]) -> int:
        """The row of a cell.

        Raises:
            ValueError: not a cell of this space, or not in the table.
        """
        codes = []
        for edge in EDGES:
            operation = str(architecture.get(f"edge_{edge}"))
            if operation not in self.operations:
                known = nearest(operation, self.operations)
                raise ValueError(f"edge_{edge} of a cell must be an operation of the table, got {operation!r}{known}")
            codes.append(self.operations.index(operation))
        row = int(self._row_of[tuple(codes)])
        if row < 0:
            raise ValueError(f"{self.path} has no row for {dict(architecture)!r}; it holds {len(self)} cells")
        return row

    def accuracies(self, dataset: str = "cifar10", split: str = "valid", epochs: int = 200) -> Floats:
        """(rows,) accuracies of all cells in percent, NaN where there is none; a copy.

        Args:
            dataset: one of `DATASETS`.
            split: "valid" or "test".
            epochs: of the training, 200 or 12.

        Raises:
            ValueError: the table has no such column.
        """
        return self._numbers(_accuracy_column(dataset, split, epochs)).copy()

    def accuracy(
        self, architecture: Mapping[str, Value], dataset: str = "cifar10", split: str = "valid", epochs: int = 200
    ) -> float:
        """Accuracy of a cell in percent, the mean over the public seeds; see `accuracies`."""
        return self._value(architecture, _accuracy_column(dataset, split, epochs))

    def accuracy_of_seeds(
        self, architecture: Mapping[str, Value], dataset: str = "cifar10", split: str = "valid", epochs: int = 200
    ) -> tuple[float, ...]:
        """Accuracies of a cell in percent, one for each public seed.

        Args:
            architecture: the cell.
            dataset: one of `DATASETS`.
            split: "valid", "test", or "valtest" for both together; whichever the table has.
            epochs: of the training.

        Raises:
            ValueError: the table has no such column.
        """
        name = f"{_accuracy_column(dataset, split, epochs)}_seeds"
        values = self._column(name)[self.row(architecture)].as_py()
        if not values:
            raise self._no_value(architecture, name)
        return tuple(values)

    def best(self, dataset: str = "cifar10", split: str = "valid", epochs: int = 200) -> Architecture:
        """The cell with the highest accuracy, the first of several."""
        return self.architecture(int(np.nanargmax(self.accuracies(dataset, split, epochs))))

    def seconds(self, architecture: Mapping[str, Value], dataset: str = "cifar10", epochs: int = 200) -> float:
        """Seconds of training a cell on the images that leave a validation split (half of those of CIFAR-10).

        The release counts the same seconds for each epoch, whatever their number, so this is a share of the 200.
        """
        _check_dataset(dataset)
        return self._value(architecture, _SECONDS[dataset]) * epochs / 200

    def parameters(self, architecture: Mapping[str, Value], dataset: str = "cifar10") -> int:
        """Number of weights of the network with 16 channels and 5 cells a stage."""
        _check_dataset(dataset)
        return int(self._value(architecture, "params")) + _LARGER_HEAD[dataset]

    def flops(self, architecture: Mapping[str, Value], dataset: str = "cifar10") -> int:
        """Multiply-adds of one image, 32 x 32 pixels for CIFAR and 16 x 16 for ImageNet16-120."""
        _check_dataset(dataset)
        if dataset == "ImageNet16-120":
            return int(self._value(architecture, "flops_imagenet16_120"))
        return int(self._value(architecture, "flops_cifar10")) + _LARGER_HEAD[dataset]

    def look_up(self, architecture: Mapping[str, Value]) -> dict[str, float]:
        """Accuracies from 0 to 1 after 200 epochs: `cifar10_valid_accuracy`, ..., `imagenet16_120_test_accuracy`."""
        return {
            f"{DATASETS[dataset]}_{split}_accuracy": self.accuracy(architecture, dataset, split) / 100.0
            for dataset in DATASETS
            for split in SPLITS
        }

    def reference(self, space: SearchSpace) -> dict[str, dict[str, float | list[float]]]:
        """The best and the mean cell of `space`, which may lack some operations; see `tabular.base.Table`.

        Raises:
            ValueError: the space has other decisions or operations than the table.
        """
        rows = self._rows_of(space)
        found: dict[str, dict[str, float | list[float]]] = {}
        for dataset in DATASETS:
            by_valid = int(np.nanargmax(self.accuracies(dataset, "valid")[rows]))
            for split in SPLITS:
                values = self.accuracies(dataset, split)[rows] / 100.0
                found[f"{DATASETS[dataset]}_{split}_accuracy"] = {
                    "best": float(np.nanmax(values)),
                    "best_by_valid": float(values[by_valid]),
                    "random_mean": float(np.nanmean(values)),
                    "random_quantiles": np.nanquantile(values, np.linspace(0.0, 1.0, 101)).round(6).tolist(),
                }
        return found

    def _rows_of(self, space: SearchSpace) -> Ints:
        """Rows of the cells of a space."""
        options = {decision.name: decision.options for decision in space.categorical}
        names = [f"edge_{edge}" for edge in EDGES]
        if set(space.names) != set(names) or any(set(options[name]) - set(self.operations) for name in names):
            raise ValueError(
                f"{self.path} holds cells with the decisions {names} and the operations {list(self.operations)}; "
                f"the space has {space!r}"
            )
        allowed = [
            np.isin(self._codes[:, place], [self.operations.index(option) for option in options[name]])
            for place, name in enumerate(names)
        ]
        return np.flatnonzero(np.all(allowed, axis=0))

    def _value(self, architecture: Mapping[str, Value], column: str) -> float:
        value = float(self._numbers(column)[self.row(architecture)])
        if math.isnan(value):
            raise self._no_value(architecture, column)
        return value

    def _no_value(self, architecture: Mapping[str, Value], column: str) -> ValueError:
        return ValueError(f"column {column!r} of {self.path} has no value for {dict(architecture)!r}")

    def _numbers(self, name: str) -> Floats:
        """(rows,) values of a column, NaN where there is none."""
        if name not in self._read:
            # By a list, since pyarrow's own conversion to numpy imports pandas, which costs more than all else here.
            self._read[name] = np.array(self._column(name).to_pylist(), dtype=np.float64)
        return self._read[name]

    def _column(self, name: str) -> Any:
        """A column as pyarrow has it."""
        if name not in self._names:
            raise ValueError(f"{self.path} has no column {name!r}{nearest(name, self._names)}")
        # Not pq.read_table, which loads the machinery for data sets of many files. A mapped file takes less memory.
        with pq.ParquetFile(self.path, memory_map=True) as file:
            return file.read([name], use_threads=False).column(0)


def _accuracy_column(dataset: str, split: str, epochs: int) -> str:
    _check_dataset(dataset)
    return f"{DATASETS[dataset]}_{split}_acc_{epochs}"


def _check_dataset(dataset: str) -> None:
    if dataset not in DATASETS:
        raise ValueError(f"unknown data set {dataset!r}{nearest(dataset, tuple(DATASETS))}")


def _find(path: str | os.PathLike[str], data_dir: str | os.PathLike[str] | None) -> Path:
    found = data_folder(data_dir) / Path(path).expanduser()
    if not found.is_file():
        raise FileNotFoundError(
            f"there is no NAS-Bench-201 table {found}. Name the folder that holds it by the environment variable "
            "RAY_ASNG_DATA or pass path=; ray_asng.tabular.nats_archive.convert makes it from the official release"
        )
    return found
