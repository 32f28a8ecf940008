"""Where the optimum of a made problem lies: drawn, and never where a method would begin.

A number lies from 10 to 90 % of its range and at least 15 % of the range away from its centre, so neither a method that
begins in the middle nor one that tries the bounds profits. Reals on a log scale are placed by their logarithm.
"""

from __future__ import annotations

import math

import numpy as np

from ray_asng.space import Architecture, Integer, Real, SearchSpace

FROM_BOUND = 0.1
FROM_CENTRE = 0.15

LEAST_INTEGERS = 4
"""An integer decision of fewer values has none that is neither at a bound nor in the centre."""


def generator(seed: int, purpose: str) -> np.random.Generator:
    """A generator for one purpose of a problem.

    It shares no draw with that of another purpose, nor with `default_rng(seed)`: else a method of the same seed might
    hit the optimum with its first sample.
    """
    return np.random.default_rng([seed, *purpose.encode()])


def plant(space: SearchSpace, seed: int) -> Architecture:
    """An architecture to be the optimum: options drawn uniformly, numbers by `draw_place`."""
    rng = generator(seed, "optimum")
    options = [rng.integers(len(decision.options)) for decision in space.categorical]
    places = [draw_place(number, rng) for number in space.numeric]
    return space.decode(np.array(options, dtype=np.int64), np.array(places, dtype=np.float64))


def draw_place(decision: Integer | Real, rng: np.random.Generator) -> float:
    """A coordinate of `decision` that is neither near its bounds nor near its centre.

    Raises:
        ValueError: an integer of fewer than `LEAST_INTEGERS` values.
    """
    low, high = decision.bounds
    if isinstance(decision, Real):
        share = rng.uniform(FROM_BOUND, 0.5 - FROM_CENTRE)
        return low + (high - low) * float(share if rng.random() < 0.5 else 1.0 - share)
    if len(decision.values) < LEAST_INTEGERS:
        raise ValueError(
            f"decision {decision.name!r} has {len(decision.values)} values, of which none is inside and not central; "
            f"give it at least {LEAST_INTEGERS}"
        )
    last = len(decision.values) - 1
    margin = math.ceil(FROM_BOUND * last)
    inside = [step for step in range(margin, last - margin + 1) if abs(step - last / 2) >= FROM_CENTRE * last]
    return low + inside[int(rng.integers(len(inside)))]
