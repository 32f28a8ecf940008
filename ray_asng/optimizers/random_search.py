"""Random search: uniform proposals, the baseline that every other method has to beat.

In a one-shot search the weights learn from uniformly sampled paths, and the architecture is chosen at the end as the
best of fresh random ones by inherited weights on a fixed part of the validation split (Li & Talwalkar, UAI 2019,
simplified to one round). As a black-box method it answers with the best architecture it was told of.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from ray_asng.optimizers.base import Evaluate, Proposal, SamplingOptimizer, proposal_of
from ray_asng.optimizers.distribution import Distribution
from ray_asng.space import Architecture, Categorical, Decision, Floats, Integer, Ints, Real, SearchSpace, Value


class RandomSearch(SamplingOptimizer):
    """Uniform proposals that never change.

    Args:
        space: what is decided.
        seed: of the proposals.
        samples: proposals that the search loop draws for one step by default.
        candidates: architectures that `finalize` compares.

    Raises:
        ValueError: `samples` or `candidates` below 1.
    """

    def __init__(self, space: SearchSpace, seed: int = 0, samples: int = 2, candidates: int = 100) -> None:
        if samples < 1 or candidates < 1:
            raise ValueError(f"samples and candidates must be at least 1, got {samples!r} and {candidates!r}")
        self.space = space
        self.samples = samples
        self.candidates = candidates
        self.rng = np.random.default_rng(seed)
        self._stretches = stretches(space.decisions)
        self._is_categorical = np.array([isinstance(decision, Categorical) for decision in space.decisions])
        self._uniform = Distribution(space, seed).probabilities
        widths = [high - low + isinstance(d, Integer) for d in space.numeric for low, high in (d.bounds,)]
        self._log_density = -float(np.log([*(len(d.options) for d in space.categorical), *widths]).sum())
        self.best: Architecture | None = None
        self.best_loss = np.inf

    def reseed(self, seed: int) -> None:
        """Draw proposals from a new stream from now on."""
        self.rng = np.random.default_rng(seed)

    @property
    def probabilities(self) -> dict[str, Floats]:
        """Uniform, whatever was told; of a real (mean, deviation) with half the range as deviation."""
        return {name: row.copy() for name, row in self._uniform.items()}

    def most_likely(self) -> Architecture:
        """The architecture with the lowest loss so far; before any, the first option of every decision."""
        return self.best if self.best is not None else self.space.derive(self.probabilities)

    def ask(self, count: int) -> list[Proposal]:
        """Draw `count` architectures uniformly, or by the space's own rule."""
        if not self.space.draws_independently:
            return [proposal_of(self.space, self.space.sample(self.rng)) for _ in range(count)]
        drawn = draw(self._stretches, count, self.rng)
        options = drawn[:, self._is_categorical].astype(np.int64)
        values = drawn[:, ~self._is_categorical]
        return [
            Proposal(self.space.decode(chosen, numbers), chosen, numbers, self._log_density)
            for chosen, numbers in zip(options, values, strict=True)
        ]

    def tell(self, proposals: Sequence[Proposal | Mapping[str, Value]], losses: Sequence[float] | Floats) -> None:
        """Remember the best; NaN and infinities never are."""
        for proposal, loss in zip(proposals, losses, strict=True):
            if math.isfinite(loss) and loss < self.best_loss:
                given = proposal.architecture if isinstance(proposal, Proposal) else proposal
                self.best, self.best_loss = self.space.architecture(given), float(loss)

    def finalize(self, evaluate: Evaluate) -> Architecture:
        """The best of `candidates` random architectures by inherited weights; one drawn twice is evaluated once."""
        drawn = dict.fromkeys(self.space.sample(self.rng) for _ in range(self.candidates))
        losses = {architecture: evaluate(architecture) for architecture in drawn}
        return min(losses, key=lambda each: losses[each] if math.isfinite(losses[each]) else math.inf)

    def state_dict(self) -> dict[str, Any]:
        """The best so far and the generator."""
        return {
            "best": None if self.best is None else dict(self.best),
            "best_loss": self.best_loss,
            "rng": self.rng.bit_generator.state,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state of the same space."""
        self.best = None if state["best"] is None else self.space.architecture(state["best"])
        self.best_loss = float(state["best_loss"])
        self.rng.bit_generator.state = state["rng"]


class Stretch(NamedTuple):
    """Neighbouring decisions that one call of the generator draws.

    Attributes:
        places: of the decisions in the space.
        draw: called as draw(rng); returns their (n,) option indices or coordinates.
    """

    places: slice
    draw: Callable[[np.random.Generator], Floats | Ints]


def stretches(decisions: Sequence[Decision]) -> list[Stretch]:
    """The decisions in their order, cut where reals and others meet: they take different numbers from a generator."""
    found = []
    for is_real, stretch in groupby(enumerate(decisions), key=lambda placed: isinstance(placed[1], Real)):
        places, members = zip(*stretch, strict=True)
        low, high = zip(*map(_bounds, members), strict=True)
        if is_real:
            part = partial(_draw_reals, np.array(low, dtype=np.float64), np.array(high, dtype=np.float64))
        else:
            part = partial(_draw_integers, np.array(low, dtype=np.int64), np.array(high, dtype=np.int64))
        found.append(Stretch(slice(places[0], places[-1] + 1), part))
    return found


def draw(parts: Sequence[Stretch], count: int, rng: np.random.Generator) -> Floats:
    """Draw (count, n) option indices and coordinates of n decisions, the very ones of `SearchSpace.sample`."""
    drawn = np.empty((count, parts[-1].places.stop))
    for row in drawn:
        for part in parts:
            row[part.places] = part.draw(rng)
    return drawn


def _bounds(decision: Decision) -> tuple[float, float]:
    if isinstance(decision, Categorical):
        return 0, len(decision.options) - 1
    return decision.bounds


def _draw_reals(low: Floats, high: Floats, rng: np.random.Generator) -> Floats | Ints:
    # What rng.uniform(low, high) computes, which takes several times as long to check that bounds are bounds.
    return low + (high - low) * rng.random(len(low))


def _draw_integers(low: Ints, high: Ints, rng: np.random.Generator) -> Floats | Ints:
    return rng.integers(low, high, endpoint=True)
