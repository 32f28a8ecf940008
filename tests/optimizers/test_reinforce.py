"""REINFORCE against the gradient that torch finds, with torch's Adam."""

import math

import numpy as np
import pytest
import torch

from ray_asng import Categorical, Integer, SearchSpace
from ray_asng.optimizers.reinforce import REINFORCE
from ray_asng.testing import check_optimizer

COUNTS = (3, 4, 2, 3)
SPACE = SearchSpace([Categorical(f"c{i}", [str(k) for k in range(count)]) for i, count in enumerate(COUNTS)])
GOAL = (2, 1, 0, 1)


def distance(architecture):
    """A loss that every decision lowers by itself."""
    return float(sum(abs(int(architecture[name]) - goal) for name, goal in zip(SPACE.names, GOAL, strict=True)))


class Reference:
    """The published loop: its loss -log p (reward - baseline), differentiated by torch."""

    def __init__(self, logits):
        rows = [row[:count] for row, count in zip(logits, COUNTS, strict=True)]
        self.rows = [torch.tensor(row, requires_grad=True) for row in rows]
        self.adam = torch.optim.Adam(self.rows, lr=0.01)
        self.numerator = self.denominator = 0.0

    def update(self, options, rewards):
        self.numerator = 0.9 * self.numerator + 0.1 * sum(rewards) / len(rewards)
        self.denominator = 0.9 * self.denominator + 0.1
        baseline = self.numerator / self.denominator
        loss = 0.0
        for chosen, reward in zip(options, rewards, strict=True):
            parts = [torch.log_softmax(row, 0)[option] for row, option in zip(self.rows, chosen, strict=True)]
            loss = loss - sum(parts) * (reward - baseline) / len(rewards)
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()


@pytest.mark.parametrize("count", [1, 3])
def test_steps_are_those_of_the_differentiated_policy_loss(count):
    method = REINFORCE(SPACE, seed=2)
    reference = Reference(method.logits)
    for _ in range(40):
        proposals = method.ask(count)
        losses = [distance(proposal.architecture) for proposal in proposals]
        method.tell(proposals, losses)
        reference.update([proposal.options for proposal in proposals], [-loss for loss in losses])
        for row, expected in zip(method.probabilities.values(), reference.rows, strict=True):
            np.testing.assert_allclose(row, torch.softmax(expected.detach(), 0).numpy(), atol=1e-9)


def test_the_first_reward_alone_moves_nothing():
    """It is its own baseline."""
    method = REINFORCE(SPACE)
    before = method.logits.copy()
    method.tell(method.ask(1), [0.7])
    assert np.array_equal(method.logits, before)
    assert method.baseline == pytest.approx(-0.7)


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_counts_as_the_greatest_so_far(loss):
    one, other = REINFORCE(SPACE), REINFORCE(SPACE)
    for method, last in ((one, loss), (other, 5.0)):
        method.tell(method.ask(2), [5.0, 1.0])
        method.tell(method.ask(2), [2.0, last])
    assert one.state_dict() == other.state_dict()


def test_before_a_finite_loss_nothing_is_learnt():
    method = REINFORCE(SPACE)
    proposals = method.ask(2)
    before = method.state_dict()
    method.tell(proposals, [math.nan, math.inf])
    assert method.state_dict() == before


def test_huge_losses_leave_finite_probabilities():
    method = REINFORCE(SPACE)
    for losses in ([1e300, -1e300], [1e308, 0.0], [1.0, 2.0]):
        method.tell(method.ask(2), losses)
    assert all(np.isfinite(row).all() and row.sum() == pytest.approx(1.0) for row in method.probabilities.values())


def test_the_method_conforms():
    check_optimizer(REINFORCE)


def test_numeric_decisions_are_refused_with_the_methods_that_take_them():
    with pytest.raises(ValueError, match=r"reinforce .* \['width'\] are numeric.* asng"):
        REINFORCE(SearchSpace([Integer("width", 1, 4)]))


@pytest.mark.parametrize(("setting", "value"), [("learning_rate", -1.0), ("momentum", 1.0), ("samples", 0)])
def test_a_setting_out_of_range_is_refused(setting, value):
    with pytest.raises(ValueError, match=f"{setting} must be .* got {value}"):
        REINFORCE(SPACE, **{setting: value})
