"""DARTS-PT: what is kept is what the mixture misses most, and when decisions are made."""

import numpy as np
import pytest
import torch
from torch import nn

from ray_asng import Categorical, OneOf, SearchSpace, Supernet, tasks
from ray_asng.optimizers import DARTS, DARTSPT
from ray_asng.optimizers.darts_pt import decisions_due, most_missed
from ray_asng.search import Search
from ray_asng.settings import SearchSettings
from ray_asng.testing.mixing import PlantedProblem

SPACE = SearchSpace([Categorical(name, ("x", "y", "z")) for name in "abcdef"])


class Missing(PlantedProblem):
    """The loss that guides the logits prefers the last option; the mixture misses the first one most."""

    def evaluate(self, weights):
        self.asked = [*getattr(self, "asked", []), weights]
        return -sum(float(row[0]) for row in weights.values())


def test_the_option_without_which_the_loss_is_highest_is_kept():
    problem = Missing(SPACE)
    weights = {name: torch.tensor([0.1, 0.3, 0.6]) for name in SPACE.names}
    assert most_missed(problem, weights, "b") == 0
    assert [sorted(asked["b"].tolist()) for asked in problem.asked] == [
        pytest.approx([0.0, 0.3, 0.6]),
        pytest.approx([0.0, 0.1, 0.6]),
        pytest.approx([0.0, 0.1, 0.3]),
    ]
    assert all(torch.equal(asked["a"], weights["a"]) for asked in problem.asked)
    assert weights["b"].tolist() == pytest.approx([0.1, 0.3, 0.6])


def test_a_removal_that_breaks_the_loss_hurts_most():
    problem = Missing(SPACE)
    problem.evaluate = lambda weights: float("nan") if weights["a"][1] == 0.0 else 1.0
    assert most_missed(problem, {"a": torch.tensor([0.3, 0.3, 0.4])}, "a") == 1


def test_the_published_schedule_on_nasbench201():
    """25 of 125 epochs; a decision before the first of them, after every 5, and before the last."""
    due = [decisions_due(epoch, 125, 0.2, 6) for epoch in range(126)]
    made_after = [epoch for epoch in range(1, 126) if due[epoch] > due[epoch - 1]]
    assert made_after == [100, 105, 110, 115, 120, 124]
    assert due[-1] == 6


@pytest.mark.parametrize("decisions", [1, 2, 6, 28])
@pytest.mark.parametrize("epochs", [2, 3, 7, 20, 100])
def test_all_decisions_are_made_before_the_last_epoch(epochs, decisions):
    due = [decisions_due(epoch, epochs, 0.3, decisions) for epoch in range(epochs)]
    assert due == sorted(due)
    assert due[-1] == decisions
    assert due[epochs - max(1, round(0.3 * epochs)) - 1] == 0


def advance(optimizer, problem, first, last, epochs=10):
    for epoch in range(first, last + 1):
        optimizer.weights_for_step(problem)
        optimizer.architecture_step(problem)
        optimizer.on_epoch_end(epoch, epochs)


def test_decisions_follow_the_removal_and_not_the_weight():
    settings = {"learning_rate": 0.1, "tuning_share": 0.5}
    optimizer, plain = DARTSPT(SPACE, **settings), DARTS(SPACE, learning_rate=0.1)
    advance(optimizer, Missing(SPACE), 1, 10)
    advance(plain, Missing(SPACE), 1, 10)
    assert set(plain.most_likely().values()) == {"z"}
    assert set(optimizer.most_likely().values()) == {"x"}
    assert set(optimizer.finalize(lambda architecture: 0.0).values()) == {"x"}
    assert optimizer.metrics()["decided"] == 6.0


def test_until_the_tuning_phase_it_is_darts_to_the_bit():
    optimizer, plain, problem = DARTSPT(SPACE, seed=4), DARTS(SPACE, seed=4), Missing(SPACE)
    advance(optimizer, problem, 1, 8)
    advance(plain, problem, 1, 8)
    assert all(torch.equal(optimizer.logits[name], plain.logits[name]) for name in SPACE.names)
    assert not hasattr(problem, "asked")
    advance(optimizer, problem, 9, 9)
    assert len(optimizer.decided) == 3


def test_a_made_decision_stands_alone_and_the_others_go_on_learning():
    optimizer, problem = DARTSPT(SPACE, learning_rate=0.1, tuning_share=0.6), Missing(SPACE)
    advance(optimizer, problem, 1, 5)
    (name,) = optimizer.decided
    other = next(each for each in SPACE.names if each != name)
    assert optimizer.weights_for_training()[name].tolist() == [1.0, 0.0, 0.0]
    assert optimizer.probabilities[name].tolist() == [1.0, 0.0, 0.0]
    before = optimizer.probabilities[other]
    optimizer.architecture_step(problem)
    assert optimizer.probabilities[other][2] > before[2]
    assert not any(row.requires_grad for row in optimizer.weights_for_training().values())


def test_the_order_of_decisions_is_drawn():
    def order(seed):
        optimizer = DARTSPT(SPACE, seed=seed, tuning_share=0.6)
        advance(optimizer, Missing(SPACE), 1, 10)
        return tuple(optimizer.decided)

    orders = {order(seed) for seed in range(8)}
    assert len(orders) > 4
    assert all(sorted(names) == sorted(SPACE.names) for names in orders)
    assert order(0) == order(0)


def keeping(count):
    """A rule that compares decisions: the strongest `count` keep their options, the others get 'z'."""

    def derive(probabilities):
        weakest_first = sorted(probabilities, key=lambda name: max(probabilities[name]))
        return dict.fromkeys(weakest_first[: len(probabilities) - count], "z")

    return derive


class Graded(Missing):
    """Decisions are missed the more the later they come in the alphabet."""

    def evaluate(self, weights):
        return -sum(place * float(weights[name][0]) for place, name in enumerate("abcdef", start=1))


def test_a_space_that_compares_decisions_keeps_those_that_are_missed_most():
    space = SearchSpace(SPACE.decisions, derive=keeping(2))
    optimizer, problem = DARTSPT(space, tuning_share=0.5), Graded(space)
    advance(optimizer, problem, 1, 10)
    assert dict(optimizer.most_likely()) == {**dict.fromkeys("abcd", "z"), "e": "x", "f": "x"}
    taker = DARTSPT(space, seed=1)
    taker.load_state_dict(optimizer.state_dict())
    assert taker.most_likely() == optimizer.most_likely()


@pytest.mark.parametrize("taken", range(3, 10))
def test_it_resumes_bit_for_bit_within_the_tuning_phase(taken):
    settings = {"learning_rate": 0.1, "tuning_share": 0.6}
    straight, taker, problem = DARTSPT(SPACE, **settings), DARTSPT(SPACE, seed=1, **settings), Missing(SPACE)
    advance(straight, problem, 1, taken)
    taker.load_state_dict(straight.state_dict())
    advance(straight, problem, taken + 1, 10)
    advance(taker, problem, taken + 1, 10)
    assert list(taker.decided.items()) == list(straight.decided.items())
    assert all(np.array_equal(taker.probabilities[name], straight.probabilities[name]) for name in SPACE.names)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.2])
def test_a_share_that_is_no_part_is_refused(share):
    with pytest.raises(ValueError, match="tuning_share is a part of the epochs"):
        DARTSPT(SPACE, tuning_share=share)


class Overshadowed(nn.Module):
    """Half of an image through a choice of a layer that sees it and of one that sees nothing."""

    def __init__(self):
        super().__init__()
        self.sides = nn.ModuleList(
            OneOf({"blind": nn.Sequential(Nothing(), nn.Linear(32, 10)), "seeing": nn.Linear(32, 10)}, name=name)
            for name in ("left", "right")
        )

    def forward(self, images):
        left, right = images.flatten(1).split(32, dim=1)
        return self.sides[0](left) + self.sides[1](right)


class Nothing(nn.Module):
    """Zeros."""

    def forward(self, inputs):
        return torch.zeros_like(inputs)


@pytest.mark.parametrize("seed", range(10))
def test_a_trained_supernet_keeps_the_layer_whose_removal_hurts_although_its_weight_is_small(seed):
    """The logits are set against it, and hardly move."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # of the initial weights
        supernet = Supernet(Overshadowed())
    optimizer = DARTSPT(supernet.space, seed=seed, learning_rate=1e-6, tuning_share=0.5)
    with torch.no_grad():
        for row in optimizer.logits.values():
            row.copy_(torch.tensor([1.0, -1.0]))
    settings = SearchSettings(epochs=2, steps_per_epoch=20, batch_size=64, lr=0.2)
    search = Search(supernet, tasks.digits(), optimizer, settings)
    assert set(search.architecture.values()) == {"blind"}
    first, second = search.run_epoch(), search.run_epoch()
    assert (first["decided"], second["decided"]) == (0.0, 2.0)
    assert set(search.architecture.values()) == {"seeing"}


def test_evaluations_of_mixtures_are_counted_and_leave_no_trace():
    supernet = Supernet(Overshadowed())
    search = Search(supernet, tasks.digits(), DARTSPT(supernet.space), SearchSettings(epochs=1, batch_size=64))
    weights = {name: torch.tensor([0.5, 0.5]) for name in supernet.space.names}
    steps, modes = search._steps, [part.training for part in supernet.modules()]
    loss = steps.evaluate(weights)
    assert loss == steps.evaluate(weights)
    assert search.evaluations == 2
    assert search.passes.forward == pytest.approx(2 * 2 * min(search.task.size("valid"), 2048) / 64)
    assert search.passes.backward == 0.0
    assert [part.training for part in supernet.modules()] == modes
    assert all(parameter.grad is None for parameter in search.parameters)
    one_hot = {name: torch.tensor([0.0, 1.0]) for name in supernet.space.names}
    path, _ = search.evaluate(dict.fromkeys(supernet.space.names, "seeing"))
    assert steps.evaluate(one_hot) == pytest.approx(path)
