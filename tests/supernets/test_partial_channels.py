import pytest
import torch
from torch import nn

from ray_asng import OneOf, Supernet
from ray_asng.supernets.input_weights import InputWeights
from ray_asng.supernets.nasbench201 import NASBench201
from ray_asng.supernets.partial_channels import PartialChannels, part_of

GENERATOR = torch.Generator().manual_seed(0)


def images(channels=8, size=6):
    return torch.randn(2, channels, size, size, generator=GENERATOR)


def shuffled_by_hand(parts):
    """The channels of the parts in turns: the first of each part, the second of each part, ..."""
    turns = zip(*(part.unbind(1) for part in parts), strict=True)
    return torch.stack([channel for turn in turns for channel in turn], dim=1)


@pytest.mark.parametrize("parts", [2, 4, 8])
def test_the_operation_sees_the_first_part_and_the_parts_take_turns_afterwards(parts):
    operation, inputs = nn.Conv2d(8 // parts, 8 // parts, 1), images()
    first, *others = inputs.chunk(parts, dim=1)
    expected = shuffled_by_hand([operation(first), *others])
    torch.testing.assert_close(PartialChannels(operation, 8, parts)(inputs), expected)


@pytest.mark.parametrize(("size", "halved"), [(6, 3), (7, 4)])
def test_with_a_stride_the_other_parts_are_pooled_by_maxima(size, halved):
    operation, inputs = nn.Conv2d(2, 2, 3, stride=2, padding=1), images(size=size)
    first, *others = inputs.chunk(4, dim=1)
    pooled = [nn.functional.max_pool2d(part, 2, ceil_mode=True) for part in others]
    outputs = PartialChannels(operation, 8, 4, stride=2)(inputs)
    assert outputs.shape == (2, 8, halved, halved)
    torch.testing.assert_close(outputs, shuffled_by_hand([operation(first), *pooled]))


def test_every_input_and_weight_gets_its_gradient():
    operation, inputs = nn.Conv2d(4, 4, 1), images().requires_grad_()
    PartialChannels(operation, 8, 2)(inputs).square().sum().backward()
    assert bool((inputs.grad != 0.0).all())
    assert bool((operation.weight.grad != 0.0).all())


def test_channels_that_cannot_be_cut_into_equal_parts_are_refused_with_a_width_that_can():
    with pytest.raises(ValueError, match=r"partial_channels=4 does not divide the 10 channels.* such as width=8"):
        part_of(10, 4)
    with pytest.raises(ValueError, match="partial_channels=4 does not divide the 6 channels"):
        NASBench201(width=6, cells=1, partial_channels=4)
    with pytest.raises(ValueError, match="partial_channels must be at least 1, got 0"):
        NASBench201(partial_channels=0)


def test_operations_of_a_network_with_partial_channels_have_a_part_of_its_width():
    whole, partial = (Supernet(NASBench201(width=8, cells=1, partial_channels=parts)) for parts in (1, 4))
    cell = dict.fromkeys(whole.space.names, "nor_conv_3x3")
    convolutions = [
        [part for part in supernet.extract(cell).body[0].modules() if isinstance(part, nn.Conv2d)]
        for supernet in (whole, partial)
    ]
    assert [(part.in_channels, part.out_channels) for part in convolutions[0]] == [(8, 8)] * 6
    assert [(part.in_channels, part.out_channels) for part in convolutions[1]] == [(2, 2)] * 6


def test_a_node_sums_its_inputs_by_the_weights_of_its_name_and_plainly_without():
    class TwoNodes(nn.Module):
        def __init__(self):
            super().__init__()
            self.choices = nn.ModuleList(
                OneOf({"same": nn.Identity(), "double": Scaled(2.0)}, name=name) for name in ("a", "b")
            )
            self.nodes = nn.ModuleList(InputWeights(("a", "b"), name="node") for _ in range(2))

        def forward(self, inputs):
            for node in self.nodes:
                inputs = node([choice(inputs) for choice in self.choices])
            return inputs

    supernet = Supernet(TwoNodes())
    assert supernet.space.input_weights == {"node": ("a", "b")}
    inputs, mixture = images(), {name: torch.tensor([0.5, 0.5]) for name in ("a", "b")}
    torch.testing.assert_close(supernet(inputs, mixture), 9.0 * inputs)  # (1.5 + 1.5) each
    weighed = {**mixture, "node": torch.tensor([0.1, 0.3])}
    torch.testing.assert_close(supernet(inputs, weighed), 0.36 * inputs)  # (0.1 + 0.3) 1.5 each
    torch.testing.assert_close(supernet(inputs, {"a": "same", "b": "double"}), 9.0 * inputs)  # nothing of it is left
    child = supernet.extract({"a": "same", "b": "double"})
    assert not any(isinstance(part, InputWeights) for part in child.modules())


class Scaled(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, inputs):
        return self.factor * inputs


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ({"node_2": torch.ones(3)}, r"node with the input weights 'node_2' needs .* shape \(2,\), got \(3,\)"),
        ({"node_9": torch.ones(3)}, "unknown decision 'node_9'"),
    ],
)
def test_input_weights_of_another_shape_or_name_are_refused(weights, words):
    supernet = Supernet(NASBench201(width=4, cells=1, edge_weights=True))
    mixture = {decision.name: torch.full((5,), 0.2) for decision in supernet.space.categorical}
    with pytest.raises(ValueError, match=words):
        supernet(images(3, 8), {**mixture, **weights})


def test_input_weights_of_one_name_that_weigh_other_edges_are_refused():
    choices = [OneOf({"one": nn.Identity(), "other": nn.ReLU()}, name=name) for name in ("a", "b")]
    nodes = [InputWeights(edges, name="node") for edges in (("a",), ("b",))]
    with pytest.raises(ValueError, match=r"'node' weighs .'a'. at one place and .'b'. at another"):
        Supernet(nn.Sequential(*choices, *nodes))
