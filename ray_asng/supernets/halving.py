"""Convolutions with zeros around, which keep height and width or halve them, and the transposed ones that mirror them.

A 1x1 convolution that halves is computed as one of every other pixel, and its mirror image as one with zeros between
the pixels, which is the same. oneDNN 3.12, which torch 2.14 runs on a CPU, writes past its memory in the gradient of a
strided 1x1 convolution's weights where images are in channels_last and have fewer channels than a vector of the
processor has numbers (uxlfoundation/oneDNN issue 6035): the process dies, or the gradient is wrong.

Dimension letters: B examples, C and D channels, H height, W width, K kernel, which is odd.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from ray_asng.supernets.operations import every_other


def convolve(images: torch.Tensor, weight: torch.Tensor, stride: int) -> torch.Tensor:
    """(B, C, H, W) to (B, D, H / stride, W / stride), rounding up.

    Args:
        images: or features.
        weight: (D, C, K, K).
        stride: 1 or 2.
    """
    kernel = weight.shape[2]
    if kernel == 1:
        return functional.conv2d(every_other(images, stride), weight)
    return functional.conv2d(images, weight, stride=stride, padding=kernel // 2)


def mirror(features: torch.Tensor, weight: torch.Tensor, stride: int) -> torch.Tensor:
    """The transposed convolution that mirrors one with such a stride: (B, C, H, W) to (B, D, H stride, W stride).

    Args:
        features: what the next layer's mirror image gave.
        weight: (C, D, K, K).
        stride: 1 or 2.
    """
    kernel = weight.shape[2]
    if kernel > 1 or stride == 1:
        return functional.conv_transpose2d(
            features, weight, stride=stride, padding=kernel // 2, output_padding=stride - 1
        )
    pixels = functional.conv2d(features, weight.transpose(0, 1))
    spread = functional.pad(pixels[:, :, :, None, :, None], (0, 1, 0, 0, 0, 1))
    return spread.reshape(*pixels.shape[:2], 2 * pixels.shape[2], 2 * pixels.shape[3])


class Convolution(nn.Conv2d):
    """The layer of `convolve`.

    Args:
        channels: C.
        outputs: D.
        kernel_size: K.
        stride: 1 or 2.
    """

    def __init__(self, channels: int, outputs: int, kernel_size: int, *, stride: int = 1) -> None:
        super().__init__(channels, outputs, kernel_size, stride=stride, padding=kernel_size // 2, bias=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to (B, D, H / stride, W / stride), rounding up."""
        return convolve(images, self.weight, self.stride[0])


class Mirror(nn.ConvTranspose2d):
    """The layer of `mirror`.

    Args:
        channels: C.
        outputs: D.
        kernel_size: K.
        stride: 1 or 2.
    """

    def __init__(self, channels: int, outputs: int, kernel_size: int, *, stride: int = 1) -> None:
        halves = {"stride": stride, "padding": kernel_size // 2, "output_padding": stride - 1}
        super().__init__(channels, outputs, kernel_size, **halves, bias=False)  # type: ignore[arg-type]

    def forward(self, features: torch.Tensor, output_size: list[int] | None = None) -> torch.Tensor:
        """(B, C, H, W) to (B, D, H stride, W stride); `output_size` is torch's and has no part in it."""
        return mirror(features, self.weight, self.stride[0])
