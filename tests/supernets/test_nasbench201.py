"""The NAS-Bench-201 network: skeleton and operations are the published ones, layer by layer, weight by weight."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ray_asng import OneOf, Supernet, registry
from ray_asng.supernets.cells import Cell, ReductionBlock
from ray_asng.supernets.depthwise import AveragePooling
from ray_asng.supernets.nasbench201 import NASBench201
from ray_asng.supernets.nasbench201_space import OPERATIONS, from_string, nasbench201_space
from ray_asng.supernets.operations import ReLUConvBN, Zero

IMAGES = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))

GOLDEN_PARAMS = {
    "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|": 73_306,
    "|avg_pool_3x3~0|+|skip_connect~0|none~1|+|none~0|none~1|skip_connect~2|": 73_306,
    "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|": 129_306,
    "|nor_conv_1x1~0|+|skip_connect~0|nor_conv_1x1~1|+|nor_conv_3x3~0|none~1|avg_pool_3x3~2|": 372_346,
    "|nor_conv_3x3~0|+|none~0|none~1|+|avg_pool_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|": 802_426,
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|": 1_531_546,
}
"""Parameters in the published table, with the CIFAR-10 classifier."""


def all_edges(operation):
    return dict.fromkeys(nasbench201_space().names, operation)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture(scope="module")
def published():
    return Supernet(NASBench201(width=16, cells=5, classes=10, affine=True))


@pytest.fixture(scope="module")
def table():
    folder = os.environ.get("RAY_ASNG_DATA")
    if not folder:
        pytest.skip("RAY_ASNG_DATA is unset; it names the folder of nasbench201.parquet")
    parquet = pytest.importorskip("pyarrow.parquet")
    return parquet.read_table(Path(folder) / "nasbench201.parquet", columns=["arch", "params"]).to_pylist()


@pytest.fixture
def small():
    torch.manual_seed(0)
    return Supernet(NASBench201(width=4, cells=2))


# Parameters


@pytest.mark.parametrize(("text", "params"), GOLDEN_PARAMS.items())
def test_children_have_the_published_number_of_parameters(published, text, params):
    assert count(published.extract(from_string(text))) == params


def test_all_15625_parameter_counts_are_those_of_the_table(published, table):
    """By a count for each operation on an edge, which is the same on every edge and adds up."""
    base = count(published.extract(all_edges("none")))
    per_edge = {}
    for operation in OPERATIONS:
        counts = [
            count(published.extract({**all_edges("none"), name: operation})) - base for name in published.space.names
        ]
        assert len(set(counts)) == 1
        per_edge[operation] = counts[0]
    assert len(table) == 15_625
    for row in table:
        assert base + sum(per_edge[str(op)] for op in from_string(row["arch"]).values()) == row["params"]


def test_extracted_children_have_the_parameters_of_the_table(published, table):
    by_size = sorted(table, key=lambda row: row["params"])
    drawn = np.random.default_rng(0).choice(len(table), 30, replace=False)
    for row in [*by_size[:2], *by_size[-2:], *(table[index] for index in drawn)]:
        assert count(published.extract(from_string(row["arch"]))) == row["params"]


# Layers, against plain functions of torch


def plain_batch_norm(inputs, norm):
    mean = inputs.mean((0, 2, 3), keepdim=True)
    variance = ((inputs - mean) ** 2).mean((0, 2, 3), keepdim=True)
    scaled = (inputs - mean) / (variance + 1e-5).sqrt()
    if norm.weight is None:
        return scaled
    return scaled * norm.weight[:, None, None] + norm.bias[:, None, None]


def plain_relu_conv_bn(inputs, operation, stride=1):
    weight = operation.conv.weight
    convolved = F.conv2d(inputs.clamp(min=0), weight, stride=stride, padding=weight.shape[-1] // 2)
    return plain_batch_norm(convolved, operation.norm)


def plain_average(inputs):
    """Sum over the window divided by the number of places inside, without torch's pooling."""
    ones = torch.ones(inputs.shape[1], 1, 3, 3)
    total = F.conv2d(inputs, ones, padding=1, groups=inputs.shape[1])
    return total / F.conv2d(torch.ones_like(inputs), ones, padding=1, groups=inputs.shape[1])


def randomise_norms(module):
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d) and part.affine:
            nn.init.normal_(part.weight)
            nn.init.normal_(part.bias)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [1, 3])
def test_a_convolution_edge_is_relu_convolution_batch_norm(kernel, stride, affine):
    torch.manual_seed(0)
    operation = ReLUConvBN(3, 5, kernel, stride=stride, affine=affine)
    randomise_norms(operation)
    output = operation(IMAGES - 0.5)
    torch.testing.assert_close(output, plain_relu_conv_bn(IMAGES - 0.5, operation, stride))


def test_average_pooling_counts_only_what_lies_inside():
    torch.testing.assert_close(AveragePooling()(IMAGES), plain_average(IMAGES))


def test_zero_gives_zeros_without_a_graph_in_the_layout_of_its_input():
    inputs = IMAGES.clone().to(memory_format=torch.channels_last).requires_grad_()
    output = Zero()(inputs)
    assert output.shape == inputs.shape
    assert not output.any()
    assert not output.requires_grad
    assert output.is_contiguous(memory_format=torch.channels_last)


def test_batch_norm_without_affine_has_no_weights_and_no_running_statistics():
    network = NASBench201(width=4, cells=1)
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    assert norms
    assert not any(list(norm.parameters()) + list(norm.buffers()) for norm in norms)
    assert not list(network.buffers())


def test_batch_norm_with_affine_has_weights_and_running_statistics():
    norms = [part for part in NASBench201(width=4, cells=1, affine=True).modules() if isinstance(part, nn.BatchNorm2d)]
    assert all(norm.affine and norm.track_running_stats for norm in norms)


def test_every_node_of_a_cell_is_the_sum_over_all_earlier_nodes():
    factors = {(0, 1): 2.0, (0, 2): 3.0, (1, 2): 5.0, (0, 3): 7.0, (1, 3): 11.0, (2, 3): 13.0}

    class Times(nn.Module):
        def __init__(self, source, target):
            super().__init__()
            self.factor = factors[source, target]

        def forward(self, inputs):
            return self.factor * inputs

    assert Cell(4, Times)(torch.tensor(1.0)) == 7 + 11 * 2 + 13 * (3 + 5 * 2)


def test_a_cell_agrees_with_plain_torch(small):
    architecture = from_string(
        "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|"
    )
    cell = small.extract(architecture).body[0]
    inputs = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    conv_0_1, _, conv_1_2, _, _, conv_2_3 = cell.edges
    node_1 = plain_relu_conv_bn(inputs, conv_0_1)
    node_2 = plain_relu_conv_bn(node_1, conv_1_2)
    node_3 = inputs + plain_average(node_1) + plain_relu_conv_bn(node_2, conv_2_3)
    kept = inputs.clone()
    torch.testing.assert_close(cell(inputs), node_3)
    assert torch.equal(inputs, kept)


@pytest.mark.parametrize("affine", [True, False])
def test_the_block_between_stages_agrees_with_plain_torch(affine):
    torch.manual_seed(0)
    block = ReductionBlock(3, 6, affine=affine)
    randomise_norms(block)
    inputs = IMAGES - 0.5
    first, second = block.residual
    means = inputs.reshape(4, 3, 4, 2, 4, 2).mean((3, 5))
    shortcut = torch.einsum("oc,bchw->bohw", block.shortcut[1].weight[:, :, 0, 0], means)
    residual = plain_relu_conv_bn(plain_relu_conv_bn(inputs, first, stride=2), second)
    torch.testing.assert_close(block(inputs), shortcut + residual)


def test_the_network_agrees_with_plain_torch():
    torch.manual_seed(0)
    child = Supernet(NASBench201(width=4, cells=2, classes=7, affine=True)).extract(all_edges("skip_connect"))
    randomise_norms(child)
    convolution, norm = child.stem
    features = plain_batch_norm(F.conv2d(IMAGES, convolution.weight, padding=1), norm)
    for place in (2, 5):
        # A cell of skips gives 1 + (1 + 1) + 1 times its input: node 1, 2, 3 are x, 2 x, 4 x.
        features = child.body[place](16 * features)
    features = plain_batch_norm(16 * features, child.norm).clamp(min=0).mean((2, 3))
    expected = features @ child.classifier.weight.T + child.classifier.bias
    torch.testing.assert_close(child(IMAGES), expected, rtol=1e-4, atol=1e-4)


# Skeleton and options


def test_the_registry_names_the_network():
    assert registry.spaces["nasbench201"] is NASBench201


def test_three_stages_double_the_width_and_halve_the_size():
    supernet = Supernet(NASBench201(width=4, cells=2))
    shapes = []
    for part in supernet.module.body:
        part.register_forward_hook(lambda module, inputs, output: shapes.append(tuple(output.shape[1:])))
    supernet(IMAGES, all_edges("skip_connect"))
    assert shapes == [(4, 8, 8)] * 2 + [(8, 4, 4)] * 3 + [(16, 2, 2)] * 3
    kinds = [type(part) for part in supernet.module.body]
    assert kinds == [Cell, Cell, ReductionBlock, Cell, Cell, ReductionBlock, Cell, Cell]


def test_every_cell_has_a_choice_of_its_own_for_each_of_six_shared_decisions(small):
    assert small.space.names == nasbench201_space().names
    assert all(len(choices) == 6 for choices in small.choices.values())
    assert len({id(choice) for choices in small.choices.values() for choice in choices}) == 36


def test_the_supernet_knows_notation_picture_and_canonical_forms(small):
    text = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
    architecture = from_string(text)
    assert small.space.text(architecture) == text
    assert small.space.graph(architecture)["edges"] == [["0", "1", "nor_conv_3x3"], ["0", "3", "skip_connect"]]
    assert small.space.canonical(architecture)["edge_0_1"] == "none"


def test_width_cells_classes_and_channels_are_options():
    supernet = Supernet(NASBench201(width=6, cells=1, classes=3, in_channels=1, operations=["nor_conv_1x1", "none"]))
    assert supernet.space["edge_0_3"].options == ("nor_conv_1x1", "none")
    assert supernet(torch.rand(2, 1, 8, 8), all_edges("nor_conv_1x1")).shape == (2, 3)
    assert len(supernet.choices["edge_0_1"]) == 3
    assert supernet.module.classifier.in_features == 24


@pytest.mark.parametrize("size", [5, 7, 12, 28])
def test_images_of_any_size_pass(small, size):
    assert small(torch.rand(2, 3, size, size), all_edges("nor_conv_3x3")).shape == (2, 10)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"width": 0}, ValueError, "width must be at least 1, got 0"),
        ({"cells": 0}, ValueError, "cells must be at least 1, got 0"),
        ({"classes": -1}, ValueError, "classes must be at least 1, got -1"),
        ({"in_channels": 2.0}, TypeError, r"in_channels must be an integer of at least 1, got 2\.0"),
        ({"operations": ["none", "skip_conect"]}, ValueError, "'skip_conect'; did you mean 'skip_connect'"),
        ({"operations": ["none"]}, ValueError, "at least two operations"),
        ({"operations": []}, ValueError, "at least two operations"),
    ],
)
def test_bad_options_are_an_error(options, error, message):
    with pytest.raises(error, match=message):
        NASBench201(**options)


# Passes


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_the_child_equals_the_path(affine, training):
    torch.manual_seed(0)
    supernet = Supernet(NASBench201(width=4, cells=1, affine=affine)).train(training)
    rng = np.random.default_rng(0)
    for _ in range(8):
        architecture = supernet.space.sample(rng)
        child = supernet.extract(architecture)
        assert not any(isinstance(part, OneOf) for part in child.modules())
        assert torch.equal(child(IMAGES), supernet(IMAGES, architecture))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_cell_of_one_operation_can_be_trained(small, operation):
    small.zero_grad()
    scores = small(IMAGES, all_edges(operation))
    F.cross_entropy(scores, torch.arange(4)).backward()
    gradients = [p.grad for p in small.module.classifier.parameters()]
    assert torch.isfinite(scores).all()
    assert all(gradient is not None and torch.isfinite(gradient).all() for gradient in gradients)


def test_the_channels_last_layout_is_kept_through_every_layer(small):
    rng = np.random.default_rng(0)
    plain = [small.space.sample(rng) for _ in range(4)]
    expected = [small(IMAGES, architecture) for architecture in plain]
    small.to(memory_format=torch.channels_last)
    kept = []
    for part in small.modules():
        if isinstance(part, (nn.Conv2d, nn.BatchNorm2d, nn.AvgPool2d, Zero, Cell, ReductionBlock)):
            part.register_forward_hook(
                lambda module, inputs, output: kept.append(output.is_contiguous(memory_format=torch.channels_last))
            )
    for architecture, scores in zip(plain, expected, strict=True):
        output = small(IMAGES.to(memory_format=torch.channels_last), architecture)
        torch.testing.assert_close(output, scores, rtol=1e-4, atol=1e-4)
    assert kept
    assert all(kept)


def test_a_mixture_passes_gradients_to_all_thirty_mixing_weights(small):
    weights = {name: torch.full((5,), 0.2, requires_grad=True) for name in small.space.names}
    F.cross_entropy(small(IMAGES, weights), torch.arange(4)).backward()
    for weight in weights.values():
        assert torch.isfinite(weight.grad).all()
        assert weight.grad[0] == 0.0  # the output of `none` is zero whatever its weight
        assert weight.grad[1:].count_nonzero() == 4
