import numpy as np
import pytest
import torch
from torch import nn

from ray_asng import Categorical, OneOf, SearchSpace, Supernet, tasks
from ray_asng.config import SearchConfig
from ray_asng.optimizers import DrNAS, ProgressiveDrNAS
from ray_asng.optimizers.drnas import divergence_from_flat
from ray_asng.search import Search
from ray_asng.settings import SearchSettings
from ray_asng.supernets.partial_channels import PartialChannels, partial_channels_of
from ray_asng.testing.equality import difference

SPACE = SearchSpace([Categorical(name, ("u", "v", "w", "x", "y")) for name in ("a", "b")])


class Channels:
    """Notes what becomes of the channels."""

    parameters, learning_rate = (), 0.1

    def __init__(self, parts=4):
        self.partial_channels = parts
        self.checked, self.seen = [], []

    def loss(self, weights, split):
        self.seen.append(weights)
        return sum(row @ torch.linspace(1.0, 0.0, 5) for row in weights.values())

    def check_partial_channels(self, parts):
        self.checked.append(parts)

    def set_partial_channels(self, parts):
        self.partial_channels = parts


def begun(epochs=10, problem=None, **options):
    method, problem = ProgressiveDrNAS(SPACE, seed=0, **options), problem or Channels()
    method.prepare(problem, epochs)
    return method, problem


def set_beta(method, **rows):
    with torch.no_grad():
        for name, row in rows.items():
            method.beta[name].copy_(torch.tensor(row))


def test_a_stage_discards_the_options_with_the_smallest_beta_and_lets_operations_see_more():
    method, problem = begun()
    set_beta(method, a=[0.1, 0.5, -0.2, 0.3, 0.2], b=[3.0, 2.0, 1.0, 0.0, -1.0])
    for epoch in range(1, 5):
        method.on_epoch_end(epoch, 10)
        assert all(bool((row > 0.0).all()) for row in method.weights_for_step(problem).values())
    assert (method.stage, problem.partial_channels) == (0, 4)
    method.on_epoch_end(5, 10)
    weights = method.weights_for_step(problem)
    assert (method.stage, problem.partial_channels) == (1, 2)
    assert method.options == {"a": (1, 3, 4), "b": (0, 1, 2)}
    assert {name: (row > 0.0).tolist() for name, row in weights.items()} == {
        "a": [False, True, False, True, True],
        "b": [True, True, True, False, False],
    }
    assert all(float(row.sum()) == pytest.approx(1.0) for row in weights.values())
    rows = method.probabilities
    np.testing.assert_allclose(rows["b"], np.array([4.0, 3.0, 2.0, 0.0, 0.0]) / 9.0, rtol=1e-6)
    assert dict(method.most_likely()) == {"a": "v", "b": "u"}


def test_discarded_options_learn_no_more_and_do_not_return():
    method, problem = begun(regulariser=None, learning_rate=0.1)
    method.on_epoch_end(5, 10)
    method.weights_for_step(problem)
    left, before = method.options, {name: row.detach().clone() for name, row in method.beta.items()}
    for _ in range(5):
        method.architecture_step(problem)
    for name, row in method.beta.items():
        moved = [option for option in range(5) if float(row.detach()[option]) != float(before[name][option])]
        assert tuple(moved) == left[name]
    method.on_epoch_end(9, 10)
    method.weights_for_step(problem)
    assert method.options == left


def test_three_stages_discard_twice():
    method, problem = begun(9, Channels(6), partial_channels=(6, 3, 1), kept=(4, 2))
    assert problem.checked == [3, 1]
    seen = []
    for epoch in range(9):
        method.weights_for_step(problem)
        seen.append((problem.partial_channels, len(method.options["a"])))
        method.on_epoch_end(epoch + 1, 9)
    assert seen == [(6, 5)] * 3 + [(3, 4)] * 3 + [(1, 2)] * 3


def test_the_divergence_is_that_over_the_options_that_are_left():
    plain, _ = begun(regulariser=None, learning_rate=0.1)
    pulled, problem = begun(regulariser="kl", regulariser_weight=10.0, learning_rate=0.1)
    for method in (plain, pulled):
        set_beta(method, a=[2.0, 1.0, 0.5, -1.0, -3.0], b=[0.0, 0.0, 0.0, 0.0, 0.0])
        method.on_epoch_end(5, 10)
        method.weights_for_step(problem)
    rows = {name: method.beta[name].detach()[[0, 1, 2]].requires_grad_() for name in ("a",)}
    (slope,) = torch.autograd.grad(divergence_from_flat(rows), list(rows.values()))
    before = pulled.beta["a"].detach().clone()
    pulled.architecture_step(problem)
    moved = (pulled.beta["a"].detach() - before).tolist()
    # The first step of Adam is as long as its rate, against the sign of the gradient; the penalty outweighs the loss.
    assert [-np.sign(each) for each in moved[:3]] == [np.sign(each) for each in slope.tolist()]
    assert moved[3:] == [0.0, 0.0]


def resting(epochs, **options):
    method, _ = begun(epochs, **options)
    rests = []
    for epoch in range(epochs):
        rests.append(method.is_resting)
        method.on_epoch_end(epoch + 1, epochs)
    return [epoch for epoch, rest in enumerate(rests) if rest]


@pytest.mark.parametrize(
    ("epochs", "options", "expected"),
    [
        (20, {}, [0, 1, 10, 11]),  # a fifth of each stage
        (8, {}, []),
        (20, {"rest_epochs": 3}, [0, 1, 2, 10, 11, 12]),
        (20, {"rest_epochs": 0}, []),
        (20, {"stage_epochs": (5, 15)}, [0, 5, 6, 7]),
        (21, {"rest_epochs": 1}, [0, 10]),
    ],
)
def test_the_distribution_rests_at_the_beginning_of_each_stage(epochs, options, expected):
    assert resting(epochs, **options) == expected


def test_with_one_stage_it_is_drnas():
    plain = DrNAS(SPACE, seed=3, learning_rate=0.1)
    staged = ProgressiveDrNAS(SPACE, seed=3, learning_rate=0.1, partial_channels=[1], kept=[])
    for method in (plain, staged):
        for _ in range(5):
            method.architecture_step(Channels(1))
    for name, row in plain.beta.items():
        torch.testing.assert_close(staged.beta[name], row)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"partial_channels": (2, 4)}, r"fall from stage to stage.*got \(2, 4\)"),
        ({"partial_channels": (4, 0)}, "at last to 1 or more"),
        ({"partial_channels": ()}, "partial_channels are numbers of parts"),
        ({"kept": ()}, r"for each of the 1 stages after the first; got \(\)"),
        ({"kept": (1,)}, "2 or more"),
        ({"partial_channels": (4, 2, 1), "kept": (2, 3)}, "kept cannot rise"),
        ({"stage_epochs": (5,)}, "stage_epochs has the number of epochs"),
        ({"stage_epochs": (5, 0)}, "1 or more, of each of the 2 stages"),
        ({"rest_epochs": -1}, "rest_epochs must be 0 or more"),
    ],
)
def test_stages_that_make_no_sense_are_refused_at_construction(options, words):
    with pytest.raises(ValueError, match=words):
        ProgressiveDrNAS(SPACE, **options)


def config(epochs=4, **changes):
    options = {"width": 8, "cells": 1, "partial_channels": 4}
    return {
        "method": "drnas_progressive",
        "space_options": options,
        "batch_size": 16,
        "train_fraction": 0.9,
        "epochs": epochs,
        "steps_per_epoch": 4,
        "seed": 0,
        **changes,
    }


def build(**changes):
    return SearchConfig.from_mapping(config(**changes)).build_search()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epochs": 1}, "2 stages need at least 2 epochs, got a search of 1"),
        (
            {"method_options": {"stage_epochs": [1, 2]}},
            r"stage_epochs=\(1, 2\) do not fit a search of 4 epochs; give stage_epochs whose sum is 4",
        ),
        ({"method_options": {"rest_epochs": 2}}, "rest_epochs=2 leave nothing of a stage of 2 epochs"),
        (
            {"space_options": {"width": 8, "cells": 1}},
            r'partial_channels=4, the network 1: build it with "space_options": {"partial_channels": 4}',
        ),
        (
            {"method_options": {"partial_channels": [4, 3]}},
            "partial_channels=3 does not divide the 8 channels of a cell",
        ),
    ],
)
def test_a_schedule_that_does_not_fit_is_refused_before_training(changes, words):
    with pytest.raises(ValueError, match=words):
        build(**changes)


class Grouped(nn.Module):
    """Its first option cannot be widened."""

    def __init__(self):
        super().__init__()
        one = OneOf({"groups": nn.Conv2d(2, 2, 3, padding=1, groups=2), "own": Own()}, name="a")
        self.body = PartialChannels(one, 8, 4)
        self.stem, self.head = nn.Conv2d(1, 8, 1), nn.Linear(8, 10)

    def forward(self, images):
        return self.head(self.body(self.stem(images)).mean(dim=(2, 3)))


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(2))

    def forward(self, inputs):
        return self.factor[:, None, None] * inputs


def test_a_layer_that_cannot_be_widened_is_refused_before_training():
    supernet = Supernet(Grouped())
    with pytest.raises(TypeError, match="found a Own with weights of its own"):
        Search(supernet, tasks.digits(), ProgressiveDrNAS(supernet.space), SearchSettings(epochs=4))


def run(search, epochs):
    return [
        {key: value for key, value in search.run_epoch().items() if "second" not in key and "memory" not in key}
        for _ in range(epochs)
    ]


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_search_goes_on_bit_for_bit_before_and_after_a_new_stage(stop, optimizer):
    straight, stopped, resumed = (build(weight_optimizer=optimizer) for _ in range(3))
    rows = run(straight, 4)
    assert [row["stage"] for row in rows] == [1.0, 1.0, 2.0, 2.0]
    assert [row["partial_channels"] for row in rows] == [4.0, 4.0, 2.0, 2.0]
    run(stopped, stop)
    resumed.load_state_dict(stopped.state_dict())
    assert run(resumed, 4 - stop) == rows[stop:]
    assert not difference(resumed.supernet.state_dict(), straight.supernet.state_dict())
    assert not difference(resumed.weight_optimizer.state_dict(), straight.weight_optimizer.state_dict())


def test_a_search_in_its_second_stage_takes_up_a_state_of_the_first():
    early, late = build(), build()
    run(early, 1)
    state = early.state_dict()
    run(late, 3)
    late.load_state_dict(state)
    assert partial_channels_of(late.supernet) == 4
    assert late.optimizer.stage == 0
    assert run(late, 3) == run(early, 3)


def test_options_that_are_discarded_cost_no_passes():
    search = build(steps_per_epoch=10, method_options={"kept": [2]})
    counts = [row["forward_passes"] for row in run(search, 4)]
    assert counts[1] - counts[0] == 10 * 2 * 5
    assert counts[3] - counts[2] == 10 * 2 * 2
    assert search.optimizer.cost.forward == 4.0


def test_no_architecture_step_is_made_while_the_distribution_rests():
    search = build(epochs=6, method_options={"rest_epochs": 1})
    evaluations = [row["evaluations"] for row in run(search, 6)]
    assert evaluations == [0, 4, 8, 8, 12, 16]


class Planted(nn.Module):
    """Behind a stem, choices of which one option is of use."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8))
        self.body = nn.Sequential(*(PartialChannels(self._choice(name), 8, 4) for name in ("a", "b")))
        self.head = nn.Linear(8 * 16, 10)

    @staticmethod
    def _choice(name):
        options = {"lost": Lost(0.0), "also lost": Lost(0.1), "kept": nn.Identity(), "negative": Lost(-0.1)}
        return OneOf(options, name=name)

    def forward(self, images):
        return self.head(torch.relu(nn.functional.avg_pool2d(self.body(self.stem(images)), 2)).flatten(1))


class Lost(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, inputs):
        return self.factor * inputs


def test_a_search_in_stages_finds_the_options_that_let_the_images_through():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        supernet = Supernet(Planted())
    method = ProgressiveDrNAS(supernet.space, seed=0, learning_rate=0.1, kept=(2,))
    settings = SearchSettings(epochs=6, steps_per_epoch=20, batch_size=64, lr=0.1)
    search = Search(supernet, tasks.digits(), method, settings)
    run(search, 6)
    assert dict(search.architecture) == {"a": "kept", "b": "kept"}
    assert all(2 in options for options in method.options.values())
    assert partial_channels_of(supernet) == 2
