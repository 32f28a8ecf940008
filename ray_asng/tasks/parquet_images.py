"""Classification of images in Parquet files: a column of encoded images and one of integer labels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ray_asng.tasks.image_task import ImageTask


def images(
    *,
    train: str | os.PathLike[str],
    test: str | os.PathLike[str] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    image_column: str = "image",
    label_column: str = "label",
    classes: int | None = None,
    size: int | None = None,
    train_images: int | None = None,
    test_images: int | None = None,
    test_fraction: float = 0.2,
    split_seed: int = 0,
    train_fraction: float = 0.5,
    pad: int | None = None,
    flip: bool = True,
    cutout: int = 0,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> ImageTask:
    """The task of classifying the images of Parquet files, decoded once into the cache folder.

    Args:
        train: file of the development images, from which `train` and `valid` are drawn; an absolute path, or one
            within `data_dir` or the folder that the environment variable RAY_ASNG_DATA names.
        test: file of the test images; without it a fixed part of `train` is set apart.
        data_dir: folder of relative paths.
        image_column: encoded images (PNG, JPEG, WebP, whatever Pillow reads); they are decoded to RGB.
        label_column: integers from 0.
        classes: number of classes; by default the number of names under `classes` in the schema metadata of `train`
            (a JSON list), or else its largest label plus 1.
        size: bring all images to `size` x `size` pixels; None keeps them, and they must be of one size.
        train_images: use the first so many rows of `train` only.
        test_images: use the first so many rows of `test` only.
        test_fraction: share of the rows used of `train` that is set apart where `test` is None.
        split_seed: draws the division of the development images.
        train_fraction: share of the development images that fits weights.
        pad: of the random crop, in pixels; an eighth of the side by default (4 for 32).
        flip: mirror at random.
        cutout: side of the square that is cut out, in pixels; 0 for none.
        mean: of each channel, 0 to 1; that of the development images by default.
        std: of each channel, likewise.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: columns, labels, images or options that cannot be used; names the file, and the row where there
            is one.
    """
    import torch

    from ray_asng.tasks.augmentation import Augmentation, usual_pad
    from ray_asng.tasks.folders import data_file
    from ray_asng.tasks.image_task import ImageTask
    from ray_asng.tasks.parquet_source import open_source
    from ray_asng.tasks.subset import first_rows, set_apart

    source = open_source(data_file(train, "train", data_dir), image_column, label_column, classes)
    rows = first_rows(source.rows, train_images, "train_images", str(source.path))
    if test is not None:
        test_source = open_source(data_file(test, "test", data_dir), image_column, label_column, source.classes)
        test_rows = first_rows(test_source.rows, test_images, "test_images", str(test_source.path))
    elif test_images is None:
        test_source = source
        rows, test_rows = set_apart(rows, test_fraction)
    else:
        raise ValueError("test_images counts rows of a test file; pass test=, or test_fraction= instead")

    pictures = torch.from_numpy(source.images(rows, size))
    return ImageTask(
        name="images",
        images=pictures,
        labels=torch.from_numpy(source.labels[rows]),
        test_images=torch.from_numpy(test_source.images(test_rows, size)),
        test_labels=torch.from_numpy(test_source.labels[test_rows]),
        classes=source.classes,
        split_seed=split_seed,
        train_fraction=train_fraction,
        augmentation=Augmentation(usual_pad(*pictures.shape[2:]) if pad is None else pad, flip, cutout),
        mean=mean,
        std=std,
    )
