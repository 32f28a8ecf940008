"""Single path one-shot (SPOS): weights from uniform paths, then evolution among the paths of the finished supernet.

Batch norms with running statistics get them anew for every path that is ranked, since those of training are of all
paths together. Norms that use the batch's own statistics, as in the package's spaces, need none of that.

References:
    Guo et al., "Single Path One-Shot Neural Architecture Search with Uniform Sampling", ECCV 2020; defaults of the
    published code, which takes 200 batches of 128 for the statistics.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from ray_asng.optimizers.base import Evaluate, Proposal
from ray_asng.optimizers.path_evolution import PathEvolution, by_loss, refuse_unknown_cost
from ray_asng.optimizers.random_search import RandomSearch
from ray_asng.space import Architecture, SearchSpace

_TRIES = 500


class SPOS(RandomSearch):
    """Uniform paths while the weights learn, an evolutionary search among them at the end.

    Validation losses teach it nothing. One path's in ten steps is looked at all the same: the best of these is what it
    would answer before the end.

    Args:
        space: what is decided.
        seed: of the proposals and of the evolution.
        samples: proposals that the search loop draws for one step by default.
        population: architectures of a generation of the evolution; for what follows see `PathEvolution`.
        generations: the first one is random. All in all population x generations architectures are looked at.
        crossovers: children of two parents in a generation.
        mutations: children of one parent in a generation.
        mutation_rate: share of the decisions that a mutation changes on the average.
        parents: the best so many of all that were looked at.
        most_cost: bound on the cost of what the evolution looks at, in the unit of `space.cost`; none by default.
        cost_bins: (B + 1,) ascending bounds of B ranges of cost. A proposal is drawn from a range chosen at random;
            where 500 random paths miss it, the next one is taken as it comes, as published. By default any path.
        recalibration_batches: training batches from which running statistics are taken for each ranked path.

    Raises:
        ValueError: a number out of its range (see `PathEvolution`), or a bound where the space knows no cost.
    """

    architecture_every = 10

    def __init__(
        self,
        space: SearchSpace,
        seed: int = 0,
        samples: int = 1,
        population: int = 50,
        generations: int = 20,
        crossovers: int = 25,
        mutations: int = 25,
        mutation_rate: float = 0.1,
        parents: int = 10,
        most_cost: float | None = None,
        cost_bins: Sequence[float] | None = None,
        recalibration_batches: int = 20,
    ) -> None:
        super().__init__(space, seed, samples)
        self.evolution = PathEvolution(
            space,
            population=population,
            generations=generations,
            crossovers=crossovers,
            mutations=mutations,
            mutation_rate=mutation_rate,
            parents=parents,
            most_cost=most_cost,
        )
        self.recalibration_batches = checked_recalibration(recalibration_batches)
        self.bins = [] if cost_bins is None else _bins(space, cost_bins)

    def ask(self, count: int) -> list[Proposal]:
        """Draw `count` architectures uniformly, or from ranges of cost."""
        return [self._from_a_bin() for _ in range(count)] if self.bins else super().ask(count)

    def _from_a_bin(self) -> Proposal:
        low, high = self.bins[int(self.rng.integers(len(self.bins)))]
        for _ in range(_TRIES):
            (proposal,) = super().ask(1)
            cost = self.space.cost(proposal.architecture)
            if cost is not None and low <= cost <= high:
                return proposal
        return super().ask(1)[0]

    def finalize(self, evaluate: Evaluate) -> Architecture:
        """The path with the lowest loss that the evolution finds."""
        return self.evolution.run(evaluate, self.rng, by_loss)[0].architecture


def checked_recalibration(batches: int) -> int:
    """`batches`, or a ValueError if the number is negative."""
    if batches < 0:
        raise ValueError(f"recalibration_batches must be at least 0, got {batches!r}")
    return batches


def _bins(space: SearchSpace, bounds: Sequence[float]) -> list[tuple[float, float]]:
    refuse_unknown_cost(space, "cost_bins")
    bins = [(float(low), float(high)) for low, high in pairwise(bounds)]
    if not bins or not all(-math.inf < low < high < math.inf for low, high in bins):
        raise ValueError(
            f"cost_bins are at least two ascending bounds of ranges, such as (1e6, 2e6, 3e6); got {list(bounds)!r}"
        )
    return bins
