"""A step of an elastic network at its smallest width, against the small and the large network as plain modules.

A step is a pass forward and backward, clipping and SGD with momentum, as in a search. Two networks: convolutions of
16 to 128 channels on 32x32 images, where activations are most of the work, and linear layers of 64 to 1024 features,
where weights are. Time is measured side by side in one process; memory is the peak of a fresh process above one that
has built the same network and run nothing.

    python benchmarks/elastic_cost.py --output elastic_cost
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import torch
from interleaved import interleave, ratio
from peak_memory import own_peak_bytes
from report import leave, machine, table
from torch import nn

from ray_asng import IntegerChoice, Supernet
from ray_asng.settings import SearchSettings
from ray_asng.supernets import elastic
from ray_asng.supernets.elastic.slices import SliceGradients

BATCH_SIZE = 64
WIDTHS = {"convolutions": (16, 128), "linear layers": (64, 1024)}
SIZES = ("elastic, smallest", "plain, smallest", "plain, largest")


def network(kind: str, width: IntegerChoice) -> nn.Module:
    """Four layers and a classifier; every inner width is `width`."""
    if kind == "convolutions":
        convolutions = [
            layer
            for first in (True, False, False, False)
            for layer in (
                elastic.Conv2d(3 if first else width, width, 3, padding=1, bias=False),
                elastic.BatchNorm2d(width),
                nn.ReLU(),
            )
        ]
        return nn.Sequential(*convolutions, nn.AdaptiveAvgPool2d(1), nn.Flatten(), elastic.Linear(width, 10))
    linears = [
        layer
        for first in (True, False, False, False)
        for layer in (elastic.Linear(3072 if first else width, width), elastic.LayerNorm(width), nn.ReLU())
    ]
    return nn.Sequential(nn.Flatten(), *linears, elastic.Linear(width, 10))


def make_step(kind: str, size: str) -> Callable[[], None]:
    """A step of one of `SIZES`."""
    low, high = WIDTHS[kind]
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(BATCH_SIZE, 3, 32, 32, generator=generator).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(10, (BATCH_SIZE,), generator=generator)
    supernet = Supernet(network(kind, IntegerChoice(low, high, step=low, name="width")))
    chosen = {"width": high if size == "plain, largest" else low}
    if size.startswith("plain"):
        child = supernet.extract(chosen)
        del supernet
        parameters, run = list(child.parameters()), child
    else:
        parameters, run = list(supernet.parameters()), lambda inputs: supernet(inputs, chosen)
    optimizer = SearchSettings().make_weight_optimizer(parameters)
    slices = SliceGradients()

    def step() -> None:
        with slices.collecting():
            nn.functional.cross_entropy(run(images), labels).backward()
        slices.collect()
        with slices.narrowed(optimizer):
            nn.utils.clip_grad_norm_(parameters, 5.0, foreach=True)
            optimizer.step()
        for parameter in parameters:
            parameter.grad = None

    return step


def peak_bytes(kind: str, size: str, steps: int) -> int:
    """Peak resident memory of a fresh process that takes so many steps."""
    command = [sys.executable, __file__, "--peak", kind, size, str(steps)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return int(subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout)


def measure(kind: str, repeats: int) -> dict[str, object]:
    """One row of the table."""
    seconds = interleave({size: make_step(kind, size) for size in SIZES}, repeats)
    memory = {size: peak_bytes(kind, size, 4) - peak_bytes(kind, size, 0) for size in SIZES}
    small, large = seconds["plain, smallest"], seconds["plain, largest"]
    return {
        "network": kind,
        "widths": "{} to {}".format(*WIDTHS[kind]),
        "time: elastic / small": ratio(seconds["elastic, smallest"], small),
        "time: large / small": ratio(large, small),
        "memory of a step, MiB: elastic, small, large": ", ".join(f"{memory[size] / 2**20:.0f}" for size in SIZES),
    }


@click.command()
@click.option("--output", type=click.Path(path_type=Path), default=Path("elastic_cost"), show_default=True)
@click.option("--repeats", type=click.IntRange(1), default=30, show_default=True, help="Steps of each network.")
@click.option("--smoke", is_flag=True, help="Two steps of each.")
@click.option("--peak", nargs=3, hidden=True, help="Print the peak memory of a process: network, size, steps.")
def main(output: Path, repeats: int, smoke: bool, peak: tuple[str, str, str] | None) -> None:
    """Time and memory of elastic layers at a small width."""
    torch.set_num_threads(1)
    if peak is not None:
        step = make_step(peak[0], peak[1])
        for _ in range(int(peak[2])):
            step()
        click.echo(own_peak_bytes())
        return
    where = machine()
    count = 2 if smoke else repeats
    rows = [measure(kind, count) for kind in WIDTHS]
    shown = table(list(rows[0]), [list(row.values()) for row in rows])
    leave(
        output,
        "elastic_cost",
        "Elastic layers at a small width",
        about=__doc__ or "",
        tables=[shown],
        settings={"batch": BATCH_SIZE, "threads": 1, "repeats": count, **where},
        numbers={"rows": [{name: str(value) for name, value in row.items()} for row in rows]},
    )
    click.echo(shown)


if __name__ == "__main__":
    main()
