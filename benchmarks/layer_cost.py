"""Our depth-wise convolution and average pooling against torch's own, forward and backward.

On a CPU, at the sizes that they have in cells for 32x32 images: batch 64, 16 channels at 32x32 to 64 at 8x8. Every
repeat runs the layer forward and backward once with either implementation, on the same input.

    python benchmarks/layer_cost.py --output layer_cost
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import torch
from interleaved import interleave, ratio
from published_step import with_torch_layers
from report import leave, machine, table
from torch import nn

from ray_asng.settings import MEMORY_FORMATS
from ray_asng.supernets.depthwise import AveragePooling, DepthwiseConv2d

LAYERS: dict[str, Callable[[int], nn.Module]] = {
    "depth-wise 3x3": lambda channels: DepthwiseConv2d(channels, 3),
    "depth-wise 5x5": lambda channels: DepthwiseConv2d(channels, 5),
    "depth-wise 3x3, dilation 2": lambda channels: DepthwiseConv2d(channels, 3, 2),
    "depth-wise 5x5, dilation 2": lambda channels: DepthwiseConv2d(channels, 5, 2),
    "average pooling 3x3": lambda channels: AveragePooling(),
}
SIZES = {"C=16 32x32": (16, 32), "C=32 16x16": (32, 16), "C=64 8x8": (64, 8), "C=8 16x16": (8, 16)}
BATCH_SIZE = 64


def passes(layer: nn.Module, inputs: torch.Tensor, gradient: torch.Tensor) -> Callable[[], None]:
    """A job that runs `layer` forward and backward."""

    def run() -> None:
        inputs.grad = None
        layer.zero_grad(set_to_none=True)
        layer(inputs).backward(gradient)

    return run


def pair(name: str, channels: int) -> tuple[nn.Module, nn.Module]:
    """Our layer, and torch's with the same weights."""
    ours = nn.Sequential(LAYERS[name](channels))
    theirs = nn.Sequential(LAYERS[name](channels))
    theirs.load_state_dict(ours.state_dict())
    return ours, with_torch_layers(theirs)


@click.command()
@click.option("--output", type=click.Path(path_type=Path), default=Path("layer_cost"), show_default=True)
@click.option("--repeats", type=click.IntRange(1), default=30, show_default=True, help="Of every layer.")
@click.option("--smoke", is_flag=True, help="A few repeats at the smallest size.")
def main(output: Path, repeats: int, smoke: bool) -> None:
    """Time our layers against torch's."""
    torch.set_num_threads(1)
    where, rows = machine(), []
    generator = torch.Generator().manual_seed(0)
    for memory_format in MEMORY_FORMATS:
        for size, (channels, side) in SIZES.items():
            if smoke and size != list(SIZES)[-1]:
                continue
            shape = (BATCH_SIZE, channels, side, side)
            inputs, gradient = (
                torch.randn(shape, generator=generator).contiguous(memory_format=MEMORY_FORMATS[memory_format])
                for _ in range(2)
            )
            inputs.requires_grad_()
            for name in LAYERS:
                ours, theirs = pair(name, channels)
                jobs = {"ours": passes(ours, inputs, gradient), "torch": passes(theirs, inputs, gradient)}
                seconds = interleave(jobs, 3 if smoke else repeats)
                faster = ratio(seconds["torch"], seconds["ours"])
                rows.append({"layer": name, "size": size, "memory format": memory_format, "torch / ours": faster})
                click.echo(f"{name}, {size}, {memory_format}: torch / ours {faster}")
    shown = table(list(rows[0]), [list(row.values()) for row in rows])
    numbers = {"rows": [{**row, "torch / ours": row["torch / ours"].numbers()} for row in rows]}
    settings = {"batch": BATCH_SIZE, "threads": 1, "repeats": 3 if smoke else repeats, **where}
    leave(
        output,
        "layer_cost",
        "Layers against torch's own",
        about=__doc__ or "",
        tables=[shown],
        settings=settings,
        numbers=numbers,
    )


if __name__ == "__main__":
    main()
