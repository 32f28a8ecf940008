"""Randomness that belongs to a search: torch's global state is lent to its generator and given back.

Layers draw their initial weights, and dropout its masks, from torch's global generator. Inside
`drawing_from(generator)` these draws come from `generator`, which advances; outside, the global state is as if
nothing had happened. So nothing is ever seeded globally, and a state of a search needs its own generators only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def spawn_seeds(seed: int | tuple[int, ...], count: int) -> list[int]:
    """`count` independent seeds of 63 bits, as torch takes them, from one."""
    words = np.random.SeedSequence(seed).generate_state(count, np.uint64)
    return [int(word) >> 1 for word in words]


@contextmanager
def drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Let code that knows only torch's global generator draw from `generator` (CPU or CUDA, by its device)."""
    on_cuda = generator.device.type == "cuda"
    get = torch.cuda.get_rng_state if on_cuda else torch.get_rng_state
    put = torch.cuda.set_rng_state if on_cuda else torch.set_rng_state
    outside = get()
    put(generator.get_state())
    try:
        yield
    finally:
        generator.set_state(get())
        put(outside)
