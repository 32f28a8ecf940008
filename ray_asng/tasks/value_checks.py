"""What numbers a task refuses, said with the row that holds them.

Dimension letters: B rows that are looked at.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from ray_asng.tasks.losses_and_metrics import NO_TARGET
from ray_asng.tasks.rows import Check, Rows

_ROWS_AT_ONCE = 65536


def refuse_nan(label: str, values: Tensor, rows: Tensor) -> None:
    """Raise ValueError for NaN. Infinities pass: masks have them."""
    if values.is_floating_point():
        remedy = "fill missing values (statistics of the training rows alone), or leave their rows out"
        _refuse(values.isnan(), f"{label} are NaN", remedy, rows)


def class_check(classes: int) -> Check:
    """Raises ValueError for class indices outside 0..classes - 1, and for an example without any target."""
    return partial(_refuse_classes, classes)


def refuse_labels(label: str, values: Tensor, rows: Tensor) -> None:
    """Raise ValueError for binary labels outside 0..1."""
    is_wrong = ~((values >= 0) & (values <= 1))
    _refuse(is_wrong, f"{label} are out of range", "labels must lie in 0..1", rows, values)


def refuse_infinite(label: str, values: Tensor, rows: Tensor) -> None:
    """Raise ValueError for NaN and infinities."""
    if values.is_floating_point():
        remedy = "leave such examples out, or use a loss function of your own that does"
        _refuse(~values.isfinite(), f"{label} are NaN or infinite", remedy, rows)


def count_classes(targets: Rows, rows: Tensor) -> int:
    """Number of classes: one more than the largest class index in these rows.

    Raises:
        ValueError: targets in a file, which are not read whole; or fewer than two classes.
    """
    if targets.is_mapped:
        raise ValueError(f"{targets.label} are a memory map, which is not read whole: give classes=, their number")
    cpu = torch.device("cpu")
    classes = 1 + max(int(targets.take(some, cpu).max()) for some in torch.split(rows, _ROWS_AT_ONCE))
    if classes < 2:
        raise ValueError(f"{targets.label} have no class above 0; two are needed, or give classes= for their number")
    return classes


def _refuse_classes(classes: int, label: str, values: Tensor, rows: Tensor) -> None:
    is_wrong = (values < 0) | (values >= classes)
    if values.ndim > 1:
        is_wrong &= values != NO_TARGET
        is_empty = (values == NO_TARGET).flatten(1).all(1)
        _refuse(is_empty, f"{label} are all {NO_TARGET} (no target)", "leave such an example out", rows)
    remedy = f"they must lie in 0..{classes - 1} for {classes} classes"
    _refuse(is_wrong, f"{label} are out of range", remedy, rows, values)


def _refuse(is_wrong: Tensor, what: str, remedy: str, rows: Tensor, values: Tensor | None = None) -> None:
    """Raise for the first of the (B,) `rows` in which anything of (B, ...) `is_wrong`."""
    if not is_wrong.any():
        return
    place = int(is_wrong.reshape(len(is_wrong), -1).any(1).nonzero()[0])
    found = "" if values is None else f" ({values[place][is_wrong[place]].flatten()[0].item()})"
    raise ValueError(f"{what} in row {int(rows[place])}{found}; {remedy}")
