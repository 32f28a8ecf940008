"""Four one-thread seeds on two cores against two. The claim: at most 1.1 x twice the time.

Every search is the same, seed included: what is compared is the time of equal work, which the losses prove, and not
what different seeds happen to sample. Each round runs, in fresh processes and in alternating order: one plain search
(`while not search.is_done: search.run_epoch()`, no Ray), two plain ones at once, two trials of one `tune.run`, four
trials of one `tune.run`, two at a time, in processes that are used again (`reuse_actors=True`). Tune saves a checkpoint
after every epoch. What the machine itself does to two processes at once (shared memory bandwidth and caches, a lower
clock, a core that is half a core) is the row without Ray.

A fifth run is one plain search with two threads, that is both cores for one seed. Two of these in a row are the other
way to run two seeds, and the row below one says that two at once with a thread each are faster, which is what a trial
gets that asks for nothing: one CPU. Two threads add numbers in another order than one, and training makes more of such
differences with every step; so losses are compared among the searches with equally many threads, and how far the two
kinds came apart is reported.

The time of a run is from its first epoch's begin to its last epoch's end, in whichever process; so it holds what lies
between epochs and between trials, while the start is a column of its own. A second process that begins later than the
first makes two seeds look slower than they are, and so four look better. Hence the row that takes, of the processes
of a run, the longest time from a process's own first begin to its own last end.

    python benchmarks/scaling_seeds.py --output scaling_seeds
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from report import leave, machine, table
from timed_searches import CONFIG, SMOKE_CONFIG, Life, Plan, allowances, calibrated_steps, run_children

# Name -> kind of the child processes, how many at once, trials in each, threads of a search.
RUNS = {
    "one plain": ("plain", 1, 1, 1),
    "one plain, 2 threads": ("plain", 1, 1, 2),
    "two plain": ("plain", 2, 1, 1),
    "2 under Tune": ("tune", 1, 2, 1),
    "4 under Tune": ("tune", 1, 4, 1),
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
        kind, children, trials, threads = RUNS[name]
        folders = [f"{folder}/{name}-{number}" for number in range(children)]
        plans = [Plan(kind, config, own, trials, threads=threads) for own in folders]
        found[name] = run_children(*plans)
        click.echo(f"{Path(folder).name}, {name}: {training_seconds(epochs_of(found[name])):.2f} s")
    check_equal(found)
    return found


def check_equal(found: Mapping[str, Sequence[Life]]) -> None:
    """Raise click.ClickException unless the searches with equally many threads had the same losses."""
    for threads in {threads for *_, threads in RUNS.values()}:
        alike = [lives for name, lives in found.items() if RUNS[name][-1] == threads]
        if len({tuple(search) for lives in alike for search in losses(lives)}) > 1:
            raise click.ClickException("equal searches had different losses; their times cannot be compared")


def thread_difference(found: Mapping[str, Sequence[Life]]) -> float:
    """The largest relative difference of a training loss between one thread and two."""
    (one,), (two,) = losses(found["one plain"]), losses(found["one plain, 2 threads"])
    return float(np.max(np.abs(np.array(two) / np.array(one) - 1.0)))


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
        "two plain / two with 2 threads in a row": time["two plain"] / (2.0 * time["one plain, 2 threads"]),
    }


def write(rounds: Sequence[dict[str, dict[str, float]]], settings: dict[str, Any], output: Path) -> str:
    """The report as Markdown, and the same numbers as JSON."""
    ratios = [ratios_of(seconds) for seconds in rounds]
    shown = []
    for name in ratios[0]:
        values = [row[name] for row in ratios]
        shown.append([name, f"{np.median(values):.3f} ({min(values):.3f} to {max(values):.3f})", len(values)])
    columns = list(next(iter(rounds[0].values())))
    medians = [
        [name, *(f"{np.median([seconds[name][column] for seconds in rounds]):.4g}" for column in columns)]
        for name in RUNS
    ]
    return leave(
        output,
        "scaling_seeds",
        "Seeds on two cores",
        about=__doc__ or "",
        tables=[
            table(["ratio", "median (lowest to highest)", "rounds"], shown),
            table(["median, seconds", *columns], medians),
        ],
        settings=settings,
        numbers={"ratios": ratios, "seconds": list(rounds)},
    )


@click.command()
@click.option("--output", type=click.Path(path_type=Path), default=Path("scaling_seeds"), show_default=True)
@click.option("--epoch-seconds", type=click.FloatRange(min=0.01), default=5.0, show_default=True, help="At least.")
@click.option("--epochs", type=click.IntRange(2), default=5, show_default=True, help="Of each search.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Of all five runs.")
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
        "losses of 2 threads differ by": f"{max(map(thread_difference, measured)):.1g}",
        **where,
    }
    rows = [{name: describe(lives) for name, lives in found.items()} for found in measured]
    click.echo(write(rows, settings, output))


if __name__ == "__main__":
    main()
