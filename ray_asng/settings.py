"""How a search runs, apart from what is searched: lengths, rates, precision. The same for every method."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import torch

from ray_asng.nested import map_tensors
from ray_asng.space import nearest
from ray_asng.weight_optimizers import SCHEDULES, WEIGHT_OPTIMIZERS, Schedule, WeightOptimizer, make_weight_optimizer

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
MEMORY_FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchSettings:
    """Settings of a search; the defaults are those of the ASNG-NAS paper where it has them.

    Attributes:
        epochs: length of the search.
        steps_per_epoch: weight steps (and architecture steps) of an epoch; by default one pass over the training
            half.
        passes_per_epoch: instead of `steps_per_epoch`: an epoch ends as soon as the search has made that many forward
            and backward passes (of one path on a batch) an epoch, so that methods can be compared at equal cost.
        batch_size: examples of a step.
        weight_optimizer: "sgd", "adamw", or a function from parameters to a `torch.optim.Optimizer`.
        lr: of the weights at the start; a weight optimizer given as a function has its own, even one a group.
        schedule: what the learning rates are multiplied by, step by step (by passes if these are given): "cosine" or
            "linear", both to 0, "constant", "steps" (a tenth after two fifths, a hundredth after four), or a function
            from the share of the search that is done to a factor.
        momentum: of SGD.
        weight_decay: of SGD or AdamW.
        grad_clip: bound on the global norm of a weight step's gradient.
        warmup_epochs: first epochs in which the distribution stands still while the weights learn.
        samples: paths of an architecture step [lambda]; by default the method's own number.
        weight_samples: paths of a weight step, whose gradients are averaged; by default as many as `samples`, as
            published. Fewer buy more steps for the same passes.
        precision: "float32" or "bfloat16" (autocast; weights stay float32).
        memory_format: "channels_last" (for inputs and weights with four dimensions) or "contiguous".
    """

    epochs: int = 50
    steps_per_epoch: int | None = None
    passes_per_epoch: float | None = None
    batch_size: int = 64
    weight_optimizer: WeightOptimizer = "sgd"
    lr: float = 0.025
    schedule: Schedule = "cosine"
    momentum: float = 0.9
    weight_decay: float = 3e-4
    grad_clip: float = 5.0
    warmup_epochs: int = 0
    samples: int | None = None
    weight_samples: int | None = None
    precision: str = "float32"
    memory_format: str = "channels_last"

    def __post_init__(self) -> None:
        for name in ("epochs", "steps_per_epoch", "batch_size", "samples", "weight_samples"):
            value = getattr(self, name)
            if value is not None:
                check_whole(name, value, 1)
        if self.passes_per_epoch is not None:
            check_number("passes_per_epoch", self.passes_per_epoch, above=0.0)
            if self.steps_per_epoch is not None:
                raise ValueError(
                    f"steps_per_epoch={self.steps_per_epoch} and passes_per_epoch={self.passes_per_epoch:g} both say "
                    "how long an epoch is; give one of them"
                )
        for name in ("lr", "grad_clip"):
            check_number(name, getattr(self, name), above=0.0)
        check_number("momentum", self.momentum, low=0.0, below=1.0)
        check_number("weight_decay", self.weight_decay, low=0.0)
        check_whole("warmup_epochs", self.warmup_epochs, 0)
        if self.warmup_epochs > self.epochs:
            raise ValueError(f"warmup_epochs must be from 0 to epochs={self.epochs}, got {self.warmup_epochs!r}")
        check_name("precision", self.precision, tuple(PRECISIONS))
        check_name("memory_format", self.memory_format, tuple(MEMORY_FORMATS))
        if not callable(self.weight_optimizer):
            check_name("weight_optimizer", self.weight_optimizer, WEIGHT_OPTIMIZERS)

        if not callable(self.schedule):
            check_name("schedule", self.schedule, tuple(SCHEDULES))

    def make_weight_optimizer(self, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """The optimizer of the weights. Parameters without a gradient are left alone by its step."""
        return make_weight_optimizer(
            self.weight_optimizer, parameters, lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay
        )


def rate_factor(schedule: Schedule, share: float) -> float:
    """What the learning rates are multiplied by when `share` of the whole, from 0 to 1, is done.

    Raises:
        ValueError: a function of the user's that gives anything but a number from 0.
    """
    if not callable(schedule):
        return SCHEDULES[schedule](share)
    factor = schedule(share)
    check_number(f"what schedule returns for {share:.3g}", factor, low=0.0)
    return float(factor)


def lay_out(module: torch.nn.Module, memory_format: torch.memory_format) -> None:
    """Bring the weights of two-dimensional convolutions into `memory_format`; other weights have no such layout."""
    for parameter in module.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=memory_format)


def in_format(inputs: Any, memory_format: torch.memory_format) -> Any:
    """Inputs with images (B, C, H, W) laid out in `memory_format`; other tensors stay as they are."""
    return map_tensors(lambda part: part.contiguous(memory_format=memory_format) if part.dim() == 4 else part, inputs)


def check_whole(name: str, value: object, low: int) -> None:
    """Raise ValueError unless `value` is a whole number from `low`."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < low:
        raise ValueError(f"{name} must be a whole number from {low}, got {value!r}")


def check_number(
    name: str, value: object, *, low: float = -math.inf, above: float = -math.inf, below: float = math.inf
) -> None:
    """Raise ValueError unless `value` is a finite number in the range."""
    is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not is_number or not low <= value < below or not value > above:  # type: ignore[operator]  # a number by now
        bounds = [f"from {low:g}"] * (low > -math.inf) + [f"above {above:g}"] * (above > -math.inf)
        bounds += [f"below {below:g}"] * (below < math.inf)
        raise ValueError(f"{name} must be a finite number {' and '.join(bounds)}, got {value!r}")


def check_name(name: str, value: object, known: tuple[str, ...]) -> None:
    """Raise ValueError unless `value` is one of `known`."""
    if value not in known:
        raise ValueError(f"unknown {name} {value!r}{nearest(str(value), known)}")
