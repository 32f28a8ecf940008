"""A network of depth-wise separable cells, whose operations are those of the DARTS and ENAS spaces.

It stands for them in the benchmarks: pooling, depth-wise and 1x1 convolutions take other paths through a processor than
the full convolutions of NAS-Bench-201.

Dimension letters: B examples, H height, W width.
"""

from __future__ import annotations

import torch
from torch import nn

from ray_asng import OneOf
from ray_asng.supernets.cells import Cell, ReductionBlock
from ray_asng.supernets.depthwise import AveragePooling, DepthwiseConv2d
from ray_asng.supernets.operations import batch_norm


def separable(width: int, kernel_size: int, affine: bool, dilation: int = 1) -> list[nn.Module]:
    """ReLU, depth-wise convolution, 1x1 convolution, batch norm."""
    return [
        nn.ReLU(),
        DepthwiseConv2d(width, kernel_size, dilation),
        nn.Conv2d(width, width, 1, bias=False),
        batch_norm(width, affine),
    ]


def operations(width: int, affine: bool) -> dict[str, nn.Module]:
    """The options of an edge."""
    return {
        "skip_connect": nn.Identity(),
        "avg_pool_3x3": nn.Sequential(AveragePooling(), batch_norm(width, affine)),
        "max_pool_3x3": nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), batch_norm(width, affine)),
        "sep_conv_3x3": nn.Sequential(*separable(width, 3, affine), *separable(width, 3, affine)),
        "sep_conv_5x5": nn.Sequential(*separable(width, 5, affine), *separable(width, 5, affine)),
        "dil_conv_3x3": nn.Sequential(*separable(width, 3, affine, dilation=2)),
        "dil_conv_5x5": nn.Sequential(*separable(width, 5, affine, dilation=2)),
    }


class DepthwiseNetwork(nn.Module):
    """Images to class scores: three stages of cells with four nodes, six decisions that all cells share.

    Args:
        width: channels of the first stage; the second and third have two and four times as many.
        cells: per stage.
        classes: number of scores.
        in_channels: of the images.
        affine: the kind of batch norm.
    """

    def __init__(
        self, *, width: int = 16, cells: int = 2, classes: int = 10, in_channels: int = 3, affine: bool = False
    ) -> None:
        super().__init__()

        def cell(channels: int) -> Cell:
            return Cell(4, lambda source, target: OneOf(operations(channels, affine), name=f"edge_{source}_{target}"))

        self.stem = nn.Sequential(nn.Conv2d(in_channels, width, 3, padding=1, bias=False), batch_norm(width, affine))
        layers: list[nn.Module] = []
        for channels in (width, 2 * width, 4 * width):
            if channels > width:
                layers.append(ReductionBlock(channels // 2, channels, affine=affine))
            layers += [cell(channels) for _ in range(cells)]
        self.body = nn.Sequential(*layers)
        self.classifier = nn.Linear(4 * width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) images to (B, classes) scores."""
        return self.with_choices(self.before_choices(images))

    def before_choices(self, images: torch.Tensor) -> torch.Tensor:
        """What is the same for every path."""
        features: torch.Tensor = self.stem(images)
        return features

    def with_choices(self, features: torch.Tensor) -> torch.Tensor:
        """The rest."""
        scores: torch.Tensor = self.classifier(self.body(features).mean(dim=(2, 3)))
        return scores
