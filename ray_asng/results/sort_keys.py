"""What the texts of a table's column are sorted by: the number that a text begins with, in one unit."""

from __future__ import annotations

import re
from collections.abc import Sequence

_PREFIXES = {"k": 1e3, "M": 1e6, "G": 1e9}
_TIMES = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {"KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}
_UNITS = {**_PREFIXES, **_TIMES, **_SIZES}
_NUMBER = re.compile(
    r"[<>≤≥≈]?\s*(?P<number>[+\-−]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?=$|[\s,;:%)(±])\s?(?P<unit>[A-Za-z]*)"
)
_NOTHING = frozenset(("", "—", "–", "-", "not a number", "nan", "None", "null"))


def sort_keys(texts: Sequence[str]) -> list[float | None] | None:
    """A number for each text, None for those that say nothing; None if the column holds words.

    "73.3 k" is 73300, "95.4 % ± 1.8" is 95.4, "2.1 h" is 7560, "3 (epoch 5 of 20)" is 3.
    """
    keys: list[float | None] = []
    for text in texts:
        key = _number(text)
        if key is None and text.strip() not in _NOTHING:
            return None
        keys.append(key)
    return keys if any(key is not None for key in keys) else None


def _number(text: str) -> float | None:
    match = _NUMBER.match(text.strip())
    if match is None:
        return None
    return float(match["number"].replace("−", "-")) * _UNITS.get(match["unit"], 1.0)
