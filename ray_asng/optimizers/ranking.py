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


def weighted_ranking_utility(losses: Floats, weights: Floats) -> Floats:
    """Utility of results that count more or less: +4 / N for the best quarter of the weight, -4 / N for the worst.

    A result that lies on the edge of a quarter gets the part of it that lies inside. Equal losses share, by weight.
    NaN and infinities rank worst, as for `ranking_utility`, to which this is equal for equal weights of a multiple of
    4 results.

    Args:
        losses: (N,); lower is better.
        weights: (N,), at least one of them positive.

    Returns:
        (N,), each times its weight over the mean weight, summing to 0.
    """
    comparable = np.where(np.isfinite(losses), losses, np.inf)
    _, place = np.unique(comparable, return_inverse=True)
    share = np.bincount(place, weights) / weights.sum()
    end = np.cumsum(share)
    start = end - share
    gain = np.clip(0.25 - start, 0.0, share) - np.clip(end - 0.75, 0.0, share)
    # A share may be 0 where all its weights are as small as numbers get.
    utility: Floats = 4.0 * (gain / np.maximum(share, np.finfo(np.float64).tiny))[place] * weights / weights.sum()
    return utility
