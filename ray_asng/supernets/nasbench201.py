"""The NAS-Bench-201 network: one searched cell, repeated in three stages of a small residual skeleton.

Built of nothing but `OneOf` and plain layers. With `affine=True`, `width=16` and `cells=5` every path is the network
that the published table was trained with.

Dimension letters: B examples, H height, W width.

References:
    Dong & Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search", ICLR 2020.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from numbers import Integral

import torch
from torch import nn

from ray_asng.space import SearchSpace
from ray_asng.supernets.cells import Cell, ReductionBlock
from ray_asng.supernets.choice import OneOf
from ray_asng.supernets.depthwise import AveragePooling
from ray_asng.supernets.nasbench201_space import NUM_NODES, OPERATIONS, edge_name, nasbench201_space
from ray_asng.supernets.operations import ReLUConvBN, Zero, batch_norm

_BUILDERS: dict[str, Callable[[int, bool], nn.Module]] = {
    "none": lambda width, affine: Zero(),
    "skip_connect": lambda width, affine: nn.Identity(),
    "nor_conv_1x1": lambda width, affine: ReLUConvBN(width, width, 1, stride=1, affine=affine),
    "nor_conv_3x3": lambda width, affine: ReLUConvBN(width, width, 3, stride=1, affine=affine),
    "avg_pool_3x3": lambda width, affine: AveragePooling(),
}


class NASBench201(nn.Module):
    """Images to class scores, with six decisions that all cells share.

    Args:
        width: channels of the first stage; the second and third have two and four times as many.
        cells: per stage.
        classes: number of scores.
        in_channels: of the images.
        affine: batch norm with scale, shift and running statistics (a network trained by itself) or with the
            statistics of the batch alone (shared weights).
        operations: the options of every edge, at least two of the published five.

    Attributes:
        search_space: with canonical forms, the published notation and a picture.

    Raises:
        ValueError: a number below 1; fewer than two operations, an unknown or a repeated one.
        TypeError: a number that is not an integer.

    Example:
        >>> supernet = Supernet(NASBench201(width=8, cells=1))
        >>> scores = supernet(torch.ones(2, 3, 32, 32), supernet.space.sample(np.random.default_rng(0)))
    """

    def __init__(
        self,
        *,
        width: int = 16,
        cells: int = 5,
        classes: int = 10,
        in_channels: int = 3,
        affine: bool = False,
        operations: Sequence[str] = OPERATIONS,
    ) -> None:
        super().__init__()
        for name, count in {"width": width, "cells": cells, "classes": classes, "in_channels": in_channels}.items():
            _check_count(name, count)
        self.search_space: SearchSpace = nasbench201_space(operations)
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, padding=1, bias=False),
            batch_norm(width, affine),
        )
        self.body = nn.Sequential(*_stages(width, cells, affine, tuple(operations)))
        self.norm = batch_norm(4 * width, affine)
        self.classifier = nn.Linear(4 * width, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, H, W) images of any size to (B, classes) scores."""
        return self.with_choices(self.before_choices(images))

    def before_choices(self, images: torch.Tensor) -> torch.Tensor:
        """What is the same for every path: images to the (B, width, H, W) input of the first cell."""
        features: torch.Tensor = self.stem(images)
        return features

    def with_choices(self, features: torch.Tensor) -> torch.Tensor:
        """The rest: the input of the first cell to (B, classes) scores."""
        features = torch.relu(self.norm(self.body(features)))
        scores: torch.Tensor = self.classifier(features.mean(dim=(2, 3)))
        return scores


def _stages(width: int, cells: int, affine: bool, operations: tuple[str, ...]) -> Iterator[nn.Module]:
    for channels in (width, 2 * width, 4 * width):
        if channels > width:
            yield ReductionBlock(channels // 2, channels, affine=affine)
        for _ in range(cells):
            yield _cell(channels, affine, operations)


def _cell(channels: int, affine: bool, operations: tuple[str, ...]) -> Cell:
    def choice(source: int, target: int) -> OneOf:
        options = {operation: _BUILDERS[operation](channels, affine) for operation in operations}
        return OneOf(options, name=edge_name(source, target))

    return Cell(NUM_NODES, choice)


def _check_count(name: str, count: int) -> None:
    if not isinstance(count, Integral) or isinstance(count, bool):
        raise TypeError(f"{name} must be an integer of at least 1, got {count!r}")
    if count < 1:
        raise ValueError(f"{name} must be at least 1, got {count}")
