"""Conformance of the probabilities that a method reports."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from ray_asng.optimizers.base import Optimizer
from ray_asng.space import Integer, Real
from ray_asng.testing.failure import fail, no_error


def check_probabilities(optimizer: Optimizer, checked: str) -> None:
    """Probabilities have the decisions of the space, the right lengths, are finite and sum to 1."""
    space = optimizer.space
    with no_error(checked, mend="let `probabilities` work at any time"):
        rows = optimizer.probabilities
    if not isinstance(rows, Mapping) or set(rows) != set(space.names):
        fail(
            checked,
            expected=f"a dict with the decisions {list(space.names)}",
            got=list(rows),
            mend="give every decision its row; refuse a space with decisions that the method cannot take",
        )
    for decision in space.decisions:
        row = np.asarray(rows[decision.name])
        if isinstance(decision, Real):
            expected = f"(mean, deviation), the mean from {decision.low} to {decision.high}"
            good = row.shape == (2,) and decision.low <= row[0] <= decision.high and 0.0 <= row[1] < math.inf
        else:
            integer = isinstance(decision, Integer)
            length = len(decision.values) if isinstance(decision, Integer) else len(decision.options)
            expected = f"{length} probabilities{' over its values' if integer else ''} that sum to 1"
            good = row.shape == (length,) and bool((row >= 0).all()) and abs(float(row.sum()) - 1.0) < 1e-5
        if not good:
            fail(
                f"{checked}, of {decision.name!r}",
                expected=expected,
                got=row,
                mend="keep the distribution on the simplex: ignore or rank last losses that are not finite, clamp and "
                "divide by the sum after each step",
            )


def check_copies(optimizer: Optimizer) -> None:
    """A caller may change the arrays that he was given."""
    before = {name: np.array(row) for name, row in optimizer.probabilities.items()}
    for row in optimizer.probabilities.values():
        if isinstance(row, np.ndarray) and row.flags.writeable:
            row += 1.0
    after = optimizer.probabilities
    if any(not np.array_equal(before[name], after[name]) for name in before):
        fail(
            "probabilities after a caller changed the arrays that he was given",
            expected="as they were",
            got=after,
            mend="return copies",
        )
