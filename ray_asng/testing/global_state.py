"""Whether code under test leaves the random states that belong to nobody alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from random import getstate
from typing import Any

import torch

# Reading such a state draws nothing and seeds nothing.
from numpy.random import get_state

from ray_asng.testing.equality import difference
from ray_asng.testing.failure import fail


@contextmanager
def global_randomness_untouched(checked: str) -> Iterator[None]:
    """Fail if the global random state of torch, numpy or Python changes inside."""
    before = _states()
    yield
    for owner, state in _states().items():
        if difference(before[owner], state):
            fail(
                checked,
                expected=f"the global random state of {owner} stays as it was",
                got="it has changed: something draws from it or seeds it",
                mend="draw everything from a generator of your own, made from the seed "
                "(numpy.random.default_rng(seed), torch.Generator().manual_seed(seed)) or handed to you, and seed "
                "nothing globally",
            )


def _states() -> dict[str, Any]:
    return {
        "torch": torch.get_rng_state(),
        "numpy": get_state(),  # noqa: NPY002  # to look at the legacy state, one must read it
        "Python's random module": getstate(),
    }
