"""What the next step of a search will sample, so that others can take the same step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from measured_networks import plain_child
from torch import nn

from ray_asng.search import Search
from ray_asng.settings import MEMORY_FORMATS, lay_out

SAMPLES = 2


@dataclass
class Plan:
    """What the next step is about to do, looked up without doing it."""

    train: tuple[Any, torch.Tensor]
    valid: tuple[Any, torch.Tensor]
    train_children: list[nn.Module]
    valid_children: list[nn.Module]
    step_weights: Callable[[], None]


def random_state(search: Search) -> dict[str, Any]:
    """What decides the batches and architectures of the next step."""
    parts = {"train": search.train_stream, "valid": search.valid_stream, "optimizer": search.optimizer}
    states = {name: part.state_dict() for name, part in parts.items()}
    return {**states, "augmentation": search.augmentation.get_state()}


def set_random_state(search: Search, state: Mapping[str, Any]) -> None:
    """Let the next step of `search` be that of the search that `state` was taken from."""
    search.train_stream.load_state_dict(state["train"])
    search.valid_stream.load_state_dict(state["valid"])
    search.optimizer.load_state_dict(state["optimizer"])
    search.augmentation.set_state(state["augmentation"])


def look_ahead(search: Search) -> Plan:
    """The batches and children of the next step; the search's generators are put back."""
    state = random_state(search)
    train, first = search.batch("train"), search.optimizer.ask(SAMPLES)
    valid, second = search.batch("valid"), search.optimizer.ask(SAMPLES)
    set_random_state(search, state)
    both = [[plain_child(search.supernet, p.architecture) for p in proposals] for proposals in (first, second)]
    return Plan(train, valid, *both, stepping_weights(search, both[0]))


def stepping_weights(search: Search, children: Sequence[nn.Module]) -> Callable[[], None]:
    """The step of the children's weights: the search's own, if they have the supernet's weights.

    Others have copies of slices. They get the memory format of the search, and a weight optimizer like its own that
    already has its moments.
    """
    weights = [weight for child in children for weight in child.parameters()]
    if not set(weights).isdisjoint(search.parameters):
        return search.step_weights
    for child in children:
        lay_out(child, MEMORY_FORMATS[search.settings.memory_format])
    optimizer = search.settings.make_weight_optimizer(weights)
    for weight in weights:
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    optimizer.zero_grad()

    def step() -> None:
        nn.utils.clip_grad_norm_(weights, search.settings.grad_clip, foreach=True)
        optimizer.step()
        optimizer.zero_grad()

    return step
