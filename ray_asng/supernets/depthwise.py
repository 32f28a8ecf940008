"""Depth-wise convolution and average pooling that take the short way through a CPU.

Most of a cell of depth-wise separable convolutions is spent in their backward passes, where torch's CPU kernels leave
the beaten track: weight gradients of kernels wider than three columns and of dilated ones take several times as long
as their forward passes. The same sums are brought into the forms that are fast (`benchmarks/layer_cost.py` has the
measurements). Elsewhere, as on CUDA, torch's own operations run.

Dimension letters: B examples, C channels, H rows, W columns, R x S kernel.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_FAST_COLUMNS = 3
_FAST_CHANNELS = 32


class DepthwiseConv2d(nn.Conv2d):
    """Each channel with its own kernel, stride 1, without bias; zeros around the image keep its size.

    Args:
        channels: C.
        kernel_size: odd.
        dilation: distance of the kernel's taps, in pixels.

    Raises:
        ValueError: an even kernel, which cannot keep the size.
    """

    def __init__(self, channels: int, kernel_size: int, dilation: int = 1) -> None:
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, so that the size of the image stays; got {kernel_size}")
        padding = dilation * (kernel_size // 2)
        super().__init__(
            channels, channels, kernel_size, padding=padding, dilation=dilation, groups=channels, bias=False
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        weight = self.weight
        learns = torch.is_grad_enabled() and weight.requires_grad
        if inputs.device.type != "cpu" or not learns or not self._has_short_way(*inputs.shape[2:]):
            plain: Tensor = self._conv_forward(inputs, weight, None)
            return plain
        if torch.is_autocast_enabled("cpu"):
            precision = torch.get_autocast_dtype("cpu")
            inputs, weight = inputs.to(precision), weight.to(precision)
        output: Tensor = _DepthwiseConvolution.apply(inputs, weight, self.dilation[0])
        return output

    def _has_short_way(self, height: int, width: int) -> bool:
        (rows, columns), dilation = self.kernel_size, self.dilation[0]
        if dilation == 1:
            return columns > _FAST_COLUMNS
        # Phases smaller than the kernel take as long as the dilated image.
        return height // dilation >= rows and width // dilation >= columns


class _DepthwiseConvolution(torch.autograd.Function):
    """torch's forward pass with a backward pass of forward passes and fast weight gradients; twice differentiable."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor, dilation: int) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        ctx.dilation = dilation
        return _convolve(inputs, weight, dilation)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (gradient,) = gradients
        inputs, weight = ctx.saved_tensors
        if inputs.is_contiguous(memory_format=torch.channels_last):
            gradient = gradient.contiguous(memory_format=torch.channels_last)
        by_inputs = _convolve(gradient, weight.flip(2, 3), ctx.dilation) if ctx.needs_input_grad[0] else None
        by_weight = weight_gradient(inputs, gradient, weight, ctx.dilation) if ctx.needs_input_grad[1] else None
        return by_inputs, by_weight, None


def _convolve(inputs: Tensor, weight: Tensor, dilation: int) -> Tensor:
    padding = [dilation * (size // 2) for size in weight.shape[2:]]
    return functional.conv2d(inputs, weight, padding=padding, dilation=dilation, groups=inputs.shape[1])


def weight_gradient(inputs: Tensor, gradient: Tensor, weight: Tensor, dilation: int) -> Tensor:
    """The gradient by `weight` (C, 1, R, S), R and S odd, of a convolution that keeps the size.

    Args:
        inputs: (B, C, H, W).
        gradient: by the output, (B, C, H, W).
        weight: gives the shape.
        dilation: 1 or more.
    """
    if dilation > 1:
        inputs, gradient = phases(inputs, dilation), phases(gradient, dilation)
    rows, columns = weight.shape[2:]
    groups = inputs.shape[1]
    parts = []
    for first in range(0, columns, _FAST_COLUMNS):
        part = weight[:, :, :, first : first + _FAST_COLUMNS]
        # How far the taps of this part reach to the left and to the right of a pixel.
        left, right = columns // 2 - first, first + part.shape[3] - 1 - columns // 2
        is_even = left == right
        _, by_part, _ = torch.ops.aten.convolution_backward(
            gradient,
            inputs if is_even else functional.pad(inputs, (left, right)),
            part,
            None,
            [1, 1],
            [rows // 2, left if is_even else 0],
            [1, 1],
            False,
            [0, 0],
            groups,
            [False, True, False],
        )
        parts.append(by_part)
    return torch.cat(parts, dim=3)


def phases(images: Tensor, distance: int) -> Tensor:
    """The `distance` x `distance` images that every so many-th pixel of each image makes, as a larger batch.

    A dilated convolution sees each of them by itself, as one without dilation would.

    Args:
        images: (B, C, H, W); zeros are added below and on the right until `distance` divides H and W.
        distance: between pixels of one phase.

    Returns:
        (B distance^2, C, ceil(H / distance), ceil(W / distance)), laid out as channels_last.
    """
    images = functional.pad(images, (0, -images.shape[3] % distance, 0, -images.shape[2] % distance))
    batch, channels, height, width = images.shape
    rows, columns = height // distance, width // distance
    split = images.permute(0, 2, 3, 1).reshape(batch, rows, distance, columns, distance, channels)
    parts = split.permute(0, 2, 4, 1, 3, 5).reshape(batch * distance**2, rows, columns, channels)
    return parts.permute(0, 3, 1, 2)


class AveragePooling(nn.Module):
    """Mean over 3x3 windows that keeps the size; at the border only over what lies inside.

    What `nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)` computes, but for rounding.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        channels, height, width = inputs.shape[1:]
        # Along many channels torch's own pooling is fast, if they lie side by side.
        is_fast = channels >= _FAST_CHANNELS and inputs.is_contiguous(memory_format=torch.channels_last)
        if inputs.device.type != "cpu" or is_fast:
            return functional.avg_pool2d(inputs, 3, stride=1, padding=1, count_include_pad=False)
        with torch.autocast("cpu", enabled=False):
            sums = _convolve(inputs, inputs.new_ones(channels, 1, 3, 3), 1)
            # What a trace makes holds no numbers and must not stay in the cache.
            shares = _shares.__wrapped__ if torch.compiler.is_compiling() else _shares
            return sums * shares(height, width, inputs.dtype)


@lru_cache(maxsize=64)
def _shares(height: int, width: int, dtype: torch.dtype) -> Tensor:
    """(1, 1, H, W): one over the number of pixels in the window around each pixel."""
    rows, columns = (
        3.0 - (torch.arange(length) == 0).double() - (torch.arange(length) == length - 1).double()
        for length in (height, width)
    )
    return (1.0 / (rows[:, None] * columns)).to(dtype).view(1, 1, height, width)
