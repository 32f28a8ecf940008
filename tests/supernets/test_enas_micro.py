"""The ENAS micro space: cells are the published ones, layer by layer, and children carry nothing they do not use."""

from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ray_asng import Supernet, registry
from ray_asng.config import SearchConfig
from ray_asng.optimizers import ASNG, DARTS
from ray_asng.retrain import Retraining, RetrainSettings
from ray_asng.supernets.enas_cell import ENASCell
from ray_asng.supernets.enas_micro import ENASMicro
from ray_asng.supernets.enas_micro_space import (
    ENAS_CODES,
    OPERATIONS,
    enas_micro_space,
    from_string,
    loose_ends,
    to_string,
)
from ray_asng.supernets.enas_operations import operations
from ray_asng.supernets.width_search import child_parameters, width_for_parameters
from ray_asng.testing.equality import difference

SPACE = enas_micro_space()
IMAGES = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
CELL = [[0, 0, 1, 4], [1, 1, 1, 1], [2, 2, 0, 3], [3, 3, 2, 0], [0, 4, 2, 1]]
"""Every operation, a branch twice, an input of several nodes; nodes 2, 3 and 4 are loose ends."""
OLD_INPUT_ONLY = [[0, 0, 0, 4], [2, 1, 0, 2], [0, 1, 3, 4], [0, 3, 2, 0], [0, 4, 2, 1]]


def architecture(normal=CELL, reduce=CELL):
    return from_string(f"{normal} {reduce}")


def samples(count, seed=0):
    rng = np.random.default_rng(seed)
    return [SPACE.sample(rng) for _ in range(count)]


def supernet(width=2, cells=4, **options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Supernet(ENASMicro(width=width, cells=cells, **options))


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


# The space


def test_there_are_40_decisions_with_180_options_and_140_free_parameters():
    assert len(SPACE) == 40
    assert sum(len(decision.options) for decision in SPACE.decisions) == 180
    assert len(ASNG(SPACE).s) == 140


def test_decisions_stand_in_the_published_order():
    assert SPACE.names[:5] == (
        "normal_node_0_input_1",
        "normal_node_0_input_2",
        "normal_node_0_operation_1",
        "normal_node_0_operation_2",
        "normal_node_1_input_1",
    )
    assert [len(decision.options) for decision in SPACE.decisions] == [
        n for _ in range(2) for node in range(5) for n in (2 + node, 2 + node, 5, 5)
    ]


def test_the_network_has_the_decisions_of_the_space():
    assert supernet().space.decisions == SPACE.decisions


def test_the_notation_numbers_operations_as_enas_does():
    assert ENAS_CODES == ("sep_conv_3x3", "sep_conv_5x5", "avg_pool_3x3", "max_pool_3x3", "skip_connect")
    read = architecture()
    assert (read["normal_node_0_input_2"], read["normal_node_0_operation_2"]) == ("1", "skip_connect")
    assert (read["reduce_node_2_input_1"], read["reduce_node_2_operation_1"]) == ("2", "avg_pool_3x3")


def test_the_notation_is_read_as_it_is_written():
    for drawn in samples(50):
        assert from_string(to_string(drawn)) == drawn
        assert SPACE.parse(SPACE.text(drawn)) == drawn


def test_the_flat_form_of_enas_is_read_too():
    text = to_string(architecture())
    assert from_string(" ".join(character for character in text if character.isdigit())) == architecture()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 1 2", "40 in all.*got 3"),
        ("normal " + "0 " * 40, "40 in all"),
        ("0 " * 4 + "3 " * 36, "node 1 of the normal cell reads state 3, but there are only 0 to 2"),
        ("0 7 " + "0 " * 38, "node 0 of the normal cell has operation 7; ENAS numbers them 0 to 4"),
    ],
)
def test_a_wrong_notation_is_refused_with_what_is_wrong(text, message):
    with pytest.raises(ValueError, match=message):
        from_string(text)


def test_loose_ends_are_the_nodes_that_no_node_reads():
    assert loose_ends([[0, 1], [1, 1], [2, 0], [3, 2], [0, 2]]) == [2, 3, 4]
    assert loose_ends([[0, 0], [2, 2], [3, 3], [4, 4], [5, 5]]) == [4]
    assert loose_ends([[0, 1]] * 5) == [0, 1, 2, 3, 4]


def test_the_picture_has_two_branches_a_node_and_the_loose_ends():
    graph = SPACE.graph(architecture())
    assert len(graph["nodes"]) == 16
    assert graph["edges"].count(["normal 1", "normal 3", "sep_conv_5x5"]) == 2
    outputs = [source for source, target, _ in graph["edges"] if target == "reduce output"]
    assert outputs == ["reduce 4", "reduce 5", "reduce 6"]


# Layers, against plain functions of torch


def plain_batch_norm(inputs, norm):
    mean = inputs.mean((0, 2, 3), keepdim=True)
    variance = ((inputs - mean) ** 2).mean((0, 2, 3), keepdim=True)
    scaled = (inputs - mean) / (variance + 1e-5).sqrt()
    return scaled if norm.weight is None else scaled * norm.weight[:, None, None] + norm.bias[:, None, None]


def parts(module, kind):
    return [part for part in module.modules() if isinstance(part, kind)]


def plain_separable(inputs, operation, stride):
    first, spread, second, mix = (conv.weight for conv in parts(operation, nn.Conv2d))
    norms, padding, channels = parts(operation, nn.BatchNorm2d), first.shape[-1] // 2, inputs.shape[1]
    inputs = F.conv2d(inputs.clamp(min=0), first, stride=stride, padding=padding, groups=channels)
    inputs = plain_batch_norm(F.conv2d(inputs, spread), norms[0])
    inputs = F.conv2d(inputs.clamp(min=0), second, padding=padding, groups=channels)
    return plain_batch_norm(F.conv2d(inputs, mix), norms[1])


def plain_factorized(inputs, operation):
    one, other = (conv.weight for conv in parts(operation, nn.Conv2d))
    inputs = inputs.clamp(min=0)
    # A 1x1 convolution with stride 2 sees every other pixel.
    halves = [F.conv2d(inputs[:, :, ::2, ::2], one), F.conv2d(inputs[:, :, 1::2, 1::2], other)]
    return plain_batch_norm(torch.cat(halves, 1), parts(operation, nn.BatchNorm2d)[0])


def plain_windows(inputs, stride, border):
    padded = F.pad(inputs, (1, 1, 1, 1), value=border)
    return padded.unfold(2, 3, stride).unfold(3, 3, stride).flatten(4)


def plain(name, inputs, operation, stride):
    if name == "skip_connect":
        return inputs if stride == 1 else plain_factorized(inputs, operation)
    if name == "avg_pool_3x3":
        return plain_windows(inputs, stride, 0.0).sum(-1) / 9
    if name == "max_pool_3x3":
        return plain_windows(inputs, stride, -float("inf")).amax(-1)
    return plain_separable(inputs, operation, stride)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_agrees_with_plain_torch(name, stride, affine):
    operation = operations(4, stride, affine)[name]
    for norm in parts(operation, nn.BatchNorm2d):
        if affine:
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
    inputs = torch.randn(3, 4, 8, 8)
    kept = inputs.clone()
    torch.testing.assert_close(operation(inputs), plain(name, inputs, operation, stride), rtol=1e-4, atol=1e-5)
    assert torch.equal(inputs, kept)


def plain_cell(cell, inputs, kind, arcs):
    """`arcs` in the numbers of ENAS."""
    older, newer = (part.conv.weight for part in cell.preprocess)
    states = [
        plain_batch_norm(F.conv2d(given.clamp(min=0), weight), part.norm)
        for given, weight, part in zip(inputs, (older, newer), cell.preprocess, strict=True)
    ]
    for node, (one, first, other, second) in zip(cell.nodes, arcs, strict=True):
        strides = [2 if kind == "reduce" and state < 2 else 1 for state in (one, other)]
        branches = [
            plain(ENAS_CODES[first], states[one], node.first[one], strides[0]),
            plain(ENAS_CODES[second], states[other], node.second[other], strides[1]),
        ]
        states.append(branches[0] + branches[1])
    read = {state for one, _, other, _ in arcs for state in (one, other)}
    loose = torch.cat([states[state] for state in range(2, 7) if state not in read], 1)
    return plain_batch_norm(F.conv2d(loose.clamp(min=0), cell.convolution.weight), cell.norm)


@pytest.mark.parametrize(("kind", "place"), [("normal", 0), ("reduce", 1)])
def test_a_cell_agrees_with_plain_torch(kind, place):
    cell = supernet(cells=3).extract(architecture()).cells[place]
    widths = [part.conv.in_channels for part in cell.preprocess]
    inputs = [torch.randn(3, width, 8, 8) for width in widths]
    torch.testing.assert_close(cell(*inputs), plain_cell(cell, inputs, kind, CELL), rtol=1e-4, atol=1e-5)


def test_both_branches_of_a_node_share_the_weights_of_an_input_and_an_operation():
    node = supernet(cells=3).module.cells[0].nodes[2]
    for first, second in zip(node.first, node.second, strict=True):
        assert all(one is other for one, other in zip(first.candidates, second.candidates, strict=True))


def test_the_loose_ends_share_a_convolution_whose_columns_belong_to_nodes():
    cell = ENASCell("normal", (2, 2), 2, halved_since=False, affine=False)
    assert [tuple(columns.shape) for columns in cell.convolution.columns] == [(2, 2, 1, 1)] * 5
    network = supernet(cells=3)
    child = network.extract(architecture())
    mine = network.module.cells[0].convolution.columns
    assert torch.equal(child.cells[0].convolution.weight, torch.cat([mine[node] for node in (2, 3, 4)], 1))


# Paths and children


def test_children_compute_what_paths_compute_and_every_weight_of_theirs_learns():
    network = supernet(width=1, cells=3)
    tried = [*samples(50), architecture(OLD_INPUT_ONLY, OLD_INPUT_ONLY)]
    for drawn in tried:
        child = network.extract(drawn)
        for training in (False, True):
            outputs = [part.train(training) for part in (network, child)]
            path, own = outputs[0](IMAGES, drawn), outputs[1](IMAGES)
            torch.testing.assert_close(own, path, rtol=1e-6, atol=1e-6)
        own.square().sum().backward()
        assert [name for name, parameter in child.named_parameters() if parameter.grad is None] == []


def test_swapped_branches_are_the_same_network_bit_for_bit():
    network = supernet(cells=3)
    for drawn in samples(5):
        sorted_form = SPACE.canonical(drawn)
        assert torch.equal(network(IMAGES, drawn), network(IMAGES, sorted_form))
        assert SPACE.canonical(sorted_form) == sorted_form
    swapped = architecture([[1, 4, 0, 0], *CELL[1:]])
    assert SPACE.canonical(swapped) == SPACE.canonical(architecture())
    assert SPACE.canonical(architecture([[0, 4, 1, 0], *CELL[1:]])) != SPACE.canonical(architecture())


def test_an_input_is_prepared_once_however_many_nodes_read_it():
    network = supernet(cells=3)
    calls = []
    for cell in network.module.cells:
        for part in cell.preprocess:
            part.register_forward_hook(lambda *_, part=part: calls.append(part))
    network(IMAGES, architecture())
    assert len(calls) == len(set(calls)) == 6


def test_only_chosen_operations_run():
    network = supernet(cells=3)
    calls = []
    for choices in network.choices.values():
        for choice in choices:
            choice.register_forward_hook(lambda choice, *_: calls.append(choice))
    network(IMAGES, architecture())
    assert len(calls) == len(set(calls)) == 3 * 10


def test_a_cell_that_none_reads_does_not_run_and_a_child_does_not_carry_it():
    network = supernet(cells=5)
    chosen = architecture(OLD_INPUT_ONLY, OLD_INPUT_ONLY)
    ran = []
    for number, cell in enumerate(network.module.cells):
        cell.register_forward_hook(lambda *_, number=number: ran.append(number))
    network(IMAGES, chosen)
    child = network.extract(chosen)
    assert ran == [0, 2, 4]
    assert [cell is None for cell in child.cells] == [False, True, False, True, False]
    assert [part is None for part in child.cells[4].preprocess] == [False, True]


def test_a_step_leaves_alone_the_columns_of_nodes_that_were_read():
    network = supernet(cells=3).train()
    network(IMAGES, architecture()).square().sum().backward()
    gradients = [columns.grad is not None for columns in network.module.cells[0].convolution.columns]
    assert gradients == [False, False, True, True, True]


def test_a_child_to_be_trained_draws_new_weights_for_its_loose_ends():
    network = supernet(cells=3)
    torch.manual_seed(1)
    fresh, kept = network.build_child(architecture()), network.extract(architecture())
    assert fresh.cells[0].convolution.weight.shape == kept.cells[0].convolution.weight.shape == (2, 6, 1, 1)
    assert not torch.equal(fresh.cells[0].convolution.weight, kept.cells[0].convolution.weight)


def test_images_of_odd_sizes_pass():
    assert supernet(cells=3)(torch.randn(2, 3, 11, 7), architecture()).shape == (2, 10)


# Parameters, by a count from the definition


def counted_cell(arcs, kind, older, newer, width):
    """Of a cell by itself with affine batch norm; arcs in the numbers of ENAS."""

    def weights(state, code):
        halves = kind == "reduce" and state < 2
        if ENAS_CODES[code].startswith("sep"):
            return 2 * (int(ENAS_CODES[code][-1]) ** 2 * width + width**2 + 2 * width)
        return width**2 + 2 * width if ENAS_CODES[code] == "skip_connect" and halves else 0

    read = {state for one, _, other, _ in arcs for state in (one, other)}
    total = sum(channels * width + 2 * width for state, channels in enumerate((older, newer)) if state in read)
    for one, first, other, second in arcs:
        total += sum(weights(*branch) for branch in {(one, first), (other, second)})
    loose = 5 - len(read - {0, 1})
    return total + loose * width * width + 2 * width


def counted(normal, reduce, width, cells):
    """Where each cell reads both of its inputs."""
    total, older, newer, channels = 27 * 3 * width + 6 * width, 3 * width, 3 * width, width
    for number in range(cells):
        kind = "reduce" if number in (cells // 3, 2 * cells // 3) else "normal"
        channels *= 2 if kind == "reduce" else 1
        arcs = reduce if kind == "reduce" else normal
        total += counted_cell(arcs, kind, older, newer, channels)
        older, newer = newer, channels
    return total + 10 * channels + 10


def arcs_of(drawn):
    numbers = iter(int(digit) for digit in to_string(drawn) if digit.isdigit())
    cells = [[[next(numbers) for _ in range(4)] for _ in range(5)] for _ in range(2)]
    return cells if all({0, 1} <= {s for a in arcs for s in (a[0], a[2])} for arcs in cells) else None


def test_children_have_the_parameters_of_an_independent_count():
    build = partial(ENASMicro, cells=4, affine=True)
    drawn = [a for a in samples(5) if arcs_of(a)]
    assert len(drawn) >= 2
    for each in drawn:
        assert child_parameters(build, each, 12) == counted(*arcs_of(each), 12, 4)


def test_ten_cells_of_36_channels_have_the_parameters_of_an_independent_count():
    build = partial(ENASMicro, cells=10, affine=True)
    assert child_parameters(build, architecture(), 36) == counted(CELL, CELL, 36, 10)


def test_the_width_is_the_largest_under_the_limit():
    build = partial(ENASMicro, cells=3, affine=True)
    exact = counted(CELL, CELL, 21, 3)
    assert width_for_parameters(build, architecture(), exact) == 21
    assert width_for_parameters(build, architecture(), exact - 1) == 20


def test_the_auxiliary_head_does_not_count_against_the_limit():
    counts = [
        child_parameters(partial(ENASMicro, cells=3, affine=True, auxiliary=auxiliary), architecture(), 4)
        for auxiliary in (False, True)
    ]
    assert counts[0] == counts[1]


def test_looking_for_a_width_draws_nothing():
    before = torch.get_rng_state()
    child_parameters(partial(ENASMicro, cells=3), architecture(), 4)
    assert torch.equal(before, torch.get_rng_state())


def test_a_limit_that_no_width_meets_is_refused():
    with pytest.raises(ValueError, match=r"width 1 has \d+ parameters already, got limit=10"):
        width_for_parameters(partial(ENASMicro, cells=3), architecture(), 10)


# Building, searching, retraining


def test_with_an_auxiliary_head_the_network_gives_two_scores_in_training_alone():
    network = supernet(cells=3, auxiliary=True, affine=True)
    images = torch.randn(2, 3, 32, 32)
    scores, auxiliary = network.train()(images, architecture())
    assert scores.shape == auxiliary.shape == (2, 10)
    assert network.eval()(images, architecture()).shape == (2, 10)


def test_a_cell_that_the_auxiliary_head_alone_reads_stays():
    network = supernet(cells=4, auxiliary=True, affine=True)
    child = network.extract(architecture(OLD_INPUT_ONLY, OLD_INPUT_ONLY)).train()
    assert network.module.auxiliary_cell == 2
    assert child.cells[2] is not None
    sum(part.square().sum() for part in child(torch.randn(2, 3, 32, 32))).backward()
    assert [name for name, parameter in child.named_parameters() if parameter.grad is None] == []


def test_images_too_small_for_the_auxiliary_head_are_refused():
    with pytest.raises(ValueError, match=r"at least 29 x 29, or build the network with auxiliary=False"):
        supernet(cells=3, auxiliary=True).train()(IMAGES, architecture())


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"cells": 2}, ValueError, "cells must be at least 3"),
        ({"width": 0}, ValueError, "width must be at least 1, got 0"),
        ({"classes": 2.5}, TypeError, "classes must be an integer of at least 1, got 2.5"),
    ],
)
def test_impossible_sizes_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        ENASMicro(**options)


def test_mixing_methods_are_refused_by_name_of_those_that_serve():
    with pytest.raises(ValueError, match="asng"):
        build_search("darts")
    network = supernet(cells=3)
    with pytest.raises(ValueError, match="cannot be mixed"):
        network(IMAGES, DARTS(SPACE).weights_for_training())


def build_search(method):
    return SearchConfig.from_mapping(
        {
            "space": "enas_micro",
            "space_options": {"width": 2, "cells": 3},
            "task": "digits",
            "method": method,
            "seed": 0,
            "steps_per_epoch": 2,
            "batch_size": 8,
            "train_fraction": 0.95,
            "epochs": 2,
        }
    ).build_search()


def test_a_resumed_search_continues_as_if_never_stopped():
    straight, stopped, resumed = (build_search("asng") for _ in range(3))
    straight.run_epoch()
    straight.run_epoch()
    stopped.run_epoch()
    resumed.load_state_dict(stopped.state_dict())
    resumed.run_epoch()
    times = ("wall_seconds", "report")
    states = [{k: v for k, v in each.state_dict().items() if k not in times} for each in (straight, resumed)]
    assert not difference(*states, "state")


def test_a_found_network_is_retrained_with_drop_path():
    network = supernet(cells=3, in_channels=1, affine=True)
    chosen = architecture()
    child, places = network.build_child(chosen), network.paths_in_child(chosen)
    found = dict(child.named_modules(remove_duplicate=False))
    assert len(places) == 30
    assert all(path in found for path in places)
    settings = RetrainSettings(epochs=2, batch_size=512, drop_path=0.3)
    retraining = Retraining(child, registry.tasks["digits"](), settings, choice_paths=places)
    retraining.run_epoch()
    assert np.isfinite(retraining.run_epoch()["test_loss"])
