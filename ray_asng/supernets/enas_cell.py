"""A cell of the ENAS micro space: nodes that choose what they read, and an output made of what none of them reads.

The weights of a node belong to the state that is read and to the operation; both branches of a node share them.

Dimension letters: B examples, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import skip_init

from ray_asng.supernets.choice import OneOf
from ray_asng.supernets.elastic.base import Elastic
from ray_asng.supernets.elastic.partial import Partial
from ray_asng.supernets.enas_micro_space import NUM_INPUTS, NUM_NODES, input_name, loose_ends, operation_name
from ray_asng.supernets.enas_operations import FactorizedReduce, operations
from ray_asng.supernets.operations import ReLUConvBN, batch_norm
from ray_asng.supernets.value_choice import ValueChoice

Sources = tuple[ValueChoice, ValueChoice]
"""What the two branches of a node read."""


class ENASNode(Partial):
    """The sum of two branches, each of which applies the chosen operation to the state that it chose.

    Args:
        kind: of the cell, "normal" or "reduce"; a reduction cell halves its inputs where nodes read them.
        node: its number in the cell, from 0.
        channels: C.
        affine: the kind of batch norm.
    """

    def __init__(self, kind: str, node: int, channels: int, *, affine: bool) -> None:
        super().__init__()
        self.first, self.second = nn.ModuleList(), nn.ModuleList()
        for state in range(NUM_INPUTS + node):
            stride = 2 if kind == "reduce" and state < NUM_INPUTS else 1
            shared = operations(channels, stride, affine)
            self.first.append(OneOf(shared, name=operation_name(kind, node, 1)))
            self.second.append(OneOf(shared, name=operation_name(kind, node, 2)))
        num_states = NUM_INPUTS + node
        self.sources: Sources = (
            ValueChoice(num_states, name=input_name(kind, node, 1)),
            ValueChoice(num_states, name=input_name(kind, node, 2)),
        )

    def forward(self, states: Sequence[torch.Tensor]) -> torch.Tensor:
        """States (B, C, H, W) to one of them; in a reduction cell its inputs are twice as high and wide."""
        one, other = map(int, self.sources)
        output: torch.Tensor = self.first[one](states[one]) + self.second[other](states[other])
        return output

    def unused(self) -> Iterator[str]:
        """The operations on states that were not chosen."""
        for branch, source in zip(("first", "second"), map(int, self.sources), strict=True):
            yield from (f"{branch}.{state}" for state in range(len(self.first)) if state != source)


class LooseEndConvolution(Elastic):
    """1x1 convolution without bias from the concatenation of loose ends to C channels; each node has its own columns.

    Args:
        channels: C, of each node and of the output.
        sources: of every node of the cell.
    """

    def __init__(self, channels: int, sources: Sequence[Sources]) -> None:
        super().__init__()
        whole = nn.Conv2d(len(sources) * channels, channels, 1, bias=False).weight.detach()
        # A parameter for each node, so that a step leaves alone the columns of nodes that were read.
        self.columns = nn.ParameterList(nn.Parameter(part.clone()) for part in whole.chunk(len(sources), dim=1))
        self.sources = tuple(sources)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, C times the number of loose ends, H, W), in the order of the nodes, to (B, C, H, W)."""
        return functional.conv2d(inputs, self._weight())

    def _weight(self) -> torch.Tensor:
        ends = loose_ends([[int(source) for source in of_node] for of_node in self.sources])
        return torch.cat([self.columns[node] for node in ends], dim=1)

    def plain(self) -> nn.Module:
        """See `Elastic.plain`."""
        weight = self._weight().detach()
        width_out, width_in = weight.shape[:2]
        layer: nn.Conv2d = skip_init(nn.Conv2d, width_in, width_out, 1, bias=False, device=weight.device)  # type: ignore[no-untyped-call]
        layer.weight = nn.Parameter(weight, requires_grad=self.columns[0].requires_grad)
        return layer.train(self.training)


class ENASCell(Partial):
    """Five nodes behind the outputs of the two cells before.

    Args:
        kind: "normal" or "reduce".
        widths_before: channels of the two inputs.
        channels: C, of the output.
        halved_since: whether the first input is twice as high and wide as the second.
        affine: the kind of batch norm.
    """

    def __init__(
        self, kind: str, widths_before: tuple[int, int], channels: int, *, halved_since: bool, affine: bool
    ) -> None:
        super().__init__()
        older, newer = widths_before
        self.preprocess = nn.ModuleList(
            [
                FactorizedReduce(older, channels, affine=affine)
                if halved_since
                else ReLUConvBN(older, channels, 1, stride=1, affine=affine),
                ReLUConvBN(newer, channels, 1, stride=1, affine=affine),
            ]
        )
        nodes = [ENASNode(kind, node, channels, affine=affine) for node in range(NUM_NODES)]
        self.nodes = nn.ModuleList(nodes)
        self.convolution = LooseEndConvolution(channels, [node.sources for node in nodes])
        self.norm = batch_norm(channels, affine)

    def read(self) -> set[int]:
        """The states that nodes read; 0 and 1 are the inputs."""
        return {state for of_node in self._sources() for state in of_node}

    def _sources(self) -> list[list[int]]:
        return [[int(source) for source in node.sources] for node in self.nodes]  # type: ignore[union-attr]

    def forward(self, older: torch.Tensor | None, newer: torch.Tensor | None) -> torch.Tensor:
        """The outputs of the two cells before, in order (None where no node reads it), to (B, C, H, W)."""
        sources = self._sources()
        read = {state for of_node in sources for state in of_node}
        states = [
            self.preprocess[state](given) if state in read else None for state, given in enumerate((older, newer))
        ]
        for node in self.nodes:
            states.append(node(states))
        ends: Any = [states[NUM_INPUTS + node] for node in loose_ends(sources)]
        output: torch.Tensor = self.norm(self.convolution(torch.relu(torch.cat(ends, dim=1))))
        return output

    def unused(self) -> Iterator[str]:
        """What would prepare an input that no node reads."""
        read = self.read()
        return (f"preprocess.{state}" for state in range(NUM_INPUTS) if state not in read)
