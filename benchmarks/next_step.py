"""What the next step of a search will sample, so that others can take the same step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from measured_networks import plain_child
from torch import nn

from ray_asng.search import Search

SAMPLES = 2


@dataclass
class Plan:
    """What the next step is about to do, looked up without doing it."""

    train: tuple[Any, torch.Tensor]
    valid: tuple[Any, torch.Tensor]
    train_children: list[nn.Module]
    valid_children: list[nn.Module]


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
    children = [[plain_child(search.supernet, p.architecture) for p in proposals] for proposals in (first, second)]
    return Plan(train, valid, *children)
