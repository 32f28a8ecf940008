"""Everything that the package registers, and what the examples define, goes through the conformance kit."""

import hashlib
import importlib.util
import io
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.datasets import CIFAR10, CIFAR100

from ray_asng import Categorical, SearchSpace, registry
from ray_asng.testing import check_optimizer, check_search, check_space, check_supernet, check_task

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name):
    """A module of the folder examples."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


DigitNetwork = example("own_module").DigitNetwork
HillClimber = example("own_method").HillClimber


# The tables. Methods run with their defaults unless a line here says otherwise.
# In searches each candidate of a ranking costs a pass over validation data.
METHODS = {name: {"candidates": 5} for name in ("random_search", "rsps")}
METHODS |= {name: {"population": 3, "generations": 2, "crossovers": 1, "mutations": 1} for name in ("spos", "fairnas")}
# What a method asks of the network.
NETWORKS = {"pc_darts": {"edge_weights": True, "partial_channels": 2}, "drnas_progressive": {"partial_channels": 4}}
SPACES = {
    "nasbench201": [
        {"width": 4, "cells": 1},
        {"width": 4, "cells": 1, "affine": True},
        {"width": 4, "cells": 1, "partial_channels": 2, "edge_weights": True},
    ],
    "enas_micro": [{"width": 2, "cells": 4}],
    "cae_cat": [{"width": 8, "size": 8}],
    "cae_int": [{"width": 8, "size": 8}],
    "darts": [{"width": 2, "cells": 3}],
    "s1": [{"width": 2, "cells": 3}, {"width": 2, "cells": 3, "affine": True}],
    "s2": [{"width": 2, "cells": 3}, {"width": 2, "cells": 3, "partial_channels": 2, "edge_weights": True}],
    "s3": [{"width": 2, "cells": 3}],
    "s4": [{"width": 2, "cells": 3}],
}
# Networks that return images.
RESTORING = ("cae_cat", "cae_int")
THREE = [Categorical(name, ("a", "b", "c")) for name in ("x", "y", "z")]
WEIGHED = SearchSpace(THREE, input_weights={"node": ("x", "y"), "last": ("z",)})
TASKS = {
    "digits": lambda folder: {},
    "cifar10": lambda folder: {"data_dir": folder},
    "inpainting": lambda folder: {"mask": "random_half"},
    "cifar100": lambda folder: {"data_dir": folder, "cutout": 8},
    "images": lambda folder: {"train": folder / "train.parquet", "size": 12},
}


def entry(table, kind, name):
    """What the table above says; a registered name without a line is an untested one."""
    if name not in table:
        pytest.fail(
            f"the {kind} {name!r} is registered, but {Path(__file__).name} has no line for it: add the options (and "
            f"data) with which the conformance kit builds it to {kind.upper()}S"
        )
    return table[name]


def images(count, side=8, channels=3):
    return torch.randn(count, channels, side, side, generator=torch.Generator().manual_seed(0))


def write_cifar(folder, dataset, key, num_labels, monkeypatch):
    """Random images in torchvision's layout, whose checksums it is told."""
    rng = np.random.default_rng(0)
    root = folder / dataset.base_folder
    root.mkdir()

    def write(name, content):
        (root / name).write_bytes(pickle.dumps(content))
        return [name, hashlib.md5((root / name).read_bytes()).hexdigest()]

    def part(name, count):
        pixels = rng.integers(0, 256, (count, 3072), dtype=np.uint8)
        return write(name, {"data": pixels, key: rng.integers(0, num_labels, count).tolist()})

    meta = write(dataset.meta["filename"], {dataset.meta["key"]: [f"class {i}" for i in range(num_labels)]})
    names = [name for name, _ in dataset.train_list]
    monkeypatch.setattr(dataset, "train_list", [part(name, 40 // len(names)) for name in names])
    monkeypatch.setattr(dataset, "test_list", [part(name, 9) for name, _ in dataset.test_list])
    monkeypatch.setattr(dataset, "meta", {**dataset.meta, "md5": meta[1]})


def write_parquet(path):
    def encoded(pixels):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG")
        return stream.getvalue()

    pixels = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    labels = [row % 3 for row in range(len(pixels))]
    pq.write_table(pa.table({"image": pa.array(map(encoded, pixels), pa.binary()), "label": labels}), path)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder with the data of every task that reads files, and a decode cache of its own."""
    monkeypatch.setenv("RAY_ASNG_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RAY_ASNG_DATA", raising=False)
    write_cifar(tmp_path, CIFAR10, "labels", 10, monkeypatch)
    write_cifar(tmp_path, CIFAR100, "fine_labels", 100, monkeypatch)
    write_parquet(tmp_path / "train.parquet")
    return tmp_path


@pytest.mark.parametrize("name", list(registry.methods))
def test_the_method_conforms(name):
    space = WEIGHED if name in NETWORKS else None
    check_optimizer(registry.methods[name], space)


def test_the_method_of_the_example_conforms():
    check_optimizer(HillClimber)


@pytest.mark.parametrize("name", list(registry.methods))
def test_the_method_conforms_on_the_built_in_space(name):
    network = registry.spaces["nasbench201"](width=4, cells=1, **NETWORKS.get(name, {}))
    check_optimizer(registry.methods[name], network.search_space)


@pytest.mark.parametrize("name", list(registry.spaces))
def test_the_supernet_conforms(name):
    for options in entry(SPACES, "space", name):
        check_supernet(lambda options=options: registry.spaces[name](**options), images(4))


def test_the_module_of_the_example_conforms():
    check_supernet(DigitNetwork, images(4, channels=1))


@pytest.mark.parametrize("operations", [("none", "skip_connect"), ("nor_conv_1x1", "avg_pool_3x3", "none")])
def test_spaces_of_some_operations_conform(operations):
    check_space(registry.spaces["nasbench201"](width=1, cells=1, operations=operations).search_space)


@pytest.mark.parametrize("name", list(registry.tasks))
def test_the_task_conforms(name, data):
    options = entry(TASKS, "task", name)(data)
    # A network that returns images of the shape of its inputs, for the task whose targets are images.
    network = nn.Conv2d(1, 1, 3, padding=1) if name == "inpainting" else None
    check_task(lambda: registry.tasks[name](**options), network=network)


# Nearly all data for training: every epoch ends with a pass over the validation data.
SHORT = {"steps_per_epoch": 2, "batch_size": 16, "train_fraction": 0.95, "space_options": {"width": 4, "cells": 1}}


def short(**config):
    return {**SHORT, **config}


@pytest.mark.parametrize("name", list(registry.methods))
def test_searches_with_the_method_conform(name):
    network = {**SHORT["space_options"], **NETWORKS.get(name, {})}
    check_search(short(method=name, method_options=METHODS.get(name, {}), space_options=network))


# The first three subspaces of RobustDARTS differ from the DARTS space in their options alone.
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in ("s1", "s2", "s3"))) for name in registry.spaces]
)
def test_searches_in_the_space_conform(name):
    for options in entry(SPACES, "space", name):
        task = "inpainting" if name in RESTORING else "digits"
        check_search(short(space=name, space_options=options, task=task, memory_format="contiguous"))


@pytest.mark.parametrize("name", list(registry.tasks))
def test_searches_on_the_task_conform(name, data):
    options = entry(TASKS, "task", name)(data)
    network = {"space": "cae_cat", "space_options": {"width": 8}} if name == "inpainting" else {}
    check_search(short(task=name, task_options=options, batch_size=8, train_fraction=0.5, **network))


def test_a_search_with_the_module_and_the_method_of_the_examples_conforms():
    check_search(short(space=DigitNetwork, space_options={"width": 4}, method=HillClimber), epochs=3)


def test_a_registered_name_that_the_tables_lack_is_named():
    with pytest.raises(pytest.fail.Exception, match=r"the space 'new' is registered, but .* add .* to SPACES"):
        entry(SPACES, "space", "new")
