"""The DARTS network: layers, cells and sizes are the published ones, and children carry nothing they do not use."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from ray_asng import Supernet, registry
from ray_asng.config import name_of
from ray_asng.randomness import drawing_from
from ray_asng.supernets.cost import count_parameters
from ray_asng.supernets.darts import DARTSNetwork
from ray_asng.supernets.darts_operations import operation
from ray_asng.supernets.darts_states import KINDS, KNOWN, NODES, NONE, OPERATIONS, edge_name, inputs_of
from ray_asng.supernets.operations import Zero
from ray_asng.supernets.width_search import child_parameters

IMAGES = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))

# Cells as their projects publish them: eight pairs of operation and source each. In short: s3 is sep_conv_3x3, ...
SHORT = {"s3": "sep_conv_3x3", "s5": "sep_conv_5x5", "d3": "dil_conv_3x3", "d5": "dil_conv_5x5"}
SHORT |= {"sk": "skip_connect", "mx": "max_pool_3x3", "av": "avg_pool_3x3"}
CELLS = {
    "DARTS V1": ("s3 1 s3 0 sk 0 s3 1 sk 0 s3 1 s3 0 sk 2", "mx 0 mx 1 sk 2 mx 0 mx 0 sk 2 sk 2 av 0"),
    "DARTS V2": ("s3 0 s3 1 s3 0 s3 1 s3 1 sk 0 sk 0 d3 2", "mx 0 mx 1 sk 2 mx 1 mx 0 sk 2 sk 2 mx 1"),
    "PC-DARTS": ("s3 1 sk 0 s3 0 d3 1 s5 0 s3 1 av 0 d3 1", "s5 1 mx 0 s5 1 s5 2 s3 0 s3 3 s3 1 s3 2"),
    "DrNAS": ("s3 0 s5 1 s3 1 s3 2 sk 0 s3 1 s3 2 d5 3", "mx 0 s5 1 d5 2 s5 1 s5 1 d5 3 sk 4 s5 1"),
    "P-DARTS": ("sk 0 d3 1 sk 0 s3 1 s3 1 s3 3 s3 0 d5 4", "av 0 s5 1 s3 0 d5 2 mx 0 d3 1 d3 1 d5 3"),
}
# At 20 cells and 36 channels: of DARTS V2 in the log of its training, of P-DARTS by a user in issue 7 of its project,
# who counts it with the auxiliary head too.
PUBLISHED_COUNTS = {"DARTS V2": 3_349_342, "P-DARTS": 3_433_798}
P_DARTS_WITH_AUXILIARY_HEAD = 3_910_224
SEARCHED_COUNT = 1_930_618  # of the network that is searched, at 8 cells and 16 channels, in its log


def genotype(name):
    normal, reduce = (f"{pairs_of(cell)!r}" for cell in CELLS[name])
    return f"Genotype(normal={normal}, normal_concat=range(2, 6), reduce={reduce}, reduce_concat=range(2, 6))"


def pairs_of(cell):
    words = cell.split()
    return [(SHORT[short], int(source)) for short, source in zip(words[::2], words[1::2], strict=True)]


def build(width=2, cells=3, space="darts", **options):
    with drawing_from(torch.Generator().manual_seed(0)):
        return Supernet(registry.spaces[space](width=width, cells=cells, **options))


def architecture(name, space="darts"):
    return build(1, space=space).space.parse(genotype(name))


def samples(space, count, seed=0):
    rng = np.random.default_rng(seed)
    return [space.sample(rng) for _ in range(count)]


def filled(network, operation, **but):
    return network.space.architecture({**dict.fromkeys(network.space.names, operation), **but})


def drawing_the_same(run):
    with drawing_from(torch.Generator().manual_seed(7)):
        return run()


# Plain constructions, from the definition of the space


def norm(channels, affine):
    return nn.BatchNorm2d(channels, affine=affine, track_running_stats=affine)


def plain_convolutions(channels, size, stride, dilation, affine):
    spread = nn.Conv2d(channels, channels, size, stride, dilation * (size // 2), dilation, groups=channels, bias=False)
    return [nn.ReLU(), spread, nn.Conv2d(channels, channels, 1, bias=False), norm(channels, affine)]


class PlainHalving(nn.Module):
    def __init__(self, before, channels, affine):
        super().__init__()
        self.one = nn.Conv2d(before, channels // 2, 1, bias=False)
        self.other = nn.Conv2d(before, channels // 2, 1, bias=False)
        self.norm = norm(channels, affine)

    def forward(self, inputs):
        inputs = inputs.clamp(min=0)
        return self.norm(torch.cat([self.one(inputs[:, :, ::2, ::2]), self.other(inputs[:, :, 1::2, 1::2])], 1))


def plain(name, channels, stride, affine):
    size = int(name[-1]) if name[-1].isdigit() else 0
    if name.startswith("sep"):
        twice = [plain_convolutions(channels, size, each, 1, affine) for each in (stride, 1)]
        return nn.Sequential(*twice[0], *twice[1])
    if name.startswith("dil"):
        return nn.Sequential(*plain_convolutions(channels, size, stride, 2, affine))
    if name == "skip_connect":
        return nn.Sequential() if stride == 1 else PlainHalving(channels, channels, affine)
    pooling = (
        nn.MaxPool2d(3, stride, 1) if name.startswith("max") else nn.AvgPool2d(3, stride, 1, count_include_pad=False)
    )
    return pooling if affine else nn.Sequential(pooling, norm(channels, affine))


class PlainCell(nn.Module):
    def __init__(self, kind, pairs, before, channels, halved_since, affine):
        super().__init__()
        older, newer = before
        self.older = (
            PlainHalving(older, channels, affine)
            if halved_since
            else nn.Sequential(nn.ReLU(), nn.Conv2d(older, channels, 1, bias=False), norm(channels, affine))
        )
        self.newer = nn.Sequential(nn.ReLU(), nn.Conv2d(newer, channels, 1, bias=False), norm(channels, affine))
        # The two inputs of a node in the order of their sources, which a sum does not tell.
        self.nodes = [sorted(pairs[at : at + 2], key=lambda pair: pair[1]) for at in range(0, 8, 2)]
        self.operations = nn.ModuleList(
            plain(name, channels, 2 if kind == "reduce" and source < 2 else 1, affine)
            for inputs in self.nodes
            for name, source in inputs
        )

    def forward(self, older, newer):
        states, operations = [self.older(older), self.newer(newer)], iter(self.operations)
        for inputs in self.nodes:
            states.append(sum(next(operations)(states[source]) for _, source in inputs))
        return torch.cat(states[2:], 1)


class PlainNetwork(nn.Module):
    def __init__(self, normal, reduce, width, cells, affine=True):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 3 * width, 3, padding=1, bias=False), norm(3 * width, affine))
        self.cells = nn.ModuleList()
        older, newer, halved_since = 3 * width, 3 * width, False
        for number in range(cells):
            kind = "reduce" if number in (cells // 3, 2 * cells // 3) else "normal"
            width *= 2 if kind == "reduce" else 1
            pairs = pairs_of(reduce if kind == "reduce" else normal)
            self.cells.append(PlainCell(kind, pairs, (older, newer), width, halved_since, affine))
            older, newer, halved_since = newer, 4 * width, kind == "reduce"
        self.classifier = nn.Linear(newer, 10)

    def forward(self, images):
        older = newer = self.stem(images)
        for cell in self.cells:
            older, newer = newer, cell(older, newer)
        return self.classifier(newer.mean((2, 3)))


def with_weights_of(plain_module, module):
    """Both draw new weights, the same; they stand in the same order."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for theirs, ours in zip(plain_module.parameters(), module.parameters(), strict=True):
            assert theirs.shape == ours.shape
            theirs.normal_(0.0, 0.5, generator=generator)
            ours.copy_(theirs)
    return plain_module


# Layers


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != NONE])
def test_an_operation_agrees_with_plain_torch(name, stride, affine):
    ours = operation(name, 4, stride, affine)
    theirs = with_weights_of(plain(name, 4, stride, affine), ours)
    inputs = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    kept = inputs.clone()
    torch.testing.assert_close(ours(inputs), theirs(inputs), rtol=1e-4, atol=1e-5)
    assert torch.equal(inputs, kept)


@pytest.mark.parametrize("name", KNOWN)
def test_operations_halve_odd_sizes_and_round_up(name):
    inputs = torch.randn(2, 4, 7, 5)
    assert operation(name, 4, 1, False)(inputs).shape == (2, 4, 7, 5)
    assert operation(name, 4, 2, False)(inputs).shape == (2, 4, 4, 3)


def test_noise_is_standard_normal_whatever_the_input_and_new_in_each_pass():
    noise = operation("noise", 4, 2, False)
    with drawing_from(torch.Generator().manual_seed(0)):
        one, other = (noise(torch.full((8, 4, 64, 64), 1e6)) for _ in range(2))
    assert one.shape == (8, 4, 32, 32)
    assert not torch.equal(one, other)
    # 32768 numbers: deviations of 4 standard errors.
    assert abs(float(one.mean())) < 4 / 32768**0.5
    assert abs(float(one.var()) - 1.0) < 4 * (2 / 32768) ** 0.5


# Networks


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("name", CELLS)
def test_a_network_of_a_published_cell_agrees_with_plain_torch(name, affine):
    child = build(width=2, cells=5, affine=affine).extract(architecture(name))
    theirs = with_weights_of(PlainNetwork(*CELLS[name], 2, 5, affine), child)
    for training in (True, False):
        outputs = child.train(training)(IMAGES), theirs.train(training)(IMAGES)
        torch.testing.assert_close(*outputs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", CELLS)
def test_20_cells_of_36_channels_have_the_parameters_of_the_published_network(name):
    count = child_parameters(partial(DARTSNetwork, cells=20, affine=True), architecture(name), 36)
    with torch.device("meta"):
        assert count == sum(parameter.numel() for parameter in PlainNetwork(*CELLS[name], 36, 20).parameters())
    assert count == PUBLISHED_COUNTS.get(name, count)


def test_the_auxiliary_head_has_the_parameters_of_the_published_one():
    with torch.device("meta"):
        head = DARTSNetwork(width=36, auxiliary=True, cells=3).auxiliary_head
    count = sum(parameter.numel() for parameter in head.parameters())
    assert count == P_DARTS_WITH_AUXILIARY_HEAD - PUBLISHED_COUNTS["P-DARTS"]


def test_the_searched_network_has_the_parameters_of_the_published_one_but_for_the_norm_of_the_stem():
    with torch.device("meta"):
        assert count_parameters(DARTSNetwork(width=16, cells=8)) == SEARCHED_COUNT - 2 * 48


# Paths and children


@pytest.mark.parametrize(("space", "count"), [("darts", 50), ("s1", 10), ("s2", 10), ("s3", 10), ("s4", 10)])
def test_children_compute_what_paths_compute(space, count):
    network = build(width=1 if space == "darts" else 2, space=space)
    rng = np.random.default_rng(1)
    raw = [{d.name: str(rng.choice(d.options)) for d in network.space.decisions} for _ in range(3)]
    for drawn in [*samples(network.space, count), *raw, filled(network, NONE)]:
        child = network.extract(drawn)
        for training in (False, True):
            network.train(training)
            path = drawing_the_same(lambda drawn=drawn: network(IMAGES, drawn))
            own = drawing_the_same(lambda child=child, training=training: child.train(training)(IMAGES))
            torch.testing.assert_close(own, path, rtol=1e-6, atol=1e-6)


def test_edges_with_none_do_not_run_and_a_child_does_not_carry_them():
    network = build(space="s2")
    chosen, ran = network.space.sample(np.random.default_rng(0)), []
    for name, choices in network.choices.items():
        for choice in choices:
            choice.register_forward_hook(lambda *_, name=name: ran.append(name))
    network(IMAGES, chosen)
    assert len(ran) == 3 * 8
    assert all(chosen[name] != NONE for name in ran)
    child = network.extract(chosen)
    for cell, kind in zip(child.cells, ("normal", "reduce", "reduce"), strict=True):
        for node, module in zip(NODES, cell.nodes, strict=True):
            assert [edge is None for edge in module.edges] == [chosen[name] == NONE for name in inputs_of(kind, node)]
    assert not any(isinstance(part, Zero) for part in child.modules())


def test_a_node_without_inputs_is_zeros_of_the_size_of_the_others():
    network = build(cells=3)
    cell = network.extract(filled(network, NONE)).cells[1]
    older, newer = (
        torch.randn(2, part.conv.in_channels, 7, 5) for part in (cell.preprocess_older, cell.preprocess_newer)
    )
    assert torch.equal(cell(older, newer), torch.zeros(2, 4 * 4, 4, 3))


def test_inputs_that_no_node_reads_are_prepared_and_counted_as_published():
    network = build(affine=True)
    late = {edge_name(kind, source, node): NONE for kind in KINDS for node in NODES for source in (1,)}
    child = network.extract(filled(network, "max_pool_3x3", **late))
    assert all(cell.preprocess_newer is not None for cell in child.cells)


def test_what_is_not_searched_takes_no_part_in_mixtures():
    network = build(space="s2").train()
    weights = {name: torch.tensor([0.25, 0.75], requires_grad=True) for name in network.space.names}
    edge = network.choices["normal_edge_1_3"][0]
    seen = []
    edge.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0], output)))
    network(IMAGES, weights)
    (inputs, output), (skip, convolution, zero) = seen[0], edge.candidates
    torch.testing.assert_close(output, 0.25 * skip(inputs) + 0.75 * convolution(inputs))
    assert isinstance(zero, Zero)
    with pytest.raises(ValueError, match=r"needs mixing weights of shape \(2,\), got \(3,\)"):
        network(IMAGES, {**weights, "normal_edge_1_3": torch.ones(3)})


@pytest.mark.parametrize("space", ["s2", "s3"])  # an empty edge is an option of the search in the second one only
def test_the_share_of_parameter_free_options_counts_kept_edges_alone(space):
    network = build(space=space)
    kept = {edge_name(kind, 1, node): "skip_connect" for kind in KINDS for node in NODES}
    few = filled(network, NONE, **kept)
    # Half of these are in reduction cells and halve the size, for which a skip connection has weights.
    assert network.parameter_free_share(few) == 0.5
    assert network.parameter_free_share(filled(network, "sep_conv_3x3")) == 0.0


def test_images_of_odd_sizes_pass():
    for parts in (1, 2):
        network = build(partial_channels=parts)
        assert network(torch.randn(2, 3, 11, 7), samples(network.space, 1)[0]).shape == (2, 10)


def test_with_an_auxiliary_head_the_network_gives_two_scores_in_training_alone():
    network = build(auxiliary=True, affine=True)
    images, chosen = torch.randn(2, 3, 32, 32), architecture("DARTS V2")
    scores, auxiliary = network.train()(images, chosen)
    assert scores.shape == auxiliary.shape == (2, 10)
    assert network.eval()(images, chosen).shape == (2, 10)
    with pytest.raises(ValueError, match=r"at least 29 x 29, or build the network with auxiliary=False"):
        network.train()(IMAGES, chosen)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"cells": 2}, ValueError, "cells must be at least 3"),
        ({"width": 0}, ValueError, "width must be at least 1, got 0"),
        ({"classes": 2.5}, TypeError, "classes must be an integer of at least 1, got 2.5"),
        ({"width": 6, "partial_channels": 4}, ValueError, "partial_channels=4 does not divide the 6 channels"),
        ({"operations": ("none", "skip")}, ValueError, "unknown DARTS operation 'skip'.*did you mean 'skip_connect'"),
    ],
)
def test_impossible_options_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        DARTSNetwork(**options)


@pytest.mark.parametrize("name", ["s1", "s2", "s3", "s4"])
def test_spaces_given_as_objects_are_reported_by_their_names(name):
    assert name_of(registry.spaces[name]) == f"ray_asng.supernets.robust_darts:{name}"
