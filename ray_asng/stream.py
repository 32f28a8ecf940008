"""An endless order of training examples that can be stopped and resumed anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch


class IndexStream:
    """Batches of indices: every pass is a new permutation, the incomplete batch at its end is dropped.

    Args:
        split: what is drawn from, for error messages.
        size: number of examples of the split.
        batch_size: indices in a batch.
        seed: of the permutations.

    Raises:
        ValueError: a batch larger than the split.
    """

    def __init__(self, split: str, size: int, batch_size: int, seed: int) -> None:
        if not 1 <= batch_size <= size:
            raise ValueError(
                f"batch_size must be at least 1 and at most {size}, the number of examples of the split {split!r}; "
                f"got {batch_size}"
            )
        self.split = split
        self.size = size
        self.batch_size = batch_size
        self.generator = torch.Generator().manual_seed(seed)
        self.order = torch.empty(0, dtype=torch.int32)
        self.position = 0

    @property
    def batches_per_pass(self) -> int:
        """Complete batches in one pass."""
        return self.size // self.batch_size

    def next(self) -> torch.Tensor:
        """The next (batch_size,) int64 indices."""
        if self.position + self.batch_size > len(self.order):
            self.order = torch.randperm(self.size, generator=self.generator).to(torch.int32)
            self.position = 0
        batch = self.order[self.position : self.position + self.batch_size]
        self.position += self.batch_size
        return batch.long()

    def state_dict(self) -> dict[str, Any]:
        """The present permutation, the place in it and the generator."""
        return {"order": self.order.clone(), "position": self.position, "generator": self.generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken.

        Raises:
            ValueError: the split had another size.
        """
        if len(state["order"]) not in (0, self.size):
            raise ValueError(
                f"the checkpoint was made with {len(state['order'])} examples in the split {self.split!r}, now there "
                f"are {self.size}; resume with the same data, split_seed and train_fraction"
            )
        self.order = state["order"].clone()
        self.position = int(state["position"])
        self.generator.set_state(state["generator"])
