"""Downloads and decoding ahead of trials, so that a search neither needs a network nor waits."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray_asng.space import nearest
from ray_asng.tasks.cifar import cifar10, cifar100
from ray_asng.tasks.digits import digits
from ray_asng.tasks.folders import cache_folder, data_folder
from ray_asng.tasks.parquet_images import images

if TYPE_CHECKING:
    from ray_asng.tasks.image_task import ImageTask


def prepare(task: str, *, data_dir: str | os.PathLike[str] | None = None, **options: Any) -> str:
    """Download what a built-in task needs, unless it is there, and decode it into the cache folder.

    Args:
        task: "digits", "cifar10", "cifar100" or "images".
        data_dir: the folder of the data; by default that of the environment variable RAY_ASNG_DATA, or
            ~/.cache/ray_asng/data.
        options: of the task, such as `size`; decoded copies serve the searches that use the same ones.

    Returns:
        A sentence on what lies where.

    Raises:
        ValueError: an unknown task, or options that it refuses.
        ConnectionError: the download failed; says what to put where by hand.
        FileNotFoundError: a file of "images" is missing.
    """
    if task == "digits":
        return f"{_contents(digits(**options))}; they come with scikit-learn, nothing to prepare."
    if task == "images":
        return f"{_contents(images(data_dir=data_dir, **options))}; decoded copies lie in {cache_folder()}."
    if task in ("cifar10", "cifar100"):
        root = data_folder(data_dir)
        _download_cifar(task, root)
        build = cifar10 if task == "cifar10" else cifar100
        return f"{_contents(build(data_dir=root, **options))}; data lie in {root}, decoded copies in {cache_folder()}."
    raise ValueError(f"unknown task {task!r}{nearest(task, ('digits', 'cifar10', 'cifar100', 'images'))}")


def _download_cifar(task: str, root: Path) -> None:
    from ray_asng.tasks.cifar_files import CIFAR_FILES

    files = CIFAR_FILES[task]
    if not files.missing(root):
        return
    try:
        root.mkdir(parents=True, exist_ok=True)
        files.dataset(root=str(root), download=True)
    # URLError and timeouts are OSErrors; torchvision raises RuntimeError for an archive with a wrong checksum.
    except (OSError, RuntimeError) as error:
        raise ConnectionError(
            f"{task} could not be downloaded to {root} ({error}). Fetch {files.dataset.url} on a machine with a "
            f"network, unpack it to {root / files.folder}, or pass another data_dir"
        ) from error


def _contents(task: ImageTask) -> str:
    channels, height, width = task.image_shape
    return (
        f"{task.name}: {task.size('train_valid')} development and {task.size('test')} test images of "
        f"{channels} x {height} x {width} in {task.network_options['classes']} classes"
    )
