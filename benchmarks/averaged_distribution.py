"""Averages of the distribution over time: whether they find better cells than its last state.

Of each search of a study on NAS-Bench-201: the most likely cell of its last distribution, and of the mean of those
after the epochs of the last quarter, the last half, and all; each with its true CIFAR-10 test accuracy from the table.
Nothing is searched; the distributions are those that the searches reported. The interval is of the mean difference to
the last state, paired by search (Student's t).

    python benchmarks/averaged_distribution.py runs/asng --output averaged_distribution
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow.parquet as pq
from report import leave, machine, table
from scipy import stats

from ray_asng.space import Architecture, Floats, SearchSpace
from ray_asng.supernets.nasbench201_space import OPERATIONS, nasbench201_space
from ray_asng.tabular.nasbench201 import NASBench201Table

Searches = dict[str, tuple[SearchSpace, Floats]]
"""Search -> its space, and (epochs, decisions, options) probabilities in the order of epochs."""

SHARES = {"last epoch": 0.0, "last quarter": 0.25, "last half": 0.5, "all epochs": 1.0}


def distributions(results: Path) -> Searches:
    """What the searches of a study reported.

    Raises:
        ValueError: a search of another space.
    """
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    columns = ["trial", "epoch", "probabilities", "config_json"]
    for row in pq.read_table(results, columns=columns).to_pylist():
        rows[row["trial"]].append(row)
    found: Searches = {}
    for trial, reports in rows.items():
        config = json.loads(reports[0]["config_json"])
        if config["space"] != "nasbench201":
            raise ValueError(f"{results} has searches of {config['space']!r}; the table knows nasbench201 only")
        space = nasbench201_space(config["space_options"].get("operations", OPERATIONS))
        ordered = sorted(reports, key=lambda report: report["epoch"])
        found[trial] = space, np.array([report["probabilities"] for report in ordered])
    return found


def made_up() -> Searches:
    """Three searches of four epochs that drew their distributions at random."""
    space, rng = nasbench201_space(), np.random.default_rng(0)
    shape = (4, len(space), len(OPERATIONS))
    return {str(search): (space, rng.dirichlet(np.ones(len(OPERATIONS)), size=shape[:2])) for search in range(3)}


def accuracies(truth: Callable[[Architecture], float], space: SearchSpace, probabilities: Floats) -> list[float]:
    """Of the most likely cell, for each of `SHARES`."""
    values = []
    for share in SHARES.values():
        count = max(1, round(share * len(probabilities)))
        mean = probabilities[-count:].mean(axis=0)
        cell = space.derive(dict(zip(space.names, mean, strict=True)))
        values.append(truth(cell))
    return values


@click.command()
@click.argument("study", type=click.Path(path_type=Path, exists=True, file_okay=False), required=False)
@click.option("--output", type=click.Path(path_type=Path), default=Path("averaged_distribution"), show_default=True)
@click.option("--data-dir", type=click.Path(path_type=Path), help="Of the table.  [default: $RAY_ASNG_DATA]")
@click.option("--smoke", is_flag=True, help="Distributions and accuracies without meaning.")
def main(study: Path | None, output: Path, data_dir: Path | None, smoke: bool) -> None:
    """Compare averages of the distributions that the searches of STUDY reported."""
    if smoke:
        searches, truth = made_up(), lambda cell: float(list(cell.values()).count("nor_conv_3x3"))
    elif study is None:
        raise click.UsageError("name the folder of a STUDY on NAS-Bench-201")
    else:
        searches = distributions(study / "results.parquet")
        truth = partial(NASBench201Table(data_dir=data_dir).accuracy, split="test")
    found = np.array([accuracies(truth, *each) for each in searches.values()])
    tables = [
        table(["mean of the distribution over", "true accuracy [%]", "difference to the last [points]"], rows(found))
    ]
    shown = leave(
        output,
        "averaged_distribution",
        "Averages of the distribution over time",
        about=__doc__ or "",
        tables=tables,
        settings={"searches": len(found), **machine()},
        numbers={"accuracies": found.tolist(), "columns": list(SHARES)},
    )
    click.echo(shown)


def rows(found: Floats) -> list[list[str]]:
    """Of the table, from (searches, shares) accuracies."""
    means = [f"{mean:.2f}" for mean in found.mean(axis=0)]
    shown = [["last epoch", means[0], ""]]
    for name, mean, column in zip(list(SHARES)[1:], means[1:], found.T[1:], strict=True):
        change = column - found[:, 0]
        half = stats.t.ppf(0.975, len(change) - 1) * stats.sem(change)
        shown.append([name, mean, f"{change.mean():+.2f} ({change.mean() - half:+.2f} to {change.mean() + half:+.2f})"])
    return shown


if __name__ == "__main__":
    main()
