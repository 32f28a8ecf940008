"""Retraining from scratch: the recipe, exact recovery, what is measured."""

import math

import pytest
import torch
from torch import nn

from ray_asng import Supernet, registry, tasks
from ray_asng.randomness import drawing_from
from ray_asng.retrain import Retraining, RetrainSettings, count_flops, drop_path
from ray_asng.supernets.nasbench201 import NASBench201
from ray_asng.tally import Tally

EDGES = ("edge_0_1", "edge_0_2", "edge_1_2", "edge_0_3", "edge_1_3", "edge_2_3")
TIMES = {"samples_per_second", "wall_seconds", "device_seconds", "peak_memory_bytes"}


def retraining(operation="nor_conv_3x3", width=4, **settings):
    with drawing_from(torch.Generator().manual_seed(0)):
        supernet = Supernet(NASBench201(width=width, cells=1, in_channels=1, affine=True))
    found = dict.fromkeys(EDGES, operation)
    child = supernet.extract(found)
    recipe = RetrainSettings(**{"epochs": 3, "batch_size": 128, **settings})
    return Retraining(child, tasks.digits(), recipe, choice_paths=supernet.paths_in_child(found), seed=1)


def run(one, epochs):
    return [{k: v for k, v in one.run_epoch().items() if k not in TIMES} for _ in range(epochs)]


@pytest.mark.parametrize(
    "settings",
    [{}, {"drop_path": 0.3, "ema": 0.9, "label_smoothing": 0.1}, {"weight_optimizer": "adamw", "schedule": "linear"}],
)
def test_a_resumed_retraining_goes_on_bit_for_bit(settings):
    straight, stopped, resumed = (retraining(**settings) for _ in range(3))
    rows = run(straight, 3)
    run(stopped, 1)
    torch.rand(3)
    resumed.load_state_dict(stopped.state_dict())
    assert run(resumed, 2) == rows[1:]


@pytest.mark.slow
def test_a_retrained_child_reaches_98_percent_on_digits():
    child = retraining(width=8, epochs=20, batch_size=64)
    assert run(child, 20)[-1]["test_accuracy"] >= 0.98


def test_the_measured_network_is_the_moving_average_if_there_is_one():
    plain, averaged = retraining(ema=0.0), retraining(ema=0.99)
    assert plain.network is plain.child
    assert averaged.network is not averaged.child
    first, second = run(plain, 1)[0], run(averaged, 1)[0]
    assert first["train_loss"] == second["train_loss"]
    assert first["test_loss"] != second["test_loss"]


def test_label_smoothing_is_in_the_training_loss_only():
    hard, soft = retraining(), retraining(label_smoothing=0.2)
    assert run(soft, 1)[0]["train_loss"] != run(hard, 1)[0]["train_loss"]
    assert soft.task.loss(torch.zeros(1, 10), torch.zeros(1, dtype=torch.long)) == pytest.approx(2.302585)


def test_drop_path_keeps_the_mean_and_drops_whole_examples():
    with drawing_from(torch.Generator().manual_seed(0)):
        dropped = drop_path(torch.ones(4000, 3, 2), 0.25)
    per_example = dropped.flatten(1)
    assert ((per_example == 0).all(1) | torch.isclose(per_example, torch.tensor(4 / 3)).all(1)).all()
    assert float(dropped.mean()) == pytest.approx(1.0, abs=0.04)


def test_drop_path_leaves_no_hook_behind():
    one = retraining(drop_path=0.5)
    run(one, 2)
    assert not any(module._forward_hooks for module in one.child.modules())


def test_drop_path_acts_on_the_chosen_operations():
    """Without any skip connection, dropping changes the training loss from the second epoch on."""
    plain, dropping = run(retraining(), 2), run(retraining(drop_path=0.5), 2)
    assert plain[0]["train_loss"] == dropping[0]["train_loss"]
    assert plain[1]["train_loss"] != dropping[1]["train_loss"]


def test_flops_are_two_for_each_multiply_add():
    class Flat(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(64, 10)

        def forward(self, x):
            return self.layer(x.flatten(1))

    assert count_flops(Flat(), tasks.digits()) == 2 * 64 * 10


def test_the_child_of_another_architecture_is_refused():
    state = retraining().state_dict()
    with pytest.raises(ValueError, match="other layers"):
        retraining("nor_conv_1x1").load_state_dict(state)


@pytest.mark.parametrize("settings", [{"epochs": 0}, {"lr": 0.0}, {"ema": 1.0}, {"drop_path": -0.1}])
def test_a_recipe_without_meaning_is_refused(settings):
    with pytest.raises(ValueError, match="got"):
        RetrainSettings(**settings)


def test_an_unknown_field_of_the_recipe_is_named():
    with pytest.raises(ValueError, match=r"unknown field 'droppath'.* did you mean 'drop_path'"):
        RetrainSettings.from_mapping({"droppath": 0.1})


def test_flops_are_those_of_convolutions_and_linear_layers_and_not_of_pooling():
    supernet = Supernet(NASBench201(width=4, cells=1, in_channels=1))

    def flops(operation):
        return count_flops(supernet.extract(dict.fromkeys(supernet.space.names, operation)), tasks.digits())

    assert flops("avg_pool_3x3") == flops("none") == flops("skip_connect") < flops("nor_conv_1x1")


def test_a_retraining_takes_a_weight_optimizer_and_a_schedule_of_the_users_own():
    rmsprop = retraining(
        weight_optimizer=lambda parameters: torch.optim.RMSprop(parameters, lr=0.01), schedule="linear"
    )
    assert isinstance(rmsprop.weight_optimizer, torch.optim.RMSprop)
    rates = [row["learning_rate"] for row in run(rmsprop, 3)]
    steps = rmsprop.stream.batches_per_pass
    assert rates == pytest.approx([0.01 * (1 - (epoch * steps - 1) / (3 * steps)) for epoch in (1, 2, 3)])


@pytest.mark.parametrize("wrong", [{"weight_optimizer": "adam"}, {"schedule": "step"}])
def test_unknown_names_in_a_recipe_are_refused(wrong):
    with pytest.raises(ValueError, match=f"unknown {next(iter(wrong))}"):
        RetrainSettings(**wrong)


# A second head, and networks that draw


def retraining_in(space, operation, size=8, *, options=None, **settings):
    """Of an architecture with one operation everywhere."""
    with drawing_from(torch.Generator().manual_seed(0)):
        supernet = Supernet(registry.spaces[space](width=2, cells=3, in_channels=1, affine=True, **(options or {})))
    found = {
        decision.name: operation if operation in decision.options else decision.options[0]
        for decision in supernet.space.categorical
    }
    recipe = RetrainSettings(**{"epochs": 2, "batch_size": 400, **settings})
    task = tasks.digits(size=size)
    return Retraining(supernet.extract(found), task, recipe, choice_paths=supernet.paths_in_child(found), seed=1)


TWO_HEADS = {"size": 32, "options": {"auxiliary": True}}


@pytest.mark.parametrize(("space", "operation"), [("darts", "skip_connect"), ("enas_micro", "avg_pool_3x3")])
def test_the_auxiliary_loss_counts_with_its_weight(space, operation):
    """Of one step: a second head that gives all classes the same score has a loss of log 10."""
    losses = []
    for weight in (0.4, 1.0):
        one, tally = retraining_in(space, operation, **TWO_HEADS, auxiliary_weight=weight, batch_size=64), Tally()
        nn.init.zeros_(one.child.auxiliary_head.classifier.weight)
        nn.init.zeros_(one.child.auxiliary_head.classifier.bias)
        one.child.train()
        one._train_step(tally)
        losses.append(tally.loss)
    assert losses[1] - losses[0] == pytest.approx(0.6 * math.log(10), rel=1e-3)


def test_the_auxiliary_head_learns_and_counts_as_no_part_of_the_network():
    one = retraining_in("darts", "skip_connect", **TWO_HEADS, auxiliary_weight=0.4, epochs=1)
    without = retraining_in("darts", "skip_connect", size=32, epochs=1)
    before = [parameter.detach().clone() for parameter in one.child.auxiliary_head.parameters()]
    row = one.run_epoch()
    assert all(not torch.equal(a, b) for a, b in zip(before, one.child.auxiliary_head.parameters(), strict=True))
    assert (row["parameters"], row["flops"]) == (without.parameters, without.flops)


def test_to_try_the_auxiliary_head_leaves_no_trace():
    one = retraining_in("darts", "skip_connect", **TWO_HEADS, auxiliary_weight=0.4)
    assert all(int(part.num_batches_tracked) == 0 for part in one.child.modules() if isinstance(part, nn.BatchNorm2d))
    assert one.noise[0].get_state().equal(retraining_in("darts", "skip_connect").noise[0].get_state())


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"auxiliary_weight": 0.4}, "auxiliary_weight=0.4 .* this network has none: build it with auxiliary=True"),
        (TWO_HEADS, "learns nothing with auxiliary_weight=0: .* the published 0.4, or build .* auxiliary=False"),
        ({**TWO_HEADS, "size": 28, "auxiliary_weight": 0.4}, "at least 29 x 29, or build .* with auxiliary=False"),
        ({"auxiliary_weight": -1.0}, "auxiliary_weight must be .*0.* got -1"),
    ],
)
def test_a_weight_without_head_a_head_without_weight_and_images_too_small_for_it_are_refused(config, message):
    with pytest.raises(ValueError, match=message):
        retraining_in("darts", "skip_connect", **config)


def test_drop_path_leaves_identities_alone():
    """As published: in the ENAS micro space all operations of a normal cell can be skip connections."""
    dropping = retraining_in("enas_micro", "skip_connect", drop_path=0.5)
    hooked = []
    dropping.epoch = 1
    with dropping._dropping_paths():
        hooked = [module for module in dropping.child.modules() if module._forward_hooks]
    assert hooked
    assert not any(isinstance(module, nn.Identity) for module in hooked)
    assert len(hooked) < len(dropping.choice_paths)


def test_a_resumed_retraining_with_noise_and_two_heads_goes_on_bit_for_bit():
    settings = {**TWO_HEADS, "auxiliary_weight": 0.4, "drop_path": 0.3, "epochs": 3, "batch_size": 720}
    straight, stopped, resumed = (retraining_in("s4", "noise", **settings) for _ in range(3))
    rows = run(straight, 3)
    run(stopped, 1)
    torch.rand(3)
    resumed.load_state_dict(stopped.state_dict())
    assert run(resumed, 2) == rows[1:]


def test_to_measure_a_network_that_draws_changes_neither_the_training_nor_the_global_state():
    before = torch.get_rng_state()
    often, once = (retraining_in("s4", "noise") for _ in range(2))
    measured = [often.evaluate("test") for _ in range(2)]
    assert measured[0] == measured[1]
    assert run(often, 2) == run(once, 2)
    assert torch.equal(before, torch.get_rng_state())
