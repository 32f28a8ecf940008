"""Values that the search decides, for whatever a module does with a number: widths, depths, heads, inputs, rates.

A user's module keeps them as attributes (or in lists, tuples and dicts that are attributes) and reads them when it
runs: `int(self.depth)`, `range(self.depth)`, `self.blocks[: self.depth]`, `inputs[self.source]`, `float(self.rate)`.
In an extracted child plain numbers stand in their place, so the same code reads them.

All choices of one decision share a switch, which the `Supernet` sets before each pass; see `choice`.
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from numbers import Complex, Integral
from numbers import Real as RealNumber
from typing import Any, TypeAlias

from ray_asng.space import Categorical, Decision, Integer, Real, Value

Number: TypeAlias = int | float


class Decided(ABC):
    """A number that follows the search: a choice, or arithmetic on choices."""

    @property
    @abstractmethod
    def now(self) -> Number:
        """Its present value; RuntimeError before anything was chosen."""

    def __float__(self) -> float:
        return float(self.now)

    def __bool__(self) -> bool:
        raise TypeError(f"{self!r} is read by int(...) or float(...) before it is asked whether it is true")

    def __eq__(self, other: object) -> bool:
        # `if self.depth == 3` would be false for ever without a word.
        if isinstance(other, (Complex, str)):
            raise TypeError(f"{self!r} is read by int(...) or float(...) before it is compared with {other!r}")
        return self is other

    def __hash__(self) -> int:
        return id(self)


class DecidedInteger(Decided):
    """A whole number that follows the search. Sums, products and quotients of such numbers are such numbers too."""

    @property
    @abstractmethod
    def now(self) -> int:
        """Its present value; RuntimeError before anything was chosen."""

    @property
    @abstractmethod
    def largest(self) -> int:
        """The largest value that it can have: what shared weights are made for."""

    @property
    @abstractmethod
    def smallest(self) -> int:
        """The smallest value that it can have."""

    def __int__(self) -> int:
        return self.now

    def __index__(self) -> int:
        return self.now

    def __add__(self, other: Width) -> Width:
        return _arithmetic(operator.add, "+", self, other)

    def __mul__(self, other: Width) -> Width:
        return _arithmetic(operator.mul, "*", self, other)

    def __floordiv__(self, other: int) -> Width:
        if not _is_whole(other) or other < 1:
            raise TypeError(f"{self!r} // {other!r}: a choice is divided by a whole number of at least 1")
        return _arithmetic(operator.floordiv, "//", self, other)

    __radd__ = __add__
    __rmul__ = __mul__


Width: TypeAlias = int | DecidedInteger


class Derived(DecidedInteger):
    """The result of arithmetic that never falls when a part grows, as `+`, `*` and `//` by a whole number."""

    def __init__(self, function: Callable[[int, int], int], sign: str, first: DecidedInteger, second: Width) -> None:
        self.function = function
        self.sign = sign
        self.first = first
        self.second = second

    @property
    def now(self) -> int:
        return self.function(int(self.first), int(self.second))

    @property
    def largest(self) -> int:
        return self.function(largest(self.first), largest(self.second))

    @property
    def smallest(self) -> int:
        return self.function(smallest(self.first), smallest(self.second))

    def __repr__(self) -> str:
        return f"({self.first!r} {self.sign} {self.second!r})"


def _arithmetic(function: Callable[[int, int], int], sign: str, first: DecidedInteger, second: Width) -> Width:
    if not isinstance(second, DecidedInteger) and not _is_whole(second):
        raise TypeError(f"{first!r} {sign} {second!r}: choices take part in arithmetic with whole numbers alone")
    if smallest(first) < 0 or smallest(second) < 0:
        raise ValueError(f"{first!r} {sign} {second!r}: numbers that can be negative take no part in arithmetic")
    return Derived(function, sign, first, second)


def largest(width: Width) -> int:
    """The largest value of a width that may follow a choice."""
    return width.largest if isinstance(width, DecidedInteger) else int(width)


def smallest(width: Width) -> int:
    """The smallest value of a width that may follow a choice."""
    return width.smallest if isinstance(width, DecidedInteger) else int(width)


class ValueSwitch:
    """The present value of the choices of one decision: what `Supernet` sets. Copies and pickles hold nothing."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now: Any = None

    def __reduce__(self) -> tuple[type[ValueSwitch], tuple[()]]:
        return ValueSwitch, ()


class Choice(Decided):
    """What choices of values share. Choices of one name are one decision.

    Attributes:
        name: of the decision; by default where the module holds the choice, such as "blocks.0.width".
        switch: what it reads.
    """

    def __init__(self, name: str | None) -> None:
        self.name = name
        self.switch = ValueSwitch()

    @abstractmethod
    def decision(self, name: str) -> Decision:
        """What is searched, called `name`."""

    def value_of(self, decided: Value) -> Number:
        """The number that stands for an option name or number of the decision."""
        return decided  # type: ignore[return-value]  # of numeric decisions; others say it themselves

    def _read(self) -> Any:
        if self.switch.now is None:
            raise RuntimeError(
                f"{self!r} was read before anything was chosen: make choices in __init__, keep them as attributes of a "
                "module, or in lists, tuples and dicts that are, and call the network through "
                "Supernet(module)(inputs, architecture)"
            )
        return self.switch.now


class IntegerChoice(Choice, DecidedInteger):
    """One of the integers low, low + step, ..., high; read by `int(...)`, as an index or slice bound, in `range(...)`.

    ASNG searches it by a Gaussian, which knows that neighbours are alike; where they are not, use `ValueChoice`.

    Args:
        low: smallest.
        high: largest.
        step: between neighbours; divides high - low.
        name: of the decision.

    Raises:
        ValueError: low >= high, or a step that does not divide their difference.
        TypeError: numbers that are not whole.

    Example:
        >>> width = IntegerChoice(16, 64, step=8, name="width")
    """

    def __init__(self, low: int, high: int, step: int = 1, *, name: str | None = None) -> None:
        super().__init__(name)
        self.low, self.high, self.step = low, high, step
        self.decision(name or "integer")  # which refuses bounds that do not fit

    def decision(self, name: str) -> Integer:
        return Integer(name, self.low, self.high, self.step)

    @property
    def now(self) -> int:
        value: int = self._read()
        return value

    @property
    def largest(self) -> int:
        return self.high

    @property
    def smallest(self) -> int:
        return self.low

    def __repr__(self) -> str:
        return f"IntegerChoice({self.low}, {self.high}, step={self.step}, name={self.name!r})"


class ValueChoice(Choice, DecidedInteger):
    """One of several whole numbers without an order that the search could use: inputs, levels, numbers of heads.

    Args:
        options: a count n, for one of 0, ..., n - 1; or whole numbers, such as (1, 2, 4, 8); or names, which read as
            their place: 0 for the first.
        name: of the decision.

    Raises:
        ValueError: fewer than two options, or one twice.
        TypeError: options that are neither whole numbers nor names.

    Example:
        >>> source = ValueChoice(("previous", "the one before"), name="input")
        >>> heads = ValueChoice((1, 2, 4, 8), name="heads")
    """

    def __init__(self, options: int | Sequence[int] | Sequence[str], *, name: str | None = None) -> None:
        super().__init__(name)
        listed: Any = range(options) if isinstance(options, Integral) else options
        if isinstance(listed, str) or not isinstance(listed, Sequence):
            raise TypeError(f"ValueChoice {name or ''!r} takes a count, whole numbers or names, got {options!r}")
        if len(listed) < 2:
            raise ValueError(f"ValueChoice {name or ''!r} needs at least two options, got {options!r}")
        are_names = all(isinstance(option, str) for option in listed)
        if not are_names and not all(_is_whole(option) for option in listed):
            raise TypeError(
                f"the options of ValueChoice {name or ''!r} are all whole numbers or all names, got {options!r}; "
                "for numbers with a fraction use RealChoice, for objects a list of them and a ValueChoice of the place"
            )
        values = range(len(listed)) if are_names else listed
        self.options: dict[str, int] = {str(o): int(value) for o, value in zip(listed, values, strict=True)}
        if len(self.options) < len(listed):
            raise ValueError(f"ValueChoice {name or ''!r} repeats an option in {options!r}")

    def decision(self, name: str) -> Categorical:
        return Categorical(name, tuple(self.options))

    def value_of(self, decided: Value) -> int:
        return self.options[str(decided)]

    @property
    def now(self) -> int:
        value: int = self._read()
        return value

    @property
    def largest(self) -> int:
        return max(self.options.values())

    @property
    def smallest(self) -> int:
        return min(self.options.values())

    def __repr__(self) -> str:
        return f"ValueChoice({list(self.options)!r}, name={self.name!r})"


class RealChoice(Choice):
    """A number from low to high, read by `float(...)`: a dropout rate, a time step, a temperature.

    Args:
        low: smallest.
        high: largest.
        log: search its logarithm, for numbers whose magnitude counts; needs low > 0.
        name: of the decision.

    Raises:
        ValueError: low >= high, bounds that are not finite, or log with low <= 0.

    Example:
        >>> rate = RealChoice(0.0, 0.5, name="dropout")
        >>> x = functional.dropout(x, float(rate), training)
    """

    def __init__(self, low: float, high: float, *, log: bool = False, name: str | None = None) -> None:
        super().__init__(name)
        if not all(isinstance(bound, RealNumber) for bound in (low, high)):
            raise TypeError(f"RealChoice {name or ''!r} takes numbers as bounds, got {low!r} and {high!r}")
        self.low, self.high, self.log = float(low), float(high), log
        self.decision(name or "real")  # which refuses bounds that do not fit

    def decision(self, name: str) -> Real:
        return Real(name, self.low, self.high, self.log)

    @property
    def now(self) -> float:
        value: float = self._read()
        return value

    def __repr__(self) -> str:
        return f"RealChoice({self.low:g}, {self.high:g}, log={self.log}, name={self.name!r})"


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)
