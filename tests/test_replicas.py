"""A search on several devices: what it computes is what one device computes."""

import copy

import pytest
import torch
from torch import nn

from ray_asng import OneOf, Supernet, tasks
from ray_asng.config import SearchConfig
from ray_asng.optimizers.asng import ASNG
from ray_asng.optimizers.darts import DARTS
from ray_asng.search import Search
from ray_asng.settings import SearchSettings
from ray_asng.tally import Tally

TIMES = {"samples_per_second", "wall_seconds", "device_seconds", "peak_memory_bytes"}


class Net(nn.Module):
    """A small network with dropout, and with running statistics if asked for."""

    def __init__(self, *, has_statistics=False, dropout=0.3):
        super().__init__()
        self.norm = nn.BatchNorm1d(64, affine=False, track_running_stats=has_statistics)
        self.layers = nn.ModuleList(
            OneOf(
                {
                    "linear": nn.Linear(64, 64),
                    "deep": nn.Sequential(nn.Linear(64, 64), nn.Tanh()),
                    "skip": nn.Identity(),
                }
            )
            for _ in range(3)
        )
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(64, 10))

    def forward(self, x):
        x = self.norm(x.flatten(1))
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


def search_on(devices, samples=2, seed=0, module=None, weight_samples=None):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        supernet = Supernet(module or Net())
    settings = SearchSettings(
        epochs=3, steps_per_epoch=4, batch_size=32, samples=samples, weight_samples=weight_samples
    )
    return Search(supernet, tasks.digits(), ASNG(supernet.space, seed), settings, seed=seed, device=devices)


def rows(search, epochs=3):
    return [{k: v for k, v in search.run_epoch().items() if k not in TIMES} for _ in range(epochs)]


def weights_equal(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize(("devices", "samples"), [(2, 2), (2, 3), (4, 4), (3, 5)])
def test_several_devices_compute_what_one_computes_bit_for_bit(devices, samples):
    one, several = search_on("cpu", samples), search_on(["cpu"] * devices, samples)
    assert len(several.replicas.networks) == devices
    assert rows(several) == rows(one)
    assert weights_equal(several.supernet, one.supernet)


def test_every_device_runs_its_share_of_the_paths():
    search = search_on(["cpu", "cpu", "cpu"], samples=6)
    runs = [0, 0, 0]
    for place, network in enumerate(search.replicas.networks):
        network.module.register_forward_pre_hook(lambda *_, place=place: runs.__setitem__(place, runs[place] + 1))
    search._steps.weight_step(Tally())
    assert runs == [2, 2, 2]


def test_the_copies_hold_the_weights_and_statistics_of_the_first_after_every_epoch():
    search = search_on(["cpu", "cpu"], module=Net(has_statistics=True))
    before = search.supernet.module.norm.running_mean.clone()
    for _ in range(2):
        search.run_epoch()
        first, copied = search.replicas.networks
        assert weights_equal(first, copied)
        assert all(torch.equal(a, b) for a, b in zip(first.buffers(), copied.buffers(), strict=True))
    assert not torch.equal(search.supernet.module.norm.running_mean, before)


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 2)])
def test_a_search_goes_on_bit_for_bit_on_another_number_of_devices(before, after):
    straight, stopped, resumed = search_on("cpu"), search_on(["cpu"] * before), search_on(["cpu"] * after)
    expected = rows(straight)
    rows(stopped, 1)
    resumed.load_state_dict(stopped.state_dict())
    assert rows(resumed, 2) == expected[1:]


def test_more_devices_than_paths_of_a_step_are_refused():
    with pytest.raises(ValueError, match=r"2 paths cannot occupy 3 devices; set samples=3, or give the search 2"):
        search_on(["cpu"] * 3)


def test_more_devices_than_paths_of_a_weight_step_are_refused():
    with pytest.raises(
        ValueError, match=r"1 paths cannot occupy 2 devices; set weight_samples=2, or give the search 1"
    ):
        search_on(["cpu"] * 2, weight_samples=1)


def test_devices_of_two_kinds_are_refused():
    with pytest.raises(ValueError, match="must be of one kind"):
        search_on(["cpu", "meta"])


def test_a_method_that_mixes_is_refused_on_several_devices():
    supernet = Supernet(Net())
    with pytest.raises(ValueError, match="DARTS runs one mixture a step, which occupies one device; it was given 2"):
        Search(supernet, tasks.digits(), DARTS(supernet.space), device=["cpu", "cpu"])
    with pytest.raises(ValueError, match=r"darts runs one mixture a step, which occupies one GPU; got gpus=2"):
        SearchConfig.from_mapping({"seed": 0, "method": "darts", "gpus": 2})


@pytest.mark.gpu
def test_two_gpus_compute_what_one_computes():
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two CUDA devices")
    # Without dropout, whose masks each device draws for itself.
    one = search_on("cuda:0", module=Net(dropout=0.0))
    two = search_on(["cuda:0", "cuda:1"], module=copy.deepcopy(one.supernet.module))
    for expected, got in zip(rows(one), rows(two), strict=True):
        assert got["train_loss"] == pytest.approx(expected["train_loss"], rel=1e-3)
    assert weights_equal(two.supernet, two.replicas.networks[1].to("cuda:0"))
