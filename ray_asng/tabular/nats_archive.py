"""The official NATS-Bench release of NAS-Bench-201, brought into the one small file that `nasbench201` reads.

The release is a folder `NATS-tss-v1_0-3ffb9-simple` of compressed pickles: `meta.pickle.pbz2` with the notations of all
cells, and `000000.pickle.pbz2` and so on with all that was logged of one cell. Of each the last epoch is kept.

Only containers and numbers are read from the pickles; anything else in them is refused, since a pickle may run code.

References:
    Dong, Liu, Musial & Gabrys, "NATS-Bench: Benchmarking NAS Algorithms for Architecture Topology and Size", 2021;
    the layout is that of the published code (`nats_bench.api_utils`, and `tss-collect.py`, which wrote the release).
"""

from __future__ import annotations

import bz2
import json
import os
import pickle
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ray_asng.tabular.nasbench201 import EDGES

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")

_HARMLESS = {
    ("collections", "OrderedDict"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
}

# Column -> the data set and the part of it under which the release logs what stands there.
_ACCURACIES = {
    "cifar10_valid": ("cifar10-valid", "x-valid"),
    "cifar10_test": ("cifar10", "ori-test"),
    "cifar100_valid": ("cifar100", "x-valid"),
    "cifar100_test": ("cifar100", "x-test"),
    "cifar100_valtest": ("cifar100", "ori-test"),
    "imagenet16_120_valid": ("ImageNet16-120", "x-valid"),
    "imagenet16_120_test": ("ImageNet16-120", "x-test"),
    "imagenet16_120_valtest": ("ImageNet16-120", "ori-test"),
}
_SECONDS = {
    "cifar10_valid_train_time_200_s": "cifar10-valid",
    "cifar100_train_time_200_s": "cifar100",
    "imagenet16_120_train_time_200_s": "ImageNet16-120",
}
_EPOCHS = ("12", "200")

# Cells whose rows are in memory as Python objects at once.
_ROWS_AT_ONCE = 256


def convert(archive: str | os.PathLike[str], target: str | os.PathLike[str]) -> Path:
    """Write the table of an unpacked release. Reads one cell at a time.

    Args:
        archive: the folder `NATS-tss-v1_0-3ffb9-simple`.
        target: the Parquet file to write; one that is there is replaced once the new one is complete.

    Returns:
        The path of the file.

    Raises:
        FileNotFoundError: a file of the release is missing.
        ValueError: a file that is damaged, laid out differently, or holds more than containers and numbers.
    """
    folder, written = Path(archive).expanduser(), Path(target).expanduser()
    cells = _cells(folder)
    partial = written.with_name(f"{written.name}.partial")
    schema = _schema()
    try:
        with pq.ParquetWriter(partial, schema, compression="zstd") as writer:
            for rows in _grouped(_row(folder, index, cell) for index, cell in enumerate(cells)):
                writer.write_table(pa.Table.from_pylist(rows, schema))
        partial.replace(written)
    finally:
        partial.unlink(missing_ok=True)
    return written


class _PlainUnpickler(pickle.Unpickler):
    """Makes containers and numbers, and refuses what could run code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _HARMLESS:
            raise pickle.UnpicklingError(f"it holds {module}.{name}, where only containers and numbers are expected")
        return super().find_class(module, name)


def _load(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"the release has no {path}; unpack all of NATS-tss-v1_0-3ffb9-simple.tar")
    try:
        with bz2.open(path) as file:
            return _PlainUnpickler(file).load()
    except (OSError, EOFError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path} is no file of the NATS-Bench release, or is damaged: {error}") from error


def _cells(folder: Path) -> list[str]:
    """The notations of all cells."""
    path = folder / "meta.pickle.pbz2"
    meta = _load(path)
    if not isinstance(meta, Mapping) or "meta_archs" not in meta:
        raise ValueError(f"{path} is not laid out like the NATS-Bench release; it lacks 'meta_archs'")
    return list(meta["meta_archs"])


def _row(folder: Path, index: int, cell: str) -> dict[str, Any]:
    """What the table keeps of one cell."""
    path = folder / f"{index:06d}.pickle.pbz2"
    row: dict[str, Any] = {"index": index, "arch": cell, **_codes(cell)}
    try:
        logged = _load(path)
        for epochs in _EPOCHS:
            row |= _accuracies(logged[epochs]["all_results"], epochs)
        return row | _costs(logged["200"]["all_results"])
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not laid out like the NATS-Bench release; it lacks {error}") from error


def _codes(cell: str) -> dict[str, int]:
    """Option indices of the edges of a cell in the published notation."""
    operations = re.findall(r"\|([^|~+]+)~", cell)
    if len(operations) != len(EDGES) or not set(operations) <= set(OPERATIONS):
        raise ValueError(
            f"meta.pickle.pbz2 names {cell!r}, which is no cell of NAS-Bench-201; is this another release?"
        )
    return {f"op_{edge}": OPERATIONS.index(operation) for edge, operation in zip(EDGES, operations, strict=True)}


def _runs(results: Mapping[tuple[str, int], Any], dataset: str) -> list[Any]:
    """The trainings on `dataset`, in the order of their seeds."""
    return [results[key] for key in sorted(results) if key[0] == dataset]


def _accuracies(results: Mapping[tuple[str, int], Any], epochs: str) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for column, (dataset, part) in _ACCURACIES.items():
        logged = [run["eval_acc1es"].get(f"{part}@{run['epochs'] - 1}") for run in _runs(results, dataset)]
        seeds = [float(accuracy) for accuracy in logged if accuracy is not None]
        row[f"{column}_acc_{epochs}"] = float(np.mean(seeds)) if seeds else None
        row[f"{column}_acc_{epochs}_seeds"] = seeds
    return row


def _costs(results: Mapping[tuple[str, int], Any]) -> dict[str, Any]:
    """Seconds of training, parameters and multiply-adds; the release has the last two in millions."""
    # They do not depend on the seed: the release has one estimate of the seconds of an epoch for each cell.
    first = {dataset: _runs(results, dataset)[0] for dataset in _SECONDS.values()}
    costs: dict[str, Any] = {
        column: float(sum(first[dataset]["train_times"].values())) for column, dataset in _SECONDS.items()
    }
    return costs | {
        "params": round(1e6 * float(first["cifar10-valid"]["params"])),
        "flops_cifar10": round(1e6 * float(first["cifar10-valid"]["flop"])),
        "flops_imagenet16_120": round(1e6 * float(first["ImageNet16-120"]["flop"])),
    }


def _schema() -> pa.Schema:
    names = [f"{column}_acc_{epochs}" for epochs in _EPOCHS for column in _ACCURACIES]
    fields = [("index", pa.int32()), ("arch", pa.string())]
    fields += [(f"op_{edge}", pa.int8()) for edge in EDGES]
    fields += [(name, pa.float64()) for name in names]
    fields += [(f"{name}_seeds", pa.list_(pa.float64())) for name in names]
    fields += [(name, pa.float64()) for name in _SECONDS]
    fields += [(name, pa.int64()) for name in ("params", "flops_cifar10", "flops_imagenet16_120")]
    words = {"ops": json.dumps(OPERATIONS), "units": "accuracies in percent; params with the head of CIFAR-10"}
    return pa.schema(fields, metadata=words)


def _grouped(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    for row in rows:
        group.append(row)
        if len(group) == _ROWS_AT_ONCE:
            yield group
            group = []
    if group:
        yield group
