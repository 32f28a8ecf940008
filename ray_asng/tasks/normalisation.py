"""Mean and standard deviation of the colour channels, and the normalisation of a batch by them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# Bounds the memory of the counts below (they are made from int64 copies) at about 50 MB.
_PIXELS_AT_ONCE = 1 << 22


def channel_statistics(images: Tensor) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel over all pixels of all images, in units of full brightness.

    Computed from exact counts of the 256 values, so the result does not depend on threads or the order of images.

    Args:
        images: (N, C, H, W) uint8.

    Returns:
        C means and C deviations in [0, 1]; the deviation of a constant channel is given as 1.
    """
    values = torch.arange(256, dtype=torch.float64) / 255
    chunk = max(1, _PIXELS_AT_ONCE // max(1, images[0, 0].numel()))
    means, deviations = [], []
    for channel in range(images.shape[1]):
        counts = torch.zeros(256, dtype=torch.float64)
        for start in range(0, len(images), chunk):
            part = images[start : start + chunk, channel]
            counts += torch.bincount(part.flatten(), minlength=256).cpu()
        share = counts / counts.sum()
        mean = float((share * values).sum())
        means.append(mean)
        deviations.append(float((share * (values - mean) ** 2).sum().sqrt()) or 1.0)
    return means, deviations


def check_statistics(mean: Sequence[float], std: Sequence[float], channels: int) -> None:
    """Raise ValueError unless `mean` and `std` can normalise images of so many channels."""
    for name, numbers in (("mean", mean), ("std", std)):
        if len(numbers) != channels:
            raise ValueError(f"{name} needs one number for each of {channels} channels, got {list(numbers)!r}")
    if not all(0 <= value <= 1 for value in mean) or not all(0 < value <= 1 for value in std):
        raise ValueError(
            "mean and std are in units of full brightness (0 to 1; std above 0), "
            f"got mean={list(mean)!r}, std={list(std)!r}; divide values of 0 to 255 by 255"
        )


def normalise(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """(images / 255 - mean) / std in float32.

    Args:
        images: (B, C, H, W) uint8.
        mean: (C,) float32 on the same device.
        std: (C,) float32, positive.
    """
    shift = (255 * mean).view(1, -1, 1, 1)
    scale = (1 / (255 * std)).view(1, -1, 1, 1)
    return images.to(torch.float32).sub_(shift).mul_(scale)
