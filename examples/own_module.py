"""Search inside your own network, without Ray, then train what was found: `python examples/own_module.py`.

Put `OneOf` where the search shall decide. One supernet holds all the networks; ASNG learns which one to keep.
It takes about 20 seconds on two cores; `--epochs 1` only shows that it runs.
"""

import argparse
from functools import partial

import torch
from torch import nn

from ray_asng import OneOf, Supernet, tasks
from ray_asng.optimizers import ASNG
from ray_asng.retrain import Retraining, RetrainSettings
from ray_asng.search import Search
from ray_asng.settings import SearchSettings

conv = partial(nn.Conv2d, padding="same", bias=False)


def block(width: int, name: str) -> nn.Module:
    """A layer of which the search chooses the operation, and the activation after it."""
    kernels = {f"{size}x{size}": conv(width, width, size, groups=width) for size in (3, 5)}
    operations = {
        "conv": conv(width, width, 3),
        # A choice inside a choice: the kernel matters only where the operation is "separable".
        "separable": nn.Sequential(OneOf(kernels, name=f"{name}_kernel"), conv(width, width, 1)),
        "skip": nn.Identity(),
    }
    # All blocks call this choice "activation", so it is one decision for the whole network.
    activation = OneOf({"relu": nn.ReLU(), "silu": nn.SiLU(), "tanh": nn.Tanh()}, name="activation")
    return nn.Sequential(OneOf(operations, name=name), nn.BatchNorm2d(width), activation)


class DigitNetwork(nn.Module):
    """Grey images of 8 x 8 pixels to scores of ten digits."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.stem = conv(1, width, 3)
        self.body = nn.Sequential(block(width, "early"), nn.AvgPool2d(2), block(width, "late"))
        self.classifier = nn.Linear(width * 16, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.body(self.stem(images)).flatten(1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=15, help="of the search, and of the training afterwards")
    epochs = parser.parse_args().epochs

    torch.manual_seed(0)  # the initial weights; everything else has its own seed
    task = tasks.digits()
    supernet = Supernet(DigitNetwork())
    print(f"{len(supernet.space)} decisions, {supernet.space.size} architectures")
    search = Search(supernet, task, ASNG(supernet.space, seed=0), SearchSettings(epochs=epochs), seed=0)
    while not search.is_done:
        found = search.run_epoch()
        print(
            f"epoch {found['epoch']:2d}  train loss {found['train_loss']:.3f}  path accuracy "
            f"{found['path_accuracy']:.3f}  convergence {found['convergence']:.2f}"
        )
    architecture = supernet.space.canonical(search.architecture)
    print(f"found: {architecture.to_json()}")

    # The found network from scratch: an ordinary module with fresh weights, no choice is left in it.
    child = Supernet(DigitNetwork()).extract(architecture)
    retraining = Retraining(child, task, RetrainSettings(epochs=epochs), seed=0)
    while not retraining.is_done:
        trained = retraining.run_epoch()
    print(f"{trained['parameters']} parameters, test accuracy {trained['test_accuracy']:.3f}")


if __name__ == "__main__":
    main()
