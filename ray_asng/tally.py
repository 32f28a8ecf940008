"""Means of loss and metric over examples, without waiting for the device at every batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from ray_asng.tasks.base import Task

_BATCH = 256


class Tally:
    """Means of loss and metric over examples, summed on the device and fetched once."""

    def __init__(self) -> None:
        self.examples = 0
        self._sums: torch.Tensor | None = None

    def add(self, loss: torch.Tensor, score: torch.Tensor, examples: int) -> None:
        pair = torch.stack([loss.double(), score.double()]) * examples
        self._sums = pair if self._sums is None else self._sums + pair
        self.examples += examples

    @property
    def loss(self) -> float:
        return self._mean(0)

    @property
    def score(self) -> float:
        return self._mean(1)

    def _mean(self, which: int) -> float:
        return math.nan if self._sums is None else float(self._sums[which]) / self.examples


def score_split(task: Task, split: str, examples: int, network: Callable[[Any], Any]) -> tuple[float, float]:
    """Mean loss and metric of `network` (inputs -> outputs) on the first `examples` of a split, not augmented."""
    tally = Tally()
    for first in range(0, examples, _BATCH):
        inputs, targets = task.batch(split, torch.arange(first, min(first + _BATCH, examples)))
        outputs = network(inputs)
        tally.add(task.loss(outputs, targets), task.score(outputs, targets), len(targets))
    return tally.loss, tally.score
