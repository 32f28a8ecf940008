"""Independent Gaussian decisions (integers and reals) in expectation coordinates, as functions on arrays.

The coordinates are the mean and the second moment, eta = (mu, mu^2 + sigma^2), with sufficient statistic (x, x^2);
as for every exponential family the natural gradient of the log-likelihood is the statistic minus eta.

Dimension letters: N samples, M decisions.

References:
    Akimoto et al., ICML 2019, section 4; the published code for integers (bounds on sigma, mirrored pairs).
    Glasmachers et al., "Exponential Natural Evolution Strategies", GECCO 2010.
"""

from __future__ import annotations

import math

import numpy as np

from ray_asng.space import Floats


def deviation(mean: Floats, second_moment: Floats) -> Floats:
    """(M,) standard deviations sigma."""
    return np.sqrt(np.maximum(second_moment - mean**2, 0.0))


def sample(mean: Floats, sigma: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Draw (count, M) values in mirrored pairs mean +- sigma z; with an odd count the last has no twin."""
    steps = sigma * rng.standard_normal((-(-count // 2), len(mean)))
    pairs = np.stack([mean + steps, mean - steps], axis=1)
    return pairs.reshape(-1, len(mean))[:count]


def natural_gradient(values: Floats, utility: Floats, mean: Floats, second_moment: Floats) -> Floats:
    """Natural gradient (M, 2) of the expected utility by (mean, second moment).

    Args:
        values: (N, M) raw draws, neither clipped nor rounded.
        utility: (N,).
        mean: (M,).
        second_moment: (M,).
    """
    statistic = np.stack([values - mean, values**2 - second_moment], axis=2)
    gradient: Floats = np.tensordot(utility, statistic, axes=1) / len(values)
    return gradient


def exponential_step(mean: Floats, second_moment: Floats, change: Floats) -> tuple[Floats, Floats]:
    """Go `change` (M, 2) of (mean, second moment) along the exponential map; returns (mean, second moment), (M,) each.

    To first order this is adding the change. But then sigma^2 = second moment - mean^2 loses the square of what the
    mean moves, however well that step was: a mean that goes one sigma far leaves no sigma at all, and searches of
    numbers settle before they arrive. Here it is the logarithm of sigma that is added to, so the mean's moves have no
    part in it.
    """
    variance = deviation(mean, second_moment) ** 2
    widened = variance * np.exp((change[:, 1] - 2.0 * mean * change[:, 0]) / variance)
    moved = mean + change[:, 0]
    return moved, moved**2 + widened


def fisher_root(gradient: Floats, mean: Floats, sigma: Floats) -> Floats:
    """Map a natural gradient (M, 2) to coordinates (2 M,) in which the Fisher metric is Euclidean, two per decision.

    The Fisher matrix is the inverse of the covariance of (x, x^2), sigma^2 [[1, 2 mu], [2 mu, 4 mu^2 + 2 sigma^2]].
    Its symmetric root is taken in closed form (root(A) = (A + sqrt(det A) I) / sqrt(tr A + 2 sqrt(det A)) for a
    2 x 2 matrix), since an eigendecomposition loses digits where sigma is small against mu.
    """
    # The Fisher matrix times 2 sigma^4: [[4 mu^2 + 2 sigma^2, -2 mu], [-2 mu, 1]], with determinant 2 sigma^2.
    root_det = math.sqrt(2.0) * sigma
    first, second, across = 4.0 * mean**2 + 2.0 * sigma**2, 1.0, -2.0 * mean
    scale = 1.0 / (math.sqrt(2.0) * sigma**2 * np.sqrt(first + second + 2.0 * root_det))
    return np.stack(
        [
            scale * ((first + root_det) * gradient[:, 0] + across * gradient[:, 1]),
            scale * (across * gradient[:, 0] + (second + root_det) * gradient[:, 1]),
        ],
        axis=1,
    ).ravel()


def project(mean: Floats, second_moment: Floats, bounds: Floats, sigma_bounds: Floats) -> tuple[Floats, Floats]:
    """Clip the mean to `bounds` (M, 2) and sigma to `sigma_bounds` (M, 2); returns (mean, second moment)."""
    inside = np.clip(mean, bounds[:, 0], bounds[:, 1])
    low, high = sigma_bounds.T
    return inside, np.clip(second_moment, inside**2 + low**2, inside**2 + high**2)


def log_density(values: Floats, mean: Floats, sigma: Floats) -> Floats:
    """(N,) natural logarithms of the density of (N, M) draws."""
    logs: Floats = (-0.5 * ((values - mean) / sigma) ** 2 - np.log(sigma * math.sqrt(2.0 * math.pi))).sum(axis=1)
    return logs
