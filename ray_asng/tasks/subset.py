"""Which rows of a data set a task uses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Which rows are the test images of data that come without any: the same for every split_seed.
_TEST_SEED = 20190611


def first_rows(count: int, wanted: int | None, option: str, source: str) -> NDArray[np.int64]:
    """The rows 0, 1, ... up to `wanted`, or all `count` of them if that is None.

    Raises:
        ValueError: fewer than one row, or more than there are; names the option and the source.
    """
    if wanted is not None and not 1 <= wanted <= count:
        raise ValueError(f"{option}={wanted}, but {source} has {count} images; take from 1 to {count}, or None for all")
    return np.arange(count if wanted is None else wanted, dtype=np.int64)


def set_apart(
    rows: NDArray[np.int64], test_fraction: float, what: str = "images"
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide rows into development and test rows, both in ascending order; the same at every call.

    Args:
        rows: in ascending order.
        test_fraction: share of the test rows.
        what: the rows are, for error messages.

    Raises:
        ValueError: the fraction is not between 0 and 1, or leaves no row to one of them.
    """
    num_test = round(test_fraction * len(rows))
    if not 0 < num_test < len(rows):
        raise ValueError(
            f"test_fraction={test_fraction!r} of {len(rows)} {what} sets {num_test} apart for the test; "
            "it must leave at least one to the test and one to the development"
        )
    order = np.random.default_rng(_TEST_SEED).permutation(len(rows))
    return rows[np.sort(order[num_test:])], rows[np.sort(order[:num_test])]
