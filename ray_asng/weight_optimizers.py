"""The optimizers of weights that can be named, and the schedules of their learning rates."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TypeAlias

import torch

WeightOptimizer: TypeAlias = str | Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer]
"""A name of `WEIGHT_OPTIMIZERS`, or a function from parameters to an optimizer, with rates of its own."""

Schedule: TypeAlias = str | Callable[[float], float]
"""A name of `SCHEDULES`, or a function from the share that is done, 0 to 1, to a factor of the learning rates."""


SCHEDULES: dict[str, Callable[[float], float]] = {
    "cosine": lambda share: 0.5 * (1.0 + math.cos(math.pi * min(share, 1.0))),
    "linear": lambda share: 1.0 - min(share, 1.0),
    "constant": lambda share: 1.0,
    # Of the retraining of the auto-encoders of ASNG-NAS.
    "steps": lambda share: 0.1 ** ((share >= 0.4) + (share >= 0.8)),
}
WEIGHT_OPTIMIZERS = ("sgd", "adamw")


def make_weight_optimizer(
    given: WeightOptimizer,
    parameters: list[torch.nn.Parameter],
    *,
    lr: float,
    momentum: float,
    weight_decay: float,
    nesterov: bool = False,
) -> torch.optim.Optimizer:
    """The optimizer of the weights. Parameters without a gradient are left alone by its step.

    Args:
        given: the function among them gets the parameters and nothing else.
        parameters: of the network.
        lr: at the start.
        momentum: of SGD.
        weight_decay: of SGD and AdamW.
        nesterov: the momentum of SGD in Nesterov's form.
    """
    if callable(given):
        return given(parameters)
    if given == "adamw":
        return torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay, foreach=True)
    sgd = torch.optim.SGD(
        parameters,
        lr=lr,
        momentum=momentum,
        weight_decay=weight_decay,
        nesterov=nesterov and momentum > 0.0,
        fused=True,
    )
    if momentum:
        # A zero buffer gives the same first step as none, and fused SGD needs all to exist once the sampled paths
        # differ.
        for parameter in parameters:
            sgd.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return sgd
