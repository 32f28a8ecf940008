"""How a supernet is evaluated without leaving a trace in its buffers.

Shared weights serve every path, so running statistics of batch norm fit none of them: paths are scored with the
statistics of the batch, as in training.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def buffers_kept(buffers: Sequence[torch.Tensor]) -> Iterator[None]:
    """Give `buffers` (running statistics and the like) the values they had before.

    They are listed by the caller once, since a walk through a supernet takes longer than a small step.
    """
    before = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)


@contextmanager
def scoring(module: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients, but with the batch's statistics in batch norm; buffers are kept."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.train()
    try:
        with torch.no_grad(), buffers_kept(list(module.buffers())):
            yield
    finally:
        for part, training in modes:
            part.training = training
