"""Independent categorical decisions as an exponential family in expectation coordinates, as functions on arrays.

In these coordinates (the probabilities themselves) the natural gradient of the log-likelihood of a sample is the
one-hot sample minus the probabilities, so no Fisher matrix is ever inverted.

Dimension letters: N samples, D decisions, K the largest number of options; rows of decisions with fewer are padded
with zeros.

References:
    Akimoto et al., "Adaptive Stochastic Natural Gradient Method for One-Shot Neural Architecture Search", ICML 2019,
    section 4 and appendix B.
"""

from __future__ import annotations

import numpy as np

from ray_asng.space import Floats, Ints

_SMALL_SPACE_MODE = 0.73
"""With one or two decisions: the probability that all are at their mode once they have converged."""


def uniform(num_options: Ints) -> Floats:
    """(D, K) uniform probabilities for (D,) numbers of options."""
    width = int(num_options.max(initial=0))
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


def sample(probs: Floats, num_options: Ints, count: int, rng: np.random.Generator) -> Ints:
    """Draw (count, D) option indices, independently by row of `probs` (D, K), by inversion."""
    draws = rng.random((count, len(probs), 1))
    options = (draws >= np.cumsum(probs, axis=1)[:, :-1]).sum(axis=2)
    # A row whose sum falls short of 1 by rounding must not yield an option of the padding.
    return np.asarray(np.minimum(options, num_options - 1), dtype=np.int64)


def natural_gradient(options: Ints, utility: Floats, probs: Floats) -> Floats:
    """Natural gradient (D, K) of the expected utility: mean over samples of u (one_hot - probs).

    Args:
        options: (N, D) option indices.
        utility: (N,).
        probs: (D, K).
    """
    count, decisions = options.shape
    weighted = np.zeros_like(probs)
    np.add.at(weighted, (np.arange(decisions), options), utility[:, None])
    # The utilities of a ranking sum to 0 exactly only in exact arithmetic; then the second term vanishes.
    gradient: Floats = (weighted - utility.sum() * probs) / count
    return gradient


def fisher_root(gradient: Floats, probs: Floats, num_options: Ints) -> Floats:
    """Map a natural gradient to the coordinates in which the Fisher metric is Euclidean.

    The squared length of the result is the Fisher norm of `gradient`, sum(gradient ** 2 / probs). The last option of
    a decision is dependent (probabilities sum to 1), so it has no coordinate.

    Args:
        gradient: (D, K); every row sums to 0.
        probs: (D, K), positive outside the padding.
        num_options: (D,).

    Returns:
        (sum(num_options - 1),) vector, decision after decision.
    """
    rows = np.arange(len(probs))
    last = probs[rows, num_options - 1][:, None]
    root = np.sqrt(probs)
    is_free = np.arange(probs.shape[1]) < num_options[:, None] - 1
    others = np.where(is_free, gradient, 0.0).sum(axis=1, keepdims=True)
    safe_root = np.where(is_free, root, 1.0)
    coordinates: Floats = (gradient / safe_root + root * others / (last + np.sqrt(last)))[is_free]
    return coordinates


def project(probs: Floats, num_options: Ints, floor: Floats) -> Floats:
    """The (D, K) probabilities lifted to the floor (D,); the surplus is taken in proportion to the height above it."""
    exists = np.arange(probs.shape[1]) < num_options[:, None]
    low = np.where(exists, floor[:, None], 0.0)
    lifted: Floats = np.maximum(probs, low)
    lifted[~exists] = 0.0
    total = lifted.sum(axis=1, keepdims=True)
    room = total - num_options[:, None] * floor[:, None]
    lifted -= (total - 1.0) * (lifted - low) / np.where(room > 0.0, room, 1.0)
    lifted /= lifted.sum(axis=1, keepdims=True)
    return lifted


def log_probability(options: Ints, probs: Floats) -> Floats:
    """(N,) natural logarithms of the probabilities of (N, D) option indices."""
    logs: Floats = np.log(probs[np.arange(len(probs)), options]).sum(axis=1)
    return logs
