"""Regularised (aging) evolution: the best of a few random members has a child, and the oldest member dies.

References:
    Real et al., "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019, algorithm 1.
    Dong & Yang, "NAS-Bench-201", ICLR 2020; defaults of the published code (AutoDL-Projects, NATS-algos).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ray_asng.optimizers.base import Evaluate, Proposal, SamplingOptimizer, proposal_of
from ray_asng.optimizers.distribution import Distribution
from ray_asng.space import Architecture, Categorical, Decision, Floats, Integer, Ints, SearchSpace, Value


class Member(NamedTuple):
    """An architecture of the population and the loss that it was told with; infinity for one that is not finite."""

    architecture: Architecture
    loss: float


class RegularizedEvolution(SamplingOptimizer):
    """Tournaments in a population that forgets its oldest members, however good they are.

    As a black-box method it answers with the best architecture it was told of. In a one-shot search losses were told
    at different times and on different batches, so `finalize` compares the last population anew.

    Args:
        space: what is decided.
        seed: of the proposals.
        population: members that live at a time; as many random architectures come first.
        tournament: members drawn with replacement, the best of which is the parent.
        samples: proposals that the search loop draws for one step by default.

    Attributes:
        members: the population, the oldest first.
        best: the one with the lowest loss of all that were told; None before there is one.

    Raises:
        ValueError: `population`, `tournament` or `samples` below 1.
    """

    def __init__(
        self, space: SearchSpace, seed: int = 0, population: int = 10, tournament: int = 3, samples: int = 1
    ) -> None:
        for name, count in (("population", population), ("tournament", tournament), ("samples", samples)):
            if count < 1:
                raise ValueError(f"{name} must be at least 1, got {count!r}")
        self.space = space
        self.population = population
        self.tournament = tournament
        self.samples = samples
        self.rng = np.random.default_rng(seed)
        self._uniform = Distribution(space, seed).probabilities
        self.members: list[Member] = []
        self.best: Member | None = None

    def reseed(self, seed: int) -> None:
        """Draw proposals from a new stream from now on."""
        self.rng = np.random.default_rng(seed)

    @property
    def probabilities(self) -> dict[str, Floats]:
        """Shares of the options in the population, uniform without one; of a real mean and deviation."""
        if not self.members:
            return {name: row.copy() for name, row in self._uniform.items()}
        return {decision.name: self._row(decision) for decision in self.space.decisions}

    def _row(self, decision: Decision) -> Floats:
        values = [member.architecture[decision.name] for member in self.members]
        if isinstance(decision, Categorical):
            places = [decision.index(value) for value in values if value in decision.options]
            # What is not searched has no probability: the others share it.
            return _shares(places, len(decision.options)) if places else self._uniform[decision.name].copy()
        coordinates = np.array([decision.encode(value) for value in values])
        if isinstance(decision, Integer):
            return _shares(coordinates.astype(np.int64) - decision.low, len(decision.values))
        return np.array([decision.decode(float(coordinates.mean())), coordinates.std()])

    def most_likely(self) -> Architecture:
        """The architecture with the lowest loss so far; before any, the first option of every decision."""
        return self.best.architecture if self.best is not None else self.space.derive(self.probabilities)

    def ask(self, count: int) -> list[Proposal]:
        """`count` random architectures until the population is complete, then as many children of it."""
        is_complete = len(self.members) >= self.population
        drawn = [self._child() if is_complete else self.space.sample(self.rng) for _ in range(count)]
        return [proposal_of(self.space, architecture) for architecture in drawn]

    def _child(self) -> Architecture:
        """The winner of a tournament with one change."""
        drawn = self.rng.integers(len(self.members), size=self.tournament)
        parent = min((self.members[place] for place in drawn), key=lambda member: member.loss)
        return self.space.mutate(parent.architecture, self.rng)

    def tell(self, proposals: Sequence[Proposal | Mapping[str, Value]], losses: Sequence[float] | Floats) -> None:
        """Take the architectures into the population; those that came before the last `population` leave it."""
        for proposal, loss in zip(proposals, losses, strict=True):
            given = proposal.architecture if isinstance(proposal, Proposal) else proposal
            member = Member(self.space.architecture(given), float(loss) if math.isfinite(loss) else math.inf)
            self.members.append(member)
            if member.loss < (math.inf if self.best is None else self.best.loss):
                self.best = member
        self.members = self.members[-self.population :]

    def finalize(self, evaluate: Evaluate) -> Architecture:
        """The best of the last population, and of the best one told, by a fresh evaluation of each."""
        found = dict.fromkeys([self.most_likely(), *(member.architecture for member in self.members)])
        losses = {architecture: evaluate(architecture) for architecture in found}
        return min(losses, key=lambda each: losses[each] if math.isfinite(losses[each]) else math.inf)

    def state_dict(self) -> dict[str, Any]:
        """The population, the best so far and the generator."""
        return {
            "members": [_plain(member) for member in self.members],
            "best": None if self.best is None else _plain(self.best),
            "rng": self.rng.bit_generator.state,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state of the same space; the settings stay those of the construction."""
        self.members = [self._member(plain) for plain in state["members"]][-self.population :]
        self.best = None if state["best"] is None else self._member(state["best"])
        self.rng.bit_generator.state = state["rng"]

    def _member(self, plain: Mapping[str, Any]) -> Member:
        return Member(self.space.architecture(plain["architecture"]), float(plain["loss"]))


def _plain(member: Member) -> dict[str, Any]:
    return {"architecture": dict(member.architecture), "loss": member.loss}


def _shares(places: Sequence[int] | Ints, count: int) -> Floats:
    shares: Floats = np.bincount(places, minlength=count) / len(places)
    return shares
