"""Means of loss and metric over examples, without waiting for the device at every batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from ray_asng.tasks.base import Task

_BATCH = 256


class Tally:
    """Means of loss and metric over examples, summed on the device and fetched once.

    A batch whose loss is not finite (one path of many may diverge) does not enter the means; `broken` counts its
    examples.

    Attributes:
        examples: added so far.
    """

    def __init__(self) -> None:
        self.examples = 0
        self._sums: torch.Tensor | None = None

    def add(self, loss: torch.Tensor, score: torch.Tensor, examples: int) -> None:
        """Add the mean loss and metric (scalars) of a batch of `examples`."""
        triple = torch.stack([loss.double(), score.double(), torch.ones_like(loss, dtype=torch.float64)])
        triple = torch.where(torch.isfinite(triple[:2].sum()), triple, 0.0) * examples
        self._sums = triple if self._sums is None else self._sums + triple
        self.examples += examples

    @property
    def broken(self) -> int:
        """Examples of batches whose loss or metric was not finite."""
        return self.examples - (0 if self._sums is None else round(float(self._sums[2])))

    @property
    def loss(self) -> float:
        """Mean loss; NaN if no batch was finite."""
        return self._mean(0)

    @property
    def score(self) -> float:
        """Mean metric; NaN if no batch was finite."""
        return self._mean(1)

    def _mean(self, which: int) -> float:
        if self._sums is None or not float(self._sums[2]):
            return math.nan
        return float(self._sums[which] / self._sums[2])


def score_split(task: Task, split: str, examples: int, network: Callable[[Any], Any]) -> tuple[float, float]:
    """Mean loss and metric of `network` (inputs -> outputs) on the first `examples` of a split, not augmented."""
    tally = Tally()
    # Batches of nearly equal size: a last one of a single example has no statistics for batch norm.
    for indices in torch.arange(examples).tensor_split(-(-examples // _BATCH)):
        inputs, targets = task.batch(split, indices)
        outputs = network(inputs)
        tally.add(task.loss(outputs, targets), task.score(outputs, targets), len(targets))
    return tally.loss, tally.score
