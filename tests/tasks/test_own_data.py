"""Tasks on a user's own tensors: what goes in, what batches hold, and searches on them."""

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes, load_digits, load_iris
from torch import nn

from ray_asng import OneOf, tasks
from ray_asng.config import SearchConfig
from ray_asng.optimizers import ASNG
from ray_asng.retrain import Retraining, RetrainSettings
from ray_asng.search import Search
from ray_asng.settings import SearchSettings
from ray_asng.supernets.supernet import Supernet
from ray_asng.tasks import from_tensors, split_rows, standardised
from ray_asng.tasks.base import Task
from ray_asng.testing import check_task

IRIS = load_iris(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)


def iris(**options):
    return from_tensors(*IRIS, name="iris", **options)


def diabetes(split_seed=0, train_fraction=0.5):
    """Regression, scaled by the training rows."""
    table, progress = DIABETES
    rows = split_rows(len(table), train_fraction=train_fraction, split_seed=split_seed)
    inputs, targets = (standardised(values, rows["train"]) for values in (table, progress))
    return from_tensors(inputs, targets, name="diabetes", metric="mae", splits=rows)


def reversed_digits():
    """Sequences with a class at each position; the last position of every third one is padding."""
    pixels = load_digits().images.astype(np.int64)[:120].reshape(120, 64)[:, 20:30]
    classes = np.minimum(pixels[:, ::-1], 3).copy()
    classes[::3, -1] = -100
    return from_tensors(pixels, classes, name="reversed", network_options={"vocabulary": 17})


def two_inputs():
    table, species = IRIS
    return from_tensors({"petal": table[:, 2:], "sepal": table[:, :2]}, species, name="flowers")


def jittered():
    def jitter(inputs, generator):
        return inputs + 0.01 * torch.randn(inputs.shape, generator=generator)

    return iris(augment=jitter)


def separate_parts():
    table, species = IRIS
    parts = [(table[start::3], species[start::3]) for start in range(3)]
    return from_tensors(*parts[0], valid=parts[1], test=parts[2])


def labels():
    table, species = IRIS
    return from_tensors(table, np.stack([species == 0, species == 2], 1))


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, sepal, petal):
        return self.layer(torch.cat([sepal, petal], 1))


class Table(nn.Module):
    """A network for tables, searched."""

    def __init__(self, in_features, outputs=1):
        super().__init__()
        self.stem = nn.Linear(in_features, 8)
        self.act = OneOf({"relu": nn.ReLU(), "tanh": nn.Tanh(), "none": nn.Identity()}, name="act")
        self.head = nn.Linear(8, outputs)

    def forward(self, x):
        return self.head(self.act(self.stem(x)))


def everything(task, split):
    return task.batch(split, torch.arange(task.size(split)))


CONFORMING = {
    "iris": (iris, None),
    "diabetes": (diabetes, lambda: nn.Linear(10, 1)),
    "sequences": (reversed_digits, lambda: nn.Sequential(nn.Embedding(17, 8), nn.Linear(8, 4))),
    "two inputs": (two_inputs, TwoInputs),
    "augmented": (jittered, None),
    "separate parts": (separate_parts, None),
    "binary labels": (labels, lambda: nn.Linear(4, 2)),
}


@pytest.mark.parametrize("case", CONFORMING)
def test_it_keeps_the_contract_of_a_task(case):
    build, network = CONFORMING[case]
    check_task(build, network=network)


def test_the_rows_of_a_batch_are_those_of_its_split():
    table, species = IRIS
    numbered = np.arange(150)
    rows = split_rows(150, split_seed=3)
    task = from_tensors((table, numbered), species, split_seed=3)
    for split, expected in rows.items():
        indices = torch.tensor([4, 0, 4, 7])
        (features, numbers), targets = task.batch(split, indices)
        assert torch.equal(numbers, expected[indices])
        assert np.allclose(features, table[expected[indices]])
        assert torch.equal(targets, torch.from_numpy(species)[expected[indices]])


@pytest.mark.parametrize(
    ("given", "drawn"),
    [
        (torch.float64, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.uint8, torch.uint8),
        (torch.int32, torch.int32),
        (torch.uint16, torch.int64),
        (torch.bool, torch.bool),
    ],
)
def test_inputs_come_in_a_type_in_which_networks_compute(given, drawn):
    values = torch.arange(40).reshape(20, 2) % 7
    inputs, _ = everything(from_tensors(values.to(given), torch.zeros(20)), "train_valid")
    assert inputs.dtype == drawn
    assert set(inputs.flatten().tolist()) <= set(range(7))


def test_integer_targets_come_as_int64_and_floats_as_float32():
    assert everything(iris(), "test")[1].dtype == torch.int64
    small = from_tensors(IRIS[0], IRIS[1].astype(np.uint8))
    assert everything(small, "test")[1].dtype == torch.int64
    assert everything(diabetes(), "test")[1].dtype == torch.float32


@pytest.mark.parametrize("change", ["read only", "byte order", "negative stride"])
def test_arrays_that_torch_cannot_share_give_the_same_batches(change, recwarn):
    table = IRIS[0].copy()
    if change == "read only":
        table.setflags(write=False)
    elif change == "byte order":
        table = table.astype(">f8")
    else:
        table = table[::-1].copy()[::-1]
    assert torch.equal(everything(from_tensors(table, IRIS[1]), "train")[0], everything(iris(), "train")[0])
    assert not [warning for warning in recwarn if "writ" in str(warning.message)]


def test_what_the_network_must_be_built_with_is_found_where_it_is_clear():
    pixels, digit = torch.zeros(20, 3, 4, 4, dtype=torch.uint8), torch.arange(20) % 5
    assert iris().network_options == {"classes": 3, "in_features": 4}
    assert from_tensors(pixels, digit).network_options == {"classes": 5, "in_channels": 3}
    assert reversed_digits().network_options == {"classes": 4, "vocabulary": 17}
    assert from_tensors(pixels, digit, classes=12).network_options["classes"] == 12
    assert diabetes().network_options == {"in_features": 10}


def test_augmentation_is_for_batches_with_a_generator_and_drawn_from_it_alone():
    task, indices = jittered(), torch.arange(20)
    plain = task.batch("train", indices)[0]
    first = task.batch("train", indices, torch.Generator().manual_seed(1))[0]
    assert torch.equal(plain, iris().batch("train", indices)[0])
    assert not torch.equal(plain, first)
    assert torch.equal(first, task.batch("train", indices, torch.Generator().manual_seed(1))[0])


def test_batches_are_on_the_device_of_the_task_and_the_original_stays_where_it_was():
    task = two_inputs()
    inputs, targets = task.to(torch.device("meta")).batch("valid", torch.arange(6))
    assert {part.device.type for part in (*inputs.values(), targets)} == {"meta"}
    assert task.batch("valid", torch.arange(6))[1].device.type == "cpu"


def test_a_pickled_or_deeply_copied_task_gives_the_same_batches():
    for task in (diabetes(), separate_parts()):
        for again in (pickle.loads(pickle.dumps(task)), copy.deepcopy(task)):
            for split in ("train", "valid", "train_valid", "test"):
                pairs = zip(everything(task, split), everything(again, split), strict=True)
                assert all(torch.equal(one, other) for one, other in pairs)


# Scaling


def test_standardised_values_have_mean_0_and_deviation_1_in_the_training_rows_alone():
    rows = split_rows(150)
    values = standardised(IRIS[0], rows["train"])
    torch.testing.assert_close(values[rows["train"]].mean(0), torch.zeros(4), rtol=0, atol=1e-5)
    torch.testing.assert_close(values[rows["train"]].std(0, correction=0), torch.ones(4))
    assert values[rows["valid"]].mean(0).abs().min() > 1e-3


def test_values_outside_the_training_rows_have_no_influence_on_the_scale():
    rows, table = split_rows(150), IRIS[0].copy()
    table[rows["test"]] = 1e6
    table[rows["valid"]] = np.nan
    train = rows["train"]
    assert torch.equal(standardised(table, train)[train], standardised(IRIS[0], train)[train])


def test_a_constant_feature_is_only_shifted_and_dimensions_can_be_averaged_over():
    channels = torch.stack([torch.full((6, 5), 3.0), torch.arange(30.0).reshape(6, 5)], 1)
    values = standardised(channels, torch.arange(4), over=(0, 2))
    assert (values[:, 0] == 0).all()
    assert torch.allclose(values[:4, 1].std(correction=0), torch.tensor(1.0))
    with pytest.raises(ValueError, match="rows must be at least one and finite"):
        standardised(channels * torch.nan, torch.arange(4))


# Searches


@pytest.mark.parametrize("build", [diabetes, lambda split_seed: iris(split_seed=split_seed)])
def test_a_function_that_builds_the_task_serves_a_config(build):
    config = SearchConfig.from_mapping(
        {"task": build, "space": Table, "space_options": {"outputs": 3 if build is not diabetes else 1}}
        | {"seed": 0, "split_seed": 2, "epochs": 1, "batch_size": 16, "memory_format": "contiguous"}
    )
    search = config.build_search()
    assert search.supernet.module.stem.in_features == search.task.network_options["in_features"]
    metrics = search.run_epoch()
    assert np.isfinite(metrics[f"path_{search.task.metric}"])


def test_the_split_and_the_share_of_training_reach_the_builder():
    config = {"task": diabetes, "space": Table, "seed": 0, "train_fraction": 0.75}
    task = SearchConfig.from_mapping({**config, "split_seed": 2}).build_task()
    assert task.size("train") == round(0.75 * task.size("train_valid"))
    other = SearchConfig.from_mapping({**config, "split_seed": 3}).build_task()
    assert not torch.equal(task.batch("train", torch.arange(9))[0], other.batch("train", torch.arange(9))[0])


def test_a_task_that_was_pickled_serves_as_an_object():
    config = {"space": Table, "space_options": {"outputs": 3}, "seed": 0, "epochs": 1, "batch_size": 16}
    task = pickle.loads(pickle.dumps(iris(split_seed=2)))
    search = SearchConfig.from_mapping(config, objects={"task": task}).build_search()
    assert search.task.size("train") == 60
    assert np.isfinite(search.run_epoch()["path_accuracy"])


def test_a_search_on_several_inputs_learns_and_its_child_is_retrained():
    class Flowers(TwoInputs):
        def __init__(self):
            super().__init__()
            self.layer = OneOf({"deep": nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), "flat": self.layer})

    supernet = Supernet(Flowers())
    settings = SearchSettings(epochs=3, steps_per_epoch=40, batch_size=16, lr=0.1)
    search = Search(supernet, two_inputs(), ASNG(supernet.space), settings)
    while not search.is_done:
        metrics = search.run_epoch()
    assert metrics["path_accuracy"] > 0.6
    retraining = Retraining(
        supernet.extract(search.architecture), two_inputs(), RetrainSettings(epochs=1, batch_size=32)
    )
    assert "test_accuracy" in retraining.run_epoch()


def test_the_builders_are_public_and_make_tasks():
    assert {"from_tensors", "from_dataset", "split_rows", "standardised"} <= set(tasks.__all__)
    assert isinstance(iris(), Task)
    assert "train=60" in repr(iris())


# What is refused

X = torch.zeros(10, 2)
Y = torch.arange(10) % 2


def with_value(tensor, row, value):
    changed = tensor.clone()
    changed[row] = value
    return changed


@pytest.mark.parametrize(
    ("inputs", "targets", "options", "error", "message"),
    [
        (X, Y[:9], {}, ValueError, "inputs has 10 examples and targets has 9"),
        ({"a": X, "b": X[:8]}, Y, {}, ValueError, r"inputs\['a'\] has 10 examples and inputs\['b'\] has 8"),
        (X, Y, {"test": (X, Y[:3])}, ValueError, "test inputs has 10 examples and test targets has 3"),
        (X[:0], Y[:0], {}, ValueError, r"at least one example, got \(0, 2\)"),
        ({}, Y, {}, ValueError, "inputs are empty"),
        ({"two words": X}, Y, {}, TypeError, "have the key 'two words'"),
        ([[1.0], [2.0, 3.0]], Y, {}, TypeError, "got a list; pad sequences to one length"),
        (np.array(["a", "b"]), Y[:2], {}, TypeError, "encode words and categories as integers"),
        (X.to_sparse(), Y, {}, TypeError, "must be a dense tensor"),
        (X, (Y, Y), {}, TypeError, "targets must be one tensor or array, got a tuple"),
        (X, Y, {"valid": X}, TypeError, r"valid must be a pair \(inputs, targets\), got a Tensor"),
        (X, Y, {"valid": (X[:, :1], Y)}, ValueError, r"shape \(2,\) .*valid inputs of shape \(1,\)"),
        (X, Y, {"test": ({"a": X}, Y)}, ValueError, r"inputs are one tensor and test inputs are a dict of \['a'\]"),
        (with_value(X, 7, torch.nan), Y, {}, ValueError, "inputs are NaN in row 7; fill missing values"),
        (X, Y, {"test": (with_value(X, 3, torch.nan), Y)}, ValueError, "test inputs are NaN in row 3"),
        (X, with_value(Y, 4, -1), {}, ValueError, r"targets are out of range in row 4 \(-1\).* 0..1 for 2 classes"),
        (X, with_value(Y, 4, 9), {"classes": 3}, ValueError, r"out of range in row 4 \(9\); they must lie in 0..2"),
        (X, torch.full((10, 3), -100), {"classes": 3}, ValueError, r"all -100 \(no target\) in row 0"),
        (X, torch.zeros(10, dtype=torch.int64), {}, ValueError, "no class above 0"),
        (X, with_value(X, 5, torch.inf), {}, ValueError, "targets are NaN or infinite in row 5"),
        (X, Y * 2, {"loss": "binary_cross_entropy"}, ValueError, r"row 1 \(2\); labels must lie in 0..1"),
        (X, Y, {"classes": 1}, ValueError, "classes must be a whole number from 2, got 1"),
        (X, X, {"classes": 3}, ValueError, "classes=3 is of class targets; 'mse' takes values"),
        (X, Y, {"network_options": {"device": X}}, TypeError, "network_options must be a dict"),
        (X, Y, {"name": ""}, ValueError, "name must be a line of text"),
    ],
)
def test_data_that_do_not_fit_are_refused(inputs, targets, options, error, message):
    with pytest.raises(error, match=message):
        from_tensors(inputs, targets, **options)


def test_rows_that_no_split_uses_may_hold_anything():
    spoilt = with_value(X, 9, torch.nan)
    splits = {"train": [0, 1], "valid": [2, 3], "test": [4, 5]}
    task = from_tensors(spoilt, with_value(Y, 9, 77), splits=splits)
    assert task.network_options["classes"] == 2
    with pytest.raises(ValueError, match="NaN in row 9"):
        from_tensors(spoilt, Y, splits={**splits, "test": [9]})


def test_infinite_inputs_pass_since_masks_have_them():
    task = from_tensors(with_value(X, 3, -torch.inf), Y)
    assert task.size("train_valid") == 8


def test_an_unknown_split_is_refused_with_the_nearest_name():
    with pytest.raises(ValueError, match="unknown split 'validation'; did you mean 'valid'"):
        iris().batch("validation", torch.arange(2))
