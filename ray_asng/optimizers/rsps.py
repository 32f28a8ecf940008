"""Random search with parameter sharing (RSPS): weights from uniform paths, many random paths ranked at the end.

The published search ranks in two stages, 1000 paths on 10 batches each and the best 10 on the whole validation split.
Here there is one stage, by the loss on a fixed part of that split, which may be larger than 10 batches.

References:
    Li & Talwalkar, "Random Search and Reproducibility for Neural Architecture Search", UAI 2019; one path a step and
    the number of ranked paths are those of the published code.
"""

from __future__ import annotations

from ray_asng.optimizers.random_search import RandomSearch
from ray_asng.space import SearchSpace


class RSPS(RandomSearch):
    """Random search as published for shared weights: one path a step, and 1000 ranked by inherited weights.

    Validation losses teach it nothing. One path's in ten steps is looked at all the same: the best of these is what it
    would answer before the end.

    Args:
        space: what is decided.
        seed: of the proposals.
        samples: proposals that the search loop draws for one step by default.
        candidates: architectures that `finalize` draws; the published code for NAS-Bench-201 takes 100.

    Raises:
        ValueError: `samples` or `candidates` below 1.
    """

    architecture_every = 10

    def __init__(self, space: SearchSpace, seed: int = 0, samples: int = 1, candidates: int = 1000) -> None:
        super().__init__(space, seed, samples, candidates)
