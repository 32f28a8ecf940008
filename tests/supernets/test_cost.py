"""What architectures cost: children counted, the published network's numbers, and how a config asks for them."""

import copy
import math
import os

import numpy as np
import pytest
import torch
from torch import nn

from ray_asng import Categorical, IntegerChoice, OneOf, SearchSpace, Supernet, tasks
from ray_asng.config import SearchConfig
from ray_asng.retrain import count_flops as count_flops_of_a_task
from ray_asng.supernets import elastic
from ray_asng.supernets.cost import ChildCost, count_flops, count_parameters, flops, parameters, with_cost
from ray_asng.supernets.depthwise import AveragePooling
from ray_asng.supernets.nasbench201 import NASBench201
from ray_asng.supernets.nasbench201_space import OPERATIONS, nasbench201_space

IMAGE = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))


class Small(nn.Module):
    """Choices of an operation and of a width, dropout and batch norm."""

    def __init__(self, classes=10):
        super().__init__()
        width = IntegerChoice(4, 16, step=4, name="width")
        self.stem = nn.Sequential(elastic.Conv2d(1, width, 3, padding=1, bias=False), elastic.BatchNorm2d(width))
        self.act = OneOf({"relu": nn.ReLU(), "prelu": nn.PReLU(), "dropout": nn.Dropout()}, name="act")
        self.head = elastic.Linear(width, classes)

    def forward(self, images):
        return self.head(self.act(self.stem(images)).mean((2, 3)))


@pytest.fixture
def small():
    return Supernet(Small())


def some(space, count=20):
    rng = np.random.default_rng(0)
    return [space.sample(rng) for _ in range(count)]


# Counting children


def test_parameters_are_those_of_the_child_written_by_hand(small):
    cost = parameters(small)
    for width in (4, 8, 12, 16):
        by_hand = 9 * width + 2 * width + 10 * width + 10
        assert cost({"width": width, "act": "relu"}) == by_hand
        assert cost({"width": width, "act": "prelu"}) == by_hand + 1


def test_flops_are_two_for_each_multiply_add_of_the_child(small):
    cost = flops(small, IMAGE)
    for width in (4, 8, 12, 16):
        assert cost({"width": width, "act": "dropout"}) == 2 * (8 * 8 * 9 * width + 10 * width)


def test_flops_of_a_batch_are_those_of_its_examples(small):
    architecture = {"width": 8, "act": "relu"}
    assert flops(small, IMAGE.expand(3, -1, -1, -1))(architecture) == 3 * flops(small, IMAGE)(architecture)


@pytest.mark.parametrize("pack", [lambda x: (x,), lambda x: {"images": x}])
def test_inputs_may_be_packed(small, pack):
    architecture = {"width": 8, "act": "relu"}
    assert flops(small, pack(IMAGE))(architecture) == flops(small, IMAGE)(architecture)


def test_flops_of_an_extracted_child_are_those_that_its_retraining_reports(small):
    for architecture in some(small.space, 4):
        assert flops(small, IMAGE)(architecture) == count_flops_of_a_task(small.extract(architecture), tasks.digits())


@pytest.mark.parametrize("count", [parameters, lambda supernet: flops(supernet, IMAGE)])
def test_counting_leaves_the_supernet_and_the_global_generator_alone(small, count):
    small.train()
    before, generator = copy.deepcopy(small.state_dict()), torch.get_rng_state()
    for architecture in some(small.space, 5):
        count(small)(architecture)
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(part.training for part in small.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in small.state_dict().items())


def test_a_network_keeps_the_modes_of_its_parts():
    network = nn.Sequential(nn.Linear(4, 4), nn.Dropout(), nn.Linear(4, 2))
    network[1].eval()
    assert count_flops(network, torch.ones(1, 4)) == 2 * (16 + 8)
    assert [part.training for part in network] == [True, False, True]


def test_one_example_is_enough_for_batch_norm_and_leaves_its_statistics():
    network = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    assert count_flops(network, torch.ones(1, 4)) == 2 * 12
    assert network[1].num_batches_tracked == 0


def test_pooling_is_not_counted_though_it_is_a_convolution_here():
    network = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), AveragePooling())
    assert count_flops(network, IMAGE) == 2 * 64 * 2


def test_shared_parameters_count_once():
    layer = nn.Linear(3, 3)
    assert count_parameters(nn.Sequential(layer, layer)) == 12


def test_an_architecture_is_counted_once(small):
    counted = []
    cost = ChildCost(small, lambda child: counted.append(child) or 1.0)
    for _ in range(3):
        cost({"width": 8, "act": "relu"})
    assert len(counted) == 1


@pytest.mark.parametrize("cost", [None, math.nan, math.inf, "a"])
def test_a_count_that_is_no_finite_number_is_refused(small, cost):
    with pytest.raises(ValueError, match=f"must be a finite number, got {cost!r}; let the function that counts"):
        ChildCost(small, lambda child: cost)({"width": 8, "act": "relu"})


def test_what_is_no_architecture_is_refused(small):
    with pytest.raises(ValueError, match="missing"):
        parameters(small)({"width": 8})


def test_a_space_with_another_cost_is_the_same_otherwise():
    plain = nasbench201_space()
    costly = with_cost(plain, lambda architecture: 7.0)
    assert costly.decisions == plain.decisions
    for architecture in some(plain):
        assert costly.cost(architecture) == 7.0
        assert costly.canonical(architecture) == plain.canonical(architecture)
        assert costly.text(architecture) == plain.text(architecture)
        assert costly.parse(plain.text(architecture)) == architecture
        assert costly.graph(architecture) == plain.graph(architecture)
    rows = {name: np.random.default_rng(1).dirichlet(np.ones(5)) for name in plain.names}
    assert costly.derive(rows) == plain.derive(rows)


def test_a_space_without_a_picture_has_none_with_a_cost_either():
    space = with_cost(SearchSpace([Categorical("a", ["x", "y"])]), lambda architecture: 1.0)
    assert space.graph({"a": "x"}) is None
    assert space.parse(space.text({"a": "y"})) == {"a": "y"}


# The published network


@pytest.fixture(scope="module")
def published():
    """Without weights: they cost memory and time, and no count asks for them."""
    with torch.device("meta"):
        return Supernet(NASBench201(width=16, cells=5, classes=10, affine=True))


def test_the_cost_of_a_cell_is_the_parameters_of_the_child_that_is_built(published):
    for architecture in some(nasbench201_space()):
        assert published.space.cost(architecture) == count_parameters(published.extract(architecture))


def test_the_flops_of_a_cell_are_the_multiply_adds_of_the_child_and_the_biases_of_its_classifier(published):
    space, image = nasbench201_space(cost="flops"), torch.empty(1, 3, 32, 32, device="meta")
    for architecture in some(space, 5):
        assert space.cost(architecture) == count_flops(published.extract(architecture).eval(), image) // 2 + 10


@pytest.mark.parametrize(("cost", "column"), [("parameters", "params"), ("flops", "flops_cifar10")])
def test_all_15625_costs_are_those_of_the_table(cost, column):
    folder = os.environ.get("RAY_ASNG_DATA")
    if not folder:
        pytest.skip("RAY_ASNG_DATA is unset; it names the folder of nasbench201.parquet")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = parquet.read_table(f"{folder}/nasbench201.parquet", columns=["arch", column]).to_pylist()
    space = nasbench201_space(cost=cost)
    assert len(rows) == 15_625
    assert all(space.cost(space.parse(row["arch"])) == row[column] for row in rows)


def test_fewer_operations_cost_as_much_each():
    space = nasbench201_space(["skip_connect", "nor_conv_3x3"])
    assert space.cost(dict.fromkeys(space.names, "nor_conv_3x3")) == 1_531_546
    assert space.cost(dict.fromkeys(space.names, "skip_connect")) == 73_306


def test_an_unknown_cost_of_a_cell_is_named():
    with pytest.raises(ValueError, match="unknown cost 'params' of a NAS-Bench-201 cell; did you mean 'parameters'"):
        nasbench201_space(OPERATIONS, cost="params")


# Asked for by a config


def build(**config):
    config = {"seed": 0, "space": Small, "epochs": 1, "steps_per_epoch": 3, "batch_size": 16, **config}
    return SearchConfig.from_mapping(config).build_search()


def count_layers(child):
    return len(list(child.modules()))


@pytest.mark.parametrize(
    ("cost", "expected"),
    [("parameters", 9 * 8 + 2 * 8 + 10 * 8 + 10), ("flops", 2 * (64 * 9 * 8 + 80)), (count_layers, 6)],
)
def test_a_config_says_what_to_count(cost, expected):
    space = build(cost=cost).space
    assert space.cost({"width": 8, "act": "relu"}) == expected


@pytest.mark.parametrize("method", ["asng", "sng"])
def test_a_search_with_a_budget_reports_the_expected_cost_and_finds_what_it_allows(method):
    search = build(cost="parameters", method=method, method_options={"budget": 200})
    report = search.run_epoch()
    assert report["expected_cost"] > 0.0
    assert search.space.cost(search.architecture) <= 200


def test_the_cost_of_a_built_in_space_needs_no_key():
    options = {"method_options": {"penalty": 0.1, "budget": 3e5}, "space_options": {"width": 4, "cells": 1}}
    search = build(space="nasbench201", **options)
    assert search.optimizer.complexity.budget == 3e5
    assert search.space.cost(search.architecture) <= 3e5


def test_a_cost_does_not_change_what_is_drawn():
    reports = [build(cost=cost).run_epoch() for cost in (None, "flops")]
    assert reports[0]["train_loss"] == reports[1]["train_loss"]
    assert reports[0]["architecture"] == reports[1]["architecture"]


def test_an_unknown_cost_is_refused_before_anything_is_built():
    with pytest.raises(ValueError, match="unknown cost 'flop'; did you mean 'flops'"):
        SearchConfig.from_mapping({"seed": 0, "cost": "flop"})


def test_a_penalty_without_a_cost_says_what_to_do():
    with pytest.raises(ValueError, match=r'knows no cost.*"cost": "parameters"'):
        build(method_options={"penalty": 0.1})


def test_a_copied_supernet_counts_its_own_children(small):
    small.space = with_cost(small.space, parameters(small))
    twin = copy.deepcopy(small)
    for architecture in some(small.space, 5):
        assert twin.space.cost(architecture) == small.space.cost(architecture)
        assert twin.space.canonical(architecture) == small.space.canonical(architecture)
