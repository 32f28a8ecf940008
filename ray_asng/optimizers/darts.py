"""DARTS, first order: logits moved by the gradient of the validation loss of the softmax mixture.

References:
    Liu, Simonyan & Yang, "DARTS: Differentiable Architecture Search", ICLR 2019; defaults of the published code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ray_asng.optimizers.base import MixingOptimizer, Problem, categorical_only
from ray_asng.optimizers.hessian import HessianMonitor
from ray_asng.optimizers.logits import Logits
from ray_asng.space import Floats, SearchSpace


class DARTS(MixingOptimizer):
    """Logits [alpha] by Adam on the validation half, options mixed by their softmax.

    Args:
        space: categorical decisions only.
        seed: of the initial logits, 1e-3 times standard normal.
        learning_rate: of Adam.
        weight_decay: of Adam.
        hessian_every: epochs between measurements of the dominant eigenvalue of the validation loss's Hessian by the
            logits, which is then reported as `hessian_eigenvalue`; 0 for never.
        device: where the logits live.

    Raises:
        ValueError: the space has integer or real decisions, or `learning_rate` is not positive, or `weight_decay` or
            `hessian_every` is negative.
    """

    _weighs_inputs = False

    def __init__(
        self,
        space: SearchSpace,
        seed: int = 0,
        learning_rate: float = 3e-4,
        weight_decay: float = 1e-3,
        hessian_every: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        categorical_only(space, "darts")
        self.space = space
        self.monitor = HessianMonitor(hessian_every)
        self.generator = torch.Generator().manual_seed(seed)
        self._state = Logits(
            space, self.generator, learning_rate, weight_decay, device, weighs_inputs=self._weighs_inputs
        )
        self.logits = self._state.rows

    @property
    def probabilities(self) -> dict[str, Floats]:
        """Decision name -> (K,) softmax of the logits."""
        return self._state.probabilities

    def weights_for_training(self) -> dict[str, torch.Tensor]:
        """Softmax of the logits, detached."""
        return {name: row.detach() for name, row in self._mixture().items()}

    def architecture_step(self, problem: Problem) -> float:
        """One Adam step along the gradient of the validation loss at the present weights."""
        loss = problem.loss(self._mixture(), "valid")
        is_measured, rows = self.monitor.is_due, list(self.logits.values())
        self._state.step(self.monitor.measure(loss, rows) if is_measured else self._state.gradients(loss))
        return float(loss.detach())

    def _mixture(self) -> dict[str, torch.Tensor]:
        """Softmax of the logits, with its graph."""
        return {name: torch.softmax(row, dim=0) for name, row in self.logits.items()}

    def on_epoch_end(self, epoch: int, epochs: int) -> None:
        """Have the Hessian measured in the next epoch, if it is its turn."""
        self.monitor.end_epoch(epoch)

    def metrics(self) -> dict[str, float]:
        """The Hessian's dominant eigenvalue, if it is measured."""
        return self.monitor.metrics()

    def state_dict(self) -> dict[str, Any]:
        """Logits, the state of Adam, and the last measurement of the Hessian."""
        return {**self._state.state_dict(), "monitor": self.monitor.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state of the same space; the learning rate and decay stay those of the construction."""
        self._state.load_state_dict(state)
        self.monitor.load_state_dict(state["monitor"])
