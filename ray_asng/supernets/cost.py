"""What a child network costs: its parameters, its floating-point operations, or what a user counts.

    >>> supernet = Supernet(MyModule())
    >>> space = with_cost(supernet.space, parameters(supernet))
    >>> asng = ASNG(space, penalty=0.1)

In the config of a trial the key "cost" does this: "parameters", "flops", or a function from a child to a number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ray_asng.space import Architecture, SearchSpace, Value
from ray_asng.supernets.depthwise import AveragePooling
from ray_asng.supernets.supernet import Supernet, call

COUNTS = ("parameters", "flops")
"""What can be counted by name."""


class ChildCost:
    """The cost of an architecture: what `count` says of the child that the supernet extracts.

    An architecture is counted once, so `count` must not depend on the values of the weights.

    Args:
        supernet: whose children are counted. They are copies, moved to the CPU.
        count: from a child to a finite number.
    """

    def __init__(self, supernet: Supernet, count: Callable[[nn.Module], float]) -> None:
        self.supernet = supernet
        self.count = count
        self._known: dict[Architecture, float] = {}

    def __call__(self, architecture: Mapping[str, Value]) -> float:
        """The cost of one architecture.

        Raises:
            ValueError: not an architecture of the supernet, or `count` gave no finite number.
        """
        checked = self.supernet.space.architecture(architecture)
        if checked not in self._known:
            cost = self.count(self.supernet.extract(checked).cpu())
            if not isinstance(cost, (int, float)) or not math.isfinite(cost):
                raise ValueError(
                    f"the cost of the child of {dict(checked)!r} must be a finite number, got {cost!r}; let the "
                    "function that counts return an int or float"
                )
            self._known[checked] = cost
        return self._known[checked]


def parameters(supernet: Supernet) -> ChildCost:
    """Architecture -> number of parameters of its child."""
    return ChildCost(supernet, count_parameters)


def flops(supernet: Supernet, example_inputs: Any) -> ChildCost:
    """Architecture -> floating-point operations of its child on `example_inputs`; see `count_flops`.

    Args:
        supernet: whose children are counted.
        example_inputs: on the CPU, usually a batch of one: a tensor, or a tuple or dict of what the module takes.
    """
    return ChildCost(supernet, partial(count_flops, inputs=example_inputs))


def with_cost(space: SearchSpace, cost: Callable[[Architecture], float]) -> SearchSpace:
    """The same space with another cost."""
    return space.with_cost(cost)


def count_parameters(network: nn.Module) -> int:
    """Number of parameters, shared ones once.

    What a network holds as `auxiliary_head` does not count: it is there while the network is trained, and as published
    the size of a network is given without it.
    """
    return sum(
        parameter.numel() for name, parameter in network.named_parameters() if not name.startswith("auxiliary_head.")
    )


def count_flops(network: nn.Module, inputs: Any) -> int:
    """Floating-point operations (two a multiply-add), counted by torch on a run of the network in eval mode.

    As usual, of convolutions, linear layers and attention alone: not of pooling, though ours is a convolution on the
    CPU.

    Args:
        network: left in the mode it was in.
        inputs: on its device: a tensor, or a tuple or dict of what it takes.
    """
    modes = {part: part.training for part in network.modules()}
    network.eval()
    devices = {parameter.device for parameter in network.parameters() if parameter.device.type == "cuda"}
    # Forked, since a network may draw: what is counted must not show in what the caller draws.
    with torch.no_grad(), torch.random.fork_rng(devices), FlopCounterMode(display=False) as counter:
        call(network, inputs)
    for part, was_training in modes.items():
        part.training = was_training
    counts = counter.get_flop_counts()
    pooling = [name for name, part in network.named_modules() if isinstance(part, AveragePooling)]
    not_counted = sum(sum(counts.get(f"{type(network).__name__}.{name}", {}).values()) for name in pooling)
    return int(counter.get_total_flops()) - not_counted
