"""The space of the mixed functions, and its numbers as shares of their range, in which the functions are written.

Dimension letter: M integer and real decisions, integers first.
"""

from __future__ import annotations

import numpy as np

from ray_asng.space import Categorical, Decision, Floats, Integer, Real, SearchSpace


def mixed_space(categoricals: int, options: int, integers: int, reals: int) -> SearchSpace:
    """Decisions of three kinds.

    Args:
        categoricals: number of categorical decisions `c0`, `c1`, ...
        options: of each, called "0", "1", ...
        integers: number of decisions `z0`, `z1`, ...: from -5 to 5 and from 1 to 32 in turn.
        reals: number of decisions `x0`, `x1`, ...: from -5 to 5 and from 0.0001 to 1 on a log scale in turn.
    """
    names = [str(option) for option in range(options)]
    decisions: list[Decision] = [Categorical(f"c{place}", names) for place in range(categoricals)]
    for place in range(integers):
        decisions.append(Integer(f"z{place}", 1, 32) if place % 2 else Integer(f"z{place}", -5, 5))
    for place in range(reals):
        decisions.append(Real(f"x{place}", 1e-4, 1.0, log=True) if place % 2 else Real(f"x{place}", -5.0, 5.0))
    return SearchSpace(decisions)


def as_shares(space: SearchSpace, coordinates: Floats) -> Floats:
    """(M,) coordinates as shares of their ranges: 0 at the lower bound, 1 at the upper one."""
    low, high = np.array([decision.bounds for decision in space.numeric]).reshape(-1, 2).T
    shares: Floats = (coordinates - low) / (high - low)
    return shares


def share_variances(space: SearchSpace) -> Floats:
    """(M,) variances of the shares of an architecture drawn uniformly; their mean is 1/2."""
    counts = [len(number.values) if isinstance(number, Integer) else np.inf for number in space.numeric]
    # Of n values at equal distances in a unit interval, bounds included; 1/12 in the limit.
    return np.array([1.0 / 12.0 if count == np.inf else (count + 1) / (count - 1) / 12.0 for count in counts])
