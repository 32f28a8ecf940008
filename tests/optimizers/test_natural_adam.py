"""Adam on the natural gradient, against torch's Adam and the published projection."""

import numpy as np
import pytest
import torch

from ray_asng import Categorical, Integer, SearchSpace
from ray_asng.optimizers.natural_adam import NaturalAdam
from ray_asng.testing import check_optimizer

COUNTS = (3, 4, 2, 3)
SPACE = SearchSpace([Categorical(f"c{i}", [str(k) for k in range(count)]) for i, count in enumerate(COUNTS)])
GOAL = (2, 1, 0, 1)


def distance(architecture):
    """A loss that every decision lowers by itself."""
    return float(sum(abs(int(architecture[name]) - goal) for name, goal in zip(SPACE.names, GOAL, strict=True)))


def projected(row, floor):
    """The published rule: lift to the floor, then take the surplus in proportion to the height above it."""
    row = np.maximum(row, floor)
    row = row - (row.sum() - 1.0) * (row - floor) / (row.sum() - len(row) * floor)
    return row / row.sum()


class Reference:
    """The same method from other parts: a list of rows, torch's Adam, gradients by their definition."""

    def __init__(self, learning_rate):
        self.rows = [torch.full((count,), 1.0 / count, dtype=torch.float64) for count in COUNTS]
        self.adam = torch.optim.Adam(self.rows, lr=learning_rate, betas=(0.9, 0.999), eps=1e-8, maximize=True)

    def update(self, best, worst):
        gradients = []
        for row, won, lost in zip(self.rows, best, worst, strict=True):
            one_hot = torch.eye(len(row), dtype=torch.float64)
            gradients.append((1.0 * (one_hot[won] - row) - 1.0 * (one_hot[lost] - row)) / 2)
        length = sum((g**2 / row).sum() for g, row in zip(gradients, self.rows, strict=True)).sqrt()
        if length == 0:
            return
        for row, gradient in zip(self.rows, gradients, strict=True):
            row.grad = gradient / length
        self.adam.step()
        for row in self.rows:
            row.copy_(torch.from_numpy(projected(row.numpy(), 1.0 / (len(COUNTS) * (len(row) - 1)))))


@pytest.mark.parametrize("learning_rate", [0.01, 0.3])
def test_steps_are_those_of_torchs_adam_with_the_published_projection(learning_rate):
    method, reference = NaturalAdam(SPACE, seed=1, learning_rate=learning_rate), Reference(learning_rate)
    for _ in range(60):
        pair = sorted(method.ask(2), key=lambda proposal: distance(proposal.architecture))
        losses = [distance(proposal.architecture) for proposal in pair]
        if losses[0] < losses[1]:
            reference.update(pair[0].options, pair[1].options)
        method.tell(pair, losses)
        for row, expected in zip(method.probabilities.values(), reference.rows, strict=True):
            np.testing.assert_allclose(row, expected.numpy(), atol=1e-9)


def test_equal_losses_change_nothing():
    method = NaturalAdam(SPACE)
    method.tell(method.ask(2), [0.3, 0.7])
    before = method.state_dict()
    proposals = method.ask(2)
    method.tell(proposals, [0.5, 0.5])
    after = method.state_dict()
    assert {**after["distribution"], "rng": None} == {**before["distribution"], "rng": None}
    assert (after["first"], after["second"]) == (before["first"], before["second"])


def test_the_method_conforms():
    check_optimizer(NaturalAdam)


def test_numeric_decisions_are_refused_with_the_methods_that_take_them():
    with pytest.raises(ValueError, match=r"natural_adam .* \['width'\] are numeric.* asng"):
        NaturalAdam(SearchSpace([Integer("width", 1, 4)]))


@pytest.mark.parametrize(("setting", "value"), [("learning_rate", 0.0), ("samples", 1)])
def test_a_setting_out_of_range_is_refused(setting, value):
    with pytest.raises(ValueError, match=f"{setting} must be .* got {value}"):
        NaturalAdam(SPACE, **{setting: value})
