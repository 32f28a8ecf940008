"""Partial channels: an operation sees one part of the channels, the others go by.

A mixture of all operations on a quarter of the channels costs a quarter of the memory.

Dimension letters: B examples, C channels, H height, W width.

References:
    Xu et al., "PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search", ICLR 2020.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class PartialChannels(nn.Module):
    """Run an operation on the first of several equal parts of the channels, and mix the parts.

    Afterwards the channels of the parts take turns, so that the next operation sees some of each.

    Args:
        operation: from C / parts channels to as many.
        parts: number of parts, at least 2.
        stride: 2 if the operation halves height and width: the other parts are then pooled by maxima.
    """

    def __init__(self, operation: nn.Module, parts: int, *, stride: int = 1) -> None:
        super().__init__()
        self.operation = operation
        self.parts = parts
        # ceil_mode lets odd sizes through, as the operations do.
        self.others = nn.Identity() if stride == 1 else nn.MaxPool2d(stride, stride=stride, ceil_mode=True)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to (B, C, H, W), or half as high and wide."""
        seen = inputs.shape[1] // self.parts
        outputs = torch.cat([self.operation(inputs[:, :seen]), self.others(inputs[:, seen:])], dim=1)
        return functional.channel_shuffle(outputs, self.parts)

    def extra_repr(self) -> str:
        return f"parts={self.parts}"


def part_of(channels: int, parts: int) -> int:
    """Channels of one of `parts` equal parts.

    Raises:
        ValueError: the parts would not be equal.
    """
    if channels % parts:
        raise ValueError(
            f"partial_channels={parts} does not divide the {channels} channels of a cell; take a width that is a "
            f"multiple of {parts}, such as width={parts * max(1, round(channels / parts))}"
        )
    return channels // parts
