"""Handwritten digits that come with scikit-learn: 1797 real grey images of 8 x 8 pixels, no download."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from ray_asng.tasks.image_task import ImageTask

TEST_IMAGES = 360

# Which images are the test images, the same in every study.
_TEST_SEED = 20190611


def digits(
    *,
    split_seed: int = 0,
    train_fraction: float = 0.5,
    size: int = 8,
    pad: int | None = None,
    flip: bool = False,
    cutout: int = 0,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> ImageTask:
    """The task of reading scikit-learn's handwritten digits: 10 classes, 1 channel, 1437 + 360 images.

    Args:
        split_seed: draws the division of the 1437 development images; the 360 test images are always the same and
            hold the same share of each digit.
        train_fraction: share of the development images that fits weights.
        size: side of the images in pixels.
        pad: of the random crop, in pixels; an eighth of the side by default (1 for 8).
        flip: mirror at random; off, since a mirrored digit is not a digit.
        cutout: side of the square that is cut out, in pixels; 0 for none.
        mean: of the grey values, 0 to 1; that of the development images by default.
        std: of the grey values, likewise.

    Raises:
        ValueError: an option out of its range.
    """
    from ray_asng.tasks.augmentation import Augmentation, usual_pad
    from ray_asng.tasks.image_task import ImageTask

    (pixels, labels), (test_pixels, test_labels) = load_digits(size)
    return ImageTask(
        name="digits",
        images=pixels,
        labels=labels,
        test_images=test_pixels,
        test_labels=test_labels,
        classes=10,
        split_seed=split_seed,
        train_fraction=train_fraction,
        augmentation=Augmentation(usual_pad(size, size) if pad is None else pad, flip, cutout),
        mean=mean,
        std=std,
    )


def load_digits(size: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Development and test images, (N, 1, size, size) uint8, each with (N,) labels.

    Raises:
        ValueError: `size` is no side of an image.
    """
    import numpy as np
    import torch
    from PIL import Image
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    from ray_asng.tasks.resize import check_size, resized

    check_size(size)
    data = datasets.load_digits()
    grey = np.rint(data.images * (255 / 16)).astype(np.uint8)  # 16 grey levels above black
    pixels = torch.from_numpy(np.stack([resized(Image.fromarray(image), size) for image in grey]))
    labels = torch.from_numpy(data.target)
    development, test = train_test_split(
        np.arange(len(labels)), test_size=TEST_IMAGES, stratify=data.target, random_state=_TEST_SEED
    )
    return (pixels[development], labels[development]), (pixels[test], labels[test])
