"""DARTS, first order: logits moved by the gradient of the validation loss of the softmax mixture.

References:
    Liu, Simonyan & Yang, "DARTS: Differentiable Architecture Search", ICLR 2019; defaults of the published code.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch

from ray_asng.optimizers.base import MixingOptimizer, Problem, categorical_only
from ray_asng.space import Floats, SearchSpace


class DARTS(MixingOptimizer):
    """Logits [alpha] by Adam on the validation half, options mixed by their softmax.

    Args:
        space: categorical decisions only.
        seed: of the initial logits, 1e-3 times standard normal.
        learning_rate: of Adam.
        weight_decay: of Adam.
        device: where the logits live.

    Raises:
        ValueError: the space has integer or real decisions, or `learning_rate` is not positive.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int = 0,
        learning_rate: float = 3e-4,
        weight_decay: float = 1e-3,
        device: torch.device | str = "cpu",
    ) -> None:
        categorical_only(space, "darts")
        if learning_rate <= 0.0:
            raise ValueError(f"learning_rate must be positive, got {learning_rate!r}")
        self.space = space
        generator = torch.Generator().manual_seed(seed)
        self.logits = {
            decision.name: (1e-3 * torch.randn(len(decision.options), generator=generator)).to(device).requires_grad_()
            for decision in space.categorical
        }
        self.adam = torch.optim.Adam(
            list(self.logits.values()), lr=learning_rate, betas=(0.5, 0.999), weight_decay=weight_decay
        )

    @property
    def probabilities(self) -> dict[str, Floats]:
        """Decision name -> (K,) softmax of the logits."""
        return {name: row.double().cpu().numpy() for name, row in self.weights_for_training().items()}

    def weights_for_training(self) -> dict[str, torch.Tensor]:
        """Softmax of the logits, detached."""
        return {name: torch.softmax(row.detach(), dim=0) for name, row in self.logits.items()}

    def architecture_step(self, problem: Problem) -> float:
        """One Adam step along the gradient of the validation loss at the present weights."""
        weights = {name: torch.softmax(row, dim=0) for name, row in self.logits.items()}
        loss = problem.loss(weights, "valid")
        rows = list(self.logits.values())
        # A decision that this pass did not reach has no influence on the loss: its gradient is zero.
        gradients = torch.autograd.grad(loss, rows, allow_unused=True, materialize_grads=True)
        for row, gradient in zip(rows, gradients, strict=True):
            row.grad = gradient
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        return float(loss.detach())

    def state_dict(self) -> dict[str, Any]:
        """Logits and the state of Adam."""
        logits = {name: row.detach().clone() for name, row in self.logits.items()}
        return {"logits": logits, "adam": copy.deepcopy(self.adam.state_dict())}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state of the same space; the learning rate and decay stay those of the construction."""
        settings = [{key: group[key] for key in ("lr", "weight_decay")} for group in self.adam.param_groups]
        with torch.no_grad():
            for name, row in self.logits.items():
                row.copy_(state["logits"][name])
        self.adam.load_state_dict(copy.deepcopy(dict(state["adam"])))
        for group, own in zip(self.adam.param_groups, settings, strict=True):
            group.update(own)
