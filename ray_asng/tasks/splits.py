"""Which examples train, choose the architecture, and test.

Test examples set apart by a fraction are the same for every `split_seed`, which divides the others alone: studies with
several divisions report on one test set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ray_asng.space import nearest
from ray_asng.tasks.subset import set_apart

if TYPE_CHECKING:
    from torch import Tensor

GIVEN = ("train", "valid", "test")
"""The splits that `splits=` names; `train_valid` follows from them."""


def split_indices(
    count: int, train_fraction: float, split_seed: int, what: str = "development images"
) -> tuple[Tensor, Tensor]:
    """Divide the rows 0, ..., count - 1 at random into those of `train` and those of `valid`.

    Args:
        count: number of rows.
        train_fraction: share of `train`.
        split_seed: of the permutation.
        what: the rows are, for error messages.

    Returns:
        Two int64 vectors, together a permutation of the rows; the first has round(train_fraction * count).

    Raises:
        ValueError: the fraction is not between 0 and 1, or leaves one of the two empty.
    """
    import torch

    if not 0 < train_fraction < 1:
        raise ValueError(
            f"train_fraction={train_fraction!r} must lie between 0 and 1, both excluded: one part of the "
            f"{what} fits the weights, the other chooses the architecture"
        )
    num_train = round(train_fraction * count)
    if not 0 < num_train < count:
        empty = "valid" if num_train else "train"
        raise ValueError(
            f"train_fraction={train_fraction} of {count} {what} leaves the split {empty!r} empty; "
            f"use more {what.split()[-1]} or a fraction nearer to 0.5"
        )
    order = torch.from_numpy(np.random.default_rng(split_seed).permutation(count))
    return order[:num_train], order[num_train:]


def split_rows(
    count: int, *, train_fraction: float = 0.5, test_fraction: float = 0.2, split_seed: int = 0
) -> dict[str, Tensor]:
    """Divide the rows 0, ..., count - 1 at random, as `from_tensors` does with the same numbers.

    For what has to know the training rows before the task is built, such as `standardised`.

    Args:
        count: number of rows.
        train_fraction: share of `train` in the rows that are not `test`; `valid` gets the rest.
        test_fraction: share of `test`, whose rows are the same for every split_seed.
        split_seed: draws the division into `train` and `valid`.

    Returns:
        "train", "valid" and "test", int64 vectors; for the argument `splits` of `from_tensors`.

    Raises:
        ValueError: a fraction that is not between 0 and 1, or leaves a split empty.

    Example:
        >>> rows = split_rows(1000, split_seed=3)
        >>> {split: len(indices) for split, indices in rows.items()}
        {'train': 400, 'valid': 400, 'test': 200}
    """
    import torch

    development, test = map(torch.from_numpy, set_apart(np.arange(count), _proper(test_fraction), "examples"))
    train, valid = split_indices(len(development), train_fraction, split_seed, "development examples")
    return {"train": development[train], "valid": development[valid], "test": test}


def divided(
    counts: tuple[int, int | None, int | None],
    splits: Mapping[str, Any] | None,
    train_fraction: float | None,
    test_fraction: float | None,
    split_seed: int,
) -> dict[str, Tensor]:
    """The rows of every split of a task, in data that lie one after another.

    Args:
        counts: rows of the data, then of separate validation data and of separate test data, None without them.
        splits: rows of each split; leaves nothing to the other arguments.
        train_fraction: share of `train` in what is not `test`; one half if None.
        test_fraction: share of `test`; a fifth if None.
        split_seed: draws `train` and `valid`.

    Raises:
        ValueError: arguments that contradict each other, or an empty split.
        TypeError: row numbers that are not whole.
    """
    import torch

    count, num_valid, num_test = counts
    _refuse_contradictions(num_valid, num_test, splits, train_fraction, test_fraction, split_seed)
    if splits is not None:
        rows = checked_splits(splits, count)
    elif num_valid is None and num_test is None:
        rows = split_rows(
            count,
            train_fraction=0.5 if train_fraction is None else train_fraction,
            test_fraction=0.2 if test_fraction is None else test_fraction,
            split_seed=split_seed,
        )
    else:
        rows = _with_separate_data(counts, train_fraction, test_fraction, split_seed)
    return {**rows, "train_valid": torch.cat([rows["train"], rows["valid"]]).sort().values}


def _with_separate_data(
    counts: tuple[int, int | None, int | None],
    train_fraction: float | None,
    test_fraction: float | None,
    split_seed: int,
) -> dict[str, Tensor]:
    import torch

    count, num_valid, num_test = counts
    development, start = torch.arange(count), count + (num_valid or 0)
    if num_test is None:
        fraction = 0.2 if test_fraction is None else test_fraction
        development, test = map(torch.from_numpy, set_apart(np.arange(count), _proper(fraction), "examples"))
    else:
        test = torch.arange(start, start + num_test)
    if num_valid is not None:
        return {"train": development, "valid": torch.arange(count, start), "test": test}
    fraction = 0.5 if train_fraction is None else train_fraction
    train, valid = split_indices(len(development), fraction, split_seed, "development examples")
    return {"train": development[train], "valid": development[valid], "test": test}


def _refuse_contradictions(
    num_valid: int | None,
    num_test: int | None,
    splits: Mapping[str, Any] | None,
    train_fraction: float | None,
    test_fraction: float | None,
    split_seed: int,
) -> None:
    """Nothing that is asked for is passed over."""
    fixed = "splits" if splits is not None else "valid" if num_valid is not None else None
    asked = {"train_fraction": train_fraction, "split_seed": split_seed or None} if fixed else {}
    if splits is not None:
        asked |= {"valid": num_valid, "test": num_test, "test_fraction": test_fraction}
    elif num_test is not None and test_fraction is not None:
        fixed, asked = "test", {"test_fraction": test_fraction}
    useless = [name for name, value in asked.items() if value is not None]
    if useless:
        raise ValueError(f"{fixed}= fixes what {useless} would decide; leave one of them out")


def checked_splits(splits: Mapping[str, Any], count: int) -> dict[str, Tensor]:
    """The rows of "train", "valid" and "test" as int64 vectors.

    Args:
        splits: one vector of row numbers for each.
        count: number of rows.

    Raises:
        TypeError: row numbers that are not whole.
        ValueError: a split that is missing, unknown or empty; rows that do not exist, or are in two places.
    """
    import torch

    for name in splits:
        if name not in GIVEN:
            raise ValueError(f"unknown split {name!r} in splits{nearest(str(name), GIVEN)}")
    missing = [name for name in GIVEN if name not in splits]
    if missing:
        raise ValueError(f"splits lack {missing}; give the rows of each of {list(GIVEN)}")
    found = {}
    owner = torch.full((count,), -1)
    for number, name in enumerate(GIVEN):
        rows = _row_numbers(name, splits[name], count)
        taken = owner[rows] >= 0
        if taken.any():
            row = int(rows[taken][0])
            raise ValueError(f"row {row} is in the splits {GIVEN[int(owner[row])]!r} and {name!r}; a row has one place")
        owner[rows] = number
        if int((owner == number).sum()) < len(rows):
            raise ValueError(f"the split {name!r} has a row more than once; repeat examples in the data instead")
        found[name] = rows
    return found


def _row_numbers(name: str, given: Any, count: int) -> Tensor:
    import torch

    rows = given.cpu() if isinstance(given, torch.Tensor) else torch.from_numpy(np.array(given))
    if rows.ndim != 1 or not len(rows):
        raise ValueError(
            f"the split {name!r} must be a vector of at least one row number, got shape {tuple(rows.shape)}"
        )
    if rows.is_floating_point() or rows.is_complex() or rows.dtype == torch.bool:
        raise TypeError(
            f"the split {name!r} must hold row numbers (integers), got {rows.dtype}; see nonzero() of masks"
        )
    rows = rows.to(torch.int64)
    wrong = rows[(rows < 0) | (rows >= count)]
    if len(wrong):
        raise ValueError(f"the split {name!r} has the row {int(wrong[0])}; there are rows 0..{count - 1}")
    return rows


def _proper(test_fraction: float) -> float:
    if not 0 < test_fraction < 1:
        raise ValueError(f"test_fraction={test_fraction!r} must lie between 0 and 1, both excluded")
    return test_fraction
