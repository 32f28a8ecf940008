"""Heads, widths, depth and blocks of a small transformer that learns to continue Python's own documentation.

`python examples/character_transformer.py` takes some minutes on two cores.
"""

import argparse
from pydoc_data.topics import topics

import torch
from ray import tune
from torch import nn
from torch.nn import functional

from ray_asng import ASNGTrainable, IntegerChoice, OneOf, ValueChoice, tasks
from ray_asng.supernets import elastic
from ray_asng.tasks.base import Task

LENGTH, CHARACTERS = 64, 128


class Attention(nn.Module):
    def __init__(self, width: IntegerChoice, place: int) -> None:
        super().__init__()
        self.heads = ValueChoice((1, 2, 4, 8), name=f"heads_{place}")
        self.project, self.out = elastic.Linear(width, 3 * width), elastic.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        split = self.project(x).unflatten(2, (3, int(self.heads), -1)).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(*split, is_causal=True)
        return self.out(mixed.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    def __init__(self, width: IntegerChoice, place: int) -> None:
        super().__init__()
        hidden = IntegerChoice(32, 256, step=32, name=f"hidden_{place}")
        self.block = ValueChoice(("in turn", "side by side"), name=f"block_{place}")
        self.attention = nn.Sequential(elastic.LayerNorm(width), Attention(width, place))
        activation = OneOf({"relu": nn.ReLU(), "gelu": nn.GELU()}, name="activation")
        first, second = elastic.Linear(width, hidden), elastic.Linear(hidden, width)
        self.mlp = nn.Sequential(elastic.LayerNorm(width), first, activation, second)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        attended = x + self.attention(x)
        return attended + self.mlp((attended, x)[self.block])


class CharacterTransformer(nn.Module):
    """(B, LENGTH) characters to (B, LENGTH, CHARACTERS) scores of the next ones."""

    def __init__(self) -> None:
        super().__init__()
        width = IntegerChoice(32, 96, step=16, name="width")
        self.tokens, self.places = elastic.Embedding(CHARACTERS, width), elastic.Embedding(LENGTH, width)
        self.layers = elastic.Repeat((Layer(width, place) for place in range(4)), IntegerChoice(1, 4, name="depth"))
        self.head = nn.Sequential(elastic.LayerNorm(width), elastic.Linear(width, CHARACTERS))

    def forward(self, characters: torch.Tensor) -> torch.Tensor:
        x = self.tokens(characters) + self.places(torch.arange(LENGTH, device=characters.device))
        return self.head(self.layers(x))


def python_documentation(split_seed: int = 0) -> Task:
    """Stretches of the text and, for each of their characters, the next one."""
    text = torch.tensor(list("".join(topics.values()).encode("ascii", "ignore"))).unfold(0, LENGTH + 1, LENGTH)
    return tasks.from_tensors(text[:, :-1], text[:, 1:], classes=CHARACTERS, test_fraction=0.2, split_seed=split_seed)


CONFIG = {"space": CharacterTransformer, "task": python_documentation, "weight_optimizer": "adamw", "lr": 2e-3}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=8, help="of each search")
    config = {**CONFIG, "epochs": parser.parse_args().epochs, "seed": tune.grid_search([0, 1])}
    for found in tune.run(ASNGTrainable, config=config, verbose=0).results.values():
        print(f"seed {found['seed']}  path accuracy {found['path_accuracy']:.3f}  {found['architecture']}")
