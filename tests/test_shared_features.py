"""What all paths of a step have in common runs once, with the gradients that each path by itself would give."""

import pytest
import torch
from torch import nn

from ray_asng import OneOf, Supernet, tasks
from ray_asng.optimizers import ASNG, DARTS
from ray_asng.search import Search
from ray_asng.settings import SearchSettings
from ray_asng.tally import Tally


class Whole(nn.Module):
    """Two inputs to the choice, so that features are more than one tensor."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Flatten(), nn.Linear(64, 8))
        self.side = nn.Sequential(nn.Flatten(), nn.Linear(64, 8))
        self.first = OneOf({"a": nn.Linear(8, 8), "b": nn.Sequential(nn.Linear(8, 8), nn.Tanh())}, name="first")
        self.head = nn.Linear(8, 10)
        self.runs = 0
        self.stem.register_forward_hook(self.count)

    def count(self, *_):
        self.runs += 1

    def forward(self, images):
        return self.head(self.first(self.stem(images)) + self.side(images))


class InParts(Whole):
    def before_choices(self, images):
        return self.stem(images), self.side(images)

    def with_choices(self, stem, side):
        return self.head(self.first(stem) + side)


def search_on(module, device="cpu", method=ASNG, samples=None):
    torch.manual_seed(0)
    supernet = Supernet(module())
    settings = SearchSettings(epochs=2, steps_per_epoch=3, batch_size=16, samples=samples)
    search = Search(supernet, tasks.digits(), method(supernet.space), settings, seed=3, device=device)
    for network in search.replicas.networks:
        network.module.runs = 0  # the search has tried a few paths
    return search


@pytest.mark.parametrize("method", [ASNG, DARTS])
def test_a_search_on_a_network_in_parts_computes_what_one_on_the_whole_network_computes(method):
    whole, in_parts = (search_on(module, method=method) for module in (Whole, InParts))
    for _ in range(2):
        one, other = whole.run_epoch(), in_parts.run_epoch()
        assert one["architecture"] == other["architecture"]
        assert other["train_loss"] == pytest.approx(one["train_loss"], rel=1e-5)
        assert other["valid_loss"] == pytest.approx(one["valid_loss"], rel=1e-5)
    for mine, theirs in zip(in_parts.parameters, whole.parameters, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("samples", [2, 4])
def test_the_shared_layers_run_once_a_step_whatever_the_number_of_paths(samples):
    whole, in_parts = (search_on(module, samples=samples) for module in (Whole, InParts))
    for search, runs in ((whole, samples), (in_parts, 1)):
        search._steps.weight_step(Tally())
        assert search.supernet.module.runs == runs
        search._steps.architecture_step(Tally(), learn=True)
        assert search.supernet.module.runs == 2 * runs


@pytest.mark.parametrize(("devices", "samples"), [(2, 2), (2, 3), (3, 5)])
def test_paths_on_several_devices_share_features_bit_for_bit_as_on_one(devices, samples):
    one, several = search_on(InParts, samples=samples), search_on(InParts, ["cpu"] * devices, samples=samples)
    for _ in range(2):
        expected, got = one.run_epoch(), several.run_epoch()
        assert (got["train_loss"], got["valid_loss"]) == (expected["train_loss"], expected["valid_loss"])
    assert all(torch.equal(a, b) for a, b in zip(one.parameters, several.parameters, strict=True))
    assert [network.module.runs for network in several.replicas.networks[1:]] == [0] * (devices - 1)


def test_an_attribute_that_happens_to_have_one_of_the_names_does_not_make_parts():
    class Named(Whole):
        def __init__(self):
            super().__init__()
            self.before_choices = nn.Identity()

    search = search_on(Named)
    search._steps.weight_step(Tally())
    assert search.supernet.module.runs == 2
