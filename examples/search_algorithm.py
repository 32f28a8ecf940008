"""ASNG as the search algorithm of an ordinary Tune experiment: `python examples/search_algorithm.py`.

Tunes a small network on digits over a mixed space: a category, integers, a real number and one on a logarithmic scale.
Where Optuna or HyperOpt would stand in `TuneConfig` stands `ASNGSearch`. `max_concurrent_trials` says how many trials
are out at a time; none of them ever waits for another. Under a minute.
"""

import argparse
import itertools
import logging
import os
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import ray
import torch
from ray import tune
from torch import nn

from ray_asng import ASNGSearch, tasks

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}


def train(config: dict[str, Any]) -> dict[str, float]:
    """Train a network with these settings for a few epochs; report its accuracy on validation data."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    task = tasks.digits()
    widths = [64] + [config["width"]] * config["depth"]
    layers = [(nn.Linear(a, b), ACTIVATIONS[config["activation"]]()) for a, b in itertools.pairwise(widths)]
    network = nn.Sequential(nn.Flatten(), *(layer for pair in layers for layer in pair), nn.Dropout(config["dropout"]))
    network.append(nn.Linear(widths[-1], 10))
    optimizer = torch.optim.SGD(network.parameters(), lr=config["lr"], momentum=0.9)
    for _ in range(4):
        for indices in torch.randperm(task.size("train"), generator=generator).split(32):
            inputs, targets = task.batch("train", indices, generator)
            optimizer.zero_grad()
            task.loss(network(inputs), targets).backward()
            optimizer.step()
    inputs, targets = task.batch("valid", torch.arange(task.size("valid")), None)
    with torch.no_grad():
        return {"accuracy": float(task.score(network.eval()(inputs), targets))}


def main() -> None:
    """Search, and print the best settings."""
    parser = argparse.ArgumentParser(description="Tune a small network on digits with ASNGSearch.")
    parser.add_argument("--trials", type=int, default=40, help="settings to try (default: 40)")
    trials = parser.parse_args().trials
    ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    results = tune.Tuner(
        train,
        param_space={
            "activation": tune.choice(list(ACTIVATIONS)),
            "width": tune.randint(8, 129),
            "depth": tune.randint(1, 4),
            "dropout": tune.uniform(0.0, 0.5),
            "lr": tune.loguniform(1e-4, 1.0),
        },
        tune_config=tune.TuneConfig(
            search_alg=ASNGSearch(seed=0),
            metric="accuracy",
            mode="max",
            num_samples=trials,
            max_concurrent_trials=2,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(verbose=0),
    ).fit()
    best = results.get_best_result()
    print(f"best of {len(results)}: accuracy {best.metrics['accuracy']:.3f}  {best.config}")
    ray.shutdown()


if __name__ == "__main__":
    main()
