"""A normal number that is a fixed function of a text: the same on every machine, in every process and version."""

from __future__ import annotations

import hashlib
from statistics import NormalDist

_BITS = 52  # a float holds their middle exactly, so that a share is never 0 or 1


def hashed_normal(text: str) -> float:
    """A draw of the standard normal distribution (mean 0, deviation 1); that of another text is independent of it."""
    number = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> (64 - _BITS)
    return NormalDist().inv_cdf((number + 0.5) / 2**_BITS)
