"""The distribution over architectures that the natural-gradient methods move: categorical and Gaussian decisions.

It draws proposals, turns ranked samples into a natural gradient with its Fisher length, and takes a step of a given
length. How long the step should be is the method's business (`asng`, `sng`).

Dimension letters: N samples, D categorical decisions, K largest number of options, M integer and real decisions.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr

from ray_asng.optimizers import categorical, gaussian
from ray_asng.optimizers.base import Proposal
from ray_asng.space import Architecture, Floats, Integer, Ints, SearchSpace, Value

# A batch of equal architectures has a gradient of 0 up to rounding; it must not be stretched into a full step.
_NEGLIGIBLE_LENGTH = 1e-12

# Smallest deviation of a Gaussian decision: a quarter of a step between integers (as published), so that the
# neighbours stay within reach; a thousandth of the range of a real.
_INTEGER_SIGMA = 0.25
_REAL_SIGMA_SHARE = 1e-3

_TOLD = ("options", "values", "losses")


class Direction(NamedTuple):
    """A natural gradient.

    Attributes:
        theta: (D, K) its categorical part.
        moments: (M, 2) its part for (mean, second moment).
        whitened: (n_theta,) the unit vector along it in coordinates with Euclidean Fisher metric.
        length: its Fisher norm.
    """

    theta: Floats
    moments: Floats
    whitened: Floats
    length: float


class Distribution:
    """Independent categorical and Gaussian decisions with their own random generator.

    Starts uniform; an integer or real decision starts in the middle of its bounds with sigma of `initial_sigma` times
    their distance. Sigma never exceeds half of it.

    Attributes:
        theta: (D, K) probabilities, rows of decisions with fewer options padded with zeros.
        mean: (M,) in the coordinates of `SearchSpace.encode`.
        second_moment: (M,) mean ** 2 + sigma ** 2.
        num_options: (D,) options of the categorical decisions.
        layout: where they lie in theta.
        num_parameters: n_theta, K - 1 for each categorical and 2 for each other decision.
        version: number of steps taken.
    """

    def __init__(self, space: SearchSpace, seed: int, initial_sigma: float = 0.5) -> None:
        if not 0.0 < initial_sigma <= 0.5:
            raise ValueError(f"initial_sigma is a share of a range, above 0 and at most 0.5; got {initial_sigma!r}")
        self.space = space
        self.rng = np.random.default_rng(seed)
        self.num_options: Ints = np.array([len(d.options) for d in space.categorical], dtype=np.int64)
        self.floor = categorical.floors(self.num_options)
        self.layout = categorical.Layout.of(self.num_options)
        self.theta = categorical.uniform(self.num_options)
        self.bounds = np.array([d.bounds for d in space.numeric], dtype=np.float64).reshape(-1, 2)
        reach = self.bounds[:, 1] - self.bounds[:, 0]
        smallest = np.where([isinstance(d, Integer) for d in space.numeric], _INTEGER_SIGMA, _REAL_SIGMA_SHARE * reach)
        self.sigma_bounds = np.stack([smallest, reach / 2.0], axis=1)
        self.mean: Floats = self.bounds.mean(axis=1)
        self.second_moment: Floats = self.mean**2 + np.maximum(initial_sigma * reach, smallest) ** 2
        self.num_parameters = int((self.num_options - 1).sum()) + 2 * len(self.mean)
        self.version = 0

    @property
    def sigma(self) -> Floats:
        """(M,) standard deviations."""
        return gaussian.deviation(self.mean, self.second_moment)

    def propose(self, count: int) -> list[Proposal]:
        """Draw `count` proposals; Gaussian decisions come in mirrored pairs."""
        if count < 1:
            raise ValueError(f"ask for at least one proposal, got count={count}")
        options = categorical.sample(self.theta, self.layout, count, self.rng)
        values = np.empty((count, 0))
        if len(self.mean):
            values = gaussian.sample(self.mean, self.sigma, count, self.rng)
        logs = self.log_probability(options, values)
        return [
            Proposal(self.space.decode(chosen, drawn), chosen, drawn, log, self.version)
            for chosen, drawn, log in zip(options, values, logs.tolist(), strict=True)
        ]

    def log_probability(self, options: Ints, values: Floats) -> Floats:
        """(N,) natural logarithms of the density of (N, D) options and (N, M) raw draws."""
        logs = categorical.log_probability(options, self.theta, self.layout)
        return logs + gaussian.log_density(values, self.mean, self.sigma) if len(self.mean) else logs

    def reseed(self, seed: int) -> None:
        """Draw from a new stream from now on."""
        self.rng = np.random.default_rng(seed)

    def arrays(self, proposals: Sequence[Proposal | Mapping[str, Value]]) -> tuple[Ints, Floats]:
        """Options (N, D) and values (N, M) of proposals; a bare architecture stands for its own values."""
        pairs = [(p.options, p.values) if isinstance(p, Proposal) else self.space.encode(p) for p in proposals]
        return np.array([options for options, _ in pairs]), np.array([values for _, values in pairs])

    def check_shapes(self, options: Ints, values: Floats, losses: Floats) -> None:
        """Raise ValueError unless the shapes are (N, D), (N, M), (N,)."""
        count = len(losses)
        shapes = options.shape, values.shape, losses.shape
        expected = (count, len(self.num_options)), (count, len(self.mean)), (count,)
        if shapes != expected:
            name, shape, got = next(told for told in zip(_TOLD, expected, shapes, strict=True) if told[1] != told[2])
            raise ValueError(f"{name} must have shape {shape} for {count} losses of this space, got {got}")

    def check(self, options: Ints, values: Floats, losses: Floats) -> None:
        """Raise ValueError unless the shapes are (N, D), (N, M), (N,), values finite, and every option exists."""
        self.check_shapes(options, values, losses)
        if len(self.mean) and not np.isfinite(values).all():
            raise ValueError("values must be finite: they are draws of the integer and real decisions, not losses")
        if options.dtype.kind != "i":
            raise ValueError(f"option indices must be integers, got {options.dtype}; give options.astype(np.int64)")
        # Without a sign a negative index is a huge one.
        if np.count_nonzero(options.astype(np.uint64) >= self.num_options):
            raise ValueError(f"option indices must be at least 0 and below {self.num_options.tolist()} by decision")

    def direction(self, options: Ints, values: Floats, utility: Floats) -> Direction | None:
        """The natural gradient of the expected utility, or None where the samples carry no information.

        Args:
            options: (N, D) option indices.
            values: (N, M) raw draws.
            utility: (N,); higher is better.
        """
        theta = categorical.natural_gradient(options, utility, self.layout)
        moments = np.empty((0, 2))
        if len(self.mean):
            moments = gaussian.natural_gradient(values, utility, self.mean, self.second_moment)
        return self.measured(theta, moments)

    def measured(self, theta: Floats, moments: Floats) -> Direction | None:
        """A natural gradient (D, K) and (M, 2) with its Fisher length; None if that is 0 but for rounding."""
        whitened = categorical.fisher_root(theta, self.theta, self.layout)
        if len(self.mean):
            whitened = np.concatenate([whitened, gaussian.fisher_root(moments, self.mean, self.sigma)])
        length = math.sqrt(whitened.dot(whitened))
        if length < _NEGLIGIBLE_LENGTH:
            return None
        return Direction(theta, moments, whitened / length, length)

    def move(self, direction: Direction, step: float) -> None:
        """Go `step` (Fisher length) along `direction`, then project to the floors and bounds."""
        factor = step / direction.length
        self.theta = categorical.project(self.theta + factor * direction.theta, self.layout)
        if len(self.mean):
            moved = self._moved_numbers(factor * direction.moments)
            self.mean, self.second_moment = gaussian.project(*moved, self.bounds, self.sigma_bounds)
        self.version += 1

    def _moved_numbers(self, change: Floats) -> tuple[Floats, Floats]:
        """(M,) means and second moments after a change (M, 2) of them, not yet inside their bounds."""
        return self.mean + change[:, 0], self.second_moment + change[:, 1]

    @property
    def probabilities(self) -> dict[str, Floats]:
        """Decision name -> (K,) probabilities; over its values for an integer; (mean, deviation) for a real.

        The mean and deviation of a real with `log=True` are those of its logarithm's Gaussian, the mean given as
        a value and the deviation in the logarithm.
        """
        rows: dict[str, Floats] = {
            decision.name: row[: len(decision.options)].copy()
            for decision, row in zip(self.space.categorical, self.theta, strict=True)
        }
        for decision, mean, sigma in zip(self.space.numeric, self.mean, self.sigma, strict=True):
            if isinstance(decision, Integer):
                low, high = decision.bounds
                edges = np.arange(low, high) + 0.5
                rows[decision.name] = np.diff(ndtr((edges - mean) / sigma), prepend=0.0, append=1.0)
            else:
                rows[decision.name] = np.array([decision.decode(mean), sigma])
        return {name: rows[name] for name in self.space.names}

    def tilted(self, options: Floats, slopes: Floats) -> Distribution:
        """This distribution with its density multiplied by exp(sum options[d, option of d] + sum slopes[j] x_j).

        Floors of probabilities do not hold there; means are held to their bounds.

        Args:
            options: (D, K).
            slopes: (M,).
        """
        other = copy.copy(self)
        # Padding has probability 0 and keeps it.
        logs = np.log(self.theta, where=self.theta > 0.0, out=np.full_like(self.theta, -np.inf)) + options
        raised = np.exp(logs - logs.max(axis=1, keepdims=True))
        other.theta = raised / raised.sum(axis=1, keepdims=True)
        other.mean = np.clip(self.mean + slopes * self.sigma**2, *self.bounds.T)
        other.second_moment = other.mean**2 + self.sigma**2
        return other

    @property
    def convergence_limit(self) -> float:
        """See `Optimizer.convergence_limit`: options keep their floor, integers their smallest deviation."""
        has_choice = self.num_options > 1
        limits = (1.0 - (self.num_options - 1) * self.floor)[has_choice].tolist()
        integers = sum(isinstance(decision, Integer) for decision in self.space.numeric)
        limits += integers * [float(2.0 * ndtr(0.5 / _INTEGER_SIGMA) - 1.0)]
        return float(np.mean(limits)) if limits else 1.0

    def most_likely(self) -> Architecture:
        """The space's `derive` for categorical decisions, the rounded mean for integers, the mean for reals."""
        means = {d.name: d.decode(float(mean)) for d, mean in zip(self.space.numeric, self.mean, strict=True)}
        return self.space.architecture({**self.space.derive(self.probabilities), **means})

    def state_dict(self) -> dict[str, Any]:
        """Everything the future depends on, as lists and numbers."""
        return {
            "theta": self.theta.tolist(),
            "mean": self.mean.tolist(),
            "second_moment": self.second_moment.tolist(),
            "version": self.version,
            "rng": self.rng.bit_generator.state,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state of the same space.

        Raises:
            ValueError: the state is of a space with other decisions.
        """
        theta = np.array(state["theta"], dtype=np.float64)
        if theta.size == self.theta.size == 0:
            theta = self.theta
        mean = np.array(state["mean"], dtype=np.float64)
        if theta.shape != self.theta.shape or mean.shape != self.mean.shape:
            raise ValueError(
                f"the state is of another space: it has theta {theta.shape} and mean {mean.shape}, this space needs "
                f"{self.theta.shape} and {self.mean.shape}"
            )
        self.theta, self.mean = theta, mean
        self.second_moment = np.array(state["second_moment"], dtype=np.float64)
        self.version = int(state["version"])
        self.rng.bit_generator.state = state["rng"]


class ExponentialDistribution(Distribution):
    """A `Distribution` whose numbers move along the exponential map, `gaussian.exponential_step`."""

    def _moved_numbers(self, change: Floats) -> tuple[Floats, Floats]:
        return gaussian.exponential_step(self.mean, self.second_moment, change)
