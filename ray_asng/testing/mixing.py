"""Conformance of a mixing optimizer: its weights, and its steps on a problem whose best options are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from ray_asng.optimizers.base import MixingOptimizer
from ray_asng.space import SearchSpace
from ray_asng.testing.failure import fail, no_error
from ray_asng.testing.global_state import global_randomness_untouched
from ray_asng.testing.optimizer_state import Subject
from ray_asng.testing.probabilities import check_probabilities

_EPOCHS = 100
_STEPS_PER_EPOCH = 3
_LEARNING_STEPS = 100


class PlantedProblem:
    """A loss that falls the more weight the later options have; one network weight scales it, for unrolled methods.

    There are no channels, so nothing changes when operations are to see more of them.
    """

    partial_channels = 1

    def __init__(self, space: SearchSpace) -> None:
        self.parameters = [nn.Parameter(torch.tensor(0.5))]
        self.learning_rate = 0.05
        self.costs = {d.name: torch.linspace(1.0, 0.0, len(d.options)) for d in space.categorical}

    def loss(self, weights: Mapping[str, torch.Tensor], split: str) -> torch.Tensor:
        """Scalar with its graph."""
        if split not in ("train", "valid"):
            fail("problem.loss", expected="the split 'train' or 'valid'", got=repr(split), mend="ask for one of them")
        check_weights(weights, self.costs, "the weights that problem.loss is given")
        total = torch.stack([weights[name] @ cost.to(weights[name]) for name, cost in self.costs.items()]).sum()
        return total * (1.0 + self.parameters[0] ** 2)

    def evaluate(self, weights: Mapping[str, torch.Tensor]) -> float:
        """The same loss without graph."""
        with torch.no_grad():
            return float(self.loss(weights, "valid"))

    def check_partial_channels(self, parts: int) -> None:
        """Any number will do."""

    def set_partial_channels(self, parts: int) -> None:
        """Nothing changes."""

    def expected_cost(self, optimizer: MixingOptimizer) -> float:
        """Mean cost of an option under the probabilities, summed over decisions."""
        rows = optimizer.probabilities
        return sum(float(np.asarray(rows[name]) @ cost.double().numpy()) for name, cost in self.costs.items())


def check_weights(weights: Mapping[str, torch.Tensor], rows: Mapping[str, torch.Tensor], checked: str) -> None:
    """Every decision has its (K,) finite weights; there may be further keys, which some networks take."""
    got = {name: tuple(weights[name].shape) for name in rows if isinstance(weights.get(name), torch.Tensor)}
    expected = {name: tuple(row.shape) for name, row in rows.items()}
    if got != expected:
        fail(checked, expected=f"tensors of the shapes {expected}", got=got, mend="give each decision a (K,) tensor")
    if not all(bool(torch.isfinite(weights[name]).all()) for name in rows):
        fail(checked, expected="finite numbers", got=dict(weights), mend="keep logits and exponents bounded")


def check_mixing(subject: Subject) -> None:
    """Check `weights_for_training`, `weights_for_step`, `architecture_step` and the direction of learning."""
    with global_randomness_untouched("weights_for_training, weights_for_step, architecture_step and finalize"):
        _check_training_weights(
            subject, "weights_for_training()", lambda optimizer, _: optimizer.weights_for_training()
        )
        _check_training_weights(
            subject, "weights_for_step(problem)", lambda optimizer, problem: optimizer.weights_for_step(problem)
        )
        _check_step(subject)


def advance(optimizer: MixingOptimizer, steps: int) -> list[dict[str, Any]]:
    """Weights and architecture steps, `steps` times."""
    problem = PlantedProblem(optimizer.space)
    record = []
    for step in range(1, steps + 1):
        drawn = draw(optimizer)
        loss = optimizer.architecture_step(problem)
        if step % _STEPS_PER_EPOCH == 0:
            optimizer.on_epoch_end(step // _STEPS_PER_EPOCH, _EPOCHS)
        rows = {name: np.asarray(row) for name, row in optimizer.probabilities.items()}
        record.append({"drawn": drawn, "loss": loss, "probabilities": rows})
    return record


def draw(optimizer: MixingOptimizer) -> dict[str, torch.Tensor]:
    """Copies of the weights for a step."""
    problem = PlantedProblem(optimizer.space)
    return {name: row.clone() for name, row in optimizer.weights_for_step(problem).items()}


def _check_training_weights(
    subject: Subject, checked: str, weights_of: Callable[[MixingOptimizer, PlantedProblem], Mapping[str, torch.Tensor]]
) -> None:
    optimizer, problem = subject.new(), PlantedProblem(subject.space)
    with no_error(checked, mend="return a dict from decision to a (K,) tensor"):
        weights = weights_of(optimizer, problem)
    check_weights(weights, problem.costs, checked)
    if any(row.requires_grad for row in weights.values()):
        fail(checked, expected="tensors without graph", got="some that require a gradient", mend="detach them")
    before = {name: np.array(row) for name, row in optimizer.probabilities.items()}
    for row in weights.values():
        row += 1.0
    if any(not np.array_equal(before[name], row) for name, row in optimizer.probabilities.items()):
        fail(checked, expected="copies that a caller may change", got="the method's own tensors", mend="clone() them")


def _check_step(subject: Subject) -> None:
    """A sanity check of the sign: probabilities move towards the better options."""
    optimizer, problem = subject.new(), PlantedProblem(subject.space)
    before, weight = problem.expected_cost(optimizer), problem.parameters[0].detach().clone()
    checked = "architecture_step(problem)"
    for _ in range(_LEARNING_STEPS):
        optimizer.weights_for_step(problem)
        with no_error(checked, mend="use problem.loss(weights, split), problem.parameters, problem.learning_rate only"):
            loss = optimizer.architecture_step(problem)
        if type(loss) is not float or not math.isfinite(loss):
            fail(checked, expected="the loss that it saw, a finite float", got=repr(loss), mend="return float(loss)")
    check_probabilities(optimizer, f"probabilities after {_LEARNING_STEPS} steps")
    if not torch.allclose(problem.parameters[0].detach(), weight, atol=1e-4):
        fail(
            checked,
            expected="the network's weights as they were",
            got="changed weights",
            mend="put back what an unrolled step changes in problem.parameters",
        )
    if problem.parameters[0].grad is not None:
        fail(
            checked,
            expected="no gradient left in problem.parameters, which the next weight step would add to",
            got=problem.parameters[0].grad,
            mend="use torch.autograd.grad instead of backward()",
        )
    after = problem.expected_cost(optimizer)
    if not after < before:
        fail(
            f"the mean cost of an option after {_LEARNING_STEPS} steps on a loss that prefers the last options",
            expected=f"below that before, {before:.4f}",
            got=f"{after:.4f}",
            mend="turn the sign of the step: it must go down the gradient of the loss",
        )
