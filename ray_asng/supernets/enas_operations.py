"""The operations of the ENAS micro space, as in the code of ASNG-NAS, and the head that helps to train a found network.

Dimension letters: B examples, C channels, H height, W width.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from ray_asng.supernets.depthwise import DepthwiseConv2d
from ray_asng.supernets.operations import batch_norm, every_other


def operations(channels: int, stride: int, affine: bool) -> dict[str, nn.Module]:
    """The five operations from C to C channels; with stride 2 they halve height and width, rounding up."""
    return {
        "skip_connect": nn.Identity() if stride == 1 else FactorizedReduce(channels, channels, affine=affine),
        # As published, what a window sums is divided by nine at the border too.
        "avg_pool_3x3": nn.AvgPool2d(3, stride=stride, padding=1),
        "max_pool_3x3": nn.MaxPool2d(3, stride=stride, padding=1),
        "sep_conv_3x3": SeparableConvolution(channels, 3, stride=stride, affine=affine),
        "sep_conv_5x5": SeparableConvolution(channels, 5, stride=stride, affine=affine),
    }


class SeparableConvolution(nn.Sequential):
    """Twice: ReLU, depth-wise convolution, 1x1 convolution, batch norm; the first one with the stride.

    Args:
        channels: C, of input and output.
        kernel_size: odd, so that padding keeps the size.
        stride: 2 halves height and width, rounding up.
        affine: the kind of batch norm.
    """

    def __init__(self, channels: int, kernel_size: int, *, stride: int, affine: bool) -> None:
        depthwise = (
            DepthwiseConv2d(channels, kernel_size)
            if stride == 1
            else nn.Conv2d(
                channels, channels, kernel_size, stride=stride, padding=kernel_size // 2, groups=channels, bias=False
            )
        )
        super().__init__(
            nn.ReLU(),
            depthwise,
            nn.Conv2d(channels, channels, 1, bias=False),
            batch_norm(channels, affine),
            nn.ReLU(),
            DepthwiseConv2d(channels, kernel_size),
            nn.Conv2d(channels, channels, 1, bias=False),
            batch_norm(channels, affine),
        )


class FactorizedReduce(nn.Module):
    """Halve height and width, rounding up: ReLU, two 1x1 convolutions of every other pixel, batch norm.

    The first convolution gives one half of the channels and sees the pixels of even rows and columns, the second those
    of odd ones.

    Args:
        in_channels: C of the input.
        out_channels: C of the output, even.
        affine: the kind of batch norm.
    """

    def __init__(self, in_channels: int, out_channels: int, *, affine: bool) -> None:
        super().__init__()
        # Without a stride: the pixels are taken before, see `halving`.
        self.even = nn.Conv2d(in_channels, out_channels // 2, 1, bias=False)
        self.odd = nn.Conv2d(in_channels, out_channels // 2, 1, bias=False)
        self.norm = batch_norm(out_channels, affine)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) to (B, out_channels, H / 2, W / 2)."""
        even = torch.relu(every_other(inputs, 2))
        # Zeros below and on the right let odd sizes through, which the published one cannot take.
        odd = functional.pad(every_other(inputs[:, :, 1:, 1:], 2), (0, inputs.shape[3] % 2, 0, inputs.shape[2] % 2))
        output: torch.Tensor = self.norm(torch.cat([self.even(even), self.odd(torch.relu(odd))], dim=1))
        return output


class AuxiliaryHead(nn.Module):
    """Class scores from features half-way, for an auxiliary loss while a found network is trained.

    Args:
        channels: C.
        classes: number of scores.
    """

    _SMALLEST = 8

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.ReLU(),
            nn.AvgPool2d(5, stride=3),
            nn.Conv2d(channels, 128, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            nn.Conv2d(128, 768, 2, bias=False),
            nn.BatchNorm2d(768),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(768, classes)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W), at least 8 high and wide, to (B, classes) scores.

        Raises:
            ValueError: smaller features.
        """
        if min(inputs.shape[2:]) < self._SMALLEST:
            raise ValueError(
                f"the auxiliary head needs features of at least 8 x 8 pixels, got {tuple(inputs.shape[2:])}: give "
                "images of at least 29 x 29, or build the network with auxiliary=False"
            )
        scores: torch.Tensor = self.classifier(self.features(inputs).mean(dim=(2, 3)))
        return scores
