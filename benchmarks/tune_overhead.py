"""What Tune adds to a search whose epochs take five seconds or more. The claim: under 2 % of its wall time.

The same search runs plainly, `while not search.is_done: search.run_epoch()` in a process without Ray, and as the one
trial of `tune.run`, which reports and saves a checkpoint after every epoch. Both use one thread and one seed, and so do
the same arithmetic, which their losses prove. Every run is a fresh process; the two of a pair follow each other, and
pairs begin with either in turn. The rows of the table, each computed pair by pair, then the median:

- between epochs: what lies between the begins of successive epochs and is not in the seconds that the search itself
  reports for its epoch (result, checkpoint, scheduling), over these seconds. Tune's run alone gives it, so a machine
  whose speed changes from minute to minute does not blur it. This is the overhead on a search that is under way.
- inside epochs, wall and CPU: the epoch's seconds in a trial over those in a plain process, less one. It would show
  Ray's other processes taking time, memory bandwidth or caches from the search, or its threads in the trial's process.
- before the first, after the last epoch: launch of the process to the first epoch's begin (imports, `ray.init`, start
  of the trial's process, data), last epoch's end to the end of the process (last checkpoint, end of Ray); seconds under
  Tune less seconds plainly.
- a whole search: the seconds of a search of so many epochs, put together from all of the above, in a trial over plain,
  less one.

    python benchmarks/tune_overhead.py --output tune_overhead
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from report import leave, machine, table
from timed_searches import CONFIG, SMOKE_CONFIG, Life, Plan, allowances, calibrated_steps, run_children

IN_SECONDS = ("before the first epoch", "after the last epoch")


def column(life: Life, name: str) -> Any:
    """(E,) one number for each of the E epochs of the only trial."""
    return np.array([row[name] for row in life.record.epochs])


def seconds_of(life: Life, planned_epochs: int) -> dict[str, float]:
    """Seconds of a run by the rows of the table; those of epochs are means."""
    began, own = column(life, "began"), column(life, "search_seconds")
    epochs = life.record.epochs
    before, after = epochs[0]["began"] - life.launched, life.gone - epochs[-1]["left"]
    between = float((np.diff(began) - own[:-1]).mean())
    return {
        "between epochs": between,
        "inside epochs, wall": float(own.mean()),
        "inside epochs, CPU": float(column(life, "cpu_seconds").mean()),
        "before the first epoch": before,
        "after the last epoch": after,
        f"a whole search of {planned_epochs} epochs": before + planned_epochs * float(own.mean() + between) + after,
    }


def compare(plain: Life, tuned: Life, planned_epochs: int) -> dict[str, float]:
    """What Tune adds in one pair: seconds before and after the epochs, shares everywhere else.

    Raises:
        click.ClickException: the two did not compute the same.
    """
    if column(plain, "train_loss").tolist() != column(tuned, "train_loss").tolist():
        raise click.ClickException("the losses under Tune differ from the plain ones; the times cannot be compared")
    without, under = seconds_of(plain, planned_epochs), seconds_of(tuned, planned_epochs)
    added = {"between epochs": under["between epochs"] / under["inside epochs, wall"]}
    for name in list(under)[1:]:
        added[name] = under[name] - without[name] if name in IN_SECONDS else under[name] / without[name] - 1.0
    return added


def run_pairs(config: dict[str, Any], pairs: int, folder: str) -> list[dict[str, Life]]:
    """A plain run and one under Tune for each pair, which share the pair's number as seed."""
    lives = []
    for pair in range(pairs):
        found: dict[str, Life] = {}
        for kind in ("plain", "tune") if pair % 2 else ("tune", "plain"):
            (found[kind],) = run_children(Plan(kind, {**config, "seed": pair}, f"{folder}/{pair}-{kind}"))
            mean = column(found[kind], "search_seconds").mean()
            click.echo(f"pair {pair + 1} of {pairs}, {kind}: {mean:.3f} s an epoch")
        lives.append(found)
    return lives


def interval(values: Any) -> tuple[float, float]:
    """The 95 % bootstrap interval of the median of (N,) values, by percentiles; of a single value the value."""
    resampled = np.random.default_rng(0).choice(values, (10_000, len(values)))
    low, high = np.quantile(np.median(resampled, axis=1), [0.025, 0.975])
    return float(low), float(high)


def summarise(lives: Sequence[dict[str, Life]], planned_epochs: int) -> dict[str, dict[str, Any]]:
    """Medians over the pairs, with 95 % bootstrap intervals of what Tune adds."""
    kinds = {kind: [seconds_of(pair[kind], planned_epochs) for pair in lives] for kind in ("tune", "plain")}
    added = [compare(pair["plain"], pair["tune"], planned_epochs) for pair in lives]
    rows = {}
    for name in added[0]:
        values = np.array([row[name] for row in added])
        low, high = interval(values)
        rows[name] = {
            "added": float(np.median(values)),
            "interval": [low, high],
            "unit": "s" if name in IN_SECONDS else "share",
            **{f"{kind}_seconds": float(np.median([row[name] for row in runs])) for kind, runs in kinds.items()},
            "pairs": values.tolist(),
        }
    return rows


def write(rows: dict[str, dict[str, Any]], settings: dict[str, Any], output: Path) -> str:
    """The report as Markdown, and the same numbers as JSON."""
    shown = []
    for name, row in rows.items():
        scale, unit = (100.0, "%") if row["unit"] == "share" else (1.0, "s")
        added, low, high = (scale * value for value in (row["added"], *row["interval"]))
        seconds = [f"{row[f'{kind}_seconds']:.3f} s" for kind in ("tune", "plain")]
        shown.append([name, f"{added:.2f} {unit} ({low:.2f} to {high:.2f})", *seconds, len(row["pairs"])])
    return leave(
        output,
        "tune_overhead",
        "What Tune adds to a search",
        about=__doc__ or "",
        tables=[table(["", "Tune adds (95 % interval)", "under Tune", "plainly", "pairs"], shown)],
        settings=settings,
        numbers={"rows": rows},
    )


@click.command()
@click.option("--output", type=click.Path(path_type=Path), default=Path("tune_overhead"), show_default=True)
@click.option("--epoch-seconds", type=click.FloatRange(min=0.01), default=5.0, show_default=True, help="At least.")
@click.option("--epochs", type=click.IntRange(2), default=5, show_default=True, help="Of each run.")
@click.option("--pairs", type=click.IntRange(1), default=6, show_default=True, help="Of a plain run and one by Tune.")
@click.option("--planned-epochs", type=click.IntRange(1), default=50, show_default=True, help="Of the whole search.")
@click.option("--smoke", is_flag=True, help="One pair of a small search with short epochs.")
def main(output: Path, epoch_seconds: float, epochs: int, pairs: int, planned_epochs: int, smoke: bool) -> None:
    """Measure what Tune adds to a search."""
    config = CONFIG
    if smoke:
        config, epoch_seconds, epochs, pairs = SMOKE_CONFIG, 0.1, 3, 1
    where = machine()
    with tempfile.TemporaryDirectory() as folder:
        steps = calibrated_steps(config, epoch_seconds, folder)
        click.echo(f"{steps} steps an epoch")
        lives = run_pairs({**config, "steps_per_epoch": steps, "epochs": epochs}, pairs, folder)
        checkpoint_bytes = max(file.stat().st_size for file in Path(folder).rglob("checkpoint_*/*"))
    tuned, plain = ([pair[kind] for pair in lives] for kind in ("tune", "plain"))
    settings = {
        **{name: config[name] for name in ("space", "space_options", "task", "task_options", "batch_size")},
        "epochs": epochs,
        "steps an epoch": steps,
        "checkpoint": f"{checkpoint_bytes / 1e6:.1f} MB",
        "ray.init": f"{np.median([life.record.init_seconds for life in tuned]):.1f} s",
        "under Tune": allowances(tuned),
        "plainly": allowances(plain),
        **where,
    }
    click.echo(write(summarise(lives, planned_epochs), settings, output))


if __name__ == "__main__":
    main()
