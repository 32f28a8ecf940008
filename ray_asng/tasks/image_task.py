"""Image classification from tensors that stay uint8 on the device and are augmented a batch at a time.

Dimension letters: N images of C channels, H rows and W columns; B images in a batch.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor
from torch.nn import functional

from ray_asng.space import nearest
from ray_asng.tasks.augmentation import Augmentation
from ray_asng.tasks.base import SPLITS
from ray_asng.tasks.normalisation import channel_statistics, check_statistics, normalise
from ray_asng.tasks.splits import split_indices


@final
class ImageTask:
    """Classification of images; the metric is accuracy, a share from 0 to 1.

    Args:
        name: for reports.
        images: (N, C, H, W) uint8, the development images, from which `train` and `valid` are drawn. They may be a
            memory map; on the CPU they stay one.
        labels: (N,) integers in [0, classes).
        test_images: (M, C, H, W) uint8.
        test_labels: (M,) integers in [0, classes).
        classes: number of classes.
        split_seed: seed of the permutation that divides the development images, used for nothing else.
        train_fraction: the share of the development images that `train` gets; `valid` gets the rest.
        augmentation: what a batch drawn with a generator goes through.
        mean: of each channel, from 0 to 1; that of the development images by default.
        std: of each channel, likewise.

    Raises:
        ValueError: shapes that do not fit, a label out of range, a fraction that leaves a split empty.
        TypeError: images that are not uint8, or labels that are not integers.
    """

    metric = "accuracy"
    higher_is_better = True

    def __init__(
        self,
        *,
        name: str,
        images: Tensor,
        labels: Tensor,
        test_images: Tensor,
        test_labels: Tensor,
        classes: int,
        split_seed: int = 0,
        train_fraction: float = 0.5,
        augmentation: Augmentation | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        _check_data("development", images, labels, classes)
        _check_data("test", test_images, test_labels, classes)
        if images.shape[1:] != test_images.shape[1:]:
            raise ValueError(
                f"development images of shape {tuple(images.shape[1:])} and test images of shape "
                f"{tuple(test_images.shape[1:])} must agree in channels, height and width; resize one of them"
            )
        train, valid = split_indices(len(images), train_fraction, split_seed)
        if mean is None or std is None:
            own_mean, own_std = channel_statistics(images)
            mean, std = own_mean if mean is None else mean, own_std if std is None else std
        check_statistics(mean, std, images.shape[1])

        self.name = name
        self.augmentation = augmentation or Augmentation()
        self.network_options: Mapping[str, Any] = {"classes": classes, "in_channels": images.shape[1]}
        self.mean = torch.tensor(mean, dtype=torch.float32)
        self.std = torch.tensor(std, dtype=torch.float32)
        self._development = (images, labels.to(torch.int64))
        self._test = (test_images, test_labels.to(torch.int64))
        self._rows = {
            "train": train,
            "valid": valid,
            "train_valid": torch.arange(len(images)),
            "test": torch.arange(len(test_images)),
        }

    def __repr__(self) -> str:
        sizes = ", ".join(f"{split}={len(rows)}" for split, rows in self._rows.items())
        return f"ImageTask({self.name!r}, image_shape={self.image_shape}, {sizes})"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        channels, height, width = self._test[0].shape[1:]
        return channels, height, width

    def to(self, device: torch.device) -> ImageTask:
        """The task with its images and labels on `device`."""
        moved = copy.copy(self)
        moved.mean, moved.std = self.mean.to(device), self.std.to(device)
        moved._development = (self._development[0].to(device), self._development[1].to(device))
        moved._test = (self._test[0].to(device), self._test[1].to(device))
        return moved

    def size(self, split: str) -> int:
        """Number of images of a split."""
        return len(self._split_rows(split))

    def batch(self, split: str, indices: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Normalised images and their labels.

        Args:
            split: "train", "valid", "train_valid" or "test".
            indices: (B,) int64 on the CPU, each in [0, size(split)).
            generator: on the CPU; draws the augmentation. Without it the images come as they are.

        Returns:
            (B, C, H, W) float32 and (B,) int64, on the device of the task.
        """
        images, labels = self._test if split == "test" else self._development
        rows = self._split_rows(split).index_select(0, indices).to(images.device)
        pictures = images.index_select(0, rows)
        targets = labels.index_select(0, rows)
        if generator is None:
            return normalise(pictures, self.mean, self.std), targets
        pictures = self.augmentation.before_normalising(pictures, generator)
        inputs = normalise(pictures, self.mean, self.std)
        return self.augmentation.after_normalising(inputs, generator), targets

    def loss(self, outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Mean cross entropy, in nats, of (B, classes) logits and (B,) labels."""
        return functional.cross_entropy(outputs, targets, label_smoothing=label_smoothing)

    def score(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Accuracy, 0 to 1: the share of (B, classes) logits whose largest is that of the (B,) label."""
        return (outputs.argmax(1) == targets).to(torch.float32).mean()

    def _split_rows(self, split: str) -> Tensor:
        if split not in self._rows:
            raise ValueError(f"unknown split {split!r}{nearest(split, SPLITS)}")
        return self._rows[split]


def _check_data(part: str, images: Tensor, labels: Tensor, classes: int) -> None:
    if images.dtype != torch.uint8:
        raise TypeError(f"{part} images must be uint8 with values from 0 to 255, got {images.dtype}")
    if images.ndim != 4 or not images.numel():
        raise ValueError(f"{part} images must have the shape (N, C, H, W), none of it 0; got {tuple(images.shape)}")
    if labels.shape != images.shape[:1]:
        raise ValueError(f"{part} labels must have the shape ({len(images)},), got {tuple(labels.shape)}")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise TypeError(f"{part} labels must be integers, got {labels.dtype}")
    wrong = ((labels < 0) | (labels >= classes)).nonzero()
    if len(wrong):
        row = int(wrong[0])
        raise ValueError(
            f"{part} labels must lie in 0..{classes - 1} for {classes} classes; row {row} has {int(labels[row])}"
        )
