"""The network of the DARTS space: normal cells, and two reduction cells after one and two thirds of them.

Where it differs from the published one: while weights are shared, the batch norm of the stem has no scale and shift
either.

Dimension letters: B examples, H height, W width.

References:
    Liu, Simonyan & Yang, "DARTS: Differentiable Architecture Search", ICLR 2019, and its code (quark0/darts).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import nn

from ray_asng.space import SearchSpace
from ray_asng.supernets.counts import check_counts
from ray_asng.supernets.darts_cell import WIDTH_FACTOR, DARTSCell, DARTSNode
from ray_asng.supernets.darts_space import darts_space, options_of
from ray_asng.supernets.darts_states import NODES, OPERATIONS
from ray_asng.supernets.enas_operations import AuxiliaryHead
from ray_asng.supernets.operations import batch_norm

_STEM_MULTIPLIER = 3


class DARTSNetwork(nn.Module):
    """Images to class scores, with 28 decisions: 14 that all normal cells share, 14 of the reduction cells.

    Args:
        width: channels of a node of the first cell; they double in each reduction cell.
        cells: in all, at least 3; the published search has 8, its retraining 20 with a width of 36.
        classes: number of scores.
        in_channels: of the images.
        affine: batch norm with scale, shift and running statistics (a network trained by itself) or with the
            statistics of the batch alone (shared weights). With the latter, pooling is followed by one.
        auxiliary: whether a second head, behind the second reduction cell, scores too in training mode; for images of
            at least 29 x 29 pixels.
        operations: the options of every edge, or decision name -> those of this edge; see `darts_space.options_of`.
        partial_channels: operations see one of so many parts of the channels while they are searched (PC-DARTS,
            DrNAS); 1 for all of them.
        edge_weights: whether mixtures may weigh the inputs of nodes (PC-DARTS).

    Attributes:
        search_space: with the rule of two inputs a node, canonical forms, genotypes and a picture.

    Raises:
        ValueError: a number below 1, fewer than 3 cells; an unknown or a repeated operation, too few of them; partial
            channels that do not divide the width.
        TypeError: a number that is not an integer.

    Example:
        >>> supernet = Supernet(DARTSNetwork(width=8, cells=3))
        >>> scores = supernet(torch.ones(2, 3, 32, 32), supernet.space.sample(np.random.default_rng(0)))
    """

    def __init__(
        self,
        *,
        width: int = 16,
        cells: int = 8,
        classes: int = 10,
        in_channels: int = 3,
        affine: bool = False,
        auxiliary: bool = False,
        operations: Sequence[str] | Mapping[str, Sequence[str]] = OPERATIONS,
        partial_channels: int = 1,
        edge_weights: bool = False,
    ) -> None:
        super().__init__()
        check_counts(
            width=width, cells=cells, classes=classes, in_channels=in_channels, partial_channels=partial_channels
        )
        if cells < 3:
            raise ValueError(f"cells must be at least 3, two reduction cells and a normal one; got {cells}")
        self.search_space: SearchSpace = darts_space(operations, edge_weights=edge_weights)
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, _STEM_MULTIPLIER * width, 3, padding=1, bias=False),
            batch_norm(_STEM_MULTIPLIER * width, affine),
        )
        node = partial(
            DARTSNode,
            options=options_of(operations),
            affine=affine,
            partial_channels=partial_channels,
            edge_weights=edge_weights,
        )
        self.cells = nn.ModuleList(_cells(width, cells, affine, node))
        scored = WIDTH_FACTOR * 4 * width
        self.classifier = nn.Linear(scored, classes)
        self.auxiliary_cell = 2 * cells // 3
        self.auxiliary_head = AuxiliaryHead(scored, classes) if auxiliary else None

    def forward(self, images: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """(B, in_channels, H, W) images to (B, classes) scores; with an auxiliary head, in training, to two of them."""
        return self.with_choices(self.before_choices(images))

    def before_choices(self, images: torch.Tensor) -> torch.Tensor:
        """What is the same for every path: images to the (B, 3 width, H, W) inputs of the first cell."""
        features: torch.Tensor = self.stem(images)
        return features

    def with_choices(self, features: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """The rest: the inputs of the first cell to scores."""
        head = self.auxiliary_head if self.training else None
        auxiliary: torch.Tensor | None = None
        older = newer = features
        for number, cell in enumerate(self.cells):
            older, newer = newer, cell(older, newer)
            if head is not None and number == self.auxiliary_cell:
                auxiliary = head(newer)
        scores: torch.Tensor = self.classifier(newer.mean(dim=(2, 3)))
        return scores if auxiliary is None else (scores, auxiliary)


def _cells(width: int, count: int, affine: bool, node: Callable[[str, int, int], DARTSNode]) -> Iterator[DARTSCell]:
    older = newer = _STEM_MULTIPLIER * width
    channels, halved_since = width, False
    for number in range(count):
        kind = "reduce" if number in (count // 3, 2 * count // 3) else "normal"
        if kind == "reduce":
            channels *= 2
        nodes = [node(kind, each, channels) for each in NODES]
        yield DARTSCell(nodes, (older, newer), channels, halved_since=halved_since, affine=affine)
        older, newer, halved_since = newer, WIDTH_FACTOR * channels, kind == "reduce"
