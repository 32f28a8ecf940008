"""Randomness that belongs to a search: torch's global state is lent to its generator and given back.

Layers draw their initial weights, and dropout its masks, from torch's global generator. Inside
`drawing_from(generator)` these draws come from `generator`, which advances; outside, the global state is as if
nothing had happened. So nothing is ever seeded globally, and a state of a search needs its own generators only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch


def spawn_seeds(seed: int | tuple[int, ...], count: int) -> list[int]:
    """`count` independent seeds of 63 bits, as torch takes them, from one."""
    words = np.random.SeedSequence(seed).generate_state(count, np.uint64)
    return [int(word) >> 1 for word in words]


def noise_generators(devices: Iterable[torch.device], seed: int) -> list[torch.Generator]:
    """Generators for all that a network on `devices` may draw: one for the CPU, and one for each other device."""
    places = list(dict.fromkeys([torch.device("cpu"), *devices]))
    seeds = spawn_seeds(seed, len(places))
    return [torch.Generator(place).manual_seed(own) for place, own in zip(places, seeds, strict=True)]


def load_noise(generators: Sequence[torch.Generator], states: Sequence[torch.Tensor], seed: tuple[int, ...]) -> None:
    """Set generators to saved states, or seed them anew where the states are of other devices."""
    if [len(state) for state in states] == [len(generator.get_state()) for generator in generators]:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)
    else:
        for generator, own in zip(generators, spawn_seeds(seed, len(generators)), strict=True):
            generator.manual_seed(own)


@contextmanager
def drawing_from(*generators: torch.Generator) -> Iterator[None]:
    """Let code that knows only torch's global generators draw from `generators`: at most one a device, CPU or CUDA."""
    outside = [_global_state(generator.device) for generator in generators]
    for generator in generators:
        _set_global_state(generator.get_state(), generator.device)
    try:
        yield
    finally:
        for generator, state in zip(generators, outside, strict=True):
            generator.set_state(_global_state(generator.device))
            _set_global_state(state, generator.device)


def _global_state(device: torch.device) -> torch.Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def _set_global_state(state: torch.Tensor, device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)
