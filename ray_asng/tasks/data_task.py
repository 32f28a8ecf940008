"""A task on data of any kind, with a loss and a metric of the user's choice. Built by `from_tensors`.

Dimension letters: B examples of a batch.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, final

import torch
from torch import Tensor

from ray_asng.space import nearest
from ray_asng.tasks.base import SPLITS
from ray_asng.tasks.columns import Inputs, check_lengths, input_columns, joined, joined_inputs, target_column
from ray_asng.tasks.objective import Objective
from ray_asng.tasks.rows import Rows
from ray_asng.tasks.value_checks import class_check, count_classes, refuse_infinite, refuse_labels, refuse_nan

Augment: TypeAlias = Callable[[Any, torch.Generator], Any]
"""A user's function of the inputs of a batch and a generator on the CPU, giving inputs of the same form."""


@final
class DataTask:
    """Data, loss and metric of a user's own. It can be copied, pickled and given to `tune.with_parameters`.

    Args:
        name: for reports.
        inputs: one row an example.
        targets: likewise.
        rows: split -> int64 vector of the examples' rows.
        objective: loss and metric.
        classes: number of classes; found if None and the targets are classes.
        augment: what the inputs of a batch drawn with a generator go through.
        network_options: over those that are found: `classes` for class targets, `in_features` for one float vector an
            example, `in_channels` for one (channels, height, width) an example.

    Raises:
        ValueError: inputs and targets of different length; numbers that are refused (see `value_checks`), which for
            data in a memory-mapped file are looked for when a batch is read; `classes` where there are none.
        TypeError: network options that are no plain values.
    """

    def __init__(
        self,
        *,
        name: str,
        inputs: Inputs,
        targets: Rows,
        rows: Mapping[str, Tensor],
        objective: Objective,
        classes: int | None = None,
        augment: Augment | None = None,
        network_options: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise ValueError(f"name must be a line of text for reports, got {name!r}")
        used = torch.cat([rows["train_valid"], rows["test"]]).sort().values
        if objective.kind == "classes" and classes is None:
            classes = count_classes(targets, used)
        _check_classes(classes, objective)
        self.name = name
        self.metric = objective.metric_name
        self.higher_is_better = objective.higher_is_better
        self.augment = augment
        self.network_options: Mapping[str, Any] = {**_found_options(inputs, classes), **(network_options or {})}
        _check_plain(self.network_options)
        self._objective = objective
        self._inputs = inputs.checked(refuse_nan, used)
        self._targets = _checked_targets(targets, objective.kind, classes, used)
        self._rows = dict(rows)
        self._device = torch.device("cpu")

    def __repr__(self) -> str:
        sizes = ", ".join(f"{split}={len(rows)}" for split, rows in self._rows.items())
        shapes = ", ".join(f"{column.label} {column.shape}" for column in (*self._inputs.columns, self._targets))
        return f"DataTask({self.name!r}, {shapes}, {sizes})"

    def to(self, device: torch.device) -> DataTask:
        """The task with its batches on `device`, and its data too but for those in a memory-mapped file."""
        moved = copy.copy(self)
        moved._device = device
        moved._inputs, moved._targets = self._inputs.to(device), self._targets.to(device)
        return moved

    def size(self, split: str) -> int:
        """Number of examples of a split."""
        return len(self._split_rows(split))

    def batch(self, split: str, indices: Tensor, generator: torch.Generator | None = None) -> tuple[Any, Tensor]:
        """Inputs and targets of a batch.

        Args:
            split: "train", "valid", "train_valid" or "test".
            indices: (B,) int64 on the CPU, each in [0, size(split)).
            generator: on the CPU; draws the augmentation. Without it the inputs come as they are.

        Returns:
            Copies on the device of the task, in the types that `columns` describes: a (B, ...) tensor, or a tuple or
            dict of such, and (B, ...) targets.

        Raises:
            ValueError: an unknown split, or numbers in a file that are refused.
        """
        rows = self._split_rows(split).index_select(0, indices)
        inputs, targets = self._inputs.take(rows, self._device), self._targets.take(rows, self._device)
        if generator is None or self.augment is None:
            return inputs, targets
        return self.augment(inputs, generator), targets

    def loss(self, outputs: Any, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Mean loss of a batch, a scalar with its graph; see `Objective.loss_of`."""
        return self._objective.loss_of(outputs, targets, label_smoothing)

    def score(self, outputs: Any, targets: Tensor) -> Tensor:
        """Mean metric of a batch, a scalar without graph; see `Objective.score_of`."""
        return self._objective.score_of(outputs, targets)

    def _split_rows(self, split: str) -> Tensor:
        if split not in self._rows:
            raise ValueError(f"unknown split {split!r}{nearest(split, SPLITS)}")
        return self._rows[split]


def data_columns(
    inputs: Any, targets: Any, valid: object, test: object
) -> tuple[Inputs, Rows, tuple[int, int | None, int | None]]:
    """The columns of what a user gave: his data, then separate validation data, then separate test data.

    Args:
        inputs: see `columns.input_columns`.
        targets: see `columns.target_column`.
        valid: a pair (inputs, targets), or None.
        test: likewise.

    Returns:
        Columns of all inputs and targets, and the number of rows in each of the three; None of what was not given.

    Raises:
        TypeError: no pair, or what is no array of numbers.
        ValueError: inputs and targets of different length, or parts that differ in columns, shapes or types.
    """
    given = {"": (inputs, targets), "valid ": valid, "test ": test}
    columns = {}
    for part, pair in given.items():
        if pair is None:
            continue
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise TypeError(f"{part.strip()} must be a pair (inputs, targets), got a {type(pair).__name__}")
        columns[part] = input_columns(part, pair[0]), target_column(part, pair[1])
        check_lengths(columns[part][0].columns[0], columns[part][1])
    all_inputs, all_targets = zip(*columns.values(), strict=True)
    counts = {part: len(own_targets) for part, (_, own_targets) in columns.items()}
    return (
        joined_inputs(all_inputs),
        joined(all_targets),
        (counts[""], counts.get("valid "), counts.get("test ")),
    )


def _check_classes(classes: object, objective: Objective) -> None:
    if classes is None:
        return
    if objective.kind not in ("classes", None):
        raise ValueError(f"classes={classes!r} is of class targets; {objective.loss!r} takes {objective.kind}")
    if not isinstance(classes, int) or isinstance(classes, bool) or classes < 2:
        raise ValueError(f"classes must be a whole number from 2, got {classes!r}")


def _checked_targets(targets: Rows, kind: str | None, classes: int | None, rows: Tensor) -> Rows:
    if kind == "classes" and classes is not None:
        return targets.checked(class_check(classes), rows)
    checks = {"binary": refuse_labels, "values": refuse_infinite}
    return targets if kind is None else targets.checked(checks[kind], rows)


def _found_options(inputs: Inputs, classes: int | None) -> dict[str, int]:
    found = {} if classes is None else {"classes": classes}
    shape = inputs.columns[0].shape
    if inputs.is_single and len(shape) == 1 and inputs.columns[0].dtype.is_floating_point:
        found["in_features"] = shape[0]
    if inputs.is_single and len(shape) == 3:
        found["in_channels"] = shape[0]
    return found


def _check_plain(options: Mapping[str, Any]) -> None:
    try:
        json.dumps(dict(options))
    except TypeError as error:
        raise TypeError(
            f"network_options must be a dict from option to number or string, got {dict(options)!r}"
        ) from error
