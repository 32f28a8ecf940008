"""The toy of the paper: a "supernet" whose weights are numbers, trained by SGD while categories are searched.

The loss is the selective squared error, sum over d of k_d / K + (x_dk - z_d)², with shared weights x and noise z of
deviation 1 / K that the samples of one evaluation have in common. Only the chosen x_dk receive a gradient. It is an
object on arrays and no module of torch, since one iteration must cost microseconds: a run takes up to 100 000.

Dimension letters: N samples, D decisions, K options of each.

References:
    Akimoto et al., "Adaptive Stochastic Natural Gradient Method for One-Shot Neural Architecture Search", ICML 2019,
    the experiment on sensitivity to the step size, and the published code for it.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import numpy as np

from ray_asng.space import Floats, Ints, SearchSpace

MOMENTUM = 0.9


class SelectiveError(Protocol):
    """What the toy asks of its function; `ray_asng.tabular.selective_squared_error` is it."""

    @property
    def length(self) -> int:
        """Number of categorical decisions [D]."""

    @property
    def options(self) -> int:
        """Of each decision [K]."""

    @property
    def space(self) -> SearchSpace:
        """The decisions; those that are no categories are weights to the toy."""

    def losses(self, options: Ints, x: Floats) -> Floats:
        """(N,) losses of (N, D) option indices at (D, K) weights."""

    def gradient(self, options: Ints, x: Floats) -> Floats:
        """(D, K) gradient of the mean loss of (N, D) option indices at (D, K) weights."""


class Evaluation(NamedTuple):
    """Losses of N samples.

    Attributes:
        losses: (N,) with the noise that they share; what a method is told.
        noise_free: (N,) without it; what counts for success.
    """

    losses: Floats
    noise_free: Floats


class Toy:
    """The weights of the selective squared error with their noise and their weight steps.

    Args:
        error: the function.
        seed: of the first weights, which are normal, and of the noise.

    Attributes:
        space: the D categorical decisions.
        target: a noise-free loss that counts as solved, 1 / K.
        x: (D, K) weights.
        velocity: (D, K) of momentum.

    Example:
        >>> from ray_asng.tabular.selective_squared_error import SelectiveSquaredError
        >>> toy = Toy(SelectiveSquaredError(length=2, options=3))
        >>> toy.train(np.array([[0, 1], [2, 1]]), learning_rate=0.05).noise_free.shape
        (2,)
    """

    def __init__(self, error: SelectiveError, seed: int = 0) -> None:
        self.error = error
        self.space = SearchSpace(list(error.space.categorical))
        self.target = 1.0 / error.options
        self._rng = np.random.default_rng(seed)
        self.x: Floats = self._rng.standard_normal((error.length, error.options))
        self.velocity: Floats = np.zeros_like(self.x)

    def evaluate(self, options: Ints) -> Evaluation:
        """Losses of (N, D) option indices under fresh noise, which they share."""
        return self._evaluation(options, self._shifted())

    def train(self, options: Ints, learning_rate: float) -> Evaluation:
        """One step of SGD with momentum on the mean loss of (N, D) option indices under fresh noise, which they share.

        As published, the velocity moves weights that no sample chose, too.

        Returns:
            Losses before the step.
        """
        shifted = self._shifted()
        found = self._evaluation(options, shifted)
        self.velocity = MOMENTUM * self.velocity + self.error.gradient(options, shifted)
        self.x = self.x - learning_rate * self.velocity
        return found

    def _shifted(self) -> Floats:
        """(D, K) x - z for a new z."""
        return self.x - self._rng.normal(0.0, 1.0 / self.error.options, (self.error.length, 1))

    def _evaluation(self, options: Ints, shifted: Floats) -> Evaluation:
        return Evaluation(self.error.losses(options, shifted), self.error.losses(options, self.x))


def cosine(first: float, iteration: int, limit: int) -> float:
    """The learning rate of iteration 0, 1, ..., `limit`, from `first` down to 0."""
    return 0.5 * first * (1.0 + math.cos(math.pi * iteration / limit))
