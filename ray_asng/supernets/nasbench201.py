"""The NAS-Bench-201 network: one searched cell, repeated in three stages of a small residual skeleton.

Built of nothing but `OneOf` and plain layers. With `affine=True`, `width=16` and `cells=5` every path is the network
that the published table was trained with.

Dimension letters: B examples, H height, W width.

References:
    Dong & Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search", ICLR 2020.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import nn

from ray_asng.space import SearchSpace
from ray_asng.supernets.cells import Cell, ReductionBlock
from ray_asng.supernets.choice import OneOf
from ray_asng.supernets.counts import check_counts
from ray_asng.supernets.depthwise import AveragePooling
from ray_asng.supernets.input_weights import InputWeights
from ray_asng.supernets.nasbench201_space import (
    NUM_NODES,
    OPERATIONS,
    edge_name,
    edges_to,
    nasbench201_space,
    node_name,
)
from ray_asng.supernets.operations import ReLUConvBN, Zero, batch_norm
from ray_asng.supernets.partial_channels import PartialChannels, part_of

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
        partial_channels: operations see one of so many parts of the channels while they are searched (PC-DARTS,
            DrNAS); 1 for all of them.
        edge_weights: whether mixtures may weigh the inputs of nodes (PC-DARTS).

    Attributes:
        search_space: with canonical forms, the published notation and a picture.

    Raises:
        ValueError: a number below 1; fewer than two operations, an unknown or a repeated one; partial channels that
            do not divide the width.
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
        partial_channels: int = 1,
        edge_weights: bool = False,
    ) -> None:
        super().__init__()
        check_counts(
            width=width, cells=cells, classes=classes, in_channels=in_channels, partial_channels=partial_channels
        )
        self.search_space: SearchSpace = nasbench201_space(operations, edge_weights=edge_weights)
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, padding=1, bias=False),
            batch_norm(width, affine),
        )
        self.body = nn.Sequential(
            *_stages(width, cells, affine, partial(_cell, affine, tuple(operations), partial_channels, edge_weights))
        )
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


def _stages(width: int, cells: int, affine: bool, cell: Callable[[int], Cell]) -> Iterator[nn.Module]:
    for channels in (width, 2 * width, 4 * width):
        if channels > width:
            yield ReductionBlock(channels // 2, channels, affine=affine)
        for _ in range(cells):
            yield cell(channels)


def _cell(affine: bool, operations: tuple[str, ...], parts: int, edge_weights: bool, channels: int) -> Cell:
    seen = part_of(channels, parts)

    def choice(source: int, target: int) -> nn.Module:
        options = {operation: _BUILDERS[operation](seen, affine) for operation in operations}
        one = OneOf(options, name=edge_name(source, target))
        return one if parts == 1 else PartialChannels(one, channels, parts)

    def weights(target: int) -> InputWeights:
        return InputWeights(edges_to(target), name=node_name(target))

    return Cell(NUM_NODES, choice, weights if edge_weights else None)
