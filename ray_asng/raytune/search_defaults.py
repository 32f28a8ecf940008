"""How ASNG is set where every result is a whole trial: one set of settings for all problems.

They differ from those of a supernet, where a loss costs one batch and its weights move on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from ray_asng.space import SearchSpace

# Results that a step learns from, in multiples of the fresh ones.
_REUSED = 8

# Fresh results of a step.
_SAMPLES = 4

# How far signal must exceed noise: successive steps share results, so they agree more than independent ones do, for
# which 1.5 was published. Where numbers are searched it is more careful, for a deviation that has shrunk too early
# hardly grows again.
_SNR_THRESHOLD, _SNR_THRESHOLD_OF_NUMBERS = 2.0, 3.0

# From so many fresh results on, the weights of their ranks adapt and nothing is learnt from twice.
_LARGE_BATCH = 25

# Numbers begin with the deviation of a uniform draw, and keep it while their mean is on its way.
_NUMBERS = {"initial_sigma": 1.0 / math.sqrt(12.0), "exponential": True}


class Defaults(NamedTuple):
    """A method by its registry name, results for one step, and the method's options."""

    method: str
    samples: int
    options: dict[str, Any]


def asng_defaults(space: SearchSpace, concurrent: float, samples: int | None, given: Mapping[str, Any]) -> Defaults:
    """ASNG for a search by trials.

    Args:
        space: what is searched.
        concurrent: trials that run at a time.
        samples: results for one step [lambda]; by default 4, or the root of `concurrent` if that is more.
        given: options of the user, which go over these; with `reuse` among them it is plain ASNG for any `samples`.
    """
    samples = samples or max(_SAMPLES, round(math.sqrt(concurrent)))
    if samples >= _LARGE_BATCH and "reuse" not in given:
        return Defaults("wa_asng", samples, {"samples": samples, **_NUMBERS, **given})
    settings = {
        "reuse": _REUSED * samples,
        "snr_threshold": _SNR_THRESHOLD_OF_NUMBERS if space.numeric else _SNR_THRESHOLD,
        **_NUMBERS,
    }
    return Defaults("asng", samples, {**settings, **given})
