"""Augmented batches on one thread against torchvision in a DataLoader. The claim: at least 8 x as fast.

A batch is cropped (4 pixels of padding), mirrored, normalised and cut out (16 pixels), from 50 000 random images of
3 x 32 x 32. Ours: `IndexStream` and `ImageTask`, in the process that would train, with one thread. The rivals, in a
`DataLoader` with one worker, shuffled, which waits for nothing but its own transforms:

- v1: `torchvision.transforms` on PIL images and the cutout of DARTS, as published NAS code has it;
- v2: `torchvision.transforms.v2` on uint8 tensors and the same cutout.

All three take turns in one process, 2560 images at a time; the ratios are those of one turn, with 95 % bootstrap
intervals of their median. A worker lives through all turns, has nothing ready when its turn comes and nothing left to
do when it is over. The second table has the parts of our batch, each timed alone, and what it costs to lay a batch out
in `channels_last`, which a search asks for by default.

    python benchmarks/data_pipeline.py --output data_pipeline
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from interleaved import Estimate, interleave, ratio
from numpy.typing import NDArray
from PIL import Image
from report import leave, machine, table
from torch.utils.data import DataLoader, Dataset, RandomSampler
from torchvision import transforms
from torchvision.transforms import v2

from ray_asng.stream import IndexStream
from ray_asng.tasks.augmentation import Augmentation, random_crop, random_cutout, random_flip
from ray_asng.tasks.image_task import ImageTask
from ray_asng.tasks.normalisation import normalise

SIDE, PAD, CUTOUT = 32, 4, 16
MEAN, STD = (0.49139968, 0.48215827, 0.44653124), (0.24703233, 0.24348505, 0.26158768)


class DartsCutout:
    """The cutout of the published DARTS code, image by image."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        height, width = image.shape[1:]
        mask = np.ones((height, width), np.float32)
        row, column = self.rng.integers(height), self.rng.integers(width)
        top, bottom = np.clip(row - CUTOUT // 2, 0, height), np.clip(row + CUTOUT // 2, 0, height)
        left, right = np.clip(column - CUTOUT // 2, 0, width), np.clip(column + CUTOUT // 2, 0, width)
        mask[top:bottom, left:right] = 0.0
        image *= torch.from_numpy(mask).expand_as(image)
        return image


V1 = transforms.Compose(
    [
        transforms.RandomCrop(SIDE, padding=PAD),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize(MEAN, STD),
        DartsCutout(),
    ]
)
V2 = v2.Compose(
    [
        v2.RandomCrop(SIDE, padding=PAD),
        v2.RandomHorizontalFlip(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(MEAN, STD),
        DartsCutout(),
    ]
)


class Transformed(Dataset[tuple[torch.Tensor, int]]):
    """Images that go one by one through `read` and a transform.

    Args:
        images: indexed by their number.
        labels: (N,).
        read: what makes of an image what the transform takes.
        transform: to a (3, 32, 32) float32 tensor.
    """

    def __init__(
        self, images: Any, labels: torch.Tensor, read: Callable[[Any], Any], transform: Callable[[Any], torch.Tensor]
    ) -> None:
        self.images, self.labels, self.read, self.transform = images, labels.tolist(), read, transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, number: int) -> tuple[torch.Tensor, int]:
        return self.transform(self.read(self.images[number])), self.labels[number]


def loader_turn(dataset: Transformed, batch_size: int, count: int) -> Callable[[], None]:
    """A job of `count` shuffled batches from one worker."""
    # What `shuffle=True` stands for, but for the number of images of a pass.
    sampler = RandomSampler(dataset, num_samples=count * batch_size)
    loader = DataLoader(dataset, batch_size, sampler=sampler, drop_last=True, num_workers=1, persistent_workers=True)

    def job() -> None:
        for _ in loader:
            pass

    return job


def our_turn(task: ImageTask, batch_size: int, count: int) -> Callable[[], None]:
    """A job of `count` batches, taken as a search takes them."""
    stream = IndexStream("train", task.size("train"), batch_size, seed=0)
    generator = torch.Generator().manual_seed(0)

    def job() -> None:
        for _ in range(count):
            task.batch("train", stream.next(), generator)

    return job


def make_task(images: torch.Tensor, labels: torch.Tensor) -> ImageTask:
    """All but ten of the images are for training, since the rivals train on all."""
    return ImageTask(
        name="random images",
        images=images,
        labels=labels,
        test_images=images[:10],
        test_labels=labels[:10],
        classes=10,
        train_fraction=1 - 10 / len(images),
        augmentation=Augmentation(pad=PAD, flip=True, cutout=CUTOUT),
        mean=MEAN,
        std=STD,
    )


def turns(images: int, batch_size: int, count: int) -> dict[str, Callable[[], None]]:
    """A job of `count` batches for each of the three, on the same random images."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (images, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 10, (images,), generator=generator)
    colours_last = np.ascontiguousarray(pixels.permute(0, 2, 3, 1).numpy())
    return {
        "ours": our_turn(make_task(pixels, labels), batch_size, count),
        "v1": loader_turn(Transformed(colours_last, labels, Image.fromarray, V1), batch_size, count),
        "v2": loader_turn(Transformed(pixels, labels, lambda image: image, V2), batch_size, count),
    }


def compare(batch_size: int, images: int, at_a_time: int, repeats: int) -> dict[str, NDArray[np.float64]]:
    """Seconds of a batch, (repeats,) for each of the three."""
    count = at_a_time // batch_size
    jobs = turns(images, batch_size, count)
    seconds = interleave(jobs, repeats, warmups=1)
    jobs.clear()
    gc.collect()  # ends the workers
    return {name: values / count for name, values in seconds.items()}


def parts(batch_size: int, images: int, repeats: int) -> dict[str, NDArray[np.float64]]:
    """Seconds of the parts of our batch, (repeats,) each."""
    generator = torch.Generator().manual_seed(0)
    data = torch.randint(0, 256, (images, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)
    stream = IndexStream("train", images, batch_size, seed=0)
    order = torch.stack([stream.next() for _ in range(20)])
    rows, turn = order[0], cycle(order)
    mean, std = torch.tensor(MEAN), torch.tensor(STD)
    pictures = data.index_select(0, rows)
    inputs = normalise(pictures, mean, std)
    jobs: dict[str, Callable[[], object]] = {
        "order": stream.next,
        "gather": lambda: data.index_select(0, next(turn)),
        "crop": lambda: random_crop(pictures, PAD, generator),
        "flip": lambda: random_flip(pictures, generator),
        "normalise": lambda: normalise(pictures, mean, std),
        "cutout": lambda: random_cutout(inputs, CUTOUT, generator),
        "(channels_last)": lambda: inputs.contiguous(memory_format=torch.channels_last),
    }
    return interleave(jobs, repeats, warmups=10)


def comparison_table(found: dict[int, dict[str, NDArray[np.float64]]]) -> str:
    """Ratios and seconds by batch size and rival."""
    rows = []
    for batch_size, seconds in found.items():
        for name in ("v1", "v2"):
            estimate = ratio(seconds[name], seconds["ours"])
            ours_median, median = np.median(seconds["ours"]), np.median(seconds[name])
            shown = [f"{1e3 * median:.2f} ms", f"{1e3 * ours_median:.2f} ms", f"{batch_size / ours_median:,.0f}"]
            rows.append([batch_size, name, estimate, *shown, estimate.repeats])
    return table(["batch", "rival", "rival / ours", "rival", "ours", "our images a second", "rounds"], rows)


def parts_table(found: dict[int, dict[str, NDArray[np.float64]]]) -> str:
    """Microseconds of the parts by batch size."""
    names = list(next(iter(found.values())))
    rows = [[size, *(f"{1e6 * np.median(seconds[name]):.0f}" for name in names)] for size, seconds in found.items()]
    return table(["batch, us", *names], rows)


@click.command()
@click.option("--output", type=click.Path(path_type=Path), default=Path("data_pipeline"), show_default=True)
@click.option(
    "--batch-size", "batch_sizes", type=click.IntRange(1, 2560), multiple=True, default=(64, 256), show_default=True
)
@click.option("--repeats", type=click.IntRange(1), default=20, show_default=True, help="Turns of each pipeline.")
@click.option("--smoke", is_flag=True, help="Two turns on few images.")
def main(output: Path, batch_sizes: Sequence[int], repeats: int, smoke: bool) -> None:
    """Measure the pipeline of augmented images against torchvision's transforms in a DataLoader."""
    where = machine()
    torch.set_num_threads(1)
    images, at_a_time = 50_000, 2560
    if smoke:
        batch_sizes, repeats, images, at_a_time = batch_sizes[:1], 2, 2000, 512
    compared, alone = {}, {}
    for batch_size in batch_sizes:
        compared[batch_size] = compare(batch_size, images, at_a_time, repeats)
        alone[batch_size] = parts(batch_size, images, 10 * repeats)
        click.echo(
            f"batches of {batch_size}: v1 / ours {ratio(compared[batch_size]['v1'], compared[batch_size]['ours'])}"
        )
    numbers = {
        "ratios": {
            size: {name: ratio(seconds[name], seconds["ours"]).numbers() for name in ("v1", "v2")}
            for size, seconds in compared.items()
        },
        "seconds": {size: {n: Estimate.of(v).numbers() for n, v in found.items()} for size, found in compared.items()},
        "parts": {size: {n: Estimate.of(v).numbers() for n, v in found.items()} for size, found in alone.items()},
    }
    tables = [comparison_table(compared), parts_table(alone)]
    settings = {"images": images, "threads": 1, "workers": 1, **where}
    title = "Augmented batches against torchvision's"
    click.echo(
        leave(output, "data_pipeline", title, about=__doc__ or "", tables=tables, settings=settings, numbers=numbers)
    )


if __name__ == "__main__":
    main()
