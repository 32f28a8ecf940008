"""Layers whose widths follow choices: shared weights, plain children, and widths that do not fit together."""

import numpy as np
import pytest
import torch
from torch import nn

from ray_asng import IntegerChoice, OneOf, Supernet
from ray_asng.supernets import elastic
from ray_asng.supernets.elastic import Elastic
from ray_asng.testing.supernet import check_supernet

WIDTH = {"low": 4, "high": 16, "step": 4}


def width(name="width"):
    return IntegerChoice(**WIDTH, name=name)


class Convolutions(nn.Module):
    """Every two-dimensional layer once, an option among them, and a skip connection of one width."""

    def __init__(self):
        super().__init__()
        wide, inner = width("wide"), width("inner")
        self.stem = elastic.Conv2d(3, wide, 3, padding=1, bias=False)
        self.norm = elastic.BatchNorm2d(wide)
        self.middle = nn.Sequential(
            elastic.Conv2d(wide, 2 * inner, (3, 1), padding="same", padding_mode="reflect"),
            elastic.BatchNorm2d(2 * inner, affine=False, track_running_stats=False),
            OneOf({"relu": nn.ReLU(), "conv": elastic.DepthwiseConv2d(2 * inner, 3, padding=1)}, name="act"),
            elastic.DepthwiseConv2d(2 * inner, 3, stride=2, padding=1, bias=False),
            elastic.ConvTranspose2d(2 * inner, wide, 4, stride=2, padding=1),
            elastic.BatchNorm2d(wide, momentum=None),
        )
        self.head = elastic.Linear(wide, 5)

    def forward(self, images):
        stem = self.norm(self.stem(images)).relu()
        return self.head((self.middle(stem) + stem).mean((2, 3)))


class Sequences(nn.Module):
    """The one-dimensional layers, an embedding and a layer norm."""

    def __init__(self):
        super().__init__()
        wide, inner = width("wide"), width("inner")
        self.embedding = elastic.Embedding(20, wide)
        self.norm = elastic.LayerNorm(wide)
        self.plain_norm = elastic.LayerNorm(wide, elementwise_affine=False)
        self.conv = elastic.Conv1d(wide, inner, 3, padding=2, dilation=2)
        self.depthwise = elastic.DepthwiseConv1d(inner, 3, padding=1)
        self.batch = elastic.BatchNorm1d(inner)
        self.back = elastic.ConvTranspose1d(inner, wide, 2, stride=2)
        self.head = elastic.Linear(wide, inner + wide, bias=False)

    def forward(self, tokens):
        embedded = self.plain_norm(self.norm(self.embedding(tokens))).transpose(1, 2)
        hidden = self.batch(self.depthwise(self.conv(embedded)))
        return self.head(self.back(hidden)[..., ::2].transpose(1, 2) + embedded.transpose(1, 2))


IMAGES = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
TOKENS = torch.randint(20, (4, 6), generator=torch.Generator().manual_seed(1))
NETWORKS = [(Convolutions, IMAGES), (Sequences, TOKENS)]


def build(network):
    torch.manual_seed(0)
    supernet = Supernet(network())
    with torch.no_grad():
        for tensor in (*supernet.parameters(), *supernet.buffers()):
            if tensor.is_floating_point():
                tensor.uniform_(0.2, 0.4)
    return supernet


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("network", "inputs"), NETWORKS)
def test_the_child_equals_the_path_in_either_mode(network, inputs, training):
    supernet = build(network).train(training)
    rng = np.random.default_rng(0)
    for _ in range(50):
        architecture = supernet.space.sample(rng)
        child = supernet.extract(architecture)
        for _ in range(2):  # the second time with the buffers that the first left behind
            torch.testing.assert_close(child(inputs), supernet(inputs, architecture), rtol=0.0, atol=1e-6)


@pytest.mark.parametrize(("network", "inputs"), NETWORKS)
def test_the_child_is_made_of_plain_layers_of_torch(network, inputs):
    supernet = build(network)
    child = supernet.extract(supernet.space.sample(np.random.default_rng(0)))
    assert not [part for part in child.modules() if isinstance(part, (Elastic, OneOf))]
    assert {type(part).__module__.split(".")[0] for part in child.modules() if part is not child} == {"torch"}
    weights = {tensor.data_ptr() for tensor in supernet.parameters()}
    assert not weights & {tensor.data_ptr() for tensor in child.parameters()}


def test_an_elastic_network_keeps_the_contract_of_a_supernet():
    check_supernet(Convolutions, IMAGES)


def hand_built(wide, inner, act):
    """The child of `Convolutions` as someone would write it who knows its widths."""
    return nn.ModuleList(
        [
            nn.Conv2d(3, wide, 3, bias=False),
            nn.BatchNorm2d(wide),
            nn.Conv2d(wide, 2 * inner, (3, 1)),
            nn.ReLU() if act == "relu" else nn.Conv2d(2 * inner, 2 * inner, 3, groups=2 * inner),
            nn.Conv2d(2 * inner, 2 * inner, 3, groups=2 * inner, bias=False),
            nn.ConvTranspose2d(2 * inner, wide, 4),
            nn.BatchNorm2d(wide),
            nn.Linear(wide, 5),
        ]
    )


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("act", ["relu", "conv"])
@pytest.mark.parametrize(("wide", "inner"), [(4, 4), (16, 4), (8, 12), (16, 16)])
def test_the_child_has_the_parameters_of_a_network_built_by_hand(wide, inner, act):
    child = build(Convolutions).extract({"wide": wide, "inner": inner, "act": act})
    assert count(child) == count(hand_built(wide, inner, act))


def test_a_narrow_path_uses_the_first_weights_of_the_wide_one():
    layer = elastic.Linear(width("a"), width("b"))
    supernet = Supernet(layer)
    output = supernet(torch.ones(2, 4), {"a": 4, "b": 8})
    torch.testing.assert_close(output, layer.weight[:8, :4].sum(1).expand(2, 8) + layer.bias[:8])
    output.sum().backward()
    assert (layer.weight.grad[:8, :4] == 2.0).all()
    assert layer.weight.grad.sum() == 2.0 * 8 * 4


def test_running_statistics_of_unused_channels_stand_still():
    norm = elastic.BatchNorm2d(width())
    supernet = Supernet(norm)
    supernet(IMAGES.repeat(1, 2, 1, 1)[:, :4] + 3.0, {"width": 4})
    assert (norm.running_mean[:4] > 0.1).all()
    assert (norm.running_mean[4:] == 0.0).all()


def test_frozen_layers_stay_frozen_in_the_child():
    layer = elastic.Linear(8, width())
    layer.weight.requires_grad_(False)
    child = Supernet(layer).extract({"width": 8})
    assert (child.weight.requires_grad, child.bias.requires_grad) == (False, True)


def test_unchosen_elastic_layers_are_not_copied(monkeypatch):
    other = elastic.Linear(8, width())
    monkeypatch.setattr(other, "plain", lambda: pytest.fail("it was copied"))
    supernet = Supernet(nn.Sequential(OneOf({"skip": nn.Identity(), "other": other}, name="choice")))
    assert isinstance(supernet.extract({"choice": "skip", "width": 8})[0], nn.Identity)


class Skip(nn.Module):
    def __init__(self, first, second):
        super().__init__()
        self.stem = elastic.Linear(8, first)
        self.body = nn.Sequential(nn.ReLU(), elastic.Linear(first, second), nn.Tanh())

    def forward(self, x):
        stem = self.stem(x).relu()
        return self.body(stem) * 2.0 + stem


def test_a_skip_connection_between_two_widths_names_both_modules():
    supernet = Supernet(Skip(width("a"), width("b")))
    assert supernet(torch.ones(2, 8), {"a": 8, "b": 8}).shape == (2, 8)
    message = (
        r"'body.1' made a tensor of shape \(2, 12\) and 'stem' one of \(2, 8\), and they meet; give them widths of one"
    )
    with pytest.raises(ValueError, match=message):
        supernet(torch.ones(2, 8), {"a": 8, "b": 12})


def test_a_layer_after_another_width_names_both_modules():
    supernet = Supernet(nn.Sequential(elastic.Linear(8, width("a")), nn.GELU(), elastic.Linear(width("b"), 2)))
    with pytest.raises(ValueError, match=r"'2' cannot take what '0' made, which has the shape \(2, 12\); give them"):
        supernet(torch.ones(2, 8), {"a": 12, "b": 8})


def test_widths_that_are_concatenated_name_both_modules():
    class Concatenate(nn.Module):
        def __init__(self):
            super().__init__()
            self.left, self.right = elastic.Conv2d(3, width("a"), 1), elastic.Conv2d(3, 4, 3)

        def forward(self, images):
            return torch.cat([self.left(images), self.right(images)], dim=1)

    with pytest.raises(ValueError, match=r"'left' made a tensor of shape \(4, 8, 8, 8\) and 'right' one of"):
        Supernet(Concatenate())(IMAGES, {"a": 8})


def test_an_error_that_is_not_about_widths_stays_as_it_is():
    class Fails(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = elastic.Linear(8, width())

        def forward(self, x):
            raise RuntimeError(f"of my own, {self.layer(x).shape}")

    with pytest.raises(RuntimeError, match="of my own"):
        Supernet(Fails())(torch.ones(2, 8), {"width": 8})


@pytest.mark.parametrize(
    "make", [lambda: elastic.Conv2d(4, 4, 3, groups=2), lambda: elastic.DepthwiseConv1d(4, 3, padding_mode="circular")]
)
def test_options_that_elastic_convolutions_lack_are_refused(make):
    with pytest.raises(TypeError, match="this elastic convolution takes no"):
        make()


def test_a_child_that_is_built_anew_draws_its_weights_for_its_own_widths():
    supernet = Supernet(nn.Sequential(elastic.Linear(256, IntegerChoice(4, 256, name="w")), elastic.Linear(width(), 2)))
    torch.manual_seed(0)
    child = supernet.build_child({"w": 4, "width": 4})
    torch.manual_seed(0)
    fresh = nn.Sequential(nn.Linear(256, 4), nn.Linear(4, 2))
    assert all(torch.equal(own, other) for own, other in zip(child.parameters(), fresh.parameters(), strict=True))


def test_a_child_that_is_built_anew_keeps_the_initial_weights_of_its_other_layers():
    inner = nn.Sequential(elastic.Linear(8, width()), elastic.BatchNorm1d(width()))
    module = nn.Sequential(nn.Linear(8, 8), OneOf({"skip": nn.Identity(), "inner": inner}, name="choice"))
    supernet = Supernet(module)
    child = supernet.build_child({"choice": "inner", "width": 8})
    assert torch.equal(child[0].weight, module[0].weight)
    assert not torch.equal(child[1][0].weight, inner[0].weight[:8])


def repeated():
    blocks = [nn.Sequential(elastic.Linear(4, width(f"w{i}")), elastic.Linear(width(f"w{i}"), 4)) for i in range(3)]
    return nn.Sequential(elastic.Repeat(blocks, IntegerChoice(1, 3, name="depth")), nn.Linear(4, 2))


REPEATED = {"depth": 2, "w0": 4, "w1": 8, "w2": 12}


def test_as_many_blocks_run_as_the_choice_says():
    supernet = Supernet(repeated())
    module = supernet.module
    output = supernet(torch.ones(2, 4), REPEATED)
    blocks = list(module[0]._modules.values())
    assert (len(module[0]), list(module[0])) == (2, blocks[:2])
    torch.testing.assert_close(output, module[1](blocks[1](blocks[0](torch.ones(2, 4)))))


def test_the_child_has_only_the_blocks_that_run():
    child = Supernet(repeated()).extract(REPEATED)
    assert type(child[0]) is nn.Sequential
    assert [block[0].out_features for block in child[0]] == [4, 8]
    fresh = Supernet(repeated()).build_child(REPEATED)
    assert count(fresh) == count(child) == (5 * 4 + 5 * 4) + (5 * 8 + 9 * 4) + 10


def test_decisions_of_blocks_that_do_not_run_are_fixed_by_the_canonical_form():
    space = Supernet(repeated()).space
    assert space.canonical(REPEATED) == space.architecture({**REPEATED, "w2": 4})
    assert space.canonical({**REPEATED, "depth": 3}) == space.architecture({**REPEATED, "depth": 3})


def test_choices_inside_repeated_blocks_are_found_where_they_stand_in_the_child():
    blocks = [OneOf({"skip": nn.Identity(), "layer": elastic.Linear(4, 4)}, name=f"c{i}") for i in range(3)]
    supernet = Supernet(elastic.Repeat(blocks, IntegerChoice(1, 3, name="depth")))
    found = {"c0": "layer", "c1": "skip", "c2": "layer", "depth": 2}
    assert supernet.paths_in_child(found) == ["0", "1"]
    assert [type(part) for part in supernet.extract(found)] == [nn.Linear, nn.Identity]


def test_a_repeat_with_another_number_of_blocks_than_its_depth_is_refused():
    with pytest.raises(ValueError, match="its depth can be at most, 4; got 3"):
        elastic.Repeat([nn.Identity()] * 3, IntegerChoice(1, 4))
