"""From losses to utilities: only the order of losses matters, which makes a search invariant to their scale."""

from __future__ import annotations

import math

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
    # Lists and dictionaries, for N is small: there are as many losses as networks were run.
    comparable = [loss if math.isfinite(loss) else math.inf for loss in losses.tolist()]
    count = len(comparable)
    selected = -(-count // 4)
    gains: dict[float, int] = {}
    times: dict[float, int] = {}
    for place, loss in enumerate(sorted(comparable)):
        gains[loss] = gains.get(loss, 0) + (place < selected) - (place >= count - selected)
        times[loss] = times.get(loss, 0) + 1
    return np.array([gains[loss] / (selected * times[loss]) for loss in comparable])
