"""What a one-shot step costs beyond the sampled child networks themselves.

A step (data, augmentation, paths through the supernet, clipping, weight optimizer, ASNG, metrics) is timed against a
floor: the same batches through the same sampled children as plain modules, that is forward, backward, clip and
optimizer for the weight step, forward alone for the architecture step. The children share their weights with the
supernet, so both do the same arithmetic. Steps and floors alternate in one process; the report has ratios, since
seconds of a shared machine mean little.

    python benchmarks/step_cost.py --output step_cost
"""

from __future__ import annotations

import json
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from scipy.stats import bootstrap
from torch import nn

from ray_asng import Architecture, OneOf, Supernet
from ray_asng.optimizers.asng import ASNG
from ray_asng.search import Search
from ray_asng.settings import MEMORY_FORMATS, SearchSettings, in_format
from ray_asng.supernets.nasbench201 import NASBench201
from ray_asng.tally import Tally
from ray_asng.tasks.augmentation import Augmentation
from ray_asng.tasks.image_task import ImageTask

SIZES = {
    "C=8 N=1 16x16": {"width": 8, "cells": 1, "image": 16, "repeats": 200},
    "C=16 N=5 32x32": {"width": 16, "cells": 5, "image": 32, "repeats": 20},
}
BATCH_SIZE = 64


def make_search(width: int, cells: int, image: int, memory_format: str) -> Search:
    """A search on random images, which cost what real ones cost."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2048, 3, image, image), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 10, (2048,), generator=generator)
    task = ImageTask(
        name="random images",
        images=images,
        labels=labels,
        test_images=images[:10],
        test_labels=labels[:10],
        classes=10,
        augmentation=Augmentation(pad=image // 8, flip=True, cutout=image // 2),
    )
    supernet = Supernet(NASBench201(width=width, cells=cells))
    settings = SearchSettings(epochs=1, batch_size=BATCH_SIZE, memory_format=memory_format)
    return Search(supernet, task, ASNG(supernet.space), settings)


def plain_child(supernet: Supernet, architecture: Architecture) -> nn.Module:
    """The child as an ordinary module, holding the very weights of the supernet."""
    child = supernet.extract(architecture)
    chosen = {path: choice for path, choice in supernet.module.named_modules() if isinstance(choice, OneOf)}
    for name, _ in list(child.named_parameters()):
        path = next((path for path in chosen if name.startswith(f"{path}.")), None)
        source = name
        if path is not None:
            choice = chosen[path]
            index = choice.options.index(str(architecture[choice.name or path]))
            source = f"{path}.candidates.{index}{name[len(path) :]}"
        owner, _, leaf = name.rpartition(".")
        setattr(child.get_submodule(owner), leaf, supernet.module.get_parameter(source))
    return child.train()


@dataclass(frozen=True)
class Round:
    """What one step is about to do, looked up without doing it."""

    train: tuple[Any, torch.Tensor]
    valid: tuple[Any, torch.Tensor]
    train_children: list[nn.Module]
    valid_children: list[nn.Module]


def look_ahead(search: Search) -> Round:
    """The batches and children of the next step; the search's generators are put back."""
    states = [(part, part.state_dict()) for part in (search.train_stream, search.valid_stream, search.optimizer)]
    augmentation = search.augmentation.get_state()
    samples = 2
    train, first = search.batch("train"), search.optimizer.ask(samples)
    valid, second = search.batch("valid"), search.optimizer.ask(samples)
    for part, state in states:
        part.load_state_dict(state)
    search.augmentation.set_state(augmentation)
    children = [[plain_child(search.supernet, p.architecture) for p in proposals] for proposals in (first, second)]
    return Round(train, valid, *children)


def one_shot_step(search: Search) -> None:
    """The step as the search runs it, with its metrics."""
    train, valid = Tally(), Tally()
    search._steps.weight_step(train)
    search._steps.architecture_step(valid, learn=True)


def floor_step(search: Search, plan: Round) -> None:
    """The same arithmetic with plain modules and nothing else."""
    memory_format = MEMORY_FORMATS[search.settings.memory_format]
    inputs, targets = plan.train
    inputs = in_format(inputs, memory_format)
    for child in plan.train_children:
        (search.task.loss(child(inputs), targets) / len(plan.train_children)).backward()
    search.step_weights()
    inputs, targets = plan.valid
    inputs = in_format(inputs, memory_format)
    with torch.no_grad():
        for child in plan.valid_children:
            search.task.loss(child(inputs), targets)


def measure(width: int, cells: int, image: int, repeats: int, memory_format: str) -> dict[str, Any]:
    """Median seconds of step and floor, and the median of their ratios with a 95 % bootstrap interval."""
    search = make_search(width, cells, image, memory_format)
    search.supernet.train()
    seconds: list[tuple[float, float]] = []
    for number in range(repeats + 3):
        plan = look_ahead(search)
        pair = {}
        # Whichever comes second finds warm caches, so they take turns.
        for name in ("step", "floor") if number % 2 else ("floor", "step"):
            started = time.perf_counter()
            if name == "step":
                one_shot_step(search)
            else:
                floor_step(search, plan)
            pair[name] = time.perf_counter() - started
        seconds.append((pair["step"], pair["floor"]))
    step, floor = np.array(seconds[3:]).T
    low, high = bootstrap((step / floor,), np.median, rng=np.random.default_rng(0)).confidence_interval
    return {
        "step_seconds": float(np.median(step)),
        "floor_seconds": float(np.median(floor)),
        "ratio": float(np.median(step / floor)),
        "interval": [float(low), float(high)],
        "repeats": repeats,
    }


def write(rows: dict[str, dict[str, Any]], settings: dict[str, Any], output: Path) -> str:
    """The report as Markdown, and the same numbers as JSON."""
    table = [
        "| size | step / floor (95 % interval) | step | floor | steps a second | repeats |",
        "|---|---|---|---|---|---|",
    ]
    for size, row in rows.items():
        low, high = row["interval"]
        table.append(
            f"| {size} | {row['ratio']:.3f} ({low:.3f} to {high:.3f}) | {1e3 * row['step_seconds']:.1f} ms | "
            f"{1e3 * row['floor_seconds']:.1f} ms | {1.0 / row['step_seconds']:.1f} | {row['repeats']} |"
        )
    where = ", ".join(f"{key} {value}" for key, value in settings.items())
    text = f"# Cost of a one-shot step over its floor\n\n{__doc__}\n" + "\n".join(table) + f"\n\n{where}\n"
    output.mkdir(parents=True, exist_ok=True)
    (output / "step_cost.md").write_text(text)
    (output / "step_cost.json").write_text(json.dumps({"settings": settings, "rows": rows}, indent=2) + "\n")
    return "\n".join(table)


@click.command()
@click.option("--output", type=click.Path(path_type=Path), default=Path("step_cost"), show_default=True)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Intra-op threads of torch.")
@click.option("--memory-format", type=click.Choice(list(MEMORY_FORMATS)), default="channels_last", show_default=True)
@click.option("--smoke", is_flag=True, help="A few repeats of the small size.")
def main(output: Path, threads: int, memory_format: str, smoke: bool) -> None:
    """Measure the cost of a one-shot step over that of its sampled children."""
    torch.set_num_threads(threads)
    rows = {}
    for size, options in SIZES.items():
        if smoke and size != next(iter(SIZES)):
            continue
        chosen = {**options, "repeats": 5 if smoke else options["repeats"]}
        rows[size] = measure(**chosen, memory_format=memory_format)
        click.echo(f"{size}: step / floor {rows[size]['ratio']:.3f}")
    settings = {
        "batch": BATCH_SIZE,
        "samples": 2,
        "threads": threads,
        "memory_format": memory_format,
        "torch": torch.__version__,
        "machine": platform.machine(),
        "date": time.strftime("%Y-%m-%d"),
    }
    click.echo(write(rows, settings, output))


if __name__ == "__main__":
    main()
