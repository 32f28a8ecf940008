"""The operations of the DARTS space and of S1 to S4.

As published, pooling is followed by batch norm while weights are shared, so that its outputs are of the size of the
others', and not in a network that is trained by itself.

Dimension letters: B examples, C channels, H height, W width.

References:
    Liu, Simonyan & Yang, "DARTS: Differentiable Architecture Search", ICLR 2019, and its code.
    Zela et al., "Understanding and Robustifying Differentiable Architecture Search", ICLR 2020: the noise.
"""

from __future__ import annotations

import torch
from torch import nn

from ray_asng.supernets.depthwise import AveragePooling, DepthwiseConv2d
from ray_asng.supernets.enas_operations import FactorizedReduce, SeparableConvolution
from ray_asng.supernets.operations import Zero, batch_norm, every_other

_DILATION = 2


def operation(name: str, channels: int, stride: int, affine: bool) -> nn.Module:
    """An operation of `darts_states.KNOWN` from C to C channels; with stride 2 it halves height and width, rounding up.

    Args:
        name: such as "sep_conv_3x3".
        channels: C; even for a skip connection with stride 2.
        stride: 1 or 2.
        affine: the kind of batch norm; with affine ones there is none behind pooling.
    """
    if name.endswith("_pool_3x3"):
        pooling = _pooling(name, stride)
        return pooling if affine else nn.Sequential(pooling, batch_norm(channels, affine))
    kind, _, kernel = name.rpartition("_")
    if kind == "sep_conv":
        return SeparableConvolution(channels, int(kernel[0]), stride=stride, affine=affine)
    if kind == "dil_conv":
        return DilatedConvolution(channels, int(kernel[0]), stride=stride, affine=affine)
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels, affine=affine)
    return Noise(stride) if name == "noise" else Zero(stride)


def _pooling(name: str, stride: int) -> nn.Module:
    if name == "max_pool_3x3":
        return nn.MaxPool2d(3, stride=stride, padding=1)
    return AveragePooling() if stride == 1 else nn.AvgPool2d(3, stride=stride, padding=1, count_include_pad=False)


class DilatedConvolution(nn.Sequential):
    """ReLU, depth-wise convolution that sees every other pixel, 1x1 convolution, batch norm.

    Args:
        channels: C, of input and output.
        kernel_size: odd, so that padding keeps the size.
        stride: 2 halves height and width, rounding up.
        affine: the kind of batch norm.
    """

    def __init__(self, channels: int, kernel_size: int, *, stride: int, affine: bool) -> None:
        padding = _DILATION * (kernel_size // 2)
        depthwise = (
            DepthwiseConv2d(channels, kernel_size, dilation=_DILATION)
            if stride == 1
            else nn.Conv2d(
                channels,
                channels,
                kernel_size,
                stride=stride,
                padding=padding,
                dilation=_DILATION,
                groups=channels,
                bias=False,
            )
        )
        super().__init__(
            nn.ReLU(), depthwise, nn.Conv2d(channels, channels, 1, bias=False), batch_norm(channels, affine)
        )


class Noise(nn.Module):
    """Standard normal numbers in place of the input, new in each pass: what no search should choose.

    Draws from torch's global generator, which a search lends, in training and in evaluation.

    Args:
        stride: 2 halves height and width, rounding up.
    """

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to (B, C, H / stride, W / stride)."""
        return torch.randn_like(every_other(inputs, self.stride))
