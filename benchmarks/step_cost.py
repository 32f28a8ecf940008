"""What a one-shot step costs beyond the sampled child networks themselves, and against the published arrangement.

A step (data, augmentation, paths through the supernet, clipping, weight optimizer, ASNG, metrics) is timed against a
floor: the same batches through the same sampled children as plain modules, that is forward, backward, clip and
optimizer for the weight step, forward alone for the architecture step. The children share their weights with the
supernet, and have its layers, precision and memory format, so both do the same arithmetic. Children of auto-encoders,
whose weights are slices of the shared ones, have copies and a weight optimizer of their own.

Beside them runs the step as the published code arranges it (`published_step.py`): contiguous float32, torch's layers,
clipping and SGD over all weights; and the same with channels_last. All four are at the same architectures and batches,
and alternate in one process; the report has ratios, since seconds of a shared machine mean little.

Memory is the peak of fresh processes (`peak_memory.py`) above that of one that builds the search and runs nothing, for
steps whose paths are all the largest one, against the largest child trained alone; and the bytes that autograd keeps.
A network that chooses inputs or numbers cannot be mixed, so it has no memory of mixtures.

    python benchmarks/step_cost.py --output step_cost
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from interleaved import Estimate, interleave, ratio
from measured_networks import CASES, SMOKE, Case, largest, make_search, plain_child
from next_step import SAMPLES, Plan, look_ahead, random_state, set_random_state
from numpy.typing import NDArray
from peak_memory import one_shot_step, peak_bytes, saved_bytes
from published_step import published_search
from report import leave, machine, table

from ray_asng.search import Search
from ray_asng.settings import MEMORY_FORMATS
from ray_asng.tally import Tally

PEAKS = ("child", "asng", "summed")
MIXTURES = ("darts", "gaea")


def floor_step(search: Search, plan: Plan) -> None:
    """The same arithmetic with plain modules and nothing else."""
    inputs, targets = plan.train
    for child in plan.train_children:
        (search.task.loss(child(inputs), targets) / len(plan.train_children)).backward()
    plan.step_weights()
    inputs, targets = plan.valid
    with torch.no_grad():
        for child in plan.valid_children:
            search.task.loss(child(inputs), targets)


def time_steps(case: Case, memory_format: str, device: str) -> dict[str, NDArray[np.float64]]:
    """Seconds of a step, its floor and the published arrangements, (repeats,) each."""
    search = make_search(case, memory_format=memory_format, device=device)
    published = {
        "published": published_search(case, "contiguous", device),
        "published, channels_last": published_search(case, "channels_last", device),
    }
    plans: list[Plan] = []

    def prepare() -> None:
        plans[:] = [look_ahead(search)]
        for other in published.values():
            set_random_state(other, random_state(search))

    jobs = {
        "step": lambda: one_shot_step(search),
        "floor": lambda: floor_step(search, plans[0]),
        "published": lambda: one_shot_step(published["published"]),
        "published, channels_last": lambda: one_shot_step(published["published, channels_last"]),
    }
    return interleave(jobs, case.repeats, before=prepare, device=device)


def time_parts(case: Case, memory_format: str, device: str) -> dict[str, NDArray[np.float64]]:
    """Seconds of the parts of a step, (repeats,) each; the two steps contain the others."""
    search = make_search(case, memory_format=memory_format, device=device)
    tally = Tally()
    inputs, targets = search.batch("train")
    with torch.no_grad():
        outputs = search.outputs(inputs, search.architecture)

    def update() -> None:
        search.optimizer.ask(SAMPLES)
        search.optimizer.tell(search.optimizer.ask(SAMPLES), [0.3, 0.7])

    def metrics() -> None:
        for _ in range(2 * SAMPLES):
            tally.add(outputs.sum(), search.task.score(outputs, targets), case.batch)

    jobs = {
        "whole step": lambda: one_shot_step(search),
        "weight step": lambda: search._steps.weight_step(tally),
        "architecture step": lambda: search._steps.architecture_step(tally, learn=True),
        "data": lambda: (search.batch("train"), search.batch("valid")),
        "ASNG": update,
        "metrics": metrics,
    }
    return interleave(jobs, case.repeats, device=device)


def measure_memory(name: str, case: Case) -> dict[str, float]:
    """Peak memory above that of a process that runs nothing, and what autograd keeps, in MB."""
    nothing = peak_bytes(name, "nothing")
    search = make_search(case)
    works = PEAKS if search.supernet.values else (*PEAKS, *MIXTURES)
    peaks = {work: (peak_bytes(name, work) - nothing) / 1e6 for work in works}
    child = plain_child(search.supernet, largest(search.supernet))
    inputs, targets = search.batch("train")
    kept = {
        "kept by the child": saved_bytes(lambda: search.task.loss(child(inputs), targets)),
        "kept by the path": saved_bytes(
            lambda: search.loss_and_score(search.features(inputs), targets, largest(search.supernet))[0],
        ),
    }
    return {"nothing": nothing / 1e6, **peaks, **{what: bytes_ / 1e6 for what, bytes_ in kept.items()}}


def measure(name: str, case: Case, memory_format: str, device: str) -> dict[str, Any]:
    """All that the report says of one network."""
    seconds = time_steps(case, memory_format, device)
    step = seconds["step"]
    ratios = {
        "step / floor": ratio(step, seconds["floor"]),
        "published / step": ratio(seconds["published"], step),
        "published, channels_last / step": ratio(seconds["published, channels_last"], step),
    }
    parts = time_parts(case, memory_format, device)
    click.echo(
        f"{name}, {device}: step / floor {ratios['step / floor']}, published / step {ratios['published / step']}"
    )
    return {
        "ratios": ratios,
        "batch": case.batch,
        "milliseconds": {what: 1e3 * float(np.median(values)) for what, values in seconds.items()},
        # Each of a step's examples goes through the network once forward and backward or once forward.
        "examples a second": 2 * SAMPLES * case.batch / float(np.median(step)),
        "parts": {what: ratio(values, parts["whole step"]) for what, values in parts.items() if what != "whole step"},
        # Of a small network the peak is that of the imports.
        "memory": measure_memory(name, case) if device == "cpu" and case.image > 16 else {},
    }


def tables(rows: Mapping[str, dict[str, Any]]) -> list[str]:
    """The report's tables: time, parts, memory."""
    first = next(iter(rows.values()))
    time = table(
        ["network", *first["ratios"], "step", "floor", "examples a second", "repeats", "batch"],
        [
            [
                name,
                *row["ratios"].values(),
                f"{row['milliseconds']['step']:.1f} ms",
                f"{row['milliseconds']['floor']:.1f} ms",
                f"{row['examples a second']:.0f}",
                row["ratios"]["step / floor"].repeats,
                row["batch"],
            ]
            for name, row in rows.items()
        ],
    )
    parts = table(
        ["share of the step", *first["parts"]],
        [[name, *(f"{100.0 * part.median:.1f} %" for part in row["parts"].values())] for name, row in rows.items()],
    )
    memory = table(
        ["peak memory", "largest child", "step / child", "losses summed", "DARTS", "GAEA", "kept: path / child"],
        [
            [
                name,
                f"{row['memory']['child']:.0f} MB",
                *(_over_child(row["memory"], work) for work in (*PEAKS[1:], *MIXTURES)),
                f"{row['memory']['kept by the path'] / row['memory']['kept by the child']:.3f}",
            ]
            for name, row in rows.items()
            if row["memory"]
        ],
    )
    return [time, parts, memory]


def _over_child(memory: Mapping[str, float], work: str) -> str:
    return f"{memory[work] / memory['child']:.2f}" if work in memory else "—"


def plain(value: Any) -> Any:
    """For JSON."""
    if isinstance(value, Estimate):
        return value.numbers()
    return {name: plain(part) for name, part in value.items()} if isinstance(value, Mapping) else value


@click.command()
@click.option("--output", type=click.Path(path_type=Path), default=Path("step_cost"), show_default=True)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="Intra-op threads of torch.")
@click.option("--memory-format", type=click.Choice(list(MEMORY_FORMATS)), default="channels_last", show_default=True)
@click.option("--repeats", type=click.IntRange(1), default=None, help="Of every network; else as many as it needs.")
@click.option("--network", "networks", type=click.Choice(list(CASES)), multiple=True, help="Only these.")
@click.option("--smoke", is_flag=True, help="A few repeats of the small size.")
def main(
    output: Path, threads: int, memory_format: str, repeats: int | None, networks: tuple[str, ...], smoke: bool
) -> None:
    """Measure the cost of a one-shot step over that of its sampled children, and against the published arrangement."""
    torch.set_num_threads(threads)
    where, rows = machine(), {}
    for device in ["cpu", *["cuda"] * torch.cuda.is_available()]:
        for name, case in SMOKE.items() if smoke else ((name, CASES[name]) for name in networks or CASES):
            chosen = replace(case, repeats=repeats or case.repeats)
            rows[name if device == "cpu" else f"{name}, {device}"] = measure(name, chosen, memory_format, device)
    settings = {"samples": SAMPLES, "threads": threads, "memory_format": memory_format, **where}
    click.echo(
        leave(
            output,
            "step_cost",
            "Cost of a one-shot step",
            about=__doc__ or "",
            tables=tables(rows),
            settings=settings,
            numbers={"rows": plain(rows)},
        )
    )


if __name__ == "__main__":
    main()
