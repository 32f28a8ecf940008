"""Complexity-controlled search: a price on the cost of an architecture, or a budget for it.

The expected cost of a distribution is linear in its expectation coordinates if the cost is a sum over decisions
(`linear_cost`), so its natural gradient is known and nothing is drawn for it: theta_k (a_k - sum_j a_j theta_j) for an
option, b (sigma^2, 2 mu sigma^2) for a number. It is subtracted from the natural gradient of the ranked losses.

Unit of the weight [epsilon]: costs are divided by the standard deviation that they have under the distribution that
the search begins with. So at the beginning the gradient of the cost has Fisher length 1 in every space and for every
unit of the cost, where losses that knew nothing but the cost would give, by ranks of two samples, one of 0.56: a weight
of 0.5 makes the cost about as strong as the losses can be.

Cost here is that of the part of a distribution that lies above the floors of the probabilities: the floors keep every
option alive, but no finished search returns them. Once a search has converged it is the cost of what it found.

A batch whose losses say nothing changes nothing, penalty or not: steps have one length, so the smallest penalty would
else make a whole step of it.

Dimension letters: D categorical decisions, K largest number of options, M integer and real decisions.

References:
    Saito & Shirakawa, "Controlling Model Complexity in Probabilistic Model-Based Dynamic Optimization of Neural
    Network Structures", ICANN 2019.
"""

from __future__ import annotations

import logging
import math
from functools import partial
from numbers import Real

import numpy as np

from ray_asng.optimizers.budget import weight_to_stay, within
from ray_asng.optimizers.distribution import Direction, Distribution
from ray_asng.optimizers.linear_cost import Coefficients, LinearCost, cost_of
from ray_asng.space import Architecture, Floats, SearchSpace

logger = logging.getLogger(__name__)

_POOR_FIT = 0.9


class Complexity:
    """What a cost asks of a distribution over architectures.

    Args:
        distribution: at its start.
        penalty: weight of the cost [epsilon], in the unit that the module describes; with a budget the largest one,
            and None if it may be as large as it takes.
        budget: what the expected cost shall not exceed, in the unit of the cost; None for a price without a bound.
        coefficients: of the cost; None to fit them to the space's own cost. They are fitted to architectures that are
            drawn with a seed of their own, hence the same for all seeds of a search.

    Attributes:
        cost: the sum over decisions, with its `r_squared`.
        unit: standard deviation of the cost under the distribution at its start.

    Raises:
        ValueError: a setting that is no number or without meaning, a space without a cost, or a budget below the
            cheapest architecture.
    """

    def __init__(
        self,
        distribution: Distribution,
        penalty: float | None = None,
        budget: float | None = None,
        coefficients: Coefficients | None = None,
    ) -> None:
        _check_settings(penalty, budget)
        space = distribution.space
        self._uses_own_cost = coefficients is None
        self.cost = _fitted(distribution) if coefficients is None else LinearCost.given(space, coefficients)
        # A probability is its floor and a share of the room above; of the share alone the cost is counted.
        self._options: Floats = self.cost.options / distribution.layout.room
        self._slopes: Floats = self.cost.slopes
        theta, moments = natural_gradient(self._options, self._slopes, distribution)
        # The length of the gradient: along it the expected cost rises by the variance of the cost.
        self.unit = math.sqrt(float((self._options * theta).sum() + self._slopes @ moments[:, 0]))
        self._options, self._slopes = self._options / self.unit, self._slopes / self.unit
        self.penalty = math.inf if penalty is None else penalty
        self.budget = budget
        if budget is not None:
            self.most_likely(distribution)  # raises if there is none

    def expected(self, distribution: Distribution) -> float:
        """Expected cost of a distribution, in the unit of the cost."""
        heights = distribution.theta - distribution.layout.floor
        scaled = (self._options * heights).sum() + self._slopes @ distribution.mean
        return self.cost.constant + self.unit * float(scaled)

    def rise(self, distribution: Distribution) -> Direction | None:
        """Natural gradient of the expected cost divided by `unit`; None where the distribution has but one cost."""
        theta, moments = natural_gradient(self._options, self._slopes, distribution)
        return distribution.measured(theta, moments)

    def penalised(self, direction: Direction, distribution: Distribution, step: float) -> Direction | None:
        """`direction` with the penalty subtracted; None where nothing is left of it.

        Args:
            direction: natural gradient of the expected utility.
            distribution: where it was taken.
            step: Fisher length of the step along the result, which with a budget decides on the weight.
        """
        rise = self.rise(distribution)
        if rise is None:
            return direction
        weight = self.penalty
        if self.budget is not None:
            slack = (self.budget - self.expected(distribution)) / self.unit
            weight = min(weight, weight_to_stay(direction, rise, slack, step))
        if math.isinf(weight):
            return distribution.measured(-rise.theta, -rise.moments)
        if weight == 0.0:
            return direction
        return distribution.measured(direction.theta - weight * rise.theta, direction.moments - weight * rise.moments)

    def most_likely(self, distribution: Distribution) -> Architecture:
        """The mode; with a budget the mode of the distribution tilted to lower costs as far as the budget asks."""
        if self.budget is None:
            return distribution.most_likely()

        def tilted(tilt: float) -> Architecture:
            return distribution.tilted(-tilt * self._options, -tilt * self._slopes).most_likely()

        return within(self.budget, tilted, partial(self._price, distribution.space))

    def _price(self, space: SearchSpace, architecture: Architecture) -> float:
        """What an architecture costs: by the space itself, or by the coefficients if they were given."""
        return cost_of(space, architecture) if self._uses_own_cost else self.cost.of(space, architecture)


def natural_gradient(options: Floats, slopes: Floats, distribution: Distribution) -> tuple[Floats, Floats]:
    """Natural gradient of the expectation of sum a[d, option of d] + sum b[j] x_j.

    Args:
        options: (D, K) coefficients [a].
        slopes: (M,) coefficients [b].
        distribution: over architectures.

    Returns:
        (D, K) for the probabilities, and (M, 2) for mean and second moment: b times the covariance of x with (x, x^2).
    """
    theta = distribution.theta
    centred = options - np.add.reduce(options * theta, axis=1, keepdims=True)
    by_mean = slopes * distribution.sigma**2
    return theta * centred, np.stack([by_mean, 2.0 * distribution.mean * by_mean], axis=1)


def _fitted(distribution: Distribution) -> LinearCost:
    """The sum nearest to the cost of the space, always from the same architectures."""
    cost = LinearCost.fit(distribution.space, np.random.default_rng(0))
    if cost.r_squared is not None and cost.r_squared < _POOR_FIT:
        logger.warning(
            "a sum over decisions explains only %.0f %% of the variance of the cost, so expected_cost is rough. "
            "Compare it with the cost of what is found, or give coefficients that hold where the search shall end",
            100.0 * cost.r_squared,
        )
    return cost


def _check_settings(penalty: float | None, budget: float | None) -> None:
    for name, setting in {"penalty": penalty, "budget": budget}.items():
        if setting is not None and not (isinstance(setting, Real) and math.isfinite(setting)):
            raise ValueError(f"{name} must be a finite number or None, got {setting!r}")
    if penalty is not None and penalty < 0.0:
        raise ValueError(f"penalty must be at least 0, got {penalty!r}")
    if penalty == 0.0 and budget is not None:
        raise ValueError(f"with penalty=0 nothing holds the search to budget={budget!r}; leave out one of them")
