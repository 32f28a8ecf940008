"""What a search has cost so far, in a unit that does not hang on the machine.

One pass is the network run once on a batch along one path. A mixture costs as many as its choices run options, on the
average. So methods can be compared at equal passes, whatever they do in a step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch


class Passes:
    """Forward and backward passes that a search has made.

    Attributes:
        forward: in passes of one path on a batch.
        backward: likewise.
    """

    def __init__(self) -> None:
        self.forward = 0.0
        self.backward = 0.0

    @property
    def total(self) -> float:
        """Forward and backward passes together."""
        return self.forward + self.backward

    def add(self, passes: float, loss: torch.Tensor) -> None:
        """Count a forward pass that cost `passes`, and a backward pass whenever one goes through its `loss`."""
        self.forward += passes
        if loss.requires_grad:
            loss.register_hook(lambda _: self._add_backward(passes))  # type: ignore[no-untyped-call]

    def _add_backward(self, passes: float) -> None:
        self.backward += passes

    def state_dict(self) -> dict[str, Any]:
        """Both numbers."""
        return {"forward": self.forward, "backward": self.backward}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state."""
        self.forward, self.backward = float(state["forward"]), float(state["backward"])
