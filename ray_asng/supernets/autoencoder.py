"""Convolutional auto-encoders that share their weights, for image restoration.

Every column has weights for each of its six layers, with as many inputs and outputs as the widest; narrower ones use
the first channels. As published there is no bias and no batch norm, and the last convolution has no non-linearity.

Dimension letters: B examples, C channels of the images, H height, W width.

References:
    Akimoto et al., "Adaptive Stochastic Natural Gradient Method for One-Shot Neural Architecture Search", ICML 2019.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from ray_asng.space import Architecture, Categorical, Decision, Integer, SearchSpace
from ray_asng.supernets.autoencoder_space import (
    KERNELS,
    Grid,
    Layer,
    active_layers,
    categorical_space,
    hand_made,
    integer_space,
)
from ray_asng.supernets.counts import check_counts
from ray_asng.supernets.elastic.base import Elastic
from ray_asng.supernets.elastic.slices import sliced
from ray_asng.supernets.halving import Convolution, Mirror, convolve, mirror
from ray_asng.supernets.value_choice import Choice, IntegerChoice, ValueChoice

Convolve = Callable[[torch.Tensor], torch.Tensor]


def restore(
    images: torch.Tensor,
    encoder: Sequence[Convolve],
    decoder: Sequence[Convolve],
    has_skip: Sequence[bool],
    output: Convolve,
) -> torch.Tensor:
    """(B, C, H, W) images through an encoder and its mirror image.

    Args:
        images: masked or otherwise spoilt.
        encoder: convolutions, the first one first.
        decoder: the transposed convolution that mirrors each of them, in the same order.
        has_skip: of each, whether the mirror image adds the outputs of the convolution to its own.
        output: features to images.
    """
    features, sizes, kept = images, [], []
    for layer in encoder:
        sizes.append(features.shape[2:])
        features = torch.relu(layer(features))
        kept.append(features)
    for layer, size, outputs, adds in reversed(list(zip(decoder, sizes, kept, has_skip, strict=True))):
        # Twice the half of an odd size is one pixel too many.
        features = layer(features)[:, :, : size[0], : size[1]]
        features = torch.relu(features + outputs if adds else features)
    return output(features)


class AutoEncoder(nn.Module):
    """A child: plain convolutions and the transposed ones that mirror them.

    Args:
        layers: of the encoder.
        in_channels: C.
    """

    def __init__(self, layers: Sequence[Layer], in_channels: int) -> None:
        super().__init__()
        inputs = [in_channels, *(layer.width for layer in layers)]
        # The mirror image of a layer gets what the one of the next layer gives.
        mirrored = [*(layer.width for layer in layers[1:]), layers[-1].width]
        self.has_skip = tuple(layer.has_skip for layer in layers)
        self.encoder = nn.ModuleList(
            Convolution(channels, layer.width, layer.kernel, stride=_stride(layer))
            for channels, layer in zip(inputs, layers, strict=False)
        )
        self.decoder = nn.ModuleList(
            Mirror(channels, layer.width, layer.kernel, stride=_stride(layer))
            for channels, layer in zip(mirrored, layers, strict=True)
        )
        self.output = Mirror(layers[0].width, in_channels, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        return restore(images, list(self.encoder), list(self.decoder), self.has_skip, self.output)

    def reset_parameters(self) -> None:
        """Draw initial weights, as torch's layers do."""
        for layer in (*self.encoder, *self.decoder, self.output):
            layer.reset_parameters()


def _stride(layer: Layer) -> int:
    return 1 if layer.has_skip else 2


class CartesianAutoEncoder(Elastic):
    """The shared network; subclasses say how its columns are encoded.

    Args:
        width: most channels of a column, a multiple of 4.
        in_channels: C.
        size: height or width of the images, the smaller one: columns that would halve features of one pixel are left
            out.
        columns: of the encoder.
        level_back: how many columns back one can read.

    Attributes:
        search_space: with canonical forms and a picture.
        grid: what encoders are cut out of.

    Raises:
        ValueError: a number that is too small, or a width that is no multiple of 4.
        TypeError: a number that is not an integer.
    """

    _encoding: Callable[[Grid], SearchSpace]

    def __init__(
        self, *, width: int = 256, in_channels: int = 3, size: int = 64, columns: int = 20, level_back: int = 5
    ) -> None:
        super().__init__()
        check_counts(width=width, in_channels=in_channels, size=size, columns=columns, level_back=level_back)
        self.grid = Grid(width, size, columns, level_back)
        self.in_channels = in_channels
        self.search_space: SearchSpace = type(self)._encoding(self.grid)
        self.choices = {decision.name: _choice(decision) for decision in self.search_space.decisions}
        self.encoder, self.decoder = nn.ParameterDict(), nn.ParameterDict()
        for column in range(1, columns + 1):
            for kernel in KERNELS:
                for has_skip in (False, True):
                    key = _key(Layer(column, kernel, has_skip, width))
                    self.encoder[key] = _weight(width, width, kernel)
                    self.decoder[key] = _weight(width, width, kernel)
        self.output = _weight(width, in_channels, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) masked images to (B, C, H, W) restored ones."""
        layers = self.layers()
        return restore(
            images,
            [partial(self._convolve, layer) for layer in layers],
            [partial(self._mirror, layer) for layer in layers],
            [layer.has_skip for layer in layers],
            self._to_images,
        )

    def layers(self) -> list[Layer]:
        """What is active at the present values of the choices."""
        present = {name: choice.switch.now for name, choice in self.choices.items()}
        named = {
            decision.name: decision.options[_place(self.choices[decision.name], present[decision.name])]
            if isinstance(decision, Categorical)
            else present[decision.name]
            for decision in self.search_space.decisions
        }
        return active_layers(named, self.grid)

    def hand_made(self) -> Architecture:
        """The usual auto-encoder of this space, made by hand, for comparison."""
        return hand_made(self.search_space, self.grid)

    def _convolve(self, layer: Layer, features: torch.Tensor) -> torch.Tensor:
        weight = sliced(self.encoder[_key(layer)], layer.width, features.shape[1])
        return convolve(features, weight, _stride(layer))

    def _mirror(self, layer: Layer, features: torch.Tensor) -> torch.Tensor:
        weight = sliced(self.decoder[_key(layer)], features.shape[1], layer.width)
        return mirror(features, weight, _stride(layer))

    def _to_images(self, features: torch.Tensor) -> torch.Tensor:
        return mirror(features, sliced(self.output, features.shape[1]), 1)

    def plain(self) -> AutoEncoder:
        """The child at the present values, with copies of the weights that it uses."""
        layers = self.layers()
        child = AutoEncoder(layers, self.in_channels).to(self.output).train(self.training)
        pairs: list[tuple[Any, torch.Tensor]] = [(child.output.weight, self.output)]
        for layer, convolution, mirrored in zip(layers, child.encoder, child.decoder, strict=True):
            pairs += [(convolution.weight, self.encoder[_key(layer)]), (mirrored.weight, self.decoder[_key(layer)])]
        with torch.no_grad():
            for own, shared in pairs:
                own.copy_(shared[: own.shape[0], : own.shape[1]])
        return child


class CategoricalAutoEncoder(CartesianAutoEncoder):
    """Convolutional auto-encoders in the categorical encoding: six layers and three widths a column."""

    _encoding = staticmethod(categorical_space)


class IntegerAutoEncoder(CartesianAutoEncoder):
    """Convolutional auto-encoders in the mixed encoding: kernels and widths are integers."""

    _encoding = staticmethod(integer_space)


def _key(layer: Layer) -> str:
    return f"{layer.column}_{'skip_' * layer.has_skip}{layer.kernel}"


def _weight(first: int, second: int, kernel: int) -> nn.Parameter:
    """(first, second, kernel, kernel), with the initial values of torch's convolutions."""
    weight = nn.Parameter(torch.empty(first, second, kernel, kernel))
    nn.init.kaiming_uniform_(weight, a=math.sqrt(5.0))
    return weight


def _choice(decision: Decision) -> Choice:
    if isinstance(decision, Integer):
        return IntegerChoice(decision.low, decision.high, name=decision.name)
    options = decision.options  # type: ignore[union-attr]  # there are no reals
    if all(option.isdigit() for option in options):
        return ValueChoice([int(option) for option in options], name=decision.name)
    return ValueChoice(options, name=decision.name)


def _place(choice: Choice, value: int) -> int:
    """Place among the options of the value that a choice reads."""
    return list(choice.options.values()).index(value)  # type: ignore[attr-defined]  # asked of value choices alone
