"""Which of a user's examples train, choose the architecture, and test."""

import itertools

import numpy as np
import pytest
import torch

from ray_asng.tasks import from_tensors, split_rows


def numbered(count, first=0):
    """Inputs that are the numbers of their rows."""
    rows = torch.arange(first, first + count)
    return rows, (rows % 2).float()


def rows_of(task, split):
    return task.batch(split, torch.arange(task.size(split)))[0].tolist()


def test_fractions_divide_the_examples_without_overlap():
    task = from_tensors(*numbered(100), train_fraction=0.75, test_fraction=0.4)
    parts = [rows_of(task, split) for split in ("train", "valid", "test")]
    assert [len(part) for part in parts] == [45, 15, 40]
    assert sorted(itertools.chain(*parts)) == list(range(100))
    assert rows_of(task, "train_valid") == sorted(parts[0] + parts[1])


def test_the_test_examples_are_the_same_for_every_split_seed_and_the_others_are_divided_anew():
    one, other = (from_tensors(*numbered(100), split_seed=seed) for seed in (1, 2))
    assert rows_of(one, "test") == rows_of(other, "test")
    assert set(rows_of(one, "train")) != set(rows_of(other, "train"))
    torch.manual_seed(5)
    assert rows_of(one, "train") == rows_of(from_tensors(*numbered(100), split_seed=1), "train")


def test_the_rows_of_a_task_can_be_known_before_it_is_built():
    rows = split_rows(100, train_fraction=0.3, test_fraction=0.1, split_seed=7)
    task = from_tensors(*numbered(100), train_fraction=0.3, test_fraction=0.1, split_seed=7)
    assert {split: rows_of(task, split) for split in rows} == {split: found.tolist() for split, found in rows.items()}


def test_separate_validation_and_test_data_are_used_as_they_are():
    task = from_tensors(*numbered(20), valid=numbered(6, 100), test=numbered(5, 200))
    assert rows_of(task, "train") == list(range(20))
    assert rows_of(task, "valid") == list(range(100, 106))
    assert rows_of(task, "test") == list(range(200, 205))
    assert rows_of(task, "train_valid") == [*range(20), *range(100, 106)]


def test_a_batch_over_separate_parts_keeps_the_order_of_its_indices():
    task = from_tensors(*numbered(20), valid=numbered(6, 100), test=numbered(5, 200))
    indices = torch.tensor([25, 0, 21, 19, 20, 0])
    inputs, targets = task.batch("train_valid", indices)
    assert inputs.tolist() == [105, 0, 101, 19, 100, 0]
    assert targets.tolist() == [1, 0, 1, 1, 0, 0]


def test_separate_test_data_leave_all_others_to_training_and_validation():
    task = from_tensors(*numbered(20), test=numbered(5, 200), train_fraction=0.8)
    assert (task.size("train"), task.size("valid"), rows_of(task, "test")) == (16, 4, list(range(200, 205)))


def test_separate_validation_data_leave_a_part_of_the_others_to_the_test():
    task = from_tensors(*numbered(20), valid=numbered(6, 100), test_fraction=0.25)
    assert (task.size("train"), task.size("test"), rows_of(task, "valid")) == (15, 5, list(range(100, 106)))
    assert not set(rows_of(task, "train")) & set(rows_of(task, "test"))


def test_given_rows_are_used_in_their_order():
    splits = {"train": [7, 3], "valid": np.array([1, 0]), "test": torch.tensor([9])}
    task = from_tensors(*numbered(10), splits=splits)
    assert [rows_of(task, split) for split in ("train", "valid", "test", "train_valid")] == [
        [7, 3],
        [1, 0],
        [9],
        [0, 1, 3, 7],
    ]


GIVEN = {"train": [0, 1], "valid": [2], "test": [3]}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"train_fraction": 0.01}, ValueError, "of 8 development examples leaves the split 'train' empty"),
        ({"train_fraction": 0.99}, ValueError, "leaves the split 'valid' empty"),
        ({"train_fraction": float("nan")}, ValueError, "train_fraction=nan must lie between 0 and 1"),
        ({"test_fraction": 1.0}, ValueError, "test_fraction=1.0 must lie between 0 and 1"),
        ({"test_fraction": float("nan")}, ValueError, "test_fraction=nan must lie between 0 and 1"),
        ({"test_fraction": 0.01}, ValueError, "of 10 examples sets 0 apart for the test"),
        ({"splits": {**GIVEN, "test": [1]}}, ValueError, "row 1 is in the splits 'train' and 'test'"),
        ({"splits": {**GIVEN, "train": [0, 0]}}, ValueError, "'train' has a row more than once"),
        ({"splits": {**GIVEN, "valid": []}}, ValueError, "'valid' must be a vector of at least one row number"),
        ({"splits": {**GIVEN, "valid": [10]}}, ValueError, r"'valid' has the row 10; there are rows 0..9"),
        ({"splits": {**GIVEN, "valid": [-1]}}, ValueError, "'valid' has the row -1"),
        ({"splits": {**GIVEN, "valid": [0.5]}}, TypeError, r"row numbers \(integers\), got torch.float64"),
        ({"splits": {**GIVEN, "test": np.arange(10) > 8}}, TypeError, "see nonzero"),
        ({"splits": {"train": [0], "valid": [1]}}, ValueError, r"splits lack \['test'\]"),
        ({"splits": {**GIVEN, "validation": [5]}}, ValueError, "unknown split 'validation' .*did you mean 'valid'"),
        ({"splits": GIVEN, "train_fraction": 0.5}, ValueError, r"splits= fixes what \['train_fraction'\]"),
        ({"splits": GIVEN, "split_seed": 3}, ValueError, r"splits= fixes what \['split_seed'\]"),
        ({"splits": GIVEN, "test": numbered(5)}, ValueError, r"splits= fixes what \['test'\]"),
        ({"valid": numbered(5), "split_seed": 3}, ValueError, r"valid= fixes what \['split_seed'\]"),
        ({"test": numbered(5), "test_fraction": 0.1}, ValueError, r"test= fixes what \['test_fraction'\]"),
    ],
)
def test_splits_that_contradict_overlap_or_are_empty_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        from_tensors(*numbered(10), **options)
