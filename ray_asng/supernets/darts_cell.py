"""A cell of the DARTS space: four nodes that sum operations on the states before them, and all nodes side by side.

Dimension letters: B examples, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import nn

from ray_asng.supernets.choice import OneOf
from ray_asng.supernets.darts_operations import operation
from ray_asng.supernets.darts_space import decision, node_name
from ray_asng.supernets.darts_states import NODES, NONE, NUM_INPUTS, edge_name, inputs_of
from ray_asng.supernets.elastic.partial import Partial
from ray_asng.supernets.enas_operations import FactorizedReduce
from ray_asng.supernets.input_weights import InputWeights, plain_sum
from ray_asng.supernets.operations import ReLUConvBN, every_other
from ray_asng.supernets.partial_channels import PartialChannels, part_of


class DARTSNode(Partial):
    """The sum of an operation on each earlier state; what has `none` does not run.

    Args:
        kind: of the cell, "normal" or "reduce"; a reduction cell halves its inputs where nodes read them.
        node: its number among the states.
        channels: C.
        options: decision name -> the operations on its edge.
        affine: the kind of batch norm.
        partial_channels: operations see one of so many parts of the channels.
        edge_weights: whether mixtures may weigh the inputs.
    """

    def __init__(
        self,
        kind: str,
        node: int,
        channels: int,
        *,
        options: Mapping[str, Sequence[str]],
        affine: bool,
        partial_channels: int,
        edge_weights: bool,
    ) -> None:
        super().__init__()
        self.stride = 2 if kind == "reduce" else 1
        """Of the operations on the inputs of the cell."""
        seen = part_of(channels, partial_channels)
        self.edges = nn.ModuleList()
        for source in range(node):
            name = edge_name(kind, source, node)
            stride = self.stride if source < NUM_INPUTS else 1
            one = _choice(name, options[name], seen, stride, affine)
            self.edges.append(
                one if partial_channels == 1 else PartialChannels(one, channels, partial_channels, stride=stride)
            )
        self.sum = InputWeights(inputs_of(kind, node), name=node_name(kind, node)) if edge_weights else None

    def forward(self, states: Sequence[torch.Tensor]) -> torch.Tensor:
        """The states before the node, (B, C, H, W), to one of them; H and W of a node if the cell is a reduction."""
        outputs = [edge(state) for edge, state in zip(self.edges, states, strict=True) if not _is_empty(edge)]
        if not outputs:
            return torch.zeros_like(every_other(states[0], self.stride))
        return plain_sum(outputs) if self.sum is None else self.sum(outputs)

    def unused(self) -> Iterator[str]:
        """The edges that are left out."""
        return (f"edges.{place}" for place, edge in enumerate(self.edges) if _is_empty(edge))


def _is_empty(edge: nn.Module | None) -> bool:
    """Whether nothing goes along the edge; of partial channels, those that no operation sees go by in any case."""
    return edge is None or (isinstance(edge, OneOf) and edge.chosen == NONE)


def _choice(name: str, options: Sequence[str], channels: int, stride: int, affine: bool) -> OneOf:
    searched, further = (
        {each: operation(each, channels, stride, affine) for each in names}
        for names in (options, decision(name, options).unsearched)
    )
    return OneOf(searched, name=name, unsearched=further)


class DARTSCell(nn.Module):
    """Four nodes behind the outputs of the two cells before.

    Both inputs are prepared even if no node reads one of them, as published: the counts of parameters of published
    cells include what prepares it.

    Args:
        nodes: the four nodes.
        widths_before: channels of the two inputs.
        channels: C, of a node; the output has four times as many.
        halved_since: whether the first input is twice as high and wide as the second.
        affine: the kind of batch norm.
    """

    def __init__(
        self,
        nodes: Sequence[DARTSNode],
        widths_before: tuple[int, int],
        channels: int,
        *,
        halved_since: bool,
        affine: bool,
    ) -> None:
        super().__init__()
        older, newer = widths_before
        self.preprocess_older: nn.Module = (
            FactorizedReduce(older, channels, affine=affine)
            if halved_since
            else ReLUConvBN(older, channels, 1, stride=1, affine=affine)
        )
        self.preprocess_newer = ReLUConvBN(newer, channels, 1, stride=1, affine=affine)
        self.nodes = nn.ModuleList(nodes)

    def forward(self, older: torch.Tensor, newer: torch.Tensor) -> torch.Tensor:
        """The outputs of the two cells before, in order, to (B, 4 C, H, W)."""
        states = [self.preprocess_older(older), self.preprocess_newer(newer)]
        for node in self.nodes:
            states.append(node(states))
        return torch.cat(states[NUM_INPUTS:], dim=1)


WIDTH_FACTOR = len(NODES)
"""Channels of the output of a cell for one of a node."""
