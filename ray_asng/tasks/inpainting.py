"""Inpainting of images from a folder, a Parquet file, CelebA, CIFAR or the digits that come with scikit-learn."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from ray_asng.tasks.inpainting_task import InpaintingTask

_CIFAR = ("cifar10", "cifar100")


def inpainting(
    *,
    source: str | os.PathLike[str] = "digits",
    test: str | os.PathLike[str] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    image_column: str = "image",
    size: int | None = None,
    train_images: int | None = None,
    test_images: int | None = None,
    test_fraction: float = 0.2,
    mask: str = "centre",
    mask_fraction: float | None = None,
    mask_seed: int = 0,
    flip: bool = True,
    split_seed: int = 0,
    train_fraction: float = 0.5,
) -> InpaintingTask:
    """The task of restoring images of which a part is hidden.

    Args:
        source: "digits", "cifar10", "cifar100" or "celeba" (the files that torchvision downloads); or a Parquet file
            of encoded images or a folder of image files: an absolute path, or one within `data_dir` or the folder
            that the environment variable RAY_ASNG_DATA names. Images of files are decoded to RGB.
        test: file or folder of the test images, where `source` is one; without it a part of `source` is set apart.
        data_dir: folder of relative paths and of CIFAR and CelebA.
        image_column: of Parquet files.
        size: bring all images to `size` x `size` pixels; None keeps them, and they must be of one size. Of CelebA the
            square in the middle is taken, and 64 is the default.
        train_images: use the first so many development images only.
        test_images: use the first so many test images only.
        test_fraction: share of the images of a file or folder that is set apart where `test` is None.
        mask: "centre" hides the middle half of each side, "random_pixel" 80 % of the pixels, "random_half" the upper,
            lower, left or right half.
        mask_fraction: another share of each side, or of the pixels.
        mask_seed: of the masks of images that are not augmented.
        flip: mirror at random.
        split_seed: draws the division of the development images.
        train_fraction: share of the development images that fits weights.

    Raises:
        FileNotFoundError: a file or folder is missing.
        ValueError: no images, images of unequal size, or an option out of its range.
    """
    import torch

    from ray_asng.tasks.inpainting_task import InpaintingTask
    from ray_asng.tasks.masks import make_masks
    from ray_asng.tasks.subset import first_rows

    masks = make_masks(mask, mask_fraction)
    development, held_out = _load(source, test, data_dir, image_column, size, test_fraction)
    rows = first_rows(len(development), train_images, "train_images", str(source))
    test_rows = first_rows(len(held_out), test_images, "test_images", str(test or source))
    return InpaintingTask(
        name="inpainting",
        images=torch.as_tensor(development)[: len(rows)],
        test_images=torch.as_tensor(held_out)[: len(test_rows)],
        masks=masks,
        flip=flip,
        split_seed=split_seed,
        train_fraction=train_fraction,
        mask_seed=mask_seed,
    )


def _load(
    source: str | os.PathLike[str],
    test: str | os.PathLike[str] | None,
    data_dir: str | os.PathLike[str] | None,
    image_column: str,
    size: int | None,
    test_fraction: float,
) -> tuple[Tensor, Tensor]:
    """Development and test images, (N, C, H, W) uint8."""
    import numpy as np
    import torch

    from ray_asng.tasks.subset import set_apart

    if test is not None and source in ("digits", "celeba", *_CIFAR):
        raise ValueError(f"{source} has test images of its own; leave test={str(test)!r} out")
    if source == "digits":
        from ray_asng.tasks.digits import load_digits

        (images, _), (held_out, _) = load_digits(8 if size is None else size)
        return images, held_out
    if source in _CIFAR:
        from ray_asng.tasks.cifar_files import CIFAR_FILES

        files = CIFAR_FILES[str(source)]
        root = files.find(data_dir)
        both = [files.load(root, train=part, count=None, size=size)[0] for part in (True, False)]
    elif source == "celeba":
        both = _celeba(data_dir, 64 if size is None else size)
    else:
        count, load = _of_files(_path(source, data_dir), image_column, size)
        if test is None:
            both = [load(rows) for rows in set_apart(np.arange(count), test_fraction)]
        else:
            test_count, load_test = _of_files(_path(test, data_dir), image_column, size)
            both = [load(np.arange(count)), load_test(np.arange(test_count))]
    images, held_out = (torch.from_numpy(part) for part in both)
    return images, held_out


def _path(given: str | os.PathLike[str], data_dir: str | os.PathLike[str] | None) -> Path:
    """The file or folder that a path names; a relative one is within the data folder.

    Raises:
        FileNotFoundError: there is none.
    """
    from ray_asng.tasks.folders import data_folder

    path = Path(given).expanduser()
    found = path if path.is_absolute() else data_folder(data_dir) / path
    if not found.exists():
        raise FileNotFoundError(
            f"there is no file or folder {found}. The source of inpainting is 'digits', 'cifar10', 'cifar100', "
            "'celeba', or a Parquet file or folder of images: an absolute path, or one relative to data_dir or to the "
            "environment variable RAY_ASNG_DATA"
        )
    return found


def _of_files(path: Path, image_column: str, size: int | None) -> tuple[int, Callable[[Any], Any]]:
    """How many images a file or folder has, and what gives those of (N,) ascending rows as (N, 3, H, W) uint8."""
    from ray_asng.tasks.parquet_source import open_images
    from ray_asng.tasks.picture_files import decode_pictures, picture_files

    if path.is_dir():
        files = picture_files(path)
        return len(files), lambda rows: decode_pictures([files[row] for row in rows.tolist()], size)
    source = open_images(path, image_column)
    return source.rows, lambda rows: source.images(rows, size)


def _celeba(data_dir: str | os.PathLike[str] | None, size: int) -> list[Any]:
    """Development (training and validation part) and test images of CelebA."""
    from torchvision.datasets import CelebA

    from ray_asng.tasks.folders import data_folder
    from ray_asng.tasks.picture_files import decode_pictures

    root = data_folder(data_dir)
    try:
        parts = {part: CelebA(str(root), split=part, target_type=[]) for part in ("train", "valid", "test")}
    except RuntimeError as error:
        raise FileNotFoundError(
            f"CelebA is not in {root / 'celeba'}, or is not whole; download it by "
            f"torchvision.datasets.CelebA({str(root)!r}, download=True), or name another data_dir"
        ) from error
    files = {
        part: [root / "celeba" / "img_align_celeba" / name for name in data.filename] for part, data in parts.items()
    }
    development = decode_pictures([*files["train"], *files["valid"]], size, is_cropped=True)
    return [development, decode_pictures(files["test"], size, is_cropped=True)]
