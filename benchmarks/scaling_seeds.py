"""Four one-thread seeds on two cores against two. The claim: at most 1.1 x twice the time.

Every search is the same, seed included: what is compared is the time of equal work, which the losses prove, and not
what different seeds happen to sample. Each round runs, in fresh processes and in alternating order: one plain search
(`while not search.is_done: search.run_epoch()`, no Ray), two plain ones at once, two trials of one `tune.run`, four
trials of one `tune.run`, two at a time, in processes that are used again (`reuse_actors=True`). Tune saves a checkpoint
after every epoch. What the machine itself does to two processes at once (shared memory bandwidth and caches, a lower
clock, a core that is half a core) is the row without Ray.

The time of a run is from its first epoch's begin to its last epoch's end, in whichever process; so it holds what lies
between epochs and between trials, while the start is a column of its own. A second process that begins later than the
first makes two seeds look slower than they are, and so four look better. Hence the row that takes, of the processes
of a run, the longest time from a process's own first begin to its own last end.

    python benchmarks/scaling_seeds.py --output scaling_seeds
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from timed_searches import CONFIG, SMOKE_CONFIG, Life, Plan, allowances, calibrated_steps, machine, run_children

# Name -> kind of the child processes, how many at once, trials in each.
RUNS = {
    "one plain": ("plain", 1, 1),
    "two plain": ("plain", 2, 1),
    "2 under Tune": ("tune", 1, 2),
    "4 under Tune": ("tune", 1, 4),
}


def epochs_of(lives: Sequence[Life]) -> list[dict[str, Any]]:
    """All epochs of a run; the searches of its children have names of their own."""
    return [
        {**row, "search": f"{number}-{row['trial']}"} for number, life in enumerate(lives) for row in life.record.epochs
    ]


def training_seconds(epochs: Sequence[dict[str, Any]]) -> float:
    """From the first begin to the last end."""
    return float(max(row["left"] for row in epochs) - min(row["began"] for row in epochs))


def groups(epochs: Sequence[dict[str, Any]], name: str) -> list[list[dict[str, Any]]]:
    """The epochs by their value of `name`."""
    values = sorted({row[name] for row in epochs})
    return [[row for row in epochs if row[name] == value] for value in values]


def losses(lives: Sequence[Life]) -> list[list[float]]:
    """Training losses of each search of a run."""
    return [[float(row["train_loss"]) for row in search] for search in groups(epochs_of(lives), "search")]


def describe(lives: Sequence[Life]) -> dict[str, float]:
    """Seconds of one run, and its number of processes with epochs."""
    epochs = epochs_of(lives)
    begins = [min(row["began"] for row in process) for process in groups(epochs, "process")]
    return {
        "training": training_seconds(epochs),
        "longest process": max(training_seconds(process) for process in groups(epochs, "process")),
        "start": min(begins) - lives[0].launched,
        "second process later by": max(begins) - min(begins),
        "epoch": float(np.mean([row["search_seconds"] for row in epochs])),
        "number of processes": len(begins),
    }


def run_round(config: dict[str, Any], names: Sequence[str], folder: str) -> dict[str, list[Life]]:
    """Every run of `RUNS` once, in the order of `names`.

    Raises:
        click.ClickException: the searches did not compute the same.
    """
    found = {}
    for name in names:
        kind, children, trials = RUNS[name]
        plans = [Plan(kind, config, f"{folder}/{name}-{number}", trials) for number in range(children)]
        found[name] = run_children(*plans)
        click.echo(f"{Path(folder).name}, {name}: {training_seconds(epochs_of(found[name])):.2f} s")
    distinct = {tuple(search) for lives in found.values() for search in losses(lives)}
    if len(distinct) != 1:
        raise click.ClickException("equal searches had different losses; their times cannot be compared")
    return found


def ratios_of(seconds: dict[str, dict[str, float]]) -> dict[str, float]:
    """The ratios of one round, from `describe` of its runs."""
    time = {name: run["training"] for name, run in seconds.items()}
    longest = {name: run["longest process"] for name, run in seconds.items()}
    return {
        "4 under Tune / twice 2 under Tune": time["4 under Tune"] / (2.0 * time["2 under Tune"]),
        "the same by the longest process": longest["4 under Tune"] / (2.0 * longest["2 under Tune"]),
        "4 under Tune / twice two plain": time["4 under Tune"] / (2.0 * time["two plain"]),
        "2 under Tune / two plain": time["2 under Tune"] / time["two plain"],
        "two plain / one plain, without Ray": time["two plain"] / time["one plain"],
    }


def write(rounds: Sequence[dict[str, dict[str, float]]], settings: dict[str, Any], output: Path) -> str:
    """The report as Markdown, and the same numbers as JSON."""
    ratios = [ratios_of(seconds) for seconds in rounds]
    table = ["| ratio | median (lowest to highest) | rounds |", "|---|---|---|"]
    for name in ratios[0]:
        values = [row[name] for row in ratios]
        table.append(f"| {name} | {np.median(values):.3f} ({min(values):.3f} to {max(values):.3f}) | {len(values)} |")
    columns = list(next(iter(rounds[0].values())))
    table += ["", f"| median, seconds | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for name in RUNS:
        medians = [np.median([seconds[name][column] for seconds in rounds]) for column in columns]
        table.append(f"| {name} | {' | '.join(f'{median:.4g}' for median in medians)} |")
    where = ", ".join(f"{key} {value}" for key, value in settings.items())
    text = f"# Four seeds on two cores against two\n\n{__doc__}\n" + "\n".join(table) + f"\n\n{where}\n"
    output.mkdir(parents=True, exist_ok=True)
    (output / "scaling_seeds.md").write_text(text)
    numbers = {"settings": settings, "ratios": ratios, "seconds": list(rounds)}
    (output / "scaling_seeds.json").write_text(json.dumps(numbers, indent=2) + "\n")
    return "\n".join(table)


@click.command()
@click.option("--output", type=click.Path(path_type=Path), default=Path("scaling_seeds"), show_default=True)
@click.option("--epoch-seconds", type=click.FloatRange(min=0.01), default=5.0, show_default=True, help="At least.")
@click.option("--epochs", type=click.IntRange(2), default=5, show_default=True, help="Of each search.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Of all four runs.")
@click.option("--smoke", is_flag=True, help="One round of small searches with short epochs.")
def main(output: Path, epoch_seconds: float, epochs: int, rounds: int, smoke: bool) -> None:
    """Measure how the time of searches on two cores grows with their number."""
    config = {**CONFIG, "seed": 0}
    if smoke:
        config, epoch_seconds, epochs, rounds = {**SMOKE_CONFIG, "seed": 0}, 0.1, 2, 1
    where, measured = machine(), []
    with tempfile.TemporaryDirectory() as folder:
        steps = calibrated_steps(config, epoch_seconds, folder)
        click.echo(f"{steps} steps an epoch")
        for number in range(rounds):
            # What heats up or fills caches favours a place in the order, so the order turns around.
            names = list(RUNS) if number % 2 else list(reversed(RUNS))
            planned = {**config, "steps_per_epoch": steps, "epochs": epochs}
            measured.append(run_round(planned, names, f"{folder}/round {number + 1}"))
    settings = {
        **{name: config[name] for name in ("space", "space_options", "task", "task_options", "batch_size")},
        "epochs": epochs,
        "steps an epoch": steps,
        "under Tune": allowances([life for found in measured for life in found["4 under Tune"]]),
        "plainly": allowances([life for found in measured for life in found["two plain"]]),
        **where,
    }
    rows = [{name: describe(lives) for name, lives in found.items()} for found in measured]
    click.echo(write(rows, settings, output))


if __name__ == "__main__":
    main()
