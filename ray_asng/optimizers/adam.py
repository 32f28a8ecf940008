"""The moving averages of Adam, for the methods that work without torch.

References:
    Kingma & Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 1 and its defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ray_asng.space import Floats

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8


class Moments:
    """Averages of gradients and of their squares; a step of Adam is learning_rate * mean / deviation.

    Args:
        shape: of the gradients.

    Attributes:
        first: moving average of the gradient [m].
        second: moving average of its square [v].
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.first: Floats = np.zeros(shape)
        self.second: Floats = np.zeros(shape)

    def update(self, gradient: Floats, step: int) -> tuple[Floats, Floats]:
        """Take in the gradient of step number `step` (the first is 1).

        Returns:
            Mean and root mean square (plus 1e-8), without the bias of their start at 0, in the shape of the gradient.
        """
        self.first = _BETA_1 * self.first + (1.0 - _BETA_1) * gradient
        self.second = _BETA_2 * self.second + (1.0 - _BETA_2) * gradient**2
        mean = self.first / (1.0 - _BETA_1**step)
        square = self.second / (1.0 - _BETA_2**step)
        return mean, np.sqrt(square) + _EPSILON

    def state_dict(self) -> dict[str, Any]:
        """Both averages, as lists."""
        return {"first": self.first.tolist(), "second": self.second.tolist()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state of gradients of the same shape."""
        self.first = np.array(state["first"], dtype=np.float64)
        self.second = np.array(state["second"], dtype=np.float64)
