"""How a check fails: it says what was checked, what was expected, what came, and what to mend."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

_LONGEST = 600


def fail(checked: str, *, expected: str, got: object, mend: str) -> NoReturn:
    """Raise the AssertionError of a failed check.

    Args:
        checked: what was done with what.
        expected: what a correct implementation gives.
        got: what came.
        mend: what the author should change.
    """
    raise AssertionError(_words(checked, expected, got, mend))


@contextmanager
def no_error(checked: str, *, mend: str) -> Iterator[None]:
    """Turn an error of the code under test into a failed check; the error stays visible as its cause."""
    try:
        yield
    except AssertionError:
        raise
    except Exception as error:
        raise AssertionError(_words(checked, "no error", f"{type(error).__name__}: {error}", mend)) from error


def _words(checked: str, expected: str, got: object, mend: str) -> str:
    came = textwrap.shorten(str(got), _LONGEST, placeholder=" ...")
    return f"{checked}\n  expected: {expected}\n  got: {came}\n  to mend: {mend}"
