"""The network of the ENAS micro space: normal cells, and two reduction cells after one and two thirds of them.

As in the code of ASNG-NAS, but that nothing is computed that the scores do not depend on: an input of a cell that none
of its nodes reads is not prepared, and a cell that none of the next two reads does not run. A child does not carry
their weights.

Dimension letters: B examples, H height, W width.

References:
    Pham et al., "Efficient Neural Architecture Search via Parameter Sharing", ICML 2018.
    Akimoto et al., "Adaptive Stochastic Natural Gradient Method for One-Shot Neural Architecture Search", ICML 2019.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from ray_asng.space import SearchSpace
from ray_asng.supernets.counts import check_counts
from ray_asng.supernets.elastic.partial import Partial
from ray_asng.supernets.enas_cell import ENASCell
from ray_asng.supernets.enas_micro_space import NUM_INPUTS, enas_micro_space
from ray_asng.supernets.enas_operations import AuxiliaryHead
from ray_asng.supernets.operations import batch_norm

_STEM_MULTIPLIER = 3


class ENASMicro(Partial):
    """Images to class scores, with 40 decisions: 20 that all normal cells share, 20 of the reduction cells.

    Args:
        width: channels of the first cell; they double in each reduction cell.
        cells: in all, at least 3; the published search has 8, its retraining 20.
        classes: number of scores.
        in_channels: of the images.
        affine: batch norm with scale, shift and running statistics (a network trained by itself) or with the
            statistics of the batch alone (shared weights).
        auxiliary: whether a second head, behind the second reduction cell, scores too in training mode; for images of
            at least 29 x 29 pixels.

    Attributes:
        search_space: with canonical forms, the notation of ENAS and a picture.

    Raises:
        ValueError: a number below 1, fewer than 3 cells.
        TypeError: a number that is not an integer.

    Example:
        >>> supernet = Supernet(ENASMicro(width=8, cells=3))
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
    ) -> None:
        super().__init__()
        check_counts(width=width, cells=cells, classes=classes, in_channels=in_channels)
        if cells < 3:
            raise ValueError(f"cells must be at least 3, two reduction cells and a normal one; got {cells}")
        self.search_space: SearchSpace = enas_micro_space()
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, _STEM_MULTIPLIER * width, 3, padding=1, bias=False),
            batch_norm(_STEM_MULTIPLIER * width, affine),
        )
        self.cells = nn.ModuleList(_cells(width, cells, affine))
        self.classifier = nn.Linear(4 * width, classes)
        self.auxiliary_cell = 2 * cells // 3
        self.auxiliary_head = AuxiliaryHead(4 * width, classes) if auxiliary else None

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
        running = self._running(with_auxiliary=head is not None)
        outputs: list[torch.Tensor | None] = [features] * NUM_INPUTS
        for number, cell in enumerate(self.cells):
            outputs.append(cell(*outputs[-NUM_INPUTS:]) if number in running else None)
        scores: torch.Tensor = self.classifier(outputs[-1].mean(dim=(2, 3)))  # type: ignore[union-attr]  # it runs
        if head is None:
            return scores
        return scores, head(outputs[NUM_INPUTS + self.auxiliary_cell])

    def _running(self, *, with_auxiliary: bool) -> set[int]:
        """Numbers of the cells on which the scores depend."""
        running = {len(self.cells) - 1}
        if with_auxiliary:
            running.add(self.auxiliary_cell)
        for number, cell in reversed(list(enumerate(self.cells))):
            if number in running:
                running |= {number - NUM_INPUTS + state for state in cell.read() if state < NUM_INPUTS}  # type: ignore[operator]
        return running

    def unused(self) -> Iterator[str]:
        """The cells that no head depends on."""
        running = self._running(with_auxiliary=self.auxiliary_head is not None)
        return (f"cells.{number}" for number in range(len(self.cells)) if number not in running)


def _cells(width: int, count: int, affine: bool) -> Iterator[ENASCell]:
    older = newer = _STEM_MULTIPLIER * width
    channels, halved_since = width, False
    for number in range(count):
        kind = "reduce" if number in (count // 3, 2 * count // 3) else "normal"
        if kind == "reduce":
            channels *= 2
        yield ENASCell(kind, (older, newer), channels, halved_since=halved_since, affine=affine)
        older, newer, halved_since = newer, channels, kind == "reduce"
