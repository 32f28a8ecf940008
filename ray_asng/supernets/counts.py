"""Checks of the numbers that networks are built from."""

from __future__ import annotations

from numbers import Integral


def check_counts(**counts: int) -> None:
    """Raise if one of the named numbers is not an integer of at least 1.

    Raises:
        ValueError: a number below 1.
        TypeError: a number that is not an integer.
    """
    for name, count in counts.items():
        if not isinstance(count, Integral) or isinstance(count, bool):
            raise TypeError(f"{name} must be an integer of at least 1, got {count!r}")
        if count < 1:
            raise ValueError(f"{name} must be at least 1, got {count}")
