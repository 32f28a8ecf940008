"""PC-DARTS: DARTS that also learns how much each input of a node counts (edge normalisation).

    node = sum_i softmax(beta)_i mixture_i(x_i),   mixture_i with the weights softmax(alpha_i)

The other half of the method, operations that see a part of the channels, is an option of the network:
`partial_channels`. As published, the architecture stands still for the first 15 of 50 epochs (`warmup_epochs`).

References:
    Xu et al., "PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search", ICLR 2020; rates of the
    published code.
"""

from __future__ import annotations

import torch

from ray_asng.optimizers.darts import DARTS
from ray_asng.space import Architecture, SearchSpace


class PCDARTS(DARTS):
    """First-order `DARTS` with weights for the inputs of nodes, in the same optimizer.

    Where a space compares inputs with each other, as the DARTS space does to keep two of a node, an option counts with
    its probability times the share of its edge.

    Args:
        space: categorical decisions only, of a network with edge weights.
        seed: of the initial logits, 1e-3 times standard normal.
        learning_rate: of Adam.
        weight_decay: of Adam.
        hessian_every: epochs between measurements of the Hessian's dominant eigenvalue; 0 for never.
        device: where the logits live.

    Raises:
        ValueError: as `DARTS`; or the network has no edge weights.
    """

    _weighs_inputs = True

    def __init__(
        self,
        space: SearchSpace,
        seed: int = 0,
        learning_rate: float = 6e-4,
        weight_decay: float = 1e-3,
        hessian_every: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        if not space.input_weights:
            raise ValueError(
                "pc_darts weighs the inputs of nodes, and this network cannot: build the space with "
                "edge_weights=True (and partial_channels=4, as published), or put InputWeights into your own module"
            )
        super().__init__(space, seed, learning_rate, weight_decay, hessian_every, device)

    def most_likely(self) -> Architecture:
        """What the space derives when each option counts with the share of its edge."""
        rows = self.probabilities
        for name, shares in self._state.input_shares.items():
            for edge, share in zip(self.space.input_weights[name], shares, strict=True):
                rows[edge] = share * rows[edge]
        return self.space.derive(rows)
