"""FairNAS: every weight step trains each option of each decision equally often; paths are ranked at the end.

A step deals the options of every decision like cards, so that m paths together use each of m options once. Their
gradients are collected before the weights move: no option learns before another one has been there.

Options that wait behind a choice that a path does not reach learn only where it does, as with every method.

References:
    Chu, Zhang & Xu, "FairNAS: Rethinking Evaluation Fairness of Weight Sharing Neural Architecture Search", ICCV 2021;
    there gradients are summed, here they are averaged, as in all weight steps of this package.
"""

from __future__ import annotations

import numpy as np

from ray_asng.optimizers.base import Evaluate, Proposal, categorical_only
from ray_asng.optimizers.pareto import by_fronts, first_front
from ray_asng.optimizers.path_evolution import Candidate, PathEvolution, by_loss
from ray_asng.optimizers.random_search import RandomSearch
from ray_asng.optimizers.spos import checked_recalibration
from ray_asng.space import Architecture, Ints, SearchSpace


class FairNAS(RandomSearch):
    """Strictly fair paths while the weights learn, an evolutionary search among them at the end.

    Where the space knows a cost, parents are chosen by NSGA-II among loss and cost, and the answer is the member of
    the front with the lowest loss (within `most_cost`); otherwise they are chosen by loss alone.

    A weight step has m paths, m being the largest number of options of a decision, or a multiple of m. A decision with
    fewer options deals again when they are used up; if their number does not divide m, those that are dealt once more
    than the others in a step are drawn at random.

    Validation losses teach it nothing; see `RSPS`.

    Args:
        space: what is decided, in categorical decisions alone.
        seed: of the proposals and of the evolution.
        population: architectures of a generation of the evolution, and parents; for what follows see `PathEvolution`.
        generations: the first one is random. All in all population x generations architectures are looked at.
        crossovers: children of two parents in a generation.
        mutations: children of one parent in a generation.
        mutation_rate: share of the decisions that a mutation changes on the average.
        most_cost: bound on the cost of what the evolution looks at, in the unit of `space.cost`; none by default.
        recalibration_batches: training batches from which running statistics are taken for each ranked path.

    Attributes:
        front: after `finalize` in a space with a cost, the candidates that no other one dominates, the lowest loss
            first; not part of the state.

    Raises:
        ValueError: a space with numbers, a number out of its range (see `PathEvolution`), or a bound where the space
            knows no cost.
    """

    architecture_every = 10

    def __init__(
        self,
        space: SearchSpace,
        seed: int = 0,
        population: int = 50,
        generations: int = 20,
        crossovers: int = 25,
        mutations: int = 25,
        mutation_rate: float = 0.1,
        most_cost: float | None = None,
        recalibration_batches: int = 20,
    ) -> None:
        categorical_only(space, "fairnas")
        self._counts = [len(decision.options) for decision in space.categorical]
        super().__init__(space, seed, samples=max(self._counts))
        self.round_size = self.samples
        self.evolution = PathEvolution(
            space,
            population=population,
            generations=generations,
            crossovers=crossovers,
            mutations=mutations,
            mutation_rate=mutation_rate,
            parents=population,
            tournament=2,
            most_cost=most_cost,
        )
        self.recalibration_batches = checked_recalibration(recalibration_batches)
        self.front: list[Candidate] = []

    def ask(self, count: int) -> list[Proposal]:
        """Deal `count` architectures; each `round_size` of them together use all options."""
        rounds = [self._dealt() for _ in range(-(-count // self.round_size))]
        none = np.empty(0)
        return [
            Proposal(self.space.decode(options, none), options, none, self._log_density)
            for options in np.concatenate(rounds)[:count]
        ]

    def _dealt(self) -> Ints:
        """(m, D) option indices of one round."""
        columns = [
            np.concatenate([self.rng.permutation(count) for _ in range(-(-self.round_size // count))])
            for count in self._counts
        ]
        return np.stack([column[: self.round_size] for column in columns], axis=1)

    def finalize(self, evaluate: Evaluate) -> Architecture:
        """The path with the lowest loss that the evolution finds."""
        knows_cost = self.space.cost(self.most_likely()) is not None
        best = self.evolution.run(evaluate, self.rng, by_fronts if knows_cost else by_loss)
        self.front = first_front(best) if knows_cost else []
        return by_loss(best)[0].architecture
