"""Running statistics of batch norm that fit one path of a supernet, for the time of its evaluation.

Those of training are of all paths together. Norms without running statistics use those of each batch anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from ray_asng.supernets.evaluation import scoring


def norms_with_statistics(module: nn.Module) -> list[Any]:
    """The batch norms of `module` that keep running statistics."""
    norms = nn.modules.batchnorm._BatchNorm
    return [part for part in module.modules() if isinstance(part, norms) and part.running_mean is not None]


@contextmanager
def recalibrated(module: nn.Module, run: Callable[[], None]) -> Iterator[None]:
    """Evaluation mode without gradients, with running statistics that are the means over the batches that `run` runs.

    Buffers, momenta and modes are as before afterwards.

    Args:
        module: a supernet.
        run: runs the path in question on one batch after the other.
    """
    norms = norms_with_statistics(module)
    rates = [norm.momentum for norm in norms]
    with scoring(module):
        try:
            for norm in norms:
                norm.reset_running_stats()
                norm.momentum = None  # torch's sign for a plain mean over all batches
            run()
            for norm in norms:
                norm.eval()
            yield
        finally:
            for norm, rate in zip(norms, rates, strict=True):
                norm.momentum = rate
