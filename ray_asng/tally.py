"""Means of loss and metric over examples, without waiting for the device at every batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from ray_asng.tasks.base import Task

_BATCH = 256
_FOLDED_AT = 256


class Tally:
    """Means of loss and metric over examples, summed on the device and fetched once.

    A batch whose loss is not finite (one path of many may diverge) does not enter the means; `broken` counts its
    examples.

    Attributes:
        examples: added so far.
    """

    def __init__(self) -> None:
        self.examples = 0
        self._waiting: list[tuple[torch.Tensor, torch.Tensor, int]] = []
        self._folded: list[torch.Tensor] = []

    def add(self, loss: torch.Tensor, score: torch.Tensor, examples: int) -> None:
        """Add the mean loss and metric (scalars) of a batch of `examples`."""
        # Many batches are summed at once, since an operation on three numbers takes as long as one on thousands.
        self._waiting.append((loss.detach(), score.detach(), examples))
        self.examples += examples
        if len(self._waiting) == _FOLDED_AT:
            self._fold()

    def _fold(self) -> None:
        """Bring what waits into one (3,) tensor: sums of loss and metric over examples, and number of examples."""
        losses, scores, examples = zip(*self._waiting, strict=True)
        pair = torch.stack([torch.stack(losses).double(), torch.stack(scores).double()])
        count = torch.tensor(examples, dtype=torch.float64).to(pair.device, non_blocking=True)
        triple = torch.cat([pair, torch.ones_like(pair[:1])])
        self._folded.append((torch.where(torch.isfinite(pair.sum(0)), triple, 0.0) * count).sum(1))
        self._waiting = []

    def _sums(self) -> list[float]:
        if self._waiting:
            self._fold()
        triples = [triple.tolist() for triple in self._folded] or [[0.0, 0.0, 0.0]]
        return [math.fsum(sums) for sums in zip(*triples, strict=True)]

    @property
    def broken(self) -> int:
        """Examples of batches whose loss or metric was not finite."""
        return self.examples - round(self._sums()[2])

    @property
    def loss(self) -> float:
        """Mean loss; NaN if no batch was finite."""
        return self._mean(0)

    @property
    def score(self) -> float:
        """Mean metric; NaN if no batch was finite."""
        return self._mean(1)

    def _mean(self, which: int) -> float:
        sums = self._sums()
        return sums[which] / sums[2] if sums[2] else math.nan


def score_split(task: Task, split: str, examples: int, network: Callable[[Any], Any]) -> tuple[float, float]:
    """Mean loss and metric of `network` (inputs -> outputs) on the first `examples` of a split, not augmented."""
    tally = Tally()
    # Batches of nearly equal size: a last one of a single example has no statistics for batch norm.
    for indices in torch.arange(examples).tensor_split(-(-examples // _BATCH)):
        inputs, targets = task.batch(split, indices)
        outputs = network(inputs)
        tally.add(task.loss(outputs, targets), task.score(outputs, targets), len(targets))
    return tally.loss, tally.score


def measure_split(
    task: Task,
    split: str,
    examples: int,
    network: Callable[[Any], Any],
    measures: Mapping[str, Callable[[Any, torch.Tensor], torch.Tensor]],
) -> dict[str, float]:
    """Means of further metrics, name -> function of outputs and targets, on the first `examples` of a split."""
    if not measures:
        return {}
    sums = dict.fromkeys(measures, 0.0)
    for indices in torch.arange(examples).tensor_split(-(-examples // _BATCH)):
        inputs, targets = task.batch(split, indices)
        outputs = network(inputs)
        for name, measure in measures.items():
            sums[name] += float(measure(outputs, targets)) * len(targets)
    return {name: total / examples for name, total in sums.items()}
