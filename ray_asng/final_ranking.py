"""The end of a search: the method chooses an architecture, by losses of paths with the weights as they are now.

What such a loss is taken on, the method declares: `ranking_batches`, `recalibration_batches`, and `finalists` where
the best few are compared again on the whole validation split.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING

from ray_asng.randomness import drawing_from, spawn_seeds
from ray_asng.stream import IndexStream
from ray_asng.supernets.evaluation import scoring
from ray_asng.supernets.running_statistics import norms_with_statistics, recalibrated
from ray_asng.tally import score_split

if TYPE_CHECKING:
    from ray_asng.search import Search
    from ray_asng.space import Architecture, Value

_EXAMPLES = 2048


def final_architecture(search: Search) -> Architecture:
    """What the method of a trained search chooses; evaluations and passes are counted.

    Raises:
        ValueError: the method has no finalist.
    """
    finalists = search.optimizer.finalists(partial(ranking_loss, search, first_examples(search)))
    if not finalists:
        raise ValueError(f"{type(search.optimizer).__name__}.finalists must give at least one architecture, gave none")
    if len(finalists) == 1:
        return finalists[0]
    whole = [ranking_loss(search, search.task.size("valid"), architecture) for architecture in finalists]
    losses = [loss if math.isfinite(loss) else math.inf for loss in whole]
    return finalists[losses.index(min(losses))]


def first_examples(search: Search) -> int:
    """On how many examples of the validation split a method compares architectures first."""
    batches = search.optimizer.ranking_batches
    return min(search.task.size("valid"), _EXAMPLES if batches is None else batches * search.settings.batch_size)


def ranking_loss(search: Search, examples: int, architecture: Mapping[str, Value]) -> float:
    """Loss of a path on the first `examples` of the validation split: the same ones for every architecture."""
    search.evaluations += 1
    search.passes.forward += examples / search.settings.batch_size
    batches = search.optimizer.recalibration_batches
    mode: AbstractContextManager[None]
    if batches and norms_with_statistics(search.supernet):
        search.passes.forward += batches
        mode = recalibrated(search.supernet, partial(_run_training_batches, search, architecture, batches))
    else:
        mode = scoring(search.supernet)
    with drawing_from(*search.noise), mode:
        loss, _ = score_split(search.task, "valid", examples, lambda inputs: search.outputs(inputs, architecture))
    return loss


def _run_training_batches(search: Search, architecture: Mapping[str, Value], batches: int) -> None:
    """Forward alone, without augmentation; the same batches for every architecture of a search."""
    (seed,) = spawn_seeds((search.seed, 0), 1)
    stream = IndexStream("train", search.task.size("train"), search.settings.batch_size, seed)
    for _ in range(batches):
        inputs, _targets = search.task.batch("train", stream.next())
        search.outputs(inputs, architecture)
