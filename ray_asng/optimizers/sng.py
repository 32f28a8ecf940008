"""Stochastic natural gradient (SNG): ASNG with a step of constant length, the ablation of its adaptation.

References:
    Akimoto et al., ICML 2019, section 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ray_asng.optimizers.base import Proposal, SamplingOptimizer
from ray_asng.optimizers.distribution import Distribution
from ray_asng.optimizers.ranking import ranking_utility
from ray_asng.space import Architecture, Floats, SearchSpace, Value


class SNG(SamplingOptimizer):
    """Steps of Fisher length `step` along the natural gradient of the ranked losses.

    Args:
        space: what is decided.
        seed: of the proposals.
        step: length of every step in the Fisher metric [delta]; by default 1 / sqrt(n_theta).
        samples: proposals for one update that the search loop draws by default, at least 2.

    Raises:
        ValueError: a setting outside the ranges above.
    """

    least_samples = 2

    def __init__(self, space: SearchSpace, seed: int = 0, step: float | None = None, samples: int = 2) -> None:
        self.space = space
        self.samples = samples
        self.distribution = Distribution(space, seed)
        self.step = max(self.distribution.num_parameters, 1) ** -0.5 if step is None else step
        if self.step <= 0.0:
            raise ValueError(f"step must be positive, got {step!r}")
        if samples < 2:
            raise ValueError(f"samples must be at least 2, since one loss alone ranks nothing; got {samples!r}")

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
        """The mode: the most probable options, means of numbers."""
        return self.distribution.most_likely()

    def ask(self, count: int) -> list[Proposal]:
        """Draw `count` proposals; integer and real decisions in mirrored pairs."""
        return self.distribution.propose(count)

    def tell(self, proposals: Sequence[Proposal | Mapping[str, Value]], losses: Sequence[float] | Floats) -> None:
        """One step from all that is given. Equal losses, or equal samples, change nothing."""
        options, values = self.distribution.arrays(proposals)
        losses = np.asarray(losses, dtype=np.float64)
        self.distribution.check_shapes(options, values, losses)
        direction = self.distribution.direction(options, values, ranking_utility(losses))
        if direction is not None:
            self.distribution.move(direction, self.step)

    def metrics(self) -> dict[str, float]:
        """`step_size`, which is constant."""
        return {"step_size": self.step}

    def state_dict(self) -> dict[str, Any]:
        """Everything the future depends on but the settings, as lists and numbers."""
        return self.distribution.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state of the same space; the settings stay those of the construction."""
        self.distribution.load_state_dict(state)
