"""How a search runs, apart from what is searched: lengths, rates, precision. The same for every method."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from ray_asng.space import nearest

WeightOptimizer: TypeAlias = str | Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer]

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
MEMORY_FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchSettings:
    """Settings of a search; the defaults are those of the ASNG-NAS paper where it has them.

    Attributes:
        epochs: length of the search.
        steps_per_epoch: weight steps (and architecture steps) of an epoch; by default one pass over the training
            half.
        batch_size: examples of a step.
        weight_optimizer: "sgd", "adamw", or a function from parameters to a `torch.optim.Optimizer`.
        lr: of the weights at the start; follows a cosine to 0, step by step.
        momentum: of SGD.
        weight_decay: of SGD or AdamW.
        grad_clip: bound on the global norm of a weight step's gradient.
        warmup_epochs: first epochs in which the distribution stands still while the weights learn.
        samples: paths of a step [lambda]; by default the method's own number.
        precision: "float32" or "bfloat16" (autocast; weights stay float32).
        memory_format: "channels_last" (for inputs and weights with four dimensions) or "contiguous".
    """

    epochs: int = 50
    steps_per_epoch: int | None = None
    batch_size: int = 64
    weight_optimizer: WeightOptimizer = "sgd"
    lr: float = 0.025
    momentum: float = 0.9
    weight_decay: float = 3e-4
    grad_clip: float = 5.0
    warmup_epochs: int = 0
    samples: int | None = None
    precision: str = "float32"
    memory_format: str = "channels_last"

    def __post_init__(self) -> None:
        for name in ("epochs", "steps_per_epoch", "batch_size", "samples"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ValueError(f"{name} must be a whole number from 1, got {value!r}")
        for name in ("lr", "grad_clip"):
            _check_number(name, getattr(self, name), exclusive=True)
        for name in ("momentum", "weight_decay"):
            _check_number(name, getattr(self, name), exclusive=False)
        if not 0 <= self.warmup_epochs <= self.epochs:
            raise ValueError(f"warmup_epochs must be from 0 to epochs={self.epochs}, got {self.warmup_epochs!r}")
        _check_name("precision", self.precision, tuple(PRECISIONS))
        _check_name("memory_format", self.memory_format, tuple(MEMORY_FORMATS))
        if not callable(self.weight_optimizer):
            _check_name("weight_optimizer", self.weight_optimizer, ("sgd", "adamw"))

    def make_weight_optimizer(self, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
        """The optimizer of the weights. Parameters without a gradient are left alone by its step."""
        if callable(self.weight_optimizer):
            return self.weight_optimizer(parameters)
        if self.weight_optimizer == "adamw":
            return torch.optim.AdamW(parameters, lr=self.lr, weight_decay=self.weight_decay, foreach=True)
        sgd = torch.optim.SGD(
            parameters, lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay, fused=True
        )
        if self.momentum:
            # A zero buffer gives the same first step as none, and fused SGD needs all to exist once the sampled
            # paths differ.
            for parameter in parameters:
                sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        return sgd

    def cosine(self, step: int, steps: int) -> float:
        """Factor of the learning rate at weight step `step` of `steps`."""
        return 0.5 * (1.0 + math.cos(math.pi * min(step / steps, 1.0)))


def in_format(inputs: Any, memory_format: torch.memory_format) -> Any:
    """Inputs with images (B, C, H, W) laid out in `memory_format`; other tensors stay as they are."""
    if isinstance(inputs, torch.Tensor):
        return inputs.contiguous(memory_format=memory_format) if inputs.dim() == 4 else inputs
    if isinstance(inputs, tuple):
        return tuple(in_format(part, memory_format) for part in inputs)
    return {name: in_format(part, memory_format) for name, part in inputs.items()}


def _check_number(name: str, value: float, *, exclusive: bool) -> None:
    is_number = isinstance(value, (int, float)) and math.isfinite(value)
    if not is_number or value < 0.0 or (exclusive and value == 0.0):
        raise ValueError(f"{name} must be a finite number {'above' if exclusive else 'from'} 0, got {value!r}")


def _check_name(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"unknown {name} {value!r}{nearest(str(value), known)}")
