"""From losses to utilities: only the order of losses matters, which makes a search invariant to their scale."""

from __future__ import annotations

import numpy as np

from ray_asng.space import Floats


def ranking_utility(losses: Floats) -> Floats:
    """Utility of each of N losses: +1/m for the best m = ceil(N / 4), -1/m for the worst m, 0 between.

    Equal losses share the mean of their places. NaN and infinities (also negative ones: a loss that diverged says
    nothing good of its architecture) count as one loss worse than all others. For N = 1 the utility is 0.

    Args:
        losses: (N,); lower is better.

    Returns:
        (N,), summing to 0.

    References:
        Akimoto et al., ICML 2019, section 4, with the quarters of the published code.
    """
    count = len(losses)
    comparable = np.where(np.isfinite(losses), losses, np.inf)
    selected = -(-count // 4)
    by_rank = np.zeros(count)
    by_rank[:selected] += 1.0 / selected
    by_rank[-selected:] -= 1.0 / selected
    order = np.argsort(comparable, kind="stable")
    ranked = comparable[order]
    is_new = np.empty(count, dtype=bool)
    is_new[0] = True
    is_new[1:] = ranked[1:] != ranked[:-1]
    group = np.cumsum(is_new) - 1
    shared = np.bincount(group, weights=by_rank) / np.bincount(group)
    utility = np.empty(count)
    utility[order] = shared[group]
    return utility
