"""GAEA-DARTS: mixing weights that live on the simplex, moved by exponentiated gradient (mirror descent).

References:
    Li, Khodak, Balcan & Talwalkar, "Geometry-Aware Gradient Algorithms for Neural Architecture Search", ICLR 2021;
    defaults and the order of operations (multiply, clamp, divide) of the published code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ray_asng.optimizers.base import MixingOptimizer, Problem, categorical_only
from ray_asng.space import Floats, SearchSpace

SMALLEST = 1e-5
# Bounds the exponent, so that one huge gradient cannot overflow to infinity and turn a row into NaN.
_LARGEST_EXPONENT = 50.0


def exponentiated(theta: torch.Tensor, gradient: torch.Tensor, learning_rate: float) -> torch.Tensor:
    """theta exp(-learning_rate gradient), not yet on the simplex; all (K,)."""
    exponent = (-learning_rate * gradient).clamp(-_LARGEST_EXPONENT, _LARGEST_EXPONENT)
    return theta * exponent.exp()


def exponentiated_step(theta: torch.Tensor, gradient: torch.Tensor, learning_rate: float) -> torch.Tensor:
    """theta exp(-learning_rate gradient), clamped from below and divided by its sum; all (K,)."""
    moved = exponentiated(theta, gradient, learning_rate).clamp_min(SMALLEST)
    return moved / moved.sum()


class GAEA(MixingOptimizer):
    """Simplex weights [theta] used as they are, moved by the gradient of a loss.

    Args:
        space: categorical decisions only.
        seed: unused; the method draws nothing. Every method takes one.
        learning_rate: of the exponentiated gradient [eta].
        split: whose loss moves the simplex weights: "valid" (bilevel) or "train" (single level, which the authors
            call ERM).
        device: where the weights live.

    Raises:
        ValueError: the space has integer or real decisions, `learning_rate` is not positive, or there is no such
            split.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int = 0,
        learning_rate: float = 0.1,
        split: str = "valid",
        device: torch.device | str = "cpu",
    ) -> None:
        categorical_only(space, "gaea")
        if learning_rate <= 0.0:
            raise ValueError(f"learning_rate must be positive, got {learning_rate!r}")
        if split not in ("valid", "train"):
            raise ValueError(f"split must be 'valid' (bilevel) or 'train' (single level), got {split!r}")
        self.space = space
        self.learning_rate = learning_rate
        self.split = split
        self.theta = {
            decision.name: torch.full((len(decision.options),), 1.0 / len(decision.options), device=device)
            for decision in space.categorical
        }

    @property
    def probabilities(self) -> dict[str, Floats]:
        """Decision name -> (K,) simplex weights."""
        return {name: row.double().cpu().numpy() for name, row in self.theta.items()}

    def weights_for_training(self) -> dict[str, torch.Tensor]:
        """The simplex weights themselves."""
        return {name: row.clone() for name, row in self.theta.items()}

    def architecture_step(self, problem: Problem) -> float:
        """One exponentiated-gradient step on the loss at the present weights."""
        weights = {name: row.clone().requires_grad_() for name, row in self.theta.items()}
        loss = problem.loss(weights, self.split)
        # A decision that this pass did not reach has no influence on the loss: its gradient is zero.
        gradients = torch.autograd.grad(loss, list(weights.values()), allow_unused=True, materialize_grads=True)
        for (name, row), gradient in zip(self.theta.items(), gradients, strict=True):
            self.theta[name] = exponentiated_step(row, gradient, self.learning_rate)
        return float(loss.detach())

    def state_dict(self) -> dict[str, Any]:
        """The simplex weights."""
        return {"theta": {name: row.clone() for name, row in self.theta.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state of the same space."""
        self.theta = {name: state["theta"][name].to(row.device).clone() for name, row in self.theta.items()}
