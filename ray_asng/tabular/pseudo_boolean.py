"""OneMax and LeadingOnes: how many decisions are right, and how many are right before the first wrong one.

Dimension letter: D categorical decisions.

References:
    Droste, Jansen & Wegener, "On the analysis of the (1+1) evolutionary algorithm", 2002. There an option is a bit and
    1 is right; here there may be more options, and the right one of each decision is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ray_asng.space import Architecture, Categorical, Floats, Ints, SearchSpace
from ray_asng.tabular.formula import Formula, check_sizes
from ray_asng.tabular.planted import plant


def count_wrong(options: Ints, right: Ints) -> int:
    """How many of (D,) option indices differ from the right ones."""
    return int(np.count_nonzero(options != right))


def count_after_leading(options: Ints, right: Ints) -> int:
    """How many of (D,) option indices are left from the first wrong one on; 0 if all are right."""
    wrong = np.flatnonzero(options != right)
    return len(options) - int(wrong[0]) if len(wrong) else 0


@dataclass(frozen=True)
class OneMax(Formula):
    """Number of wrong decisions, from 0 to `length`.

    Attributes:
        length: number of decisions [D], `c0`, `c1`, ...
        options: of each, called "0", "1", ...; one of them is right.
        seed: of the right options.

    Raises:
        ValueError: no decision, fewer than two options, or a negative seed.
    """

    length: int
    options: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        _check(self.length, self.options, self.seed)

    @cached_property
    def space(self) -> SearchSpace:
        """D categorical decisions."""
        return _space(self.length, self.options)

    @cached_property
    def optimum(self) -> Architecture:
        """The right options."""
        return plant(self.space, self.seed)

    @cached_property
    def _right(self) -> Ints:
        return self.space.encode(self.optimum)[0]

    def formula(self, options: Ints, coordinates: Floats) -> float:
        """Number of wrong options among the (D,) `options`."""
        return float(count_wrong(options, self._right))


@dataclass(frozen=True)
class LeadingOnes(Formula):
    """Number of decisions from the first wrong one on, from 0 to `length`: a decision counts once all before are right.

    Attributes:
        length: number of decisions [D], `c0`, `c1`, ... in the order in which they must be right.
        options: of each, called "0", "1", ...; one of them is right.
        seed: of the right options.

    Raises:
        ValueError: no decision, fewer than two options, or a negative seed.
    """

    length: int
    options: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        _check(self.length, self.options, self.seed)

    @cached_property
    def space(self) -> SearchSpace:
        """D categorical decisions."""
        return _space(self.length, self.options)

    @cached_property
    def optimum(self) -> Architecture:
        """The right options."""
        return plant(self.space, self.seed)

    @cached_property
    def _right(self) -> Ints:
        return self.space.encode(self.optimum)[0]

    def formula(self, options: Ints, coordinates: Floats) -> float:
        """Number of the (D,) `options` from the first wrong one on."""
        return float(count_after_leading(options, self._right))


def _check(length: int, options: int, seed: int) -> None:
    check_sizes(1, length=length)
    check_sizes(2, options=options)
    check_sizes(0, seed=seed)


def _space(length: int, options: int) -> SearchSpace:
    names = [str(option) for option in range(options)]
    return SearchSpace([Categorical(f"c{place}", names) for place in range(length)])
