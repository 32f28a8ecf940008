"""DARTS-ES: the architecture goes back to where it was before the validation loss became sharply curved, and stays.

Let l(e) be the dominant eigenvalue of the Hessian in epoch e, and m(e) its mean over the epochs e-2 ... e+2. As soon as
m(e) > 1.3 m(e-4), the logits are set back to those at the end of epoch e-4, the first such epoch being the eleventh.

References:
    Zela, Elsken, Saikia, Marrakchi, Brox & Hutter, "Understanding and Robustifying Differentiable Architecture
    Search", ICLR 2020; window, distance, factor and first epoch are those of the published code.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ray_asng.optimizers.base import Problem
from ray_asng.optimizers.darts import DARTS
from ray_asng.space import SearchSpace

_WINDOW = 5
_DISTANCE = 4
_FACTOR = 1.3
_FIRST_EPOCH = 11
_EIGENVALUES = _WINDOW + _DISTANCE
# The middle of the older window lies so many epochs back.
_BACK = _DISTANCE + _WINDOW // 2


class EarlyStoppedDARTS(DARTS):
    """First-order `DARTS` that measures the Hessian in every epoch, and keeps an earlier architecture if it must.

    The search goes on to its last epoch, but the architecture does not move any more.

    Args:
        space: categorical decisions only.
        seed: of the initial logits, 1e-3 times standard normal.
        learning_rate: of Adam.
        weight_decay: of Adam.
        device: where the logits live.

    Attributes:
        kept_epoch: number of the epoch whose architecture is kept; 0 while it moves.

    Raises:
        ValueError: as `DARTS`.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int = 0,
        learning_rate: float = 3e-4,
        weight_decay: float = 1e-3,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(space, seed, learning_rate, weight_decay, 1, device)
        self.kept_epoch = 0
        self._eigenvalues: deque[float] = deque(maxlen=_EIGENVALUES)
        # The logits of the last epochs, the oldest first. Of one size from the start, so that states do not grow.
        self._history = self._flat().repeat(_BACK + 1, 1)

    def architecture_step(self, problem: Problem) -> float:
        """As `DARTS`; once an architecture is kept, the loss alone."""
        if not self.kept_epoch:
            return super().architecture_step(problem)
        with torch.no_grad():
            return float(problem.loss(self.weights_for_training(), "valid"))

    def on_epoch_end(self, epoch: int, epochs: int) -> None:
        """Note the eigenvalue of the epoch and its logits, and go back if it has grown too much."""
        has_measured = not self.monitor.is_due
        super().on_epoch_end(epoch, epochs)
        if self.kept_epoch or not has_measured:
            return
        self._eigenvalues.append(self.monitor.value)
        self._history = torch.cat([self._history[1:], self._flat()[None]])
        if epoch - _BACK >= _FIRST_EPOCH and has_sharpened(self._eigenvalues):
            self.kept_epoch = epoch - _BACK
            rows = list(self.logits.values())
            with torch.no_grad():
                for row, earlier in zip(rows, torch.split(self._history[0], [len(row) for row in rows]), strict=True):
                    row.copy_(earlier)

    def _flat(self) -> torch.Tensor:
        """All logits in a row, (n,)."""
        return torch.cat([row.detach() for row in self.logits.values()])

    def metrics(self) -> dict[str, float]:
        """The eigenvalue, and the epoch whose architecture is kept (0 while it moves)."""
        return {**super().metrics(), "kept_epoch": float(self.kept_epoch)}

    def state_dict(self) -> dict[str, Any]:
        """The state of DARTS, and the eigenvalues and logits of the last epochs."""
        return {
            **super().state_dict(),
            "kept_epoch": self.kept_epoch,
            "eigenvalues": list(self._eigenvalues),
            "history": self._history.clone(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state of the same space; the settings stay those of the construction."""
        super().load_state_dict(state)
        self.kept_epoch = int(state["kept_epoch"])
        self._eigenvalues = deque(state["eigenvalues"], maxlen=_EIGENVALUES)
        self._history = state["history"].to(self._history).clone()


def has_sharpened(eigenvalues: Sequence[float]) -> bool:
    """Whether the mean of the last five of nine eigenvalues is more than 1.3 times that of the first five.

    Args:
        eigenvalues: one an epoch, the oldest first; of fewer than nine nothing can be said.
    """
    if len(eigenvalues) < _EIGENVALUES:
        return False
    values = list(eigenvalues)
    return bool(np.mean(values[-_WINDOW:]) > _FACTOR * np.mean(values[:_WINDOW]))
