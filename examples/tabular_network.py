"""Widths, depth, activation, normalisation and dropout of a network for a table: `python examples/tabular_network.py`.

The data are scikit-learn's breast cancer table: 569 rows of 30 numbers, two classes. About a minute on two cores.
"""

import argparse

import torch
from ray import tune
from sklearn.datasets import load_breast_cancer
from torch import nn
from torch.nn import functional

from ray_asng import ASNGTrainable, IntegerChoice, OneOf, RealChoice, tasks
from ray_asng.supernets import elastic
from ray_asng.tasks.base import Task


class Block(nn.Module):
    """A residual block of one hidden layer, whose width is searched."""

    def __init__(self, width: IntegerChoice, place: int) -> None:
        super().__init__()
        hidden = IntegerChoice(8, 64, step=8, name=f"hidden_{place}")
        norms = {"batch": elastic.BatchNorm1d(width), "layer": elastic.LayerNorm(width), "none": nn.Identity()}
        # Choices of one name are one decision: all blocks have the same norm, activation and dropout.
        self.norm = OneOf(norms, name="norm")
        self.activation = OneOf({"relu": nn.ReLU(), "silu": nn.SiLU(), "tanh": nn.Tanh()}, name="activation")
        self.dropout = RealChoice(0.0, 0.5, name="dropout")
        self.first, self.second = elastic.Linear(width, hidden), elastic.Linear(hidden, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.activation(self.first(self.norm(x)))
        return x + self.second(functional.dropout(hidden, float(self.dropout), self.training))


class TabularNetwork(nn.Module):
    """(B, in_features) numbers to (B, classes) scores."""

    def __init__(self, in_features: int = 30, classes: int = 2) -> None:
        super().__init__()
        width = IntegerChoice(8, 64, step=8, name="width")
        depth = IntegerChoice(1, 4, name="depth")
        self.stem = elastic.Linear(in_features, width)
        self.blocks = elastic.Repeat((Block(width, place) for place in range(4)), depth)
        self.head = elastic.Linear(width, classes)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(self.stem(rows)))


def breast_cancer(split_seed: int = 0) -> Task:
    """The table, each column shifted and scaled by what is known of it: its sign and its magnitude."""
    rows, classes = load_breast_cancer(return_X_y=True)
    return tasks.from_tensors(
        torch.tensor(rows).log1p(), torch.tensor(classes), test_fraction=0.3, split_seed=split_seed
    )


CONFIG = {"space": TabularNetwork, "task": breast_cancer, "weight_optimizer": "adamw", "lr": 3e-3, "batch_size": 32}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=60, help="of each search")
    seeds = tune.grid_search([0, 1, 2, 3])
    config = {**CONFIG, "epochs": parser.parse_args().epochs, "seed": seeds}
    for found in tune.run(ASNGTrainable, config=config, reuse_actors=True, verbose=0).results.values():
        print(f"seed {found['seed']}  path accuracy {found['path_accuracy']:.3f}  {found['architecture']}")
