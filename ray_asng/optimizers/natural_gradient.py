"""What the methods share that move one distribution along the natural gradient of ranked losses.

They differ in how far they go: `asng` adapts the length of its steps, `sng` keeps it, `natural_adam` leaves it to Adam.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ray_asng.optimizers.base import Proposal, SamplingOptimizer
from ray_asng.optimizers.complexity import Complexity
from ray_asng.optimizers.distribution import Direction, Distribution, ExponentialDistribution
from ray_asng.optimizers.linear_cost import Coefficients
from ray_asng.optimizers.ranking import ranking_utility, weighted_ranking_utility
from ray_asng.optimizers.reuse import Reuse
from ray_asng.space import Architecture, Floats, Ints, SearchSpace, Value


class NaturalGradientOptimizer(SamplingOptimizer):
    """Proposes from a `Distribution` and ranks what it is told; subclasses say how far to go, in `_move`.

    Args:
        space: what is decided.
        seed: of the proposals.
        samples: proposals for one update that the search loop draws by default [lambda], at least 2.
        penalty, budget, coefficients: of a cost; see `Complexity`. No penalty (or 0) and no budget: none of it.
        initial_sigma: deviation that integers and reals begin with, as a share of their range.
        reuse: results, the fresh ones included, that a step learns from; 0 for the fresh ones alone. See `reuse`.
        exponential: whether numbers move along the exponential map. See `gaussian.exponential_step`.

    Attributes:
        complexity: what the cost asks; None without penalty and budget.

    Raises:
        ValueError: `samples` below 2; what `Complexity` refuses.
    """

    least_samples = 2

    def __init__(
        self,
        space: SearchSpace,
        seed: int,
        samples: int,
        penalty: float | None = None,
        budget: float | None = None,
        coefficients: Coefficients | None = None,
        initial_sigma: float = 0.5,
        reuse: int = 0,
        exponential: bool = False,
    ) -> None:
        if samples < 2:
            raise ValueError(f"samples must be at least 2, since one loss alone ranks nothing; got {samples!r}")
        self.space = space
        self.samples = samples
        kind = ExponentialDistribution if exponential else Distribution
        self.distribution = kind(space, seed, initial_sigma)
        self.complexity: Complexity | None = None
        if budget is not None or penalty not in (None, 0):
            self.complexity = Complexity(self.distribution, penalty, budget, coefficients)
        self._reuse = Reuse(reuse, self.distribution)

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
        """The mode: the most probable options, means of numbers; with a budget, the nearest within it."""
        if self.complexity is None:
            return self.distribution.most_likely()
        return self.complexity.most_likely(self.distribution)

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
        utility = ranking_utility(losses)
        if self._reuse.capacity:
            results = self._reuse.add(options, values, losses, self.distribution)
            options, values = results.options, results.values
            utility = weighted_ranking_utility(results.losses, results.weights(self.distribution))
        direction = self.distribution.direction(options, values, utility)
        if direction is not None:
            self._move(direction)

    def _reused(self) -> dict[str, Any]:
        """The part of a state for the results that are learnt from again."""
        return {"reuse": self._reuse.state_dict()} if self._reuse.capacity else {}

    def _load_reused(self, state: Mapping[str, Any]) -> None:
        if self._reuse.capacity and "reuse" in state:
            self._reuse.load_state_dict(state["reuse"])

    def _penalised(self, direction: Direction, step: float) -> Direction | None:
        """The direction of a step of this length, with the cost in it; None if the two cancel."""
        if self.complexity is None:
            return direction
        return self.complexity.penalised(direction, self.distribution, step)

    def _cost_metrics(self) -> dict[str, float]:
        """`expected_cost`, in the unit of the cost, if there is a penalty or a budget."""
        return {} if self.complexity is None else {"expected_cost": self.complexity.expected(self.distribution)}
