"""What the methods share that move one distribution along the natural gradient of ranked losses.

They differ in how far they go: `asng` adapts the length of its steps, `sng` keeps it, `natural_adam` leaves it to Adam.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np

from ray_asng.optimizers.base import Proposal, SamplingOptimizer
from ray_asng.optimizers.distribution import Direction, Distribution
from ray_asng.optimizers.ranking import ranking_utility
from ray_asng.space import Architecture, Floats, Ints, SearchSpace, Value


class NaturalGradientOptimizer(SamplingOptimizer):
    """Proposes from a `Distribution` and ranks what it is told; subclasses say how far to go, in `_move`.

    Args:
        space: what is decided.
        seed: of the proposals.
        samples: proposals for one update that the search loop draws by default [lambda], at least 2.

    Raises:
        ValueError: `samples` below 2.
    """

    least_samples = 2

    def __init__(self, space: SearchSpace, seed: int, samples: int) -> None:
        if samples < 2:
            raise ValueError(f"samples must be at least 2, since one loss alone ranks nothing; got {samples!r}")
        self.space = space
        self.samples = samples
        self.distribution = Distribution(space, seed)

    @abstractmethod
    def _move(self, direction: Direction) -> None:
        """Take one step of the distribution along the natural gradient of a batch that carries information."""

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
        told = np.asarray(losses, dtype=np.float64)
        # Options were drawn or looked up by name: looking at each again would take a tenth of the whole update.
        self.distribution.check_shapes(options, values, told)
        self._learn(options, values, told)

    def _learn(self, options: Ints, values: Floats, losses: Floats) -> None:
        direction = self.distribution.direction(options, values, ranking_utility(losses))
        if direction is not None:
            self._move(direction)
