"""Kernels, widths, depth and pooling of a network for sequences: `python examples/sequence_network.py`.

It tells cylinders, bells and funnels apart: three shapes of signals in noise (Saito, 1994), a standard test of
classifiers of time series. About a minute on two cores.
"""

import argparse

import numpy as np
import torch
from ray import tune
from torch import nn

from ray_asng import ASNGTrainable, IntegerChoice, OneOf, tasks
from ray_asng.supernets import elastic
from ray_asng.tasks.base import Task

LENGTH = 128


class Block(nn.Module):
    """A convolution whose kernel and width are searched, at half the length of its input."""

    def __init__(self, width_in: IntegerChoice | int, width: IntegerChoice, place: int) -> None:
        super().__init__()
        convolutions = {str(k): elastic.Conv1d(width_in, width, k, padding=k // 2) for k in (3, 7, 15)}
        self.convolution = OneOf(convolutions, name=f"kernel_{place}")
        self.norm = elastic.BatchNorm1d(width)
        self.pool = OneOf({"max": nn.MaxPool1d(2), "mean": nn.AvgPool1d(2)}, name="pool")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.pool(self.norm(self.convolution(x)).relu())


class SequenceNetwork(nn.Module):
    """(B, 1, L) signals to (B, classes) scores."""

    def __init__(self, in_channels: int = 1, classes: int = 3) -> None:
        super().__init__()
        width = IntegerChoice(4, 32, step=4, name="width")
        blocks = [Block(width if place else in_channels, width, place) for place in range(4)]
        self.blocks = elastic.Repeat(blocks, IntegerChoice(1, 4, name="depth"))
        self.head = elastic.Linear(width, classes)

    def forward(self, signals: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(signals).mean(2))


def shapes(split_seed: int = 0) -> Task:
    """900 signals: noise, and in a random stretch of it a plateau, a rise or a fall."""
    rng = np.random.default_rng(1994)
    time, kinds = np.arange(LENGTH), rng.integers(3, size=(900, 1))
    start, length = rng.integers(16, 33, size=(900, 1)), rng.integers(32, 97, size=(900, 1))
    inside = (time >= start) & (time <= start + length)
    share = (time - start) / length
    forms = np.choose(kinds, [np.ones_like(share), share, 1.0 - share])
    signals = inside * (6.0 + rng.standard_normal((900, 1))) * forms + 2.0 * rng.standard_normal((900, LENGTH))
    inputs = torch.tensor(signals[:, None], dtype=torch.float32) / 4.0
    return tasks.from_tensors(inputs, torch.tensor(kinds[:, 0]), test_fraction=1 / 3, split_seed=split_seed)


CONFIG = {"space": SequenceNetwork, "task": shapes, "weight_optimizer": "adamw", "lr": 3e-3, "batch_size": 50}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=60, help="of each search")
    seeds = tune.grid_search([0, 1, 2, 3])
    config = {**CONFIG, "epochs": parser.parse_args().epochs, "seed": seeds}
    for found in tune.run(ASNGTrainable, config=config, reuse_actors=True, verbose=0).results.values():
        print(f"seed {found['seed']}  path accuracy {found['path_accuracy']:.3f}  {found['architecture']}")
