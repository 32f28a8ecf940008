import copy

import pytest
import torch
from torch import nn

from ray_asng import Supernet
from ray_asng.supernets.darts import DARTSNetwork
from ray_asng.supernets.darts_operations import operation
from ray_asng.supernets.darts_states import KNOWN
from ray_asng.supernets.depthwise import DepthwiseConv2d
from ray_asng.supernets.enas_operations import FactorizedReduce
from ray_asng.supernets.nasbench201 import _BUILDERS, NASBench201
from ray_asng.supernets.partial_channels import (
    PartialChannels,
    check_growth,
    partial_channels_of,
    set_partial_channels,
)
from ray_asng.supernets.widening import Channels, change_channels, changes, repeated, shaped

OPERATIONS = {
    **{f"nasbench201 {name}": lambda affine, build=build: build(4, affine) for name, build in _BUILDERS.items()},
    **{
        f"darts {name}, stride {stride}": lambda affine, name=name, stride=stride: operation(name, 4, stride, affine)
        for name in KNOWN
        if name != "noise"  # draws what it gives
        for stride in (1, 2)
    },
    "with bias": lambda affine: nn.Conv2d(4, 4, 3, padding=1),
    "by channel with bias": lambda affine: nn.Conv2d(4, 4, 3, padding=1, groups=4),
    "one channel": lambda affine: DepthwiseConv2d(1, 3),
}


def drawn(shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def with_drawn_state(layer):
    """Nothing at its initial value, so that what is not carried over shows."""
    with torch.no_grad():
        for number, tensor in enumerate([*layer.parameters(), *layer.buffers()]):
            if tensor.is_floating_point():
                tensor.copy_(drawn(tensor.shape, number).abs() + 0.1)
    return layer


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("wide", [6, 8, 12])
def test_the_wide_operation_on_repeated_channels_equals_the_narrow_one(name, affine, training, wide):
    narrow = with_drawn_state(OPERATIONS[name](affine)).train(training)
    before = 1 if name == "one channel" else 4
    with torch.random.fork_rng():
        torch.manual_seed(wide)
        channels = repeated(before, wide)
    widened = copy.deepcopy(narrow)
    change_channels(widened, channels)
    inputs = drawn((3, before, 8, 8), 100)
    torch.testing.assert_close(widened(inputs[:, channels.sources]), narrow(inputs)[:, channels.sources])


@pytest.mark.parametrize(("before", "after"), [(4, 4), (4, 6), (4, 12), (2, 8), (1, 5), (3, 8), (4, 7)])
def test_every_channel_is_there_in_order_and_some_of_them_again(before, after):
    sources = repeated(before, after).sources.tolist()
    assert len(sources) == after
    assert sorted(set(sources)) == list(range(before))
    firsts = [sources.index(channel) for channel in range(before)]
    assert firsts == sorted(firsts)


def test_halves_grow_alike_so_that_layers_which_compute_them_apart_can_follow():
    for _ in range(20):
        one, other = repeated(8, 12).halves()
        assert (len(one.sources), len(other.sources)) == (6, 6)
        assert set(one.sources.tolist()) == set(other.sources.tolist()) == set(range(4))


def test_which_channels_are_repeated_is_drawn_by_the_generator_that_is_lent():
    draws = set()
    for seed in range(10):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            first = repeated(8, 16).sources.tolist()
            torch.manual_seed(seed)
            assert repeated(8, 16).sources.tolist() == first
        draws.add(tuple(first))
    assert len(draws) > 5


def trained(layer, optimizer):
    for seed in range(3):
        layer(drawn((2, 4, 6, 6), seed)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    return layer


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_momentum_grows_with_its_weights_which_stay_the_same_objects(memory_format):
    layer = operation("sep_conv_3x3", 4, 1, True).to(memory_format=memory_format)
    weights = list(layer.parameters())
    optimizer = torch.optim.SGD(weights, lr=0.01, momentum=0.9)
    trained(layer, optimizer)
    channels = Channels(4, torch.tensor([0, 1, 1, 2, 3, 3]))
    before = {id(weight): optimizer.state[weight]["momentum_buffer"].clone() for weight in weights}
    # Momentum is a difference of weights, so it changes as they do.
    expected = copy.deepcopy(layer)
    with torch.no_grad():
        for weight, copied in zip(weights, expected.parameters(), strict=True):
            copied.copy_(before[id(weight)])
    change_channels(expected, channels)
    change_channels(layer, channels, optimizer)
    assert [id(weight) for weight in layer.parameters()] == [id(weight) for weight in weights]
    for weight, moved in zip(weights, expected.parameters(), strict=True):
        torch.testing.assert_close(optimizer.state[weight]["momentum_buffer"], moved.detach())
        if weight.dim() == 4:
            assert weight.is_contiguous(memory_format=memory_format)
            assert optimizer.state[weight]["momentum_buffer"].is_contiguous(memory_format=memory_format)
    layer(drawn((2, 6, 6, 6), 9)).square().sum().backward()
    optimizer.step()


class Doubling(nn.Module):
    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor([2.0, 3.0]))

    def forward(self, inputs):
        return self.factor[:, None, None] * inputs


@pytest.mark.parametrize(
    ("layer", "error", "words"),
    [
        (Doubling(), TypeError, "found a Doubling with weights of its own. Register how"),
        (nn.Sequential(nn.ReLU(), nn.Conv2d(2, 6, 1)), ValueError, "only operations that keep the number of channels"),
        (nn.Conv2d(2, 2, 1), ValueError, "where there are 4 channels"),
        (nn.Conv2d(4, 4, 3, groups=2), ValueError, "without groups or by channel can be widened.* with 2 groups"),
    ],
)
def test_layers_that_cannot_be_widened_are_refused_with_the_remedy(layer, error, words):
    before = 4 if isinstance(layer, nn.Conv2d) else 2
    with pytest.raises(error, match=words):
        list(changes(layer, shaped(before, 8)))


def test_a_class_of_ones_own_can_be_registered():
    class Scale(Doubling):
        pass

    @changes.register
    def _(layer: Scale, channels: Channels):
        yield layer.factor, channels.repeat

    layer = Scale()
    change_channels(layer, Channels(2, torch.tensor([0, 1, 1])))
    assert layer.factor.tolist() == [2.0, 3.0, 3.0]


NETWORKS = [
    (NASBench201(width=8, cells=1, partial_channels=4, affine=True), "nor_conv_3x3"),
    (DARTSNetwork(width=8, cells=3, partial_channels=4), "sep_conv_5x5"),
]


@pytest.mark.parametrize(("network", "option"), NETWORKS)
@pytest.mark.parametrize("parts", [2, 1])
def test_a_network_whose_operations_grow_runs_as_one_built_with_so_many_parts(network, option, parts):
    supernet = Supernet(copy.deepcopy(network))
    optimizer = torch.optim.SGD(supernet.parameters(), lr=0.1)
    check_growth(supernet, parts)
    assert partial_channels_of(supernet) == 4  # only looked at
    set_partial_channels(supernet, parts, optimizer)
    assert partial_channels_of(supernet) == parts
    kind = {"affine": True} if isinstance(network, NASBench201) else {"cells": 3}
    built = Supernet(type(network)(width=8, **({"cells": 1} | kind), partial_channels=parts))
    of_operations = [
        {path.replace(".operation.", "."): weight.shape for path, weight in each.named_parameters()}
        for each in (supernet, built)
    ]
    assert of_operations[0] == of_operations[1]
    cell = {name: option if index < 2 else "skip_connect" for index, name in enumerate(supernet.space.names)}
    images = drawn((2, 3, 16, 16), 0)
    assert supernet(images, cell).shape == (2, 10)
    if parts > 1:
        built.load_state_dict(supernet.state_dict())
        torch.testing.assert_close(supernet.eval()(images, cell), built.eval()(images, cell))


@pytest.mark.parametrize(("network", "option"), NETWORKS)
@pytest.mark.parametrize("parts", [2, 1])
def test_a_state_is_taken_up_whether_the_operations_were_narrower_or_wider_then(network, option, parts):
    narrow, wide = Supernet(copy.deepcopy(network)), Supernet(copy.deepcopy(network))
    set_partial_channels(wide, parts, torch.optim.SGD(wide.parameters(), lr=0.1))
    states = [{name: tensor.clone() for name, tensor in each.state_dict().items()} for each in (narrow, wide)]
    for state in (states[1], states[0], states[1]):
        narrow.load_state_dict(state)
        assert {name: tensor.tolist() for name, tensor in narrow.state_dict().items()} == {
            name: tensor.tolist() for name, tensor in state.items()
        }


def test_a_part_that_does_not_divide_the_channels_is_refused_before_anything_changes():
    supernet = Supernet(NASBench201(width=8, cells=1, partial_channels=4))
    with pytest.raises(ValueError, match="partial_channels=3 does not divide the 8 channels"):
        check_growth(supernet, 3)
    assert partial_channels_of(supernet) == 4


def test_an_odd_part_is_refused_where_a_skip_connection_computes_its_halves_apart():
    partial = PartialChannels(FactorizedReduce(6, 6, affine=False), 30, 5, stride=2)
    with pytest.raises(ValueError, match=r"even number of channels; it was to grow from 6 to 15\. Take another width"):
        check_growth(partial, 2)


def test_the_operation_alone_decides_where_all_channels_are_one_part():
    operation, inputs = nn.Conv2d(8, 8, 1), drawn((2, 8, 6, 6), 0)
    torch.testing.assert_close(PartialChannels(operation, 8, 1)(inputs), operation(inputs))
