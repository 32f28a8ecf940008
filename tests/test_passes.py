"""What a search counts: passes of every method, and epochs of equal passes."""

import pytest
import torch
from torch import nn

from ray_asng import OneOf, Supernet, registry, tasks
from ray_asng.config import SearchConfig
from ray_asng.optimizers.gdas import GDAS
from ray_asng.search import Search
from ray_asng.settings import SearchSettings

SMALL = {"space_options": {"width": 4, "cells": 1}, "batch_size": 16, "train_fraction": 0.95, "seed": 0}
FEW = {name: {"candidates": 5} for name in ("random_search", "rsps")}
FEW |= {name: {"population": 3, "generations": 2, "crossovers": 1, "mutations": 1} for name in ("spos", "fairnas")}
# What a method asks of the network.
NETWORKS = {"pc_darts": {"edge_weights": True, "partial_channels": 2}, "drnas_progressive": {"partial_channels": 4}}


def build(method="asng", **settings):
    own = {
        "method_options": FEW.get(method, {}),
        "space_options": {**SMALL["space_options"], **NETWORKS.get(method, {})},
    }
    return SearchConfig.from_mapping({**SMALL, "method": method, **own, **settings}).build_search()


@pytest.mark.parametrize("method", list(registry.methods))
def test_a_method_declares_the_passes_that_are_counted(method):
    search = build(method, epochs=2, steps_per_epoch=10)
    report = search.run_epoch()
    assert report["steps"] == 10
    assert report["forward_passes"] / 10 == pytest.approx(search.optimizer.cost.forward)
    assert report["backward_passes"] / 10 == pytest.approx(search.optimizer.cost.backward)


@pytest.mark.parametrize("method", ["asng", "rsps", "gdas", "drnas"])
def test_epochs_of_equal_passes_end_within_a_step_of_them(method):
    search = build(method, epochs=3, passes_per_epoch=50)
    step = search.optimizer.cost.forward + search.optimizer.cost.backward
    for epoch in (1, 2):
        search.run_epoch()
        assert 50 * epoch <= search.passes.total < 50 * epoch + step + 1


def test_the_learning_rate_falls_with_the_passes():
    search = build(epochs=2, passes_per_epoch=60, lr=0.1)
    first, last = (search.run_epoch()["learning_rate"] for _ in range(2))
    assert 0.05 < first < 0.065  # a cosine's half way, a step before it
    assert 0.0 < last < 0.01


def test_an_epoch_has_at_least_one_step():
    assert build(epochs=1, passes_per_epoch=0.5).run_epoch()["steps"] == 1


def test_ranking_at_the_end_is_counted():
    search = build("random_search", epochs=1, steps_per_epoch=1, train_fraction=0.5)
    report = search.run_epoch()
    assert report["forward_passes"] == pytest.approx(4 + 5 * search.task.size("valid") / 16)
    assert report["evaluations"] == 2 + 5


def test_looking_at_the_likeliest_path_is_not_counted():
    search = build(epochs=1, steps_per_epoch=1)
    search.run_epoch()
    before = search.passes.total
    search.evaluate(search.architecture)
    assert search.passes.total == before


def test_validation_losses_that_no_method_asks_for_are_taken_every_tenth_step():
    search = build(epochs=2, steps_per_epoch=20, warmup_epochs=1)
    assert (search.run_epoch()["forward_passes"], search.evaluations) == (20 * 2 + 2 * 2, 0)
    assert (search.run_epoch()["forward_passes"], search.evaluations) == (44 + 20 * 4, 40)


def test_a_method_that_learns_from_training_losses_alone_has_a_validation_loss_too():
    search = build("gaea", method_options={"split": "train"}, epochs=1, steps_per_epoch=20)
    report = search.run_epoch()
    assert report["valid_loss"] > 0.0
    assert report["forward_passes"] == 20 * 10 + 2 * 5


def test_both_lengths_of_an_epoch_are_refused():
    with pytest.raises(ValueError, match="steps_per_epoch=3 and passes_per_epoch=50 both say"):
        SearchSettings(steps_per_epoch=3, passes_per_epoch=50)


def test_gdas_runs_nothing_but_its_path():
    class Counting(nn.Linear):
        calls = 0

        def forward(self, inputs):
            self.calls += 1
            return super().forward(inputs)

    options = {name: Counting(64, 10) for name in ("a", "b", "c")}
    supernet = Supernet(nn.Sequential(nn.Flatten(), OneOf(options, name="layer")))
    search = Search(supernet, tasks.digits(), GDAS(supernet.space), SearchSettings(epochs=1, steps_per_epoch=5))
    for option in options.values():
        option.calls = 0  # the search has tried a few paths
    search._steps.weight_step(_tally())
    search._steps.architecture_step(_tally(), learn=True)
    assert sum(option.calls for option in options.values()) == 2


def test_an_unrolled_step_knows_decay_and_momentum():
    search = build("darts_2nd", epochs=1, steps_per_epoch=1, weight_decay=0.1, momentum=0.9)
    search._steps.weight_step(_tally())
    parameter = search.parameters[0]
    gradient = torch.ones_like(parameter)
    (direction,) = search._steps.weight_direction([parameter], [gradient])
    buffer = search.weight_optimizer.state[parameter]["momentum_buffer"]
    assert buffer.abs().sum() > 0.0
    expected = parameter.detach().clone()
    probe = torch.optim.SGD([parameter], lr=0.5, momentum=0.9, weight_decay=0.1)
    probe.state[parameter]["momentum_buffer"] = buffer.clone()
    parameter.grad = gradient
    probe.step()
    torch.testing.assert_close(parameter.detach(), expected - 0.5 * direction)


def _tally():
    from ray_asng.tally import Tally

    return Tally()


def test_a_weight_step_can_have_fewer_paths_than_an_architecture_step():
    search = build(epochs=1, steps_per_epoch=10, samples=4, weight_samples=1)
    report = search.run_epoch()
    assert (report["forward_passes"], report["backward_passes"], search.evaluations) == (10 * 5, 10, 40)
