"""A regression with a metric of its own, and a network of two layers side by side: `python examples/regression.py`.

The data are scikit-learn's diabetes table: 442 patients, ten numbers each, and how the illness went on within a year.
About a minute on two cores.
"""

import argparse

import torch
from ray import tune
from sklearn.datasets import load_diabetes
from torch import nn
from torch.nn import functional

from ray_asng import ASNGTrainable, IntegerChoice, OneOf, RealChoice, ValueChoice, tasks
from ray_asng.supernets import elastic
from ray_asng.tasks.base import Task


class Regression(nn.Module):
    """(B, in_features) numbers to (B,) numbers: a linear model, and beside it two layers that are combined."""

    def __init__(self, in_features: int = 10) -> None:
        super().__init__()
        width = IntegerChoice(4, 64, step=4, name="width")
        self.dropout = RealChoice(0.0, 0.6, name="dropout")
        self.combine = ValueChoice(("sum", "product", "larger one"), name="combine")
        self.activation = OneOf({"relu": nn.ReLU(), "tanh": nn.Tanh(), "linear": nn.Identity()}, name="activation")
        self.linear, self.head = nn.Linear(in_features, 1), elastic.Linear(width, 1)
        self.first, self.second = elastic.Linear(in_features, width), elastic.Linear(in_features, width)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        combine = (torch.add, torch.mul, torch.maximum)[self.combine]
        hidden = combine(self.activation(self.first(rows)), self.activation(self.second(rows)))
        hidden = functional.dropout(hidden, float(self.dropout), self.training)
        return (self.linear(rows) + self.head(hidden)).squeeze(1)


def within_half_a_deviation(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Share of the patients whose prediction is off by less than half a standard deviation of the targets."""
    return ((outputs - targets).abs() < 0.5).float().mean()


def diabetes(split_seed: int = 0) -> Task:
    """The table, whose columns are standardised already, and targets in units of their standard deviation, 77."""
    rows, progression = load_diabetes(return_X_y=True)
    return tasks.from_tensors(
        torch.tensor(rows, dtype=torch.float32) * len(rows) ** 0.5,
        (torch.tensor(progression, dtype=torch.float32) - 152.0) / 77.0,
        loss="mse",
        metric=within_half_a_deviation,
        metric_name="hits",
        higher_is_better=True,
        test_fraction=0.3,
        split_seed=split_seed,
    )


CONFIG = {"space": Regression, "task": diabetes, "weight_optimizer": "adamw", "lr": 3e-3, "batch_size": 32}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=60, help="of each search")
    seeds = tune.grid_search([0, 1, 2, 3])
    config = {**CONFIG, "epochs": parser.parse_args().epochs, "seed": seeds}
    for found in tune.run(ASNGTrainable, config=config, reuse_actors=True, verbose=0).results.values():
        print(f"seed {found['seed']}  hits {found['path_hits']:.3f}  {found['architecture']}")
