"""Layers whose widths follow choices: torch's layers, with a choice (or arithmetic on choices) where a width stands.

And `Repeat`, as many modules in a row as a choice says, and `Partial`, modules that leave out parts of themselves.

    >>> width = IntegerChoice(16, 64, step=8, name="width")
    >>> block = nn.Sequential(elastic.Linear(10, width), elastic.LayerNorm(width), nn.ReLU(), elastic.Linear(width, 2))

Shared weights are made for the largest widths; a path uses the first rows and columns of them, as many as its widths
say. Their initial values are torch's for the largest width. `Supernet.extract` makes plain layers of torch.

A search's step leaves alone what lies beyond the widths of its widest path, momentum and weight decay included, and
costs what that path needs; but with an optimizer of weights other than SGD, Adam or AdamW, and of an embedding, it
takes all for used, with gradients of zero.
"""

from ray_asng.supernets.elastic.base import Elastic
from ray_asng.supernets.elastic.convolution import (
    Conv1d,
    Conv2d,
    ConvTranspose1d,
    ConvTranspose2d,
    DepthwiseConv1d,
    DepthwiseConv2d,
)
from ray_asng.supernets.elastic.linear import Embedding, Linear
from ray_asng.supernets.elastic.normalisation import BatchNorm1d, BatchNorm2d, LayerNorm
from ray_asng.supernets.elastic.partial import Partial
from ray_asng.supernets.elastic.repeat import Repeat

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv1d",
    "Conv2d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "DepthwiseConv1d",
    "DepthwiseConv2d",
    "Elastic",
    "Embedding",
    "LayerNorm",
    "Linear",
    "Partial",
    "Repeat",
]
