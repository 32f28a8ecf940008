"""SDARTS: the weights are trained at perturbed mixing weights, so that the loss stays flat around the present ones.

Random: uniform noise on the softmax of the logits. Adversarial: where the training loss is highest within a box around
it. The box grows from epoch to epoch. The logits themselves move as those of DARTS, at unperturbed weights.

References:
    Chen & Hsieh, "Stabilizing Differentiable Architecture Search via Perturbation-based Regularization", ICML 2020;
    the radii, their growth and the number of ascent steps are those of the published code.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import torch

from ray_asng.optimizers.base import Cost, Problem, mean_options
from ray_asng.optimizers.darts import DARTS
from ray_asng.optimizers.perturbation import adversarial_perturbation, random_perturbation
from ray_asng.space import SearchSpace


class SmoothDARTS(DARTS):
    """What both kinds have in common: the growing radius, and the stream that perturbations are drawn from.

    Args:
        space: categorical decisions only.
        seed: of the initial logits, 1e-3 times standard normal, and of the perturbations.
        learning_rate: of Adam.
        weight_decay: of Adam.
        first_radius: largest change of a mixing weight [epsilon] in the first epoch.
        last_radius: what it would be after the last epoch; it grows linearly.
        hessian_every: epochs between measurements of the Hessian's dominant eigenvalue; 0 for never.
        device: where the logits live.

    Raises:
        ValueError: as `DARTS`; or radii that are negative, above 1, or falling.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int = 0,
        learning_rate: float = 3e-4,
        weight_decay: float = 1e-3,
        first_radius: float = 0.03,
        last_radius: float = 0.3,
        hessian_every: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(space, seed, learning_rate, weight_decay, hessian_every, device)
        if not 0.0 <= first_radius <= last_radius <= 1.0:
            raise ValueError(
                "radii of a perturbation of mixing weights go from first_radius to last_radius, both from 0 to 1; "
                f"got {first_radius!r} and {last_radius!r}"
            )
        self.first_radius, self.last_radius = first_radius, last_radius
        self.radius = first_radius

    @abstractmethod
    def weights_for_step(self, problem: Problem) -> dict[str, torch.Tensor]:
        """Perturbed weights, in the box of the present radius and on the simplex."""

    def reseed(self, seed: int) -> None:
        """Draw perturbations from a new stream from now on."""
        self.generator.manual_seed(seed)

    def on_epoch_end(self, epoch: int, epochs: int) -> None:
        """Let the radius grow."""
        super().on_epoch_end(epoch, epochs)
        self.radius = self.first_radius + (self.last_radius - self.first_radius) * epoch / epochs

    def metrics(self) -> dict[str, float]:
        """The radius, besides what DARTS reports."""
        return {**super().metrics(), "radius": self.radius}

    def state_dict(self) -> dict[str, Any]:
        """The state of DARTS, the radius and the generator."""
        return {**super().state_dict(), "radius": self.radius, "generator": self.generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state of the same space; the settings stay those of the construction."""
        super().load_state_dict(state)
        self.radius = float(state["radius"])
        self.generator.set_state(state["generator"])


class SDARTSRandom(SmoothDARTS):
    """SDARTS-RS: weights are trained at randomly perturbed mixing weights; settings as for `SmoothDARTS`."""

    def weights_for_step(self, problem: Problem) -> dict[str, torch.Tensor]:
        """Softmax of the logits with uniform noise, clipped and divided by its sum."""
        weights = self.weights_for_training()
        return {name: random_perturbation(row, self.radius, self.generator) for name, row in weights.items()}


class SDARTSAdversarial(SmoothDARTS):
    """SDARTS-ADV: weights are trained where the training loss is highest near the mixing weights.

    Settings as for `SmoothDARTS`.
    """

    @property
    def cost(self) -> Cost:
        """All options in both steps, and nine times more, twice of it forward only, to find the worst weights."""
        options = mean_options(self.space)
        return Cost(forward=11.0 * options, backward=9.0 * options, memory="all options")

    def weights_for_step(self, problem: Problem) -> dict[str, torch.Tensor]:
        """The worst weights found for this step's training batch."""
        weights = self.weights_for_training()
        return adversarial_perturbation(
            lambda mixed: problem.loss(mixed, "train"), weights, self.radius, self.generator
        )
