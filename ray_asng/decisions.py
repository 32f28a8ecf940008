"""Decisions: what a search chooses between, one by one.

An architecture decides all those of a space. This module imports nothing of the package; `ray_asng.space` hands its
names on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from numbers import Real as RealNumber
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Value: TypeAlias = str | int | float


@dataclass(frozen=True, slots=True)
class Categorical:
    """A decision among named options.

    Attributes:
        name: unique within the space.
        options: distinct names, at least one. A single option is legal: it has no free parameter.
        unsearched: values that an architecture may have beside the options, though no method proposes them: they have
            no index and no probability. Such as the empty edges of a derived cell.
    """

    name: str
    options: tuple[str, ...]
    unsearched: tuple[str, ...] = ()

    def __init__(self, name: str, options: Sequence[str], unsearched: Sequence[str] = ()) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "options", tuple(options))
        object.__setattr__(self, "unsearched", tuple(unsearched))
        if isinstance(options, str) or isinstance(unsearched, str):
            got = options if isinstance(options, str) else unsearched
            raise TypeError(f"decision {name!r}: options are a sequence of strings, got the string {got!r}")
        if not self.options:
            raise ValueError(f"decision {name!r} has no options; give at least one")
        if not all(isinstance(value, str) for value in self.values):
            raise TypeError(f"decision {name!r}: options must be strings, got {list(self.values)!r}")
        if len(set(self.values)) != len(self.values):
            raise ValueError(f"decision {name!r} repeats an option in {list(self.values)!r}; names must differ")

    def __repr__(self) -> str:
        rest = f", unsearched={self.unsearched!r}" if self.unsearched else ""
        return f"Categorical(name={self.name!r}, options={self.options!r}{rest})"

    @property
    def values(self) -> tuple[str, ...]:
        """All that an architecture may have here: the options, then what is not searched."""
        return self.options + self.unsearched

    def index(self, value: Value) -> int:
        """The place of `value` among the options.

        Raises:
            ValueError: it has none, since it is not searched.
        """
        if value not in self.options:
            raise ValueError(
                f"decision {self.name!r} is {value!r}, which is not searched: it has no index and no probability, so "
                f"no method can learn from it; the options are {list(self.options)!r}"
            )
        return self.options.index(str(value))

    def check(self, value: Value) -> str:
        """Return `value`, or raise ValueError."""
        if not isinstance(value, str) or value not in self.values:
            raise ValueError(f"decision {self.name!r} has the options {list(self.values)!r}, got {value!r}")
        return value


@dataclass(frozen=True, slots=True)
class Integer:
    """A decision among the integers low, low + step, ..., high, both bounds included.

    It is searched in a coordinate that counts the steps, and with a step of 1 is the integer itself: low stands for
    low, low + step for low + 1, and so on.
    """

    name: str
    low: int
    high: int
    step: int = 1

    def __post_init__(self) -> None:
        bounds = f"low={self.low!r}, high={self.high!r}, step={self.step!r}"
        if not all(isinstance(number, Integral) for number in (self.low, self.high, self.step)):
            raise TypeError(f"decision {self.name!r} needs whole numbers, got {bounds}")
        if self.low >= self.high:
            raise ValueError(f"decision {self.name!r} needs low < high, got {bounds}")
        if self.step < 1 or (self.high - self.low) % self.step:
            step = max(self.step, 1)
            high = self.low + step * max(1, (self.high - self.low) // step)
            raise ValueError(
                f"decision {self.name!r} needs a step that divides high - low, got {bounds}; "
                f"high={high} with step={step} would do"
            )

    @property
    def values(self) -> range:
        """Every integer that can be chosen, ascending."""
        return range(self.low, self.high + 1, self.step)

    @property
    def bounds(self) -> tuple[float, float]:
        """Bounds of the coordinate in which the decision is searched."""
        return float(self.low), float(self.low + len(self.values) - 1)

    def decode(self, coordinate: float) -> int:
        """Clip to the bounds, then round to the nearest of the integers (halves to an even coordinate)."""
        low, high = self.bounds
        return self.low + self.step * (round(min(max(coordinate, low), high)) - self.low)

    def encode(self, value: Value) -> float:
        """The coordinate that stands for `value`."""
        return self.low + (float(value) - self.low) / self.step

    def check(self, value: Value) -> int:
        """Return `value` as an int, or raise ValueError."""
        if isinstance(value, (str, bool)) or value not in self.values:
            steps = "" if self.step == 1 else f" in steps of {self.step}"
            raise ValueError(
                f"decision {self.name!r} takes an integer from {self.low} to {self.high}{steps}, got {value!r}"
            )
        return int(value)


@dataclass(frozen=True, slots=True)
class Real:
    """A decision among the numbers from low to high; with `log=True` it is searched in its natural logarithm."""

    name: str
    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not -math.inf < self.low < self.high < math.inf:
            raise ValueError(f"decision {self.name!r} needs finite low < high, got low={self.low}, high={self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"decision {self.name!r} has log=True, which needs low > 0; got low={self.low}")

    @property
    def bounds(self) -> tuple[float, float]:
        """Bounds of the coordinate in which the decision is searched."""
        return (math.log(self.low), math.log(self.high)) if self.log else (float(self.low), float(self.high))

    def decode(self, coordinate: float) -> float:
        """The value at `coordinate`, clipped to the bounds."""
        low, high = self.bounds
        inside = min(max(coordinate, low), high)
        value = math.exp(inside) if self.log else inside
        return float(min(max(value, self.low), self.high))

    def encode(self, value: Value) -> float:
        """The coordinate that stands for `value`."""
        return math.log(float(value)) if self.log else float(value)

    def check(self, value: Value) -> float:
        """Return `value` as a float, or raise ValueError."""
        if isinstance(value, bool) or not isinstance(value, RealNumber) or not self.low <= value <= self.high:
            raise ValueError(f"decision {self.name!r} takes a number from {self.low} to {self.high}, got {value!r}")
        return float(value)


Decision: TypeAlias = Categorical | Integer | Real
