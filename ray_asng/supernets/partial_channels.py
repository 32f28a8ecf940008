"""Partial channels: an operation sees one part of the channels, the others go by.

A mixture of all operations on a quarter of the channels costs a quarter of the memory. The part can grow while a search
runs (`set_partial_channels`).

Dimension letters: B examples, C channels, H height, W width.

References:
    Xu et al., "PC-DARTS: Partial Channel Connections for Memory-Efficient Architecture Search", ICLR 2020.
    Chen, Wang, Cheng, Tang & Hsieh, "DrNAS: Dirichlet Neural Architecture Search", ICLR 2021: parts that grow.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ray_asng.supernets.widening import change_channels, repeated, shaped

_PARTS = "_extra_state"


class PartialChannels(nn.Module):
    """Run an operation on the first of several equal parts of the channels, and mix the parts.

    Afterwards the channels of the parts take turns, so that the next operation sees some of each.

    Args:
        operation: from C / parts channels to as many.
        channels: C.
        parts: number of parts.
        stride: 2 if the operation halves height and width: the other parts are then pooled by maxima.

    Attributes:
        parts: the present number; part of the module's state.
    """

    def __init__(self, operation: nn.Module, channels: int, parts: int, *, stride: int = 1) -> None:
        super().__init__()
        self.operation = operation
        self.channels = channels
        self.parts = parts
        # ceil_mode lets odd sizes through, as the operations do.
        self.others = nn.Identity() if stride == 1 else nn.MaxPool2d(stride, stride=stride, ceil_mode=True)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to (B, C, H, W), or half as high and wide."""
        if self.parts == 1:
            output: torch.Tensor = self.operation(inputs)
            return output
        seen = self.channels // self.parts
        outputs = torch.cat([self.operation(inputs[:, :seen]), self.others(inputs[:, seen:])], dim=1)
        return functional.channel_shuffle(outputs, self.parts)

    def get_extra_state(self) -> torch.Tensor:
        """The number of parts."""
        return torch.tensor(self.parts)

    def set_extra_state(self, state: Any) -> None:
        """Nothing is left to do: the operation had to get its shape before its weights were loaded."""

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        # Called before the weights of the operation are loaded.
        saved = state_dict.get(prefix + _PARTS)
        if saved is not None and int(saved) != self.parts:
            change_channels(self.operation, shaped(self.channels // self.parts, self.channels // int(saved)))
            self.parts = int(saved)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def extra_repr(self) -> str:
        return f"channels={self.channels}, parts={self.parts}"


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


def partial_channels_of(module: nn.Module) -> int:
    """Parts of which operations inside see one; 1 where nothing is partial."""
    return next((part.parts for part in module.modules() if isinstance(part, PartialChannels)), 1)


def check_growth(module: nn.Module, parts: int) -> None:
    """Find out whether the operations inside could see one of fewer parts.

    Raises:
        ValueError, TypeError: they could not; see `part_of` and `widening.changes`.
    """
    for part in module.modules():
        if isinstance(part, PartialChannels):
            before, after = part.channels // part.parts, part_of(part.channels, parts)
            change_channels(copy.deepcopy(part.operation), shaped(before, after))


def set_partial_channels(module: nn.Module, parts: int, optimizer: torch.optim.Optimizer) -> None:
    """Let the operations inside see one of fewer parts: a larger one, with channels that begin as copies of others.

    Args:
        module: the network.
        parts: at most the present number.
        optimizer: of the network's weights; its momentum is carried over.
    """
    for part in module.modules():
        if isinstance(part, PartialChannels):
            channels = repeated(part.channels // part.parts, part_of(part.channels, parts))
            change_channels(part.operation, channels, optimizer)
            part.parts = parts
