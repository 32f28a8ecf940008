"""GDAS: one path runs in every step, drawn by Gumbel noise, and its gradient reaches the logits of all options.

    p = softmax((log_softmax(alpha) + G) / tau),   G standard Gumbel
    h = one_hot(argmax p),   mixing weights h - stop_gradient(p) + p

References:
    Dong & Yang, "Searching for A Robust Neural Architecture in Four GPU Hours", CVPR 2019; defaults of the published
    code for NAS-Bench-201.
"""

from __future__ import annotations

import torch

from ray_asng.optimizers.base import Cost, Problem, categorical_only
from ray_asng.optimizers.gumbel import GumbelOptimizer
from ray_asng.optimizers.logits import Logits
from ray_asng.optimizers.one_hot import OneHot, straight_through
from ray_asng.optimizers.temperature import Temperature
from ray_asng.space import SearchSpace


class GDAS(GumbelOptimizer):
    """Logits [alpha] by Adam on the validation loss of one sampled path.

    Args:
        space: categorical decisions only.
        seed: of the initial logits, 1e-3 times standard normal, and of the paths.
        learning_rate: of Adam.
        weight_decay: of Adam.
        first_temperature: of the samples in the first epoch that learns [tau].
        last_temperature: of those in the last epoch.
        device: where the logits live.

    Raises:
        ValueError: the space has integer or real decisions, `learning_rate` or a temperature is not positive, or
            `weight_decay` is negative.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int = 0,
        learning_rate: float = 3e-4,
        weight_decay: float = 1e-3,
        first_temperature: float = 10.0,
        last_temperature: float = 0.1,
        device: torch.device | str = "cpu",
    ) -> None:
        categorical_only(space, "gdas")
        generator = torch.Generator().manual_seed(seed)
        self._state = Logits(space, generator, learning_rate, weight_decay, device)
        super().__init__(space, self._state, generator, Temperature(first_temperature, last_temperature))
        self.logits = self._state.rows

    @property
    def cost(self) -> Cost:
        """One path forward and backward in both steps."""
        return Cost(forward=2.0, backward=2.0, memory="one path")

    def architecture_step(self, problem: Problem) -> float:
        """One Adam step along the straight-through gradient of a fresh path's validation loss."""
        self.temperature.begin()
        loss = problem.loss(self._sample(), "valid")
        self._state.step(self._state.gradients(loss))
        return float(loss.detach())

    def _sample(self) -> OneHot:
        """A path, with the gradient of its relaxed sample [p]."""
        log_probs = {name: torch.log_softmax(row, dim=0) for name, row in self.logits.items()}
        return straight_through(self.space, self._relaxed(log_probs))
