"""The parts that cell-based networks are made of: cells whose nodes are sums, and blocks that halve the size.

Dimension letters: B examples, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from ray_asng.supernets.input_weights import InputWeights, plain_sum
from ray_asng.supernets.operations import ReLUConvBN


class Cell(nn.Module):
    """Nodes in a row, each the sum of one operation applied to every earlier node.

    Node 0 is the input, the last node the output.

    Args:
        num_nodes: at least 2.
        operation: makes the module on the edge from node `source` to node `target`, given (source, target).
        input_weights: makes the weights of the inputs of a node, given its number; by default the sums are plain.
    """

    def __init__(
        self,
        num_nodes: int,
        operation: Callable[[int, int], nn.Module],
        input_weights: Callable[[int], InputWeights] | None = None,
    ) -> None:
        super().__init__()
        self.num_nodes = num_nodes
        self.edges = nn.ModuleList(operation(source, target) for target in range(num_nodes) for source in range(target))
        self.sums = nn.ModuleList() if input_weights is None else nn.ModuleList(map(input_weights, range(1, num_nodes)))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to the shape that the operations give."""
        edges = iter(self.edges)
        nodes = [inputs]
        while len(nodes) < self.num_nodes:
            outputs = [next(edges)(node) for node in nodes]
            weighted = self.sums[len(nodes) - 1] if self.sums else None
            nodes.append(plain_sum(outputs) if weighted is None else weighted(outputs))
        return nodes[-1]


class ReductionBlock(nn.Module):
    """Residual block that halves height and width, rounding up, and changes the number of channels.

    Two 3x3 ReLU-convolution-batch-norm, the first with stride 2, beside a mean over 2x2 windows and a 1x1 convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, *, affine: bool) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            ReLUConvBN(in_channels, out_channels, 3, stride=2, affine=affine),
            ReLUConvBN(out_channels, out_channels, 3, stride=1, affine=affine),
        )
        self.shortcut = nn.Sequential(
            # ceil_mode lets odd sizes through, which the published block cannot take; even ones are as published.
            nn.AvgPool2d(2, stride=2, ceil_mode=True),
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
        )

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to (B, out_channels, H / 2, W / 2)."""
        output: torch.Tensor = self.shortcut(inputs) + self.residual(inputs)
        return output
