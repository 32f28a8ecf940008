"""SNAS: options mixed by a fresh relaxed sample in every step, whose temperature falls during the search.

    z = softmax((log p + G) / tau),   p = softmax(alpha),   G standard Gumbel

References:
    Xie, Zheng, Liu & Lin, "SNAS: Stochastic Neural Architecture Search", ICLR 2019, without its expected cost.
    Defaults of the re-implementation by Chen et al., "DrNAS", ICLR 2021, for NAS-Bench-201.
"""

from __future__ import annotations

import torch

from ray_asng.optimizers.base import Problem, categorical_only
from ray_asng.optimizers.gumbel import GumbelOptimizer
from ray_asng.optimizers.logits import Logits
from ray_asng.optimizers.temperature import Temperature
from ray_asng.space import SearchSpace


class SNAS(GumbelOptimizer):
    """Logits [alpha] by Adam on the loss of a Gumbel-softmax sample.

    Args:
        space: categorical decisions only.
        seed: of the initial logits, 1e-3 times standard normal, and of the samples.
        learning_rate: of Adam.
        weight_decay: of Adam.
        first_temperature: of the samples in the first epoch that learns [tau].
        last_temperature: of those in the last epoch.
        split: whose loss moves the logits: "valid", as in the re-implementation, or "train" (single level), as in the
            paper.
        device: where the logits live.

    Raises:
        ValueError: the space has integer or real decisions, `learning_rate` or a temperature is not positive,
            `weight_decay` is negative, or there is no such split.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int = 0,
        learning_rate: float = 3e-4,
        weight_decay: float = 1e-3,
        first_temperature: float = 10.0,
        last_temperature: float = 1.0,
        split: str = "valid",
        device: torch.device | str = "cpu",
    ) -> None:
        categorical_only(space, "snas")
        if split not in ("valid", "train"):
            raise ValueError(f"split must be 'valid' (bilevel) or 'train' (single level), got {split!r}")
        generator = torch.Generator().manual_seed(seed)
        self._state = Logits(space, generator, learning_rate, weight_decay, device)
        super().__init__(space, self._state, generator, Temperature(first_temperature, last_temperature))
        self.split = split
        self.logits = self._state.rows

    def architecture_step(self, problem: Problem) -> float:
        """One Adam step along the gradient of the loss of a fresh relaxed sample."""
        self.temperature.begin()
        loss = problem.loss(self._sample(), self.split)
        self._state.step(self._state.gradients(loss))
        return float(loss.detach())

    def _sample(self) -> dict[str, torch.Tensor]:
        """Decision name -> (K,) relaxed one-hot [z]."""
        return self._relaxed({name: torch.log_softmax(row, dim=0) for name, row in self.logits.items()})
