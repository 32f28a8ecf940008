"""Random search with parameter sharing (RSPS): weights from uniform paths, many random paths ranked at the end.

The ranking has two stages: every drawn path on some batches of the validation split, then the best on all of it.

References:
    Li & Talwalkar, "Random Search and Reproducibility for Neural Architecture Search", UAI 2019; one path a step and
    the numbers of the ranking are those of the published code (liamcli/randomNAS_release).
"""

from __future__ import annotations

import math

from ray_asng.optimizers.base import Evaluate
from ray_asng.optimizers.random_search import RandomSearch
from ray_asng.space import Architecture, SearchSpace


class RSPS(RandomSearch):
    """Random search as published for shared weights: one path a step, and 1000 ranked by inherited weights.

    Validation losses teach it nothing. One path's in ten steps is looked at all the same: the best of these is what it
    would answer before the end.

    Args:
        space: what is decided.
        seed: of the proposals.
        samples: proposals that the search loop draws for one step by default.
        candidates: architectures that each round of the ranking draws; the published code for NAS-Bench-201 takes 100.
        rounds: of the ranking; as published, one for every 10 000 weight steps, at least one.
        batches: of the validation split, by which the candidates are ranked.
        rescored: so many of the best of each round are scored again, on the whole validation split.

    Raises:
        ValueError: a number below 1.
    """

    architecture_every = 10

    def __init__(
        self,
        space: SearchSpace,
        seed: int = 0,
        samples: int = 1,
        candidates: int = 1000,
        rounds: int = 1,
        batches: int = 10,
        rescored: int = 10,
    ) -> None:
        super().__init__(space, seed, samples, candidates)
        for name, count in (("rounds", rounds), ("batches", batches), ("rescored", rescored)):
            if count < 1:
                raise ValueError(f"{name} must be at least 1, got {count!r}")
        self.rounds = rounds
        self.ranking_batches = batches
        self.rescored = rescored

    def finalize(self, evaluate: Evaluate) -> Architecture:
        """The best of all rounds by one loss, without the second stage."""
        return self.finalists(evaluate)[0]

    def finalists(self, evaluate: Evaluate) -> list[Architecture]:
        """The best of each round; an architecture that is drawn twice is evaluated once."""
        losses: dict[Architecture, float] = {}
        chosen: dict[Architecture, None] = {}
        for _ in range(self.rounds):
            drawn = dict.fromkeys(self.space.sample(self.rng) for _ in range(self.candidates))
            for architecture in drawn:
                if architecture not in losses:
                    loss = evaluate(architecture)
                    losses[architecture] = loss if math.isfinite(loss) else math.inf
            chosen.update(dict.fromkeys(sorted(drawn, key=losses.__getitem__)[: self.rescored]))
        return sorted(chosen, key=losses.__getitem__)
