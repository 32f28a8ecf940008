"""The files of CIFAR-10 and CIFAR-100 as torchvision downloads, checks and reads them, and their decoded copies."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torchvision.datasets import CIFAR10, CIFAR100

from ray_asng.tasks.decode_cache import cached_array, fingerprint
from ray_asng.tasks.folders import DATA_VARIABLE, data_folder
from ray_asng.tasks.resize import check_size, resized
from ray_asng.tasks.subset import first_rows


@dataclass(frozen=True, slots=True)
class CifarFiles:
    """One of the two data sets.

    Attributes:
        task: name of the task.
        dataset: torchvision's class.
        classes: number of classes.
    """

    task: str
    dataset: Any
    classes: int

    def parts(self, root: Path, train: bool) -> list[Path]:
        """The files of the development images, or those of the test images."""
        listed = self.dataset.train_list if train else self.dataset.test_list
        return [root / self.dataset.base_folder / name for name, _ in listed]

    def missing(self, root: Path) -> list[Path]:
        """Those of the files that are not there."""
        meta = root / self.dataset.base_folder / self.dataset.meta["filename"]
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
                f"{DATA_VARIABLE}) the folder that holds {self.dataset.base_folder}"
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
                f"the files in {root / self.dataset.base_folder} are damaged: their checksums are not those of "
                f"{self.task}. Delete the folder and run `ray-asng prepare {self.task}`"
            ) from error


CIFAR_FILES = {
    "cifar10": CifarFiles("cifar10", CIFAR10, 10),
    "cifar100": CifarFiles("cifar100", CIFAR100, 100),
}
