"""Random search: uniform proposals, the baseline that every other method has to beat.

In a one-shot search the weights learn from uniformly sampled paths, and the architecture is chosen at the end as the
best of fresh random ones by inherited weights on a fixed part of the validation split (Li & Talwalkar, UAI 2019,
simplified to one round). As a black-box method it answers with the best architecture it was told of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ray_asng.optimizers.base import Evaluate, Proposal, SamplingOptimizer
from ray_asng.optimizers.distribution import Distribution
from ray_asng.space import Architecture, Floats, Integer, SearchSpace, Value


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
        """Draw `count` architectures uniformly."""
        drawn = [self.space.sample(self.rng) for _ in range(count)]
        logs = self._log_density
        return [Proposal(architecture, *self.space.encode(architecture), logs) for architecture in drawn]

    def tell(self, proposals: Sequence[Proposal | Mapping[str, Value]], losses: Sequence[float] | Floats) -> None:
        """Remember the best; NaN and infinities never are."""
        for proposal, loss in zip(proposals, losses, strict=True):
            if np.isfinite(loss) and loss < self.best_loss:
                given = proposal.architecture if isinstance(proposal, Proposal) else proposal
                self.best, self.best_loss = self.space.architecture(given), float(loss)

    def finalize(self, evaluate: Evaluate) -> Architecture:
        """The best of `candidates` fresh random architectures by inherited weights."""
        drawn = [self.space.sample(self.rng) for _ in range(min(self.candidates, int(min(self.space.size, 1e9))))]
        losses = np.array([evaluate(architecture) for architecture in drawn])
        return drawn[int(np.argmin(np.where(np.isfinite(losses), losses, np.inf)))]

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
