"""Adam on the natural gradient: the step-size rule that ASNG is compared with in its paper.

The direction is that of ASNG and SNG, of Fisher length 1; its size in each coordinate is Adam's.

References:
    Akimoto et al., ICML 2019, and the class `Adam` of the published code (toy problem), whose defaults these are.
    Kingma & Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ray_asng.optimizers.base import Proposal, SamplingOptimizer, categorical_only
from ray_asng.optimizers.distribution import Distribution
from ray_asng.optimizers.ranking import ranking_utility
from ray_asng.space import Architecture, Floats, SearchSpace, Value

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8


class NaturalAdam(SamplingOptimizer):
    """Adam's steps along the Fisher-normalised natural gradient of the ranked losses.

    Numeric decisions are refused: a step of Adam has the same length whatever the range of a coordinate is.

    Args:
        space: categorical decisions only.
        seed: of the proposals.
        learning_rate: of Adam; the paper's experiments take n_theta ** -f with f from 0 to 1.
        samples: proposals for one update that the search loop draws by default, at least 2.

    Attributes:
        first: (D, K) moving average of the gradient [m].
        second: (D, K) moving average of its square [v].

    Raises:
        ValueError: a setting outside the ranges above, or a space with integer or real decisions.
    """

    least_samples = 2

    def __init__(self, space: SearchSpace, seed: int = 0, learning_rate: float = 0.01, samples: int = 2) -> None:
        categorical_only(space, "natural_adam")
        if learning_rate <= 0.0:
            raise ValueError(f"learning_rate must be positive, got {learning_rate!r}")
        if samples < 2:
            raise ValueError(f"samples must be at least 2, since one loss alone ranks nothing; got {samples!r}")
        self.space = space
        self.samples = samples
        self.learning_rate = learning_rate
        self.distribution = Distribution(space, seed)
        self.first: Floats = np.zeros_like(self.distribution.theta)
        self.second: Floats = np.zeros_like(self.distribution.theta)

    def reseed(self, seed: int) -> None:
        """Draw proposals from a new stream from now on."""
        self.distribution.reseed(seed)

    @property
    def probabilities(self) -> dict[str, Floats]:
        """See `Optimizer.probabilities`."""
        return self.distribution.probabilities

    @property
    def convergence_limit(self) -> float:
        """See `Optimizer.convergence_limit`."""
        return self.distribution.convergence_limit

    def most_likely(self) -> Architecture:
        """The mode: the most probable options."""
        return self.distribution.most_likely()

    def ask(self, count: int) -> list[Proposal]:
        """Draw `count` proposals."""
        return self.distribution.propose(count)

    def tell(self, proposals: Sequence[Proposal | Mapping[str, Value]], losses: Sequence[float] | Floats) -> None:
        """One step from all that is given. Equal losses, or equal samples, change nothing."""
        options, values = self.distribution.arrays(proposals)
        losses = np.asarray(losses, dtype=np.float64)
        self.distribution.check(options, values, losses)
        direction = self.distribution.direction(options, values, ranking_utility(losses))
        if direction is None:
            return
        # The steps taken; the published class also counts updates that carried no signal and changed nothing.
        step = self.distribution.version + 1
        gradient = direction.theta / direction.length
        self.first = _BETA_1 * self.first + (1.0 - _BETA_1) * gradient
        self.second = _BETA_2 * self.second + (1.0 - _BETA_2) * gradient**2
        mean = self.first / (1.0 - _BETA_1**step)
        square = self.second / (1.0 - _BETA_2**step)
        adapted = mean / (np.sqrt(square) + _EPSILON)
        self.distribution.move(direction._replace(theta=adapted, length=1.0), self.learning_rate)

    def metrics(self) -> dict[str, float]:
        """`step_size`, the learning rate, which is constant."""
        return {"step_size": self.learning_rate}

    def state_dict(self) -> dict[str, Any]:
        """Everything the future depends on but the settings, as lists and numbers."""
        return {
            "distribution": self.distribution.state_dict(),
            "first": self.first.tolist(),
            "second": self.second.tolist(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state of the same space; the settings stay those of the construction."""
        self.distribution.load_state_dict(state["distribution"])
        self.first = np.array(state["first"], dtype=np.float64)
        self.second = np.array(state["second"], dtype=np.float64)
