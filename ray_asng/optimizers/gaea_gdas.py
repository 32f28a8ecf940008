"""GAEA-GDAS: the sampled paths of GDAS, with simplex weights moved by exponentiated gradient instead of logits.

    p = softmax((log theta + G) / tau),   G standard Gumbel
    h = one_hot(argmax p),   mixing weights h - stop_gradient(p) + p
    g = gradient_theta [L_valid + 0.01 KL(theta || uniform)]
    theta <- clamp(normalised(theta exp(-eta g)))

References:
    Li, Khodak, Balcan & Talwalkar, "Geometry-Aware Gradient Algorithms for Neural Architecture Search", ICLR 2021;
    defaults and the order of operations (multiply, divide, clamp: another one than in GAEA-DARTS) of the published
    code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from ray_asng.optimizers.base import Cost, Problem, categorical_only
from ray_asng.optimizers.gaea import SMALLEST, exponentiated
from ray_asng.optimizers.gumbel import GumbelOptimizer
from ray_asng.optimizers.one_hot import OneHot, straight_through
from ray_asng.optimizers.temperature import Temperature
from ray_asng.space import Floats, SearchSpace


def divided_then_clamped_step(theta: torch.Tensor, gradient: torch.Tensor, learning_rate: float) -> torch.Tensor:
    """theta exp(-learning_rate gradient), divided by its sum and then clamped from below; all (K,).

    The sum may exceed 1 by what the clamping adds, K times 1e-5 at most.
    """
    moved = exponentiated(theta, gradient, learning_rate)
    return (moved / moved.sum()).clamp_min(SMALLEST)


def divergence_from_uniform(theta: torch.Tensor) -> torch.Tensor:
    """KL(theta || uniform) in nats, a scalar; (K,) positive."""
    return (theta * (theta.log() + math.log(len(theta)))).sum()


class Simplex:
    """(K,) weights [theta] a decision, uniform at the start.

    Args:
        space: its categorical decisions get weights.
        device: where the weights live.

    Attributes:
        rows: decision name -> (K,) weights.
    """

    def __init__(self, space: SearchSpace, device: torch.device | str) -> None:
        self.rows = {
            decision.name: torch.full((len(decision.options),), 1.0 / len(decision.options), device=device)
            for decision in space.categorical
        }

    @property
    def probabilities(self) -> dict[str, Floats]:
        """Decision name -> (K,) weights, divided by their sum, which clamping may have left above 1."""
        rows = {name: row.double().cpu().numpy() for name, row in self.rows.items()}
        return {name: row / row.sum() for name, row in rows.items()}

    def state_dict(self) -> dict[str, Any]:
        """The weights."""
        return {"theta": {name: row.clone() for name, row in self.rows.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state of the same space."""
        self.rows.update({name: state["theta"][name].to(row.device).clone() for name, row in self.rows.items()})


class GAEAGDAS(GumbelOptimizer):
    """Simplex weights [theta], moved by the straight-through gradient of one sampled path's validation loss.

    The published search lets the supernet's weights learn alone for 50 epochs first (`warmup_epochs` of the search).

    Args:
        space: categorical decisions only.
        seed: of the paths.
        learning_rate: of the exponentiated gradient [eta].
        entropy_weight: of the divergence from uniform that is added to the loss, summed over decisions.
        first_temperature: of the samples in the first epoch that learns [tau].
        last_temperature: of those in the last epoch.
        device: where the weights live.

    Raises:
        ValueError: the space has integer or real decisions, `learning_rate` or a temperature is not positive, or
            `entropy_weight` is negative.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int = 0,
        learning_rate: float = 0.01,
        entropy_weight: float = 0.01,
        first_temperature: float = 10.0,
        last_temperature: float = 0.1,
        device: torch.device | str = "cpu",
    ) -> None:
        categorical_only(space, "gaea_gdas")
        if learning_rate <= 0.0:
            raise ValueError(f"learning_rate must be positive, got {learning_rate!r}")
        if entropy_weight < 0.0:
            raise ValueError(f"entropy_weight must be 0 or more, got {entropy_weight!r}")
        simplex, generator = Simplex(space, device), torch.Generator().manual_seed(seed)
        super().__init__(space, simplex, generator, Temperature(first_temperature, last_temperature))
        self.learning_rate = learning_rate
        self.entropy_weight = entropy_weight
        self.theta = simplex.rows

    @property
    def cost(self) -> Cost:
        """One path forward and backward in both steps."""
        return Cost(forward=2.0, backward=2.0, memory="one path")

    def architecture_step(self, problem: Problem) -> float:
        """One exponentiated-gradient step on a fresh path's validation loss; returns this loss, without the penalty."""
        self.temperature.begin()
        theta = {name: row.clone().requires_grad_() for name, row in self.theta.items()}
        loss = problem.loss(self._path(theta), "valid")
        rows = list(theta.values())
        # A decision that this pass did not reach has no influence on the loss: its gradient is zero.
        slopes = torch.autograd.grad(loss, rows, allow_unused=True, materialize_grads=True)
        penalties = torch.autograd.grad(torch.stack([divergence_from_uniform(row) for row in rows]).sum(), rows)
        for name, row, slope, penalty in zip(theta, rows, slopes, penalties, strict=True):
            gradient = slope + self.entropy_weight * penalty
            self.theta[name] = divided_then_clamped_step(row.detach(), gradient, self.learning_rate)
        return float(loss.detach())

    def _sample(self) -> OneHot:
        """A path of the present weights."""
        return self._path(self.theta)

    def _path(self, theta: Mapping[str, torch.Tensor]) -> OneHot:
        """A path, with the gradient of its relaxed sample [p] by the weights."""
        return straight_through(self.space, self._relaxed({name: row.log() for name, row in theta.items()}))
