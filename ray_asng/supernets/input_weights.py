"""Weights of the inputs of a node, which a method learns besides those of the options (edge weights)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class InputWeightSwitch:
    """The weights by which nodes of one name sum now: what `Supernet` sets. Copies and pickles hold none."""

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now: torch.Tensor | None = None

    def __reduce__(self) -> tuple[type[InputWeightSwitch], tuple[()]]:
        return InputWeightSwitch, ()


class InputWeights(nn.Module):
    """The sum of the inputs of a node: weighted in mixtures that come with weights for it, plain in all others.

    Nodes of one name share their weights. A child has None in its place.

    Args:
        edges: the decisions on the edges to the node, in the order of its inputs.
        name: of the weights in a mixture.

    Example:
        >>> node = InputWeights(("edge_0_2", "edge_1_2"), name="node_2")
        >>> node([torch.ones(1, 4, 8, 8), torch.zeros(1, 4, 8, 8)])
    """

    def __init__(self, edges: Sequence[str], *, name: str) -> None:
        super().__init__()
        self.edges = tuple(edges)
        self.name = name
        self.switch = InputWeightSwitch()

    def forward(self, inputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """E tensors of one shape to their sum."""
        weights = self.switch.now
        if weights is None:
            return plain_sum(inputs)
        return plain_sum([weight * each for weight, each in zip(weights, inputs, strict=True)])

    def extra_repr(self) -> str:
        return f"name={self.name!r}, edges={list(self.edges)!r}"


def input_weights_inside(module: nn.Module) -> dict[str, InputWeights]:
    """One of each name in `module`; those of one name share their weights from now on.

    Raises:
        ValueError: some of one name weigh different edges.
    """
    found: dict[str, InputWeights] = {}
    for part in module.modules():
        if isinstance(part, InputWeights):
            first = found.setdefault(part.name, part)
            if first.edges != part.edges:
                raise ValueError(
                    f"input weights of one name weigh the same edges: {part.name!r} weighs {list(first.edges)} at one "
                    f"place and {list(part.edges)} at another"
                )
            part.switch = first.switch
    return found


def plain_sum(inputs: Sequence[torch.Tensor]) -> torch.Tensor:
    """The sum of tensors of one shape."""
    # Not in place: a skip connection returns its input itself.
    total, *others = inputs
    for other in others:
        total = total + other
    return total
