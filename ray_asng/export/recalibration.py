"""Running statistics for a child whose batch norms had those of the batch alone, as while weights are shared."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from ray_asng.export.portable import has_batch_statistics
from ray_asng.settings import check_whole
from ray_asng.stream import IndexStream
from ray_asng.supernets.supernet import call
from ray_asng.tasks.base import Task


def recalibrate(child: nn.Module, task: Task, *, batches: int = 50, batch_size: int = 128, seed: int = 0) -> nn.Module:
    """A copy whose batch norms normalise by running statistics, the means over batches of the training data.

    Only norms without running statistics are changed, and no weight is: the copy computes what the child computes on
    an average batch. Retraining the architecture is better and takes longer.

    Args:
        child: an extracted network.
        task: its data, without augmentation, from the split `train_valid`, on the device of the child.
        batches: how many.
        batch_size: examples of each; the whole split if it is smaller.
        seed: of the order of the data.

    Returns:
        The copy, in evaluation mode; the child itself stays as it is.

    Raises:
        ValueError: a number below 1, or no batch norm that lacks running statistics.
        TypeError: a number that is not whole.
    """
    check_whole("batches", batches, 1)
    check_whole("batch_size", batch_size, 1)
    copied = copy.deepcopy(child).eval()
    norms: list[Any] = [part for part in copied.modules() if has_batch_statistics(part)]
    if not norms:
        raise ValueError(
            f"{type(child).__name__} has no batch norm without running statistics; export it as it is, in eval mode"
        )
    rates = [norm.momentum for norm in norms]
    like = next(copied.parameters(), torch.empty(0))
    for norm in norms:
        _add_statistics(norm, like)
    size = task.size("train_valid")
    stream = IndexStream("train_valid", size, min(batch_size, size), seed)
    with torch.no_grad():
        for _ in range(batches):
            inputs, _targets = task.batch("train_valid", stream.next())
            call(copied, inputs)
    for norm, rate in zip(norms, rates, strict=True):
        norm.momentum = rate
    return copied.eval()


def _add_statistics(norm: Any, like: torch.Tensor) -> None:
    """Make a batch norm collect the statistics of what it sees, all batches alike; of the type and device of `like`."""
    norm.track_running_stats = True
    norm.running_mean = torch.zeros(norm.num_features, device=like.device, dtype=like.dtype)
    norm.running_var = torch.ones(norm.num_features, device=like.device, dtype=like.dtype)
    norm.num_batches_tracked = torch.tensor(0, device=like.device)
    # torch's sign for a plain mean over all batches.
    norm.momentum = None
    norm.train()
