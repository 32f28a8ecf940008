"""The files of CIFAR-10 and CIFAR-100 as torchvision downloads, checks and reads them, and their decoded copies.

Once the copies are there, a search starts without torchvision, whose import takes longer than all that is done here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ray_asng.tasks.decode_cache import cached_array, fingerprint
from ray_asng.tasks.folders import DATA_VARIABLE, data_folder
from ray_asng.tasks.resize import check_size, resized
from ray_asng.tasks.subset import first_rows


@dataclass(frozen=True, slots=True)
class CifarFiles:
    """One of the two data sets.

    Attributes:
        task: name of the task.
        dataset_name: of torchvision's class.
        classes: number of classes.
        folder: where torchvision unpacks the files, within the data folder.
        train_files: names of the files of the development images.
        test_files: names of the files of the test images.
        meta_file: name of the file of the class names.
    """

    task: str
    dataset_name: str
    classes: int
    folder: str
    train_files: tuple[str, ...]
    test_files: tuple[str, ...]
    meta_file: str

    @property
    def dataset(self) -> Any:
        """torchvision's class."""
        from torchvision import datasets

        return getattr(datasets, self.dataset_name)

    def parts(self, root: Path, train: bool) -> list[Path]:
        """The files of the development images, or those of the test images."""
        return [root / self.folder / name for name in (self.train_files if train else self.test_files)]

    def missing(self, root: Path) -> list[Path]:
        """Those of the files that are not there."""
        meta = root / self.folder / self.meta_file
        return [file for file in [*self.parts(root, True), *self.parts(root, False), meta] if not file.is_file()]

    def find(self, data_dir: str | os.PathLike[str] | None) -> Path:
        """The folder that holds the files.

        Raises:
            FileNotFoundError: it does not; says how to get them.
        """
        root = data_folder(data_dir)
        missing = self.missing(root)
        if missing:
            raise FileNotFoundError(
                f"the data of {self.task} are not in {root}: {missing[0]} is missing. Run `ray-asng prepare "
                f"{self.task}` to download them, or pass as data_dir (or in the environment variable "
                f"{DATA_VARIABLE}) the folder that holds {self.folder}"
            )
        return root

    def load(
        self, root: Path, *, train: bool, count: int | None, size: int | None
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Images and labels, memory maps of the decode cache; torchvision's files are read on first use only.

        Args:
            root: the folder that holds the files.
            train: the development images, or the test images.
            count: the first so many; None for all.
            size: side in pixels; None for 32.

        Returns:
            (N, 3, size, size) uint8 and (N,) int64.

        Raises:
            ValueError: damaged files, a count or size that cannot be had.
        """
        check_size(size)
        part = "development" if train else "test"

        @cache
        def dataset() -> Any:
            return self._read(root, train)

        def write_images(target: Path) -> None:
            np.save(target, np.stack([resized(Image.fromarray(image), size) for image in dataset().data]))

        def write_labels(target: Path) -> None:
            np.save(target, np.asarray(dataset().targets, dtype=np.int64))

        sources = {"files": [fingerprint(file) for file in self.parts(root, train)]}
        labels = cached_array(f"{self.task}-{part}-labels", sources, write_labels)
        images = cached_array(f"{self.task}-{part}-images", {**sources, "size": size or 32}, write_images)
        rows = first_rows(len(labels), count, f"{'train' if train else 'test'}_images", f"{self.task}'s {part} part")
        return images[: len(rows)], labels[: len(rows)]

    def _read(self, root: Path, train: bool) -> Any:
        try:
            return self.dataset(root=str(root), train=train, download=False)
        except RuntimeError as error:
            raise ValueError(
                f"the files in {root / self.folder} are damaged: their checksums are not those of "
                f"{self.task}. Delete the folder and run `ray-asng prepare {self.task}`"
            ) from error


CIFAR_FILES = {
    "cifar10": CifarFiles(
        task="cifar10",
        dataset_name="CIFAR10",
        classes=10,
        folder="cifar-10-batches-py",
        train_files=tuple(f"data_batch_{number}" for number in range(1, 6)),
        test_files=("test_batch",),
        meta_file="batches.meta",
    ),
    "cifar100": CifarFiles(
        task="cifar100",
        dataset_name="CIFAR100",
        classes=100,
        folder="cifar-100-python",
        train_files=("train",),
        test_files=("test",),
        meta_file="meta",
    ),
}
