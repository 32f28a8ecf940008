"""A few paths on a few examples before a search starts, so that what cannot work is said before anything is trained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ray_asng.randomness import drawing_from, noise_generators
from ray_asng.supernets.evaluation import scoring

if TYPE_CHECKING:
    from ray_asng.search import Search

_EXAMPLES = 4
_PATHS = 4


def probe(search: Search) -> None:
    """Run paths drawn at random, with loss and metric; leaves no trace in the search.

    Raises:
        ValueError: the network does not take the task's inputs, or not with every width; loss or metric do not take
            its outputs, or give anything but one finite number.
    """
    task = search.task
    inputs, targets = task.batch("train", torch.arange(min(_EXAMPLES, task.size("train"))))
    rng = np.random.default_rng(0)
    with drawing_from(*noise_generators(search.devices, 0)), scoring(search.supernet):
        for architecture in [search.space.sample(rng) for _ in range(_PATHS)]:
            try:
                outputs = search.outputs(inputs, architecture)
            except (TypeError, ValueError, RuntimeError, IndexError) as error:
                raise ValueError(
                    f"the network fails on inputs of the task {task.name!r}, {_words(inputs)}, as the architecture "
                    f"{dict(architecture)}: {type(error).__name__}: {error}"
                ) from error
            for name, measure in (("loss", task.loss), (task.metric, task.score)):
                try:
                    value = measure(outputs, targets)
                except (TypeError, ValueError, RuntimeError, IndexError) as error:
                    raise ValueError(
                        f"the {name} of the task {task.name!r} does not take outputs {_words(outputs)} with targets "
                        f"{_words(targets)}: {type(error).__name__}: {error}"
                    ) from error
                _check_value(name, task.name, value)


def _check_value(name: str, task: str, value: Any) -> None:
    if not isinstance(value, torch.Tensor) or value.numel() != 1 or value.dim():
        raise ValueError(f"the {name} of the task {task!r} must be a tensor without dimensions, got {_words(value)}")
    if not math.isfinite(float(value)):
        raise ValueError(
            f"the {name} of the task {task!r} is {float(value)} on its first training examples, before any step; look "
            "at these examples for values that are not finite, and at the function for divisions by zero"
        )


def _words(nested: Any) -> str:
    if isinstance(nested, torch.Tensor):
        return f"a tensor of shape {tuple(nested.shape)} and type {nested.dtype}"
    if isinstance(nested, Mapping):
        return "a dict of " + ", ".join(f"{name!r}: {_words(part)}" for name, part in nested.items())
    if isinstance(nested, (tuple, list)):
        return f"a {type(nested).__name__} of " + ", ".join(map(_words, nested))
    return repr(nested)
