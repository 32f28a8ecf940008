"""The cost of an architecture as a sum over its decisions, whose expectation is known without drawing anything.

    cost(c)  ~  constant  +  sum over categorical d of a[d, option of d]  +  sum over numbers j of b[j] x_j

with x_j in the coordinates of `SearchSpace.encode`. Parameters and FLOPs of cells are such sums exactly; where widths
multiply, the sum is the nearest one, and `r_squared` says how near.

Dimension letters: N architectures, D categorical decisions, K largest number of options, M integer and real decisions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ray_asng.space import Categorical, Floats, Integer, Ints, SearchSpace, Value, nearest

Coefficients: TypeAlias = Mapping[str, Mapping[str, float] | float]
"""Decision name -> {option: its cost}; of a number, the cost of 1 more (with `log=True`: of 1 more in its logarithm).
What is not named costs nothing."""

_LEAST_SAMPLES = 100
_SAMPLES_PER_COEFFICIENT = 4


@dataclass(frozen=True, slots=True, eq=False)
class LinearCost:
    """Coefficients of such a sum, in the unit of the cost.

    Attributes:
        constant: what every architecture costs.
        options: (D, K) costs of the options [a], 0 in the padding.
        slopes: (M,) costs of 1 more in the coordinate of a number [b].
        r_squared: share of the variance of the cost, over architectures drawn uniformly, that the sum explains: 1
            where the cost is such a sum; None where the coefficients were given.
    """

    constant: float
    options: Floats
    slopes: Floats
    r_squared: float | None

    @classmethod
    def fit(cls, space: SearchSpace, rng: np.random.Generator, samples: int | None = None) -> LinearCost:
        """The sum that is nearest to `space.cost`, by least squares; the cost itself where that is a sum.

        Args:
            space: with a cost.
            rng: draws the architectures.
            samples: how many of them; by default four for each coefficient, and at least 100.

        Raises:
            ValueError: the space has no cost, one that is not finite, or the same for all.
        """
        coefficients = sum(len(decision.options) - 1 for decision in space.categorical) + len(space.numeric) + 1
        count = max(_LEAST_SAMPLES, _SAMPLES_PER_COEFFICIENT * coefficients) if samples is None else samples
        options, values = _spread(space, count, rng)
        costs = np.array([cost_of(space, space.decode(*pair)) for pair in zip(options, values, strict=True)])
        mean = float(costs.mean())
        variation = float(((costs - mean) ** 2).sum())
        if variation == 0.0:
            raise ValueError(f"the cost is {mean:g} for all of {count} architectures; a penalty on it moves nothing")
        shape = len(space.categorical), _width(space)
        middle, reach = _bounds(space).mean(axis=1), np.diff(_bounds(space), axis=1)[:, 0]
        chosen = np.eye(shape[1])[options].reshape(count, -1)
        columns = np.concatenate([np.ones((count, 1)), chosen, (values - middle) / reach], axis=1)
        # Costs of the options of a decision are known up to a constant; of all solutions this is the least.
        solution = np.linalg.lstsq(columns, costs - mean, rcond=None)[0]
        slopes = solution[1 + chosen.shape[1] :] / reach
        return cls(
            constant=mean + float(solution[0] - slopes @ middle),
            options=solution[1 : 1 + chosen.shape[1]].reshape(shape),
            slopes=slopes,
            r_squared=1.0 - float(((costs - mean - columns @ solution) ** 2).sum()) / variation,
        )

    @classmethod
    def given(cls, space: SearchSpace, coefficients: Coefficients) -> LinearCost:
        """The sum with these coefficients and no constant.

        Raises:
            ValueError: an unknown decision or option, something else than a number, or no coefficient but 0.
        """
        for name in coefficients:
            if name not in space.names:
                raise ValueError(f"cost coefficients of an unknown decision {name!r}{nearest(name, space.names)}")
        options = np.zeros((len(space.categorical), _width(space)))
        for row, decision in zip(options, space.categorical, strict=True):
            row[: len(decision.options)] = _option_costs(decision, coefficients.get(decision.name, {}))
        slopes = np.array([_number(number.name, coefficients.get(number.name, 0.0)) for number in space.numeric])
        spans = [np.ptp(row[: len(d.options)]) for row, d in zip(options, space.categorical, strict=True)]
        if not (any(spans) or slopes.any()):
            raise ValueError(f"by the cost coefficients {dict(coefficients)!r} all architectures cost the same")
        # The coordinate of an integer counts its steps, from low.
        steps = np.array([number.step if isinstance(number, Integer) else 1 for number in space.numeric])
        lows = np.array([number.low if isinstance(number, Integer) else 0.0 for number in space.numeric])
        return cls(float(slopes @ (lows * (1 - steps))), options, slopes * steps, None)

    def of(self, space: SearchSpace, architecture: Mapping[str, Value]) -> float:
        """The sum for one architecture."""
        options, values = space.encode(architecture)
        return float(self.constant + self.options[np.arange(len(options)), options].sum() + self.slopes @ values)


def cost_of(space: SearchSpace, architecture: Mapping[str, Value]) -> float:
    """The space's own cost of an architecture.

    Raises:
        ValueError: it has none, or one that is not finite.
    """
    cost = space.cost(architecture)
    if cost is None:
        raise ValueError(
            "this space knows no cost of an architecture, so nothing can be penalised. Say in a config what to count "
            'by "cost": "parameters" (or "flops", or a function of a child network), give the SearchSpace a cost=, or '
            "give the method coefficients={decision: {option: cost}}"
        )
    if not math.isfinite(cost):
        raise ValueError(f"the cost of {dict(architecture)!r} must be a finite number, got {cost!r}")
    return float(cost)


def _spread(space: SearchSpace, count: int, rng: np.random.Generator) -> tuple[Ints, Floats]:
    """Options (count, D) and coordinates (count, M), drawn uniformly and each option equally often."""
    places = np.tile(np.arange(count), (len(space), 1))
    shares = (rng.permuted(places, axis=1) + rng.random(places.shape)) / count
    options, values = shares[: len(space.categorical)].T, shares[len(space.categorical) :].T
    counts = np.array([len(decision.options) for decision in space.categorical], dtype=np.int64)
    low, high = _bounds(space).T
    whole = np.array([isinstance(number, Integer) for number in space.numeric], dtype=bool)
    integers = low + np.floor(values * (high - low + 1.0))
    return (options * counts).astype(np.int64), np.where(whole, integers, low + values * (high - low))


def _bounds(space: SearchSpace) -> Floats:
    """(M, 2)."""
    return np.array([number.bounds for number in space.numeric], dtype=np.float64).reshape(-1, 2)


def _width(space: SearchSpace) -> int:
    """K."""
    return max([1, *(len(decision.options) for decision in space.categorical)])


def _option_costs(decision: Categorical, costs: Mapping[str, float] | float) -> list[float]:
    if not isinstance(costs, Mapping):
        raise ValueError(f"decision {decision.name!r} needs a dict from option to cost, got {costs!r}")
    for option in costs:
        if option not in decision.options:
            raise ValueError(f"decision {decision.name!r} has no option {option!r}{nearest(option, decision.options)}")
    return [_number(decision.name, costs.get(option, 0.0)) for option in decision.options]


def _number(name: str, cost: object) -> float:
    if not isinstance(cost, (int, float)) or not math.isfinite(cost):
        raise ValueError(f"the cost coefficients of decision {name!r} must be finite numbers, got {cost!r}")
    return float(cost)
