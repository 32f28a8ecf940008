"""Logits of every option that Adam moves: the state of DARTS and of the methods that changed how it mixes.

References:
    Liu, Simonyan & Yang, "DARTS: Differentiable Architecture Search", ICLR 2019; initial values and the moments of
    Adam of the published code.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ray_asng.space import Floats, SearchSpace

_SPREAD = 1e-3
_BETAS = (0.5, 0.999)


class Logits:
    """(K,) logits [alpha] a decision, at the start 1e-3 times standard normal, with their Adam.

    Args:
        space: its categorical decisions get logits, and its input weights if `weighs_inputs`.
        generator: of the initial values, on the CPU.
        learning_rate: of Adam.
        weight_decay: of Adam.
        device: where the logits live.
        weighs_inputs: whether the inputs of nodes have logits too.

    Attributes:
        rows: decision name -> (K,) logits, which require a gradient; after them name -> (E,) of input weights.

    Raises:
        ValueError: `learning_rate` is not positive, or `weight_decay` is negative.
    """

    def __init__(
        self,
        space: SearchSpace,
        generator: torch.Generator,
        learning_rate: float,
        weight_decay: float,
        device: torch.device | str,
        *,
        weighs_inputs: bool = False,
    ) -> None:
        if learning_rate <= 0.0:
            raise ValueError(f"learning_rate must be positive, got {learning_rate!r}")
        if weight_decay < 0.0:
            raise ValueError(f"weight_decay must be 0 or more, got {weight_decay!r}")
        counts = {decision.name: len(decision.options) for decision in space.categorical}
        self.decisions = tuple(counts)
        if weighs_inputs:
            counts |= {name: len(edges) for name, edges in space.input_weights.items()}
        self.rows = {
            name: (_SPREAD * torch.randn(count, generator=generator)).to(device).requires_grad_()
            for name, count in counts.items()
        }
        self.adam = torch.optim.Adam(
            list(self.rows.values()), lr=learning_rate, betas=_BETAS, weight_decay=weight_decay
        )

    @property
    def probabilities(self) -> dict[str, Floats]:
        """Decision name -> (K,) softmax of the logits."""
        return {name: _softmax(self.rows[name]) for name in self.decisions}

    @property
    def input_shares(self) -> dict[str, Floats]:
        """Name of input weights -> (E,) softmax of their logits."""
        return {name: _softmax(row) for name, row in self.rows.items() if name not in self.decisions}

    def gradients(self, loss: torch.Tensor) -> list[torch.Tensor]:
        """Derivatives of the scalar `loss` by the rows, in their order and shapes."""
        # A decision that this pass did not reach has no influence on the loss: its gradient is zero.
        return list(torch.autograd.grad(loss, list(self.rows.values()), allow_unused=True, materialize_grads=True))

    def step(self, gradients: Sequence[torch.Tensor]) -> None:
        """One step of Adam against the gradients, given in the order and shapes of the rows."""
        for row, gradient in zip(self.rows.values(), gradients, strict=True):
            row.grad = gradient
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        """Logits and the state of Adam."""
        logits = {name: row.detach().clone() for name, row in self.rows.items()}
        return {"logits": logits, "adam": copy.deepcopy(self.adam.state_dict())}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state of the same space; the learning rate and decay stay those of the construction."""
        settings = [{key: group[key] for key in ("lr", "weight_decay")} for group in self.adam.param_groups]
        with torch.no_grad():
            for name, row in self.rows.items():
                row.copy_(state["logits"][name])
        self.adam.load_state_dict(copy.deepcopy(dict(state["adam"])))
        for group, own in zip(self.adam.param_groups, settings, strict=True):
            group.update(own)


def _softmax(row: torch.Tensor) -> Floats:
    shares: Floats = torch.softmax(row.detach(), dim=0).double().cpu().numpy()
    return shares
