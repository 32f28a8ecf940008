"""Functions of categories, integers and reals together, with a known optimum.

Each is the mean of two parts, one of the categories and one of the numbers, and each part is divided by what an
architecture drawn uniformly has in it in the mean. So the optimum has a loss of 0, chance one of 1, in all of them and
whatever their sizes. Numbers enter as shares u of their range (`mixed_space.as_shares`), so the scale of a decision
makes no difference. Where the optimum lies is drawn, see `planted`.

Dimension letters: D categorical decisions, K options of each, M integer and real decisions.

References:
    Hamano et al., "CatCMA: Stochastic Optimization for Mixed-Category Problems", GECCO 2024: SphereCOM, EllipsoidCLO,
    and MCProximity, where categories say where numbers belong.
    Hamano et al., "CatCMA with Margin: Stochastic Optimization for Continuous, Integer, and Categorical Variables",
    GECCO 2025: the same with integers.
    There the optimum is at zero and the first option, and the parts are added as they are.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ray_asng.space import Architecture, Floats, Ints, SearchSpace
from ray_asng.tabular.formula import Formula, check_sizes
from ray_asng.tabular.mixed_space import as_shares, mixed_space, share_variances
from ray_asng.tabular.planted import draw_place, generator, plant
from ray_asng.tabular.pseudo_boolean import count_after_leading, count_wrong


@dataclass(frozen=True)
class MixedFunction(Formula):
    """What the mixed functions have in common: the space, the optimum, and that the loss is the mean of the parts.

    Attributes:
        categoricals: number of categorical decisions [D].
        options: of each [K].
        integers, reals: numbers of those decisions; a part without decisions is left out.
        seed: of the optimum, and of all else that a function draws.

    Raises:
        ValueError: a negative number, no decision at all, fewer than two options.
    """

    categoricals: int = 3
    options: int = 4
    integers: int = 2
    reals: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        check_sizes(0, categoricals=self.categoricals, integers=self.integers, reals=self.reals, seed=self.seed)
        check_sizes(2, options=self.options)
        check_sizes(1, **{"categoricals + integers + reals": self.categoricals + self.integers + self.reals})

    @cached_property
    def space(self) -> SearchSpace:
        """D categorical decisions, then integers, then reals; see `mixed_space`."""
        return mixed_space(self.categoricals, self.options, self.integers, self.reals)

    @cached_property
    def optimum(self) -> Architecture:
        """Drawn by `seed`."""
        return plant(self.space, self.seed)

    @cached_property
    def right(self) -> Ints:
        """(D,) option indices of the optimum."""
        return self.space.encode(self.optimum)[0]

    @cached_property
    def lowest(self) -> Floats:
        """(M,) shares of the optimum."""
        return as_shares(self.space, self.space.encode(self.optimum)[1])

    def formula(self, options: Ints, coordinates: Floats) -> float:
        """Mean of the parts."""
        parts = [self.category_part(options)] if self.categoricals else []
        if self.integers or self.reals:
            parts.append(self.number_part(options, as_shares(self.space, coordinates)))
        return sum(parts) / len(parts)

    @abstractmethod
    def category_part(self, options: Ints) -> float:
        """Loss of (D,) option indices; 0 for the right ones, 1 in the mean."""

    @abstractmethod
    def number_part(self, options: Ints, shares: Floats) -> float:
        """Loss of (M,) shares where (D,) options are chosen; 0 for the right ones, 1 in the mean."""

    def one_max_part(self, options: Ints) -> float:
        """Share of wrong decisions among (D,) options, over what chance has."""
        return count_wrong(options, self.right) / (self.categoricals * (1.0 - 1.0 / self.options))

    def bowl(self, shares: Floats, matrix: Floats) -> float:
        """(u - u*)ᵀ matrix (u - u*) of (M,) shares u and a symmetric (M, M) matrix, over its mean."""
        # The mean of a quadratic form is its trace with the variance, and the form of the mean.
        away = shares - self.lowest
        centre = 0.5 - self.lowest
        mean = np.diag(matrix) @ share_variances(self.space) + centre @ matrix @ centre
        return float(away @ matrix @ away / mean)


@dataclass(frozen=True)
class SphereCOM(MixedFunction):
    """A sphere of the numbers and the one-max of the categories: separable in every decision."""

    def category_part(self, options: Ints) -> float:
        """Wrong decisions."""
        return self.one_max_part(options)

    def number_part(self, options: Ints, shares: Floats) -> float:
        """sum of (u - u*)²."""
        return self.bowl(shares, np.eye(len(shares)))


@dataclass(frozen=True)
class EllipsoidCLO(MixedFunction):
    """An ellipsoid along the axes, and leading ones: categories count in order, numbers count unequally.

    Attributes:
        condition: weight of the number that counts most over that of the one that counts least. The usual
            10⁶ is for many evaluations; few see hardly more than one number then. Which counts most is drawn.
    """

    condition: float = 1e3

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_condition(self.condition)

    def category_part(self, options: Ints) -> float:
        """Decisions from the first wrong one on."""
        right_by_chance = sum(float(self.options) ** -count for count in range(1, self.categoricals + 1))
        return count_after_leading(options, self.right) / (self.categoricals - right_by_chance)

    def number_part(self, options: Ints, shares: Floats) -> float:
        """sum of w (u - u*)² with weights w from 1 to `condition`."""
        return self.bowl(shares, self._matrix)

    @cached_property
    def _matrix(self) -> Floats:
        return np.diag(generator(self.seed, "axes").permutation(_weights(len(self.lowest), self.condition)))


@dataclass(frozen=True)
class RotatedEllipsoidCOM(MixedFunction):
    """An ellipsoid turned by a random rotation, so that integers and reals depend on each other, and the one-max.

    Attributes:
        condition: of the ellipsoid; see `EllipsoidCLO`.
    """

    condition: float = 1e3

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_condition(self.condition)

    def category_part(self, options: Ints) -> float:
        """Wrong decisions."""
        return self.one_max_part(options)

    def number_part(self, options: Ints, shares: Floats) -> float:
        """The ellipsoid of R (u - u*) with the rotation R."""
        return self.bowl(shares, self._matrix)

    @cached_property
    def _matrix(self) -> Floats:
        numbers = len(self.lowest)
        # The factor Q of a Gaussian matrix is uniform over rotations up to signs, which the form does not see.
        rotation, _ = np.linalg.qr(generator(self.seed, "axes").normal(size=(numbers, numbers)))
        matrix: Floats = rotation.T @ np.diag(_weights(numbers, self.condition)) @ rotation
        return matrix


@dataclass(frozen=True)
class Proximity(MixedFunction):
    """Every number belongs where the option of one category says: a change of the category moves its numbers' places.

    Number m hangs on decision m mod D. The options of a decision have the ranks 0, 1, ..., K - 1 in a drawn order; rank
    0 is the right one. Whatever the options, the numbers can be brought to their places, which leaves the ranks: so
    every combination of options is a valley, and the categories are compared fairly only at its bottom.

    Raises:
        ValueError: there are no categories or no numbers, too.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(1, categoricals=self.categoricals, **{"integers + reals": self.integers + self.reals})

    def category_part(self, options: Ints) -> float:
        """sum of the ranks, over its mean."""
        ranks = self._ranks[np.arange(self.categoricals), options]
        return float(2.0 * ranks.mean() / (self.options - 1))

    def number_part(self, options: Ints, shares: Floats) -> float:
        """sum of (u - place)² with the (M,) places of the chosen options."""
        numbers = np.arange(len(shares))
        places = self._places[numbers, options[numbers % self.categoricals]]
        return float(np.sum((shares - places) ** 2) / self._mean)

    @cached_property
    def _mean(self) -> float:
        """What chance has in the squares."""
        return float(np.sum(share_variances(self.space) + np.mean((0.5 - self._places) ** 2, axis=1)))

    @cached_property
    def _ranks(self) -> Ints:
        """(D, K): 0 at the right option, the others in a drawn order."""
        rng = generator(self.seed, "ranks")
        ranks = np.stack([rng.permutation(np.arange(1, self.options + 1)) for _ in range(self.categoricals)])
        ranks[np.arange(self.categoricals), self.right] = 0
        return ranks.argsort(axis=1).argsort(axis=1)

    @cached_property
    def _places(self) -> Floats:
        """(M, K) shares where a number belongs under each option; those of the optimum under the right one."""
        rng = generator(self.seed, "places")
        places = np.stack(
            [
                as_shares(self.space, np.array([draw_place(number, rng) for number in self.space.numeric]))
                for _ in range(self.options)
            ],
            axis=1,
        )
        numbers = np.arange(len(places))
        places[numbers, self.right[numbers % self.categoricals]] = self.lowest
        return places


def _weights(numbers: int, condition: float) -> Floats:
    """(M,) weights of the axes, from 1 to `condition` in equal ratios."""
    return np.geomspace(1.0, condition, numbers)


def _check_condition(condition: float) -> None:
    if not 1.0 <= condition < np.inf:
        raise ValueError(f"condition must be a number of at least 1, got {condition!r}")
