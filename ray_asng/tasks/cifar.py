"""CIFAR-10 and CIFAR-100 from the files that torchvision downloads."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ray_asng.tasks.image_task import ImageTask


def cifar10(
    *,
    data_dir: str | os.PathLike[str] | None = None,
    size: int | None = None,
    train_images: int | None = None,
    test_images: int | None = None,
    split_seed: int = 0,
    train_fraction: float = 0.5,
    pad: int | None = None,
    flip: bool = True,
    cutout: int = 0,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> ImageTask:
    """CIFAR-10: 50 000 development and 10 000 test images of 32 x 32 pixels in 10 classes.

    Args:
        data_dir: the folder that holds `cifar-10-batches-py` (`cifar-100-python` for CIFAR-100); by default that of
            the environment variable RAY_ASNG_DATA, or ~/.cache/ray_asng/data.
        size: bring the images to `size` x `size` pixels.
        train_images: use the first so many development images only.
        test_images: use the first so many test images only.
        split_seed: draws the division of the development images.
        train_fraction: share of the development images that fits weights.
        pad: of the random crop, in pixels; an eighth of the side by default (4 for 32).
        flip: mirror at random.
        cutout: side of the square that is cut out, in pixels; 0 for none (DARTS takes 16).
        mean: of each channel, 0 to 1; that of the development images by default.
        std: of each channel, likewise.

    Raises:
        FileNotFoundError: the data are not in the folder; says how to get them.
        ValueError: damaged files, or an option out of its range.
    """
    return _build("cifar10", **locals())  # every option, as given


def cifar100(
    *,
    data_dir: str | os.PathLike[str] | None = None,
    size: int | None = None,
    train_images: int | None = None,
    test_images: int | None = None,
    split_seed: int = 0,
    train_fraction: float = 0.5,
    pad: int | None = None,
    flip: bool = True,
    cutout: int = 0,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> ImageTask:
    """CIFAR-100: 50 000 development and 10 000 test images of 32 x 32 pixels in 100 classes; else like `cifar10`."""
    return _build("cifar100", **locals())  # every option, as given


def _build(
    name: str,
    *,
    data_dir: str | os.PathLike[str] | None,
    size: int | None,
    train_images: int | None,
    test_images: int | None,
    split_seed: int,
    train_fraction: float,
    pad: int | None,
    flip: bool,
    cutout: int,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> ImageTask:
    import torch

    from ray_asng.tasks.augmentation import Augmentation, usual_pad
    from ray_asng.tasks.cifar_files import CIFAR_FILES
    from ray_asng.tasks.image_task import ImageTask

    files = CIFAR_FILES[name]
    root = files.find(data_dir)
    images, labels = files.load(root, train=True, count=train_images, size=size)
    held_out, held_out_labels = files.load(root, train=False, count=test_images, size=size)
    side = images.shape[2]
    return ImageTask(
        name=name,
        images=torch.from_numpy(images),
        labels=torch.from_numpy(labels),
        test_images=torch.from_numpy(held_out),
        test_labels=torch.from_numpy(held_out_labels),
        classes=files.classes,
        split_seed=split_seed,
        train_fraction=train_fraction,
        augmentation=Augmentation(usual_pad(side, side) if pad is None else pad, flip, cutout),
        mean=mean,
        std=std,
    )
