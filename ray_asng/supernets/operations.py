"""Candidate operations: what an edge of a cell may do to its input.

Batch norm comes in two kinds. While weights are shared (`affine=False`) no scale, shift or running statistics can
fit all paths, so it uses the statistics of the batch alone; a network trained by itself (`affine=True`) has them all.

Dimension letters: B examples, C channels, H height, W width.
"""

from __future__ import annotations

import torch
from torch import nn


def batch_norm(channels: int, affine: bool) -> nn.BatchNorm2d:
    """Batch norm over (B, C, H, W), with scale, shift and running statistics, or with none of them."""
    return nn.BatchNorm2d(channels, affine=affine, track_running_stats=affine)


class Zero(nn.Module):
    """No connection: zeros of the input's shape, without a gradient.

    Args:
        stride: 2 halves height and width, rounding up.
    """

    def __init__(self, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(every_other(inputs, self.stride))


def every_other(images: torch.Tensor, stride: int) -> torch.Tensor:
    """(B, C, H, W) at every `stride`-th row and column, the first ones included."""
    return images if stride == 1 else images[:, :, ::stride, ::stride]


class ReLUConvBN(nn.Module):
    """ReLU, convolution without bias, batch norm; (B, C, H, W) to (B, out_channels, H / stride, W / stride).

    Args:
        in_channels: C of the input.
        out_channels: C of the output.
        kernel_size: odd, so that padding keeps the size.
        stride: 2 halves height and width, rounding up.
        affine: the kind of batch norm.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, *, stride: int, affine: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride=stride, padding=kernel_size // 2, bias=False
        )
        self.norm = batch_norm(out_channels, affine)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.norm(self.conv(torch.relu(inputs)))
        return output
