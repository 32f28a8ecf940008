"""The contract of a task: what is learned, from which data, and how well it went.

The search loop owns the order of the data (so that a search resumes in the middle of it); a task turns indices
into a batch on the device. Anything with these members is a task.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch

Inputs: TypeAlias = Any
"""What the network is called with: a tensor, a tuple of tensors or a dict of tensors, batch first."""

SPLITS = ("train", "valid", "train_valid", "test")
"""`train` fits weights, `valid` chooses architectures, `train_valid` is both (retraining), `test` is for reports."""


@runtime_checkable
class Task(Protocol):
    """Data, loss and metric.

    Attributes:
        name: for reports.
        metric: name of the number that reports show, such as "accuracy".
        higher_is_better: of the metric.
        network_options: what a network for this task must be built with, such as classes and in_channels.
    """

    name: str
    metric: str
    higher_is_better: bool
    network_options: Mapping[str, Any]

    def to(self, device: torch.device) -> Task:
        """The task with its data on `device`."""

    def size(self, split: str) -> int:
        """Number of examples of a split."""

    def batch(
        self, split: str, indices: torch.Tensor, generator: torch.Generator | None = None
    ) -> tuple[Inputs, torch.Tensor]:
        """Inputs and targets of a batch, on the device.

        Args:
            split: one of `SPLITS`.
            indices: (B,) int64 on the CPU, each in [0, size(split)).
            generator: draws the augmentation (on the CPU, so that a search does not depend on the device);
                without it the data come as they are.
        """

    def loss(self, outputs: Any, targets: torch.Tensor, label_smoothing: float = 0.0) -> torch.Tensor:
        """Mean loss of a batch, a scalar with its graph.

        Args:
            outputs: of the network.
            targets: of the batch.
            label_smoothing: share of the target spread evenly over all classes. A task without classes refuses
                anything but 0 by a ValueError that names it.
        """

    def score(self, outputs: Any, targets: torch.Tensor) -> torch.Tensor:
        """Mean metric of a batch, a scalar on the device without graph."""
