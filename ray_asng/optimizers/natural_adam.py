"""Adam on the natural gradient: the step-size rule that ASNG is compared with in its paper.

The direction is that of ASNG and SNG, of Fisher length 1; its size in each coordinate is Adam's.

References:
    Akimoto et al., ICML 2019, and the class `Adam` of the published code (toy problem), whose defaults these are.
    Kingma & Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray_asng.optimizers.adam import Moments
from ray_asng.optimizers.base import categorical_only
from ray_asng.optimizers.distribution import Direction
from ray_asng.optimizers.natural_gradient import NaturalGradientOptimizer
from ray_asng.space import SearchSpace


class NaturalAdam(NaturalGradientOptimizer):
    """Adam's steps along the Fisher-normalised natural gradient of the ranked losses.

    Numeric decisions are refused: a step of Adam has the same length whatever the range of a coordinate is.

    Args:
        space: categorical decisions only.
        seed: of the proposals.
        learning_rate: of Adam; the paper's experiments take n_theta ** -f with f from 0 to 1.
        samples: proposals for one update that the search loop draws by default, at least 2.

    Attributes:
        moments: (D, K) moving averages of the gradient and of its square.

    Raises:
        ValueError: a setting outside the ranges above, or a space with integer or real decisions.
    """

    def __init__(self, space: SearchSpace, seed: int = 0, learning_rate: float = 0.01, samples: int = 2) -> None:
        categorical_only(space, "natural_adam")
        if learning_rate <= 0.0:
            raise ValueError(f"learning_rate must be positive, got {learning_rate!r}")
        super().__init__(space, seed, samples)
        self.learning_rate = learning_rate
        self.moments = Moments(self.distribution.theta.shape)

    def _move(self, direction: Direction) -> None:
        """Take one step of Adam along the gradient of Fisher length 1."""
        # The steps taken; the published class also counts updates that carried no signal and changed nothing.
        step = self.distribution.version + 1
        mean, deviation = self.moments.update(direction.theta / direction.length, step)
        self.distribution.move(direction._replace(theta=mean / deviation, length=1.0), self.learning_rate)

    def metrics(self) -> dict[str, float]:
        """`step_size`, the learning rate, which is constant."""
        return {"step_size": self.learning_rate}

    def state_dict(self) -> dict[str, Any]:
        """Everything the future depends on but the settings, as lists and numbers."""
        return {"distribution": self.distribution.state_dict(), **self.moments.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state of the same space; the settings stay those of the construction."""
        self.distribution.load_state_dict(state["distribution"])
        self.moments.load_state_dict(state)
