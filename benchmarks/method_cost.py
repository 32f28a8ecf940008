"""What a step of each method costs on one supernet: time against ASNG's step, passes, memory.

All methods that are registered, on the NAS-Bench-201 supernet with the same batches, weight optimizer and precision.
A step is a weight step and an architecture step. Steps of all methods alternate in one process. Passes are counted,
not declared: how many times the network's options ran forward, and how many of these runs got a gradient, over the
options that one path runs. Memory is the peak of a fresh process above one that builds the search and runs nothing
(`peak_memory.py`), against the largest child trained alone; methods that sample run the largest path every time.

    python benchmarks/method_cost.py --output method_cost
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import torch
from interleaved import interleave, ratio
from measured_networks import BATCH_SIZE, CASES, SMOKE, make_search
from peak_memory import one_shot_step, peak_bytes
from report import leave, machine, table

from ray_asng.registry import methods
from ray_asng.search import Search

_COUNTED_STEPS = 5
NETWORK = "nasbench201 C=16 N=5 32x32"


def passes(search: Search) -> tuple[float, float]:
    """Forward and backward passes of a step, in passes of one path: the mean of a few steps."""
    counts = {"forward": 0, "backward": 0}
    choices = [choice for choices in search.supernet.choices.values() for choice in choices]

    def note_backward(gradient: torch.Tensor) -> None:
        counts["backward"] += 1

    def note(module: Any, inputs: Any, output: torch.Tensor) -> None:
        counts["forward"] += 1
        if output.requires_grad:
            output.register_hook(note_backward)

    # Skip connections return their input itself, and zeros have no graph; what they would add is no work either.
    candidates = [candidate for choice in choices for candidate in choice.candidates]
    hooks = [candidate.register_forward_hook(note) for candidate in candidates]
    for _ in range(_COUNTED_STEPS):
        one_shot_step(search)
    for hook in hooks:
        hook.remove()
    every = len(choices) * _COUNTED_STEPS
    return counts["forward"] / every, counts["backward"] / every


def memory_of(network: str, names: list[str]) -> dict[str, float]:
    """Peak memory of each method's steps over that of the largest child trained alone."""
    nothing = peak_bytes(network, "nothing")
    child = peak_bytes(network, "child") - nothing
    return {name: (peak_bytes(network, name) - nothing) / child for name in names}


@click.command()
@click.option("--output", type=click.Path(path_type=Path), default=Path("method_cost"), show_default=True)
@click.option("--repeats", type=click.IntRange(1), default=7, show_default=True, help="Of every method's step.")
@click.option("--smoke", is_flag=True, help="A few repeats at a small size, without memory.")
def main(output: Path, repeats: int, smoke: bool) -> None:
    """Time, passes and memory of a step of every method."""
    torch.set_num_threads(1)
    where = machine()
    network, case = next(iter(SMOKE.items())) if smoke else (NETWORK, replace(CASES[NETWORK], repeats=repeats))
    searches = {name: make_search(case, name) for name in methods}
    jobs = {name: lambda search=search: one_shot_step(search) for name, search in searches.items()}
    seconds = interleave(jobs, case.repeats, warmups=1)
    counted = {name: passes(search) for name, search in searches.items()}
    memory = {} if smoke else memory_of(network, list(searches))
    ratios = {name: ratio(values, seconds["asng"]) for name, values in seconds.items()}
    shown = table(
        ["method", "time / ASNG's", "forward passes", "backward passes", "peak memory / largest child"],
        [
            [name, ratios[name], *(f"{count:.1f}" for count in counted[name]), f"{memory[name]:.2f}" if memory else "-"]
            for name in searches
        ],
    )
    numbers = {
        name: {"ratio": ratios[name].numbers(), "passes": counted[name], "memory": memory.get(name)}
        for name in searches
    }
    click.echo(
        leave(
            output,
            "method_cost",
            "Cost of a step of each method",
            about=__doc__ or "",
            tables=[shown],
            settings={"network": network, "batch": BATCH_SIZE, "threads": 1, "repeats": case.repeats, **where},
            numbers={"methods": numbers},
        )
    )


if __name__ == "__main__":
    main()
