"""Evolution among the paths of a trained supernet: how SPOS and FairNAS find their answer once the weights stand.

The best of all that were looked at are the parents. Every generation they have children by crossover and mutation, and
random architectures fill what is missing; nothing is looked at twice. What "best" means is the caller's rule.

References:
    Guo et al., "Single Path One-Shot Neural Architecture Search with Uniform Sampling", ECCV 2020, algorithm 1;
    numbers and order of the published code (megvii-model/SinglePathOneShot).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from ray_asng.optimizers.base import Evaluate
from ray_asng.space import Architecture, Categorical, Decision, Floats, Integer, SearchSpace, Value

_TRIES = 500
_TRIES_A_CHILD = 10


class Candidate(NamedTuple):
    """An architecture that was looked at.

    Attributes:
        architecture: what it is.
        loss: by the weights of the supernet; infinity for one that is not finite.
        cost: the space's own; NaN where it knows none.
    """

    architecture: Architecture
    loss: float
    cost: float


Order: TypeAlias = Callable[[Sequence[Candidate]], list[Candidate]]
"""Candidates, the best first."""


def by_loss(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Lowest loss first; those that came earlier before their equals."""
    return sorted(candidates, key=lambda candidate: candidate.loss)


class PathEvolution:
    """How architectures are bred; the defaults are those of SPOS.

    Args:
        space: what is decided.
        population: architectures of a generation.
        generations: the first one is random.
        crossovers: children of two parents, of every later generation.
        mutations: children of one parent, likewise.
        mutation_rate: share of a parent's decisions that are changed on the average; never fewer than one decision.
        parents: the best so many of all that were looked at.
        tournament: parents drawn at random of which the best one has the child; 1 for any.
        most_cost: bound on the cost of everything that is looked at, in the unit of `space.cost`.

    Raises:
        ValueError: a number below 1, more children than the population, a rate outside (0, 1], or a bound where the
            space knows no cost.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        population: int = 50,
        generations: int = 20,
        crossovers: int = 25,
        mutations: int = 25,
        mutation_rate: float = 0.1,
        parents: int = 10,
        tournament: int = 1,
        most_cost: float | None = None,
    ) -> None:
        positive = {"population": population, "generations": generations, "parents": parents, "tournament": tournament}
        for name, count in positive.items():
            if count < 1:
                raise ValueError(f"{name} must be at least 1, got {count!r}")
        if crossovers < 0 or mutations < 0 or crossovers + mutations > population:
            raise ValueError(
                "crossovers and mutations must be at least 0, and together at most the population; got "
                f"crossovers={crossovers!r}, mutations={mutations!r}, population={population!r}"
            )
        if not 0.0 < mutation_rate <= 1.0:
            raise ValueError(f"mutation_rate must be above 0 and at most 1, got {mutation_rate!r}")
        if most_cost is not None:
            refuse_unknown_cost(space, "most_cost")
        self.space = space
        self.population = population
        self.generations = generations
        self.crossovers = crossovers
        self.mutations = mutations
        self.mutation_rate = mutation_rate
        self.parents = parents
        self.tournament = tournament
        self.most_cost = most_cost
        self._free = sum(not isinstance(d, Categorical) or len(d.options) > 1 for d in space.decisions)

    def run(self, evaluate: Evaluate, rng: np.random.Generator, order: Order) -> list[Candidate]:
        """Breed; stops early where nothing new is left.

        Args:
            evaluate: loss of an architecture.
            rng: draws everything.
            order: by which the parents are chosen.

        Returns:
            The last parents, the best first; at least one.

        Raises:
            ValueError: no architecture within `most_cost` is drawn in 500 tries.
        """
        seen: set[Architecture] = set()
        best: list[Candidate] = []
        for _ in range(self.generations):
            bred = self._generation(best, seen, rng)
            if not bred:
                break
            best = order([*best, *(self._candidate(architecture, evaluate) for architecture in bred)])[: self.parents]
        if not best:
            raise ValueError(
                f"none of {_TRIES} random architectures costs at most most_cost={self.most_cost:g}; allow more"
            )
        return best

    def _candidate(self, architecture: Architecture, evaluate: Evaluate) -> Candidate:
        loss, cost = float(evaluate(architecture)), self.space.cost(architecture)
        return Candidate(architecture, loss if math.isfinite(loss) else math.inf, math.nan if cost is None else cost)

    def _generation(
        self, best: Sequence[Candidate], seen: set[Architecture], rng: np.random.Generator
    ) -> list[Architecture]:
        bred: list[Architecture] = []
        if best and self._free:

            def parent() -> Architecture:
                return best[int(rng.integers(len(best), size=self.tournament).min())].architecture

            for count, child in (
                (self.mutations, lambda: self._mutated(parent(), rng)),
                (self.crossovers, lambda: crossed(self.space, parent(), parent(), rng)),
            ):
                bred += self._new(child, count, seen, tries=_TRIES_A_CHILD * count)
        return bred + self._new(lambda: self.space.sample(rng), self.population - len(bred), seen, tries=_TRIES)

    def _mutated(self, parent: Architecture, rng: np.random.Generator) -> Architecture:
        child = parent
        for _ in range(max(1, int(rng.binomial(self._free, self.mutation_rate)))):
            child = self.space.mutate(child, rng)
        return child

    def _new(
        self, draw: Callable[[], Architecture], count: int, seen: set[Architecture], *, tries: int
    ) -> list[Architecture]:
        """At most `count` that were not seen and may be; ends after `tries` draws in a row that were of no use."""
        found: list[Architecture] = []
        misses = 0
        while len(found) < count and misses < tries:
            architecture = draw()
            if architecture in seen or not self._is_allowed(architecture):
                misses += 1
                continue
            seen.add(architecture)
            found.append(architecture)
            misses = 0
        return found

    def _is_allowed(self, architecture: Architecture) -> bool:
        if self.most_cost is None:
            return True
        cost = self.space.cost(architecture)
        return cost is not None and cost <= self.most_cost


def crossed(space: SearchSpace, one: Architecture, other: Architecture, rng: np.random.Generator) -> Architecture:
    """A child that has each decision from one parent or the other, as likely.

    It is what the space derives from a distribution that knows the two parents alone, weighted by chance decision by
    decision. So it is an architecture that a search may end with, also where decisions hang together.
    """
    shares = rng.random(len(space))
    return space.derive(
        {
            decision.name: _mixed(decision, one[decision.name], other[decision.name], share)
            for decision, share in zip(space.decisions, shares.tolist(), strict=True)
        }
    )


def _mixed(decision: Decision, one: Value, other: Value, share: float) -> Floats:
    """Probabilities with `share` for one value and the rest for the other; of a real the likelier of the two."""
    if not isinstance(decision, (Categorical, Integer)):
        return np.array([float(one if share > 0.5 else other), 0.0])
    values: Sequence[Value] = decision.options if isinstance(decision, Categorical) else decision.values
    row = np.zeros(len(values))
    for value, weight in ((one, share), (other, 1.0 - share)):
        # What no distribution can choose, such as an edge that a derived cell leaves out, weighs nothing.
        if value in values:
            row[values.index(value)] += weight
    return row


def refuse_unknown_cost(space: SearchSpace, option: str) -> None:
    """Raise ValueError if the space knows no cost of an architecture, which `option` needs."""
    if space.cost(space.sample(np.random.default_rng(0))) is None:
        raise ValueError(
            f"{option} bounds the cost of an architecture, but this space knows none. Say in a config what to count by "
            '"cost": "parameters" (or "flops", or a function of a child network), or give the SearchSpace a cost='
        )
