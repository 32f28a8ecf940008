"""Modules that leave out parts of themselves: what a child carries along."""

import pytest
import torch
from torch import nn

from ray_asng import OneOf, Supernet, ValueChoice
from ray_asng.supernets import elastic

INPUTS = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))


class ReadsOne(elastic.Partial):
    """A choice of a layer behind each of three states, of which one is read."""

    def __init__(self):
        super().__init__()
        self.source = ValueChoice(3, name="source")
        self.layers = nn.ModuleList(
            OneOf({"linear": nn.Linear(4, 4), "skip": nn.Identity()}, name="layer") for _ in range(3)
        )

    def forward(self, inputs):
        return self.layers[int(self.source)](inputs * (1 + int(self.source)))

    def unused(self):
        return (f"layers.{place}" for place in range(3) if place != int(self.source))


@pytest.fixture
def supernet():
    return Supernet(nn.Sequential(ReadsOne(), nn.Linear(4, 2)))


@pytest.mark.parametrize("source", ["0", "1", "2"])
def test_a_child_computes_what_the_path_computes(supernet, source):
    architecture = {"source": source, "layer": "linear"}
    child = supernet.extract(architecture)
    assert torch.equal(child(INPUTS), supernet(INPUTS, architecture))


def test_a_child_carries_no_weights_of_what_is_left_out(supernet):
    child = supernet.extract({"source": "1", "layer": "linear"})
    assert sorted(child.state_dict()) == ["0.layers.1.bias", "0.layers.1.weight", "1.bias", "1.weight"]
    assert [layer is None for layer in child[0].layers] == [True, False, True]


def test_extraction_leaves_the_supernet_whole(supernet):
    before = list(supernet.state_dict())
    supernet.extract({"source": "1", "layer": "linear"})
    assert list(supernet.state_dict()) == before


def test_paths_in_the_child_name_only_what_runs(supernet):
    assert supernet.paths_in_child({"source": "2", "layer": "linear"}) == ["0.layers.2"]


def test_a_choice_only_inside_what_is_left_out_has_one_canonical_form():
    class MaySkip(elastic.Partial):
        def __init__(self):
            super().__init__()
            self.runs = ValueChoice(2, name="runs")
            self.layer = OneOf({"linear": nn.Linear(4, 4), "tanh": nn.Tanh()}, name="layer")

        def forward(self, inputs):
            return self.layer(inputs) if int(self.runs) else inputs

        def unused(self):
            return iter([] if int(self.runs) else ["layer"])

    space = Supernet(MaySkip()).space
    assert space.canonical({"runs": "0", "layer": "tanh"}) == {"runs": "0", "layer": "linear"}
    assert space.canonical({"runs": "1", "layer": "tanh"}) == {"runs": "1", "layer": "tanh"}
