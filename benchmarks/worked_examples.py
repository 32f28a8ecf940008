"""What a search of the worked examples finds, against architectures drawn at random and trained equally.

For each example: as many searches as seeds, with the settings that its file has and no others; what each one found is
trained from scratch, and so is one architecture drawn at random from the space, with the same seed and recipe. The
score is the task's metric on test data, which nothing was chosen by. Differences are paired by seed; intervals are 95 %
bootstrap intervals of means.

    python benchmarks/worked_examples.py --output worked_examples

Scores are noted in OUTPUT/scores.jsonl, and what is there is not run again; so it can be interrupted, and examples can
be run side by side (`--example`) before the report is made of all.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray
from report import leave, machine, table

from ray_asng import Supernet
from ray_asng.config import SearchConfig
from ray_asng.randomness import drawing_from
from ray_asng.results.statistics import bootstrap_interval
from ray_asng.retrain import Retraining, RetrainSettings
from ray_asng.space import Architecture
from ray_asng.tasks.base import Task

# What the examples leave at its default, which for these data is a length that their authors would not choose.
EPOCHS = {"tabular_network": 60, "character_transformer": 8, "sequence_network": 60, "regression": 60}


def load(name: str) -> ModuleType:
    """The module of an example."""
    path = Path(__file__).parents[1] / "examples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"there is no example {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def search(config: SearchConfig, task: Task) -> Architecture:
    """What one search finds."""
    running = config.build_search(task=task)
    while not running.is_done:
        running.run_epoch()
    return running.architecture


def trained_score(config: Mapping[str, Any], found: Mapping[str, Any], task: Task, epochs: int, seed: int) -> float:
    """Test score of an architecture that is trained from scratch, with the weight optimizer of its search."""
    with drawing_from(torch.Generator().manual_seed(seed)):
        child = Supernet(config["space"]()).build_child(found)
    recipe = {name: config[name] for name in ("weight_optimizer", "lr", "batch_size") if name in config}
    settings = RetrainSettings(**{"batch_size": 64, "weight_decay": 1e-2, **recipe, "epochs": epochs})
    retraining = Retraining(child, task, settings, seed=seed)
    while not retraining.is_done:
        report = retraining.run_epoch()
    return float(report[f"test_{task.metric}"])


def scores(name: str, seed: int, epochs: int, notes: Path) -> dict[str, Any]:
    """Scores of what one search found and of a random architecture, from the notes if they are there."""
    key = {"example": name, "seed": seed, "epochs": epochs}
    for line in notes.read_text().splitlines() if notes.exists() else ():
        noted: dict[str, Any] = json.loads(line)
        if key.items() <= noted.items():
            return noted
    config = load(name).CONFIG
    task: Task = config["task"]()
    built = SearchConfig.from_mapping({**config, "epochs": epochs, "seed": seed})
    found = trained_score(config, search(built, task), task, epochs, seed)
    random = built.build_search(task=task).space.sample(np.random.default_rng(seed))
    drawn = trained_score(config, random, task, epochs, seed)
    click.echo(f"{name}, seed {seed}: {task.metric} found {found:.4f}, random {drawn:.4f}", err=True)
    scored = {**key, "metric": task.metric, "found": found, "drawn": drawn}
    notes.parent.mkdir(parents=True, exist_ok=True)
    with notes.open("a") as file:
        file.write(json.dumps(scored) + "\n")
    return scored


def measure(name: str, seeds: int, epochs: int, notes: Path) -> dict[str, Any]:
    """One row of the table."""
    all_scores = [scores(name, seed, epochs, notes) for seed in range(seeds)]
    found, drawn = ([each[which] for each in all_scores] for which in ("found", "drawn"))
    differences = np.array(found) - np.array(drawn)
    return {
        "example": name,
        "test metric": all_scores[0]["metric"],
        "found": _words(np.array(found)),
        "drawn at random": _words(np.array(drawn)),
        "difference": _words(differences),
        "seeds": seeds,
    }


def _words(values: NDArray[np.float64]) -> str:
    mean = bootstrap_interval(values.tolist())
    interval = "" if mean.low is None else f" ({mean.low:.4f} to {mean.high:.4f})"
    return f"{mean.mean:.4f}{interval}"


@click.command()
@click.option("--output", type=click.Path(path_type=Path), default=Path("worked_examples"), show_default=True)
@click.option("--seeds", type=click.IntRange(1), default=10, show_default=True, help="Searches of each example.")
@click.option("--example", "names", multiple=True, type=click.Choice(list(EPOCHS)), help="By default all.")
@click.option("--smoke", is_flag=True, help="One seed, one epoch.")
def main(output: Path, seeds: int, names: tuple[str, ...], smoke: bool) -> None:
    """Compare what the examples find with random architectures."""
    torch.set_num_threads(1)
    where = machine()
    chosen = names or tuple(EPOCHS)
    rows = [
        measure(name, 1 if smoke else seeds, 1 if smoke else EPOCHS[name], output / "scores.jsonl") for name in chosen
    ]
    shown = table(list(rows[0]), [list(row.values()) for row in rows])
    leave(
        output,
        "worked_examples",
        "What the worked examples find",
        about=__doc__ or "",
        tables=[shown],
        settings={"epochs": ", ".join(f"{name} {EPOCHS[name]}" for name in chosen), **where},
        numbers={"rows": rows},
    )
    click.echo(shown)


if __name__ == "__main__":
    main()
