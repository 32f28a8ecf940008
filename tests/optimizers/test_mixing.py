"""Mixing methods on small problems with known gradients; first-order DARTS and GAEA in full."""

import numpy as np
import pytest
import torch

from ray_asng import Categorical, Integer, SearchSpace
from ray_asng.optimizers import DARTS, GAEA
from ray_asng.optimizers.darts_2nd import SecondOrderDARTS
from ray_asng.optimizers.drnas import DrNAS
from ray_asng.optimizers.gaea import exponentiated_step
from ray_asng.optimizers.gaea_gdas import GAEAGDAS
from ray_asng.optimizers.gdas import GDAS
from ray_asng.optimizers.snas import SNAS
from ray_asng.testing.mixing import PlantedProblem

SPACE = SearchSpace([Categorical("a", ("x", "y", "z")), Categorical("b", ("x", "y"))])

METHODS = [DARTS, SecondOrderDARTS, SNAS, GDAS, GAEA, GAEAGDAS, DrNAS]


SLOPES = {"a": torch.tensor([1.0, 0.0, 2.0]), "b": torch.tensor([0.0, 1.0])}


class Linear:
    """A loss that is linear in the mixing weights, so that its gradient is known."""

    parameters = ()
    learning_rate = 0.1

    def __init__(self, reached=("a", "b"), split="valid"):
        self.split = split
        self.slopes = {name: SLOPES[name] for name in reached}

    def loss(self, weights, split):
        assert split == self.split
        return sum((weights[name] * slope).sum() for name, slope in self.slopes.items())


@pytest.mark.parametrize("method", [DARTS, GAEA])
def test_the_options_with_the_lowest_loss_are_found(method):
    optimizer = method(SPACE, learning_rate=0.1)
    for _ in range(200):
        optimizer.architecture_step(Linear())
    assert dict(optimizer.most_likely()) == {"a": "y", "b": "x"}
    assert all(row.sum() == pytest.approx(1.0) for row in optimizer.probabilities.values())


def test_gaea_takes_an_exponentiated_gradient_step():
    """By the independent formula softmax(log theta - eta gradient)."""
    theta, gradient = torch.tensor([0.2, 0.5, 0.3]), torch.tensor([1.0, -2.0, 0.5])
    expected = torch.softmax(theta.log() - 0.1 * gradient, dim=0)
    torch.testing.assert_close(exponentiated_step(theta, gradient, 0.1), expected)


def test_a_huge_gradient_leaves_gaea_on_the_simplex():
    moved = exponentiated_step(torch.tensor([0.5, 0.5]), torch.tensor([-1e9, 1e9]), 0.1)
    assert torch.isfinite(moved).all()
    assert float(moved.sum()) == pytest.approx(1.0)


def test_the_first_darts_step_is_one_of_adam_against_the_gradient_of_the_softmax():
    """Adam's first step has the length of its rate, whatever the gradient; weight decay is off here."""
    optimizer = DARTS(SPACE, learning_rate=0.01, weight_decay=0.0)
    before = {name: row.detach().clone() for name, row in optimizer.logits.items()}
    optimizer.architecture_step(Linear())
    probs = torch.softmax(before["a"], dim=0)
    slope = SLOPES["a"]
    gradient = probs * (slope - (probs * slope).sum())
    torch.testing.assert_close(optimizer.logits["a"].detach(), before["a"] - 0.01 * gradient.sign(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("optimizer", [DARTS(SPACE, weight_decay=0.0), GAEA(SPACE)])
def test_a_decision_that_the_pass_did_not_reach_stays(optimizer):
    before = optimizer.probabilities["b"]
    optimizer.architecture_step(Linear(["a"]))
    np.testing.assert_allclose(optimizer.probabilities["b"], before, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_states_are_copies(method):
    donor, one, other = (method(SPACE, seed=seed, learning_rate=0.1) for seed in range(3))
    problem = PlantedProblem(SPACE)
    donor.architecture_step(problem)
    state = donor.state_dict()
    one.load_state_dict(state)
    one.architecture_step(problem)
    other.load_state_dict(state)
    other.architecture_step(problem)
    for name in SPACE.names:
        assert np.array_equal(one.probabilities[name], other.probabilities[name])


@pytest.mark.parametrize("method", METHODS)
def test_numeric_decisions_are_refused_with_the_methods_that_take_them(method):
    with pytest.raises(ValueError, match=r"\['width'\] are numeric. Use asng, sng"):
        method(SearchSpace([Integer("width", 1, 4)]))


def test_the_step_of_gaea_is_an_exponentiated_gradient_of_its_loss():
    """By the independent formula softmax(log theta - eta gradient); the loss is linear, its gradient the slopes."""
    optimizer = GAEA(SPACE, learning_rate=0.3)
    optimizer.theta["a"] = torch.tensor([0.2, 0.5, 0.3])
    before = {name: row.clone() for name, row in optimizer.theta.items()}
    optimizer.architecture_step(Linear())
    for name, slope in SLOPES.items():
        expected = torch.softmax(before[name].log() - 0.3 * slope, dim=0)
        torch.testing.assert_close(optimizer.theta[name], expected)


def test_single_level_gaea_takes_the_same_step_on_the_training_loss():
    bilevel, single = GAEA(SPACE), GAEA(SPACE, split="train")
    bilevel.architecture_step(Linear())
    single.architecture_step(Linear(split="train"))
    np.testing.assert_array_equal(single.probabilities["a"], bilevel.probabilities["a"])


def test_gaea_refuses_a_split_that_does_not_exist():
    with pytest.raises(ValueError, match=r"split must be 'valid' \(bilevel\) or 'train' \(single level\), got 'test'"):
        GAEA(SPACE, split="test")
