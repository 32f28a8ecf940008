"""Adaptive stochastic natural gradient (ASNG): the method this package is named for.

Each step moves the distribution over architectures a distance delta, measured by the Fisher metric, along the natural
gradient of the ranked losses. Delta grows while successive gradients agree and shrinks while they look like noise, so
there is no learning rate to tune.

Symbols of the paper are kept where it has them: delta = initial_step / Delta is the length of a step, s an average of
the normalised gradients, gamma its expected squared length if they were pure noise.

Dimension letters: N samples, D categorical decisions, M integer and real decisions, n_theta free parameters.

References:
    Akimoto et al., "Adaptive Stochastic Natural Gradient Method for One-Shot Neural Architecture Search", ICML 2019.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ray_asng.optimizers.distribution import Direction
from ray_asng.optimizers.linear_cost import Coefficients
from ray_asng.optimizers.natural_gradient import NaturalGradientOptimizer
from ray_asng.space import Floats, Ints, SearchSpace


class ASNG(NaturalGradientOptimizer):
    """ASNG over categorical, integer and real decisions and mixtures of them.

    Nothing is ever ruled out. An option keeps a probability of 1 / (D' (K - 1)) or more, D' being the number of
    decisions with a choice (another rule holds for one or two: `categorical.floors`). The deviation of an integer stays
    above a quarter of the distance to its neighbour, that of a real above a thousandth of its range (of its logarithm's
    with `log=True`), and both below half of the range.

    Args:
        space: what is decided.
        seed: of the proposals.
        initial_step: length of the first step in the Fisher metric [delta_init].
        snr_threshold: how far the signal must exceed noise before the step grows [alpha], above 1.
        samples: proposals for one update that the search loop draws by default [lambda], at least 2.
        max_step: bound on the length of a step; by default 2 sqrt(n_theta), above which [beta] is not defined.
        penalty: weight of the cost of an architecture beside its ranked loss [epsilon]; 0.5 makes it about as strong
            as the losses can be at the start. See `complexity`.
        budget: what the cost shall not exceed, in its own unit, at the weight that this takes (at most `penalty`).
        coefficients: of the cost, decision name -> {option: cost}; by default fitted to the cost of the space.
        initial_sigma: deviation that integers and reals begin with, as a share of their range; half of it as published.
        reuse: results, the fresh ones included, that a step learns from, by importance weights; 0 for the fresh ones
            alone, as published. For losses that stay true, so not for a supernet whose weights move; see `reuse`.
        exponential: numbers step in their mean and the logarithm of their deviation; otherwise, as published, in their
            mean and second moment, where each step of the mean narrows them. See `gaussian.exponential_step`.

    Attributes:
        Delta: initial_step / Delta is the length of the next step.
        gamma: expected |s|^2 under pure noise.
        s: (n_theta,) average of normalised gradients: categorical decisions first, then two entries a number.

    Raises:
        ValueError: a setting outside the ranges above; a penalty or budget on a space without a cost.

    Example:
        >>> from ray_asng import Categorical, SearchSpace
        >>> asng = ASNG(SearchSpace([Categorical("layer", ("conv", "pool")), Categorical("width", ("8", "16"))]))
        >>> proposals = asng.ask(2)
        >>> asng.tell(proposals, [0.3, 0.7])
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int = 0,
        initial_step: float = 1.0,
        snr_threshold: float = 1.5,
        samples: int = 2,
        max_step: float | None = None,
        penalty: float | None = None,
        budget: float | None = None,
        coefficients: Coefficients | None = None,
        initial_sigma: float = 0.5,
        reuse: int = 0,
        exponential: bool = False,
    ) -> None:
        super().__init__(space, seed, samples, penalty, budget, coefficients, initial_sigma, reuse, exponential)
        self.initial_step = initial_step
        self.snr_threshold = snr_threshold
        num_parameters = self.distribution.num_parameters
        largest = 2.0 * math.sqrt(max(num_parameters, 1))
        self.max_step = largest if max_step is None else max_step
        if not 0.0 < self.max_step <= largest:
            raise ValueError(f"max_step must be above 0 and at most 2 sqrt(n_theta) = {largest:.4g}, got {max_step!r}")
        if not 0.0 < initial_step <= self.max_step:
            raise ValueError(f"initial_step must be above 0 and at most {self.max_step:.4g}, got {initial_step!r}")
        if snr_threshold <= 1.0:
            raise ValueError(f"snr_threshold must exceed 1, got {snr_threshold!r}")
        self.Delta = 1.0
        self.gamma = 0.0
        self.s: Floats = np.zeros(num_parameters)

    @property
    def theta(self) -> Floats:
        """(D, K) probabilities, padded with zeros."""
        return self.distribution.theta

    @property
    def mean(self) -> Floats:
        """(M,) means of the integer and real decisions."""
        return self.distribution.mean

    @property
    def second_moment(self) -> Floats:
        """(M,) second moments of the integer and real decisions."""
        return self.distribution.second_moment

    def update(self, options: Ints, values: Floats, losses: Floats) -> None:
        """One step of the distribution and of its step size. Equal losses, or equal samples, change nothing.

        Args:
            options: (N, D) option indices of the categorical decisions.
            values: (N, M) raw Gaussian draws of the integer and real decisions, neither clipped nor rounded.
            losses: (N,); lower is better; only their order counts, NaN and infinities rank worst.

        Raises:
            ValueError: shapes that do not fit the space, or an option that does not exist.
        """
        options, values, losses = np.asarray(options), np.asarray(values), np.asarray(losses, dtype=np.float64)
        self.distribution.check(options, values, losses)
        self._learn(options, values, losses)

    def _move(self, direction: Direction) -> None:
        """Go delta along the natural gradient, then adapt delta to how far this direction agrees with earlier ones."""
        delta = self.step_size
        penalised = self._penalised(direction, delta)
        if penalised is None:
            return
        self.distribution.move(penalised, delta)
        beta = min(delta / math.sqrt(len(self.s)), 2.0)  # the bound is exact but for rounding
        self.s = (1.0 - beta) * self.s + math.sqrt(beta * (2.0 - beta)) * penalised.whitened
        self.gamma = (1.0 - beta) ** 2 * self.gamma + beta * (2.0 - beta)
        self.Delta *= math.exp(beta * (self.gamma - self.s.dot(self.s) / self.snr_threshold))
        self.Delta = max(self.Delta, self.initial_step / self.max_step)

    @property
    def step_size(self) -> float:
        """Fisher length of the next step [delta]."""
        return self.initial_step / self.Delta

    def metrics(self) -> dict[str, float]:
        """`step_size` [delta] and `signal_ratio` |s|^2 / gamma, which noise alone keeps near 1; `expected_cost`."""
        signal = float(self.s @ self.s)
        own = {"step_size": self.step_size, "signal_ratio": signal / self.gamma if self.gamma else 0.0}
        return own | self._cost_metrics()

    def state_dict(self) -> dict[str, Any]:
        """Everything the future depends on but the settings, as lists and numbers."""
        return {
            "distribution": self.distribution.state_dict(),
            "Delta": self.Delta,
            "gamma": self.gamma,
            "s": self.s.tolist(),
            **self._reused(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state of the same space; the settings stay those of the construction."""
        self.distribution.load_state_dict(state["distribution"])
        # The settings may have changed since, and with them the longest step.
        self.Delta = max(float(state["Delta"]), self.initial_step / self.max_step)
        self.gamma = float(state["gamma"])
        self.s = np.array(state["s"], dtype=np.float64)
        self._load_reused(state)
