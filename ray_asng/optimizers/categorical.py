"""Independent categorical decisions as an exponential family in expectation coordinates, as functions on arrays.

In these coordinates (the probabilities themselves) the natural gradient of the log-likelihood of a sample is the
one-hot sample minus the probabilities, so no Fisher matrix is ever inverted.

Probabilities are (D, K) arrays in C order, rows of decisions with fewer options padded with zeros. What depends on the
numbers of options alone is computed once, in a `Layout`, for at 40 decisions a call of numpy costs as much as the
arithmetic of ten.

Dimension letters: N samples, D decisions, K the largest number of options, F free options: all but the last of every
decision, which is what the others leave of 1.

References:
    Akimoto et al., "Adaptive Stochastic Natural Gradient Method for One-Shot Neural Architecture Search", ICML 2019,
    section 4 and appendix B.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ray_asng.space import Floats, Ints

_SMALL_SPACE_MODE = 0.73
"""With one or two decisions: the probability that all are at their mode once they have converged."""


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Where the options of the decisions lie in a (D, K) array, and the bounds of their probabilities.

    Attributes:
        num_options: (D,).
        first: (D,) places of the first options in the array made flat.
        last: (D,) places of the last options in it.
        free: (F,) places of the free options in it, decision after decision.
        decision_of_free: (F,) the decision of each.
        floor: (D, K) least probabilities; see `floors`.
        room: (D, 1) what the floors of a decision leave of 1.
        is_last: (D, K) infinity for the last option and the padding behind it, 0 for free options.
    """

    num_options: Ints
    first: Ints
    last: Ints
    free: Ints
    decision_of_free: Ints
    floor: Floats
    room: Floats
    is_last: Floats

    @classmethod
    def of(cls, num_options: Ints) -> Layout:
        """The layout of decisions with (D,) numbers of options."""
        width = int(num_options.max(initial=1))
        column = np.arange(width)
        first = width * np.arange(len(num_options))
        is_free = column < num_options[:, None] - 1
        floor = floors(num_options)[:, None]
        return cls(
            num_options=num_options,
            first=first,
            last=first + num_options - 1,
            free=np.flatnonzero(is_free),
            decision_of_free=np.nonzero(is_free)[0],
            floor=np.where(column < num_options[:, None], floor, 0.0),
            room=1.0 - num_options[:, None] * floor,
            is_last=np.where(is_free, 0.0, np.inf),
        )


def uniform(num_options: Ints) -> Floats:
    """(D, K) uniform probabilities for (D,) numbers of options."""
    width = int(num_options.max(initial=1))
    exists = np.arange(width) < num_options[:, None]
    return np.asarray(exists / num_options[:, None], dtype=np.float64)


def floors(num_options: Ints) -> Floats:
    """The probability below which no option of a decision falls, (D,).

    1 / (D' (K - 1)) with D' the number of decisions that have a choice, as published. With D' of one or two that
    rule leaves no room (K floors reach or nearly reach 1), so there it is (1 - 0.73 ** (1 / D')) / (K - 1): after
    convergence all decisions are at their mode with probability 0.73, the margin of CatCMA (Hamano et al., 2024).
    Decisions with one option have no floor.
    """
    free = num_options > 1
    decisions = int(free.sum())
    if decisions == 0:
        return np.zeros(len(num_options))
    mass = 1.0 / decisions if decisions > 2 else 1.0 - _SMALL_SPACE_MODE ** (1.0 / decisions)
    return np.asarray(np.where(free, mass / np.maximum(num_options - 1, 1), 0.0), dtype=np.float64)


def sample(probs: Floats, layout: Layout, count: int, rng: np.random.Generator) -> Ints:
    """Draw (count, D) option indices, independently by row of `probs` (D, K), by inversion."""
    draws = rng.random((count, len(probs), 1))
    # The last option ends at infinity: a row whose sum falls short of 1 by rounding must not yield one of the padding.
    ends = np.add.accumulate(probs, axis=1) + layout.is_last
    return np.asarray((draws < ends).argmax(axis=2), dtype=np.int64)


def natural_gradient(options: Ints, utility: Floats, layout: Layout) -> Floats:
    """Natural gradient (D, K) of the expected utility: mean over samples of u (one_hot - probs).

    Args:
        options: (N, D) option indices.
        utility: (N,), summing to 0 as those of a ranking do, so that the probabilities cancel out.
        layout: of the decisions.
    """
    count, decisions = options.shape
    places = (options + layout.first).ravel()
    weights = (utility / count).repeat(decisions)
    gradient = np.bincount(places, weights, layout.floor.size).reshape(layout.floor.shape)
    return np.asarray(gradient, dtype=np.float64)


def fisher_root(gradient: Floats, probs: Floats, layout: Layout) -> Floats:
    """Map a natural gradient to the coordinates in which the Fisher metric is Euclidean.

    The squared length of the result is the Fisher norm of `gradient`, sum(gradient ** 2 / probs). The last option of
    a decision is dependent (probabilities sum to 1), so it has no coordinate.

    Args:
        gradient: (D, K); every row sums to 0.
        probs: (D, K), positive outside the padding.
        layout: of the decisions.

    Returns:
        (F,) vector, decision after decision.
    """
    gradient, probs = gradient.ravel(), probs.ravel()
    last = probs[layout.last]
    pull = gradient[layout.last] / (last + np.sqrt(last))
    root = np.sqrt(probs[layout.free])
    coordinates: Floats = gradient[layout.free] / root - root * pull[layout.decision_of_free]
    return coordinates


def project(probs: Floats, layout: Layout) -> Floats:
    """The (D, K) probabilities lifted to their floor; the surplus is taken in proportion to the height above it.

    With h the height above the floor after lifting and S the sum of the lifted row, the published rule
    h - (S - 1) h / sum(h) is h (1 - sum(floor)) / sum(h), for S - sum(h) = sum(floor).
    """
    height = np.maximum(probs, layout.floor) - layout.floor
    height *= layout.room / np.add.reduce(height, axis=1, keepdims=True)
    projected: Floats = layout.floor + height
    return projected


def log_probability(options: Ints, probs: Floats, layout: Layout) -> Floats:
    """(N,) natural logarithms of the probabilities of (N, D) option indices."""
    logs: Floats = np.add.reduce(np.log(probs.ravel()[options + layout.first]), axis=1)
    return logs
