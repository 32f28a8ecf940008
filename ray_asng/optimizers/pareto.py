"""The order of NSGA-II for candidates with two objectives, loss and cost: front by front, the loneliest first.

References:
    Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", IEEE Transactions on Evolutionary
    Computation 2002.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ray_asng.optimizers.path_evolution import Candidate
from ray_asng.space import Floats, Ints


def by_fronts(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that nothing dominates first, then those that only these dominate, and so on; losses not finite last.

    Within a front, those with the greatest crowding distance come first, its ends before all.
    """
    finite = [candidate for candidate in candidates if math.isfinite(candidate.loss)]
    broken = [candidate for candidate in candidates if not math.isfinite(candidate.loss)]
    if not finite:
        return broken
    points = np.array([(candidate.loss, candidate.cost) for candidate in finite])
    fronts = front_numbers(points)
    distances = np.empty(len(points))
    for front in np.unique(fronts):
        distances[fronts == front] = crowding(points[fronts == front])
    return [finite[place] for place in np.lexsort((-distances, fronts))] + broken


def first_front(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those of finite loss that no other one dominates, the lowest loss first."""
    finite = [candidate for candidate in candidates if math.isfinite(candidate.loss)]
    fronts = front_numbers(np.array([(candidate.loss, candidate.cost) for candidate in finite]).reshape(-1, 2))
    best = [candidate for candidate, front in zip(finite, fronts, strict=True) if front == 0]
    return sorted(best, key=lambda candidate: (candidate.loss, candidate.cost))


def front_numbers(points: Floats) -> Ints:
    """(N,) number of the front, from 0, of (N, 2) points; lower is better in both."""
    no_worse = (points[:, None] <= points[None]).all(axis=2)
    dominates = no_worse & ~no_worse.T  # equal points dominate each other not
    fronts = np.full(len(points), -1, dtype=np.int64)
    front = 0
    while (fronts < 0).any():
        left = fronts < 0
        fronts[left & ~(dominates & left[:, None]).any(axis=0)] = front
        front += 1
    return fronts


def crowding(points: Floats) -> Floats:
    """(N,) crowding distances of the (N, 2) points of one front; infinite at its ends."""
    distances = np.zeros(len(points))
    for values in points.T:
        order = np.argsort(values, kind="stable")
        ordered = values[order]
        extent = ordered[-1] - ordered[0]
        distances[order[[0, -1]]] = math.inf
        if extent > 0.0:
            distances[order[1:-1]] += (ordered[2:] - ordered[:-2]) / extent
    return distances
