"""The temperature of relaxed samples, which falls linearly from epoch to epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Temperature:
    """From `first` in the first epoch that learns to `last` in the last one, in equal steps [tau].

    While the architecture stands still (warm-up of the weights), so does the temperature.

    Args:
        first: of the first epoch in which the architecture is learnt.
        last: of the last epoch.

    Attributes:
        value: the present one.

    Raises:
        ValueError: one of them is not positive.
    """

    def __init__(self, first: float, last: float) -> None:
        if first <= 0.0 or last <= 0.0:
            raise ValueError(f"temperatures must be positive, got {first!r} at first and {last!r} at last")
        self.first, self.last = first, last
        self.value = first
        self._warmup_epochs = 0
        self._has_begun = False

    def begin(self) -> None:
        """The architecture is learnt from now on; further calls change nothing."""
        self._has_begun = True

    def end_epoch(self, epoch: int, epochs: int) -> None:
        """Take the value of the epoch after number `epoch` (the first is 1) of `epochs`."""
        if not self._has_begun:
            self._warmup_epochs = epoch
            return
        learnt, steps = epoch - self._warmup_epochs, epochs - self._warmup_epochs - 1
        share = min(learnt / steps, 1.0) if steps > 0 else 1.0
        self.value = self.first + (self.last - self.first) * share

    def state_dict(self) -> dict[str, Any]:
        """The present value and when it began to fall."""
        return {"value": self.value, "warmup_epochs": self._warmup_epochs, "has_begun": self._has_begun}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state; the ends stay those of the construction."""
        self.value = float(state["value"])
        self._warmup_epochs = int(state["warmup_epochs"])
        self._has_begun = bool(state["has_begun"])
