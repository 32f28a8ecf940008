"""Wider layers that go on from what narrower ones have learnt: some channels are there several times.

The weights that read a channel are divided by how often it is there, so that a wide layer gives on repeated channels
what the narrow one gave, repeated likewise (Net2Wider). The same rule cuts layers down to their first channels, which
is how a network takes up a state that was saved when it was narrower.

Dimension letters: C channels before, W channels afterwards.

References:
    Chen, Goodfellow & Shlens, "Net2Net: Accelerating Learning via Knowledge Transfer", ICLR 2016.
    Chen, Wang, Cheng, Tang & Hsieh, "DrNAS: Dirichlet Neural Architecture Search", ICLR 2021.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import singledispatch
from typing import TypeAlias

import torch
from torch import Tensor, nn

from ray_asng.supernets.depthwise import DepthwiseConv2d
from ray_asng.supernets.enas_operations import FactorizedReduce

Change: TypeAlias = tuple[Tensor, Callable[[Tensor], Tensor]]
"""A weight or buffer of a layer, and what makes a tensor of its shape afterwards of one of its shape before."""

_REMEDY = (
    "Register how its module grows with ray_asng.supernets.widening.changes.register, or search with a constant number "
    "of partial channels"
)


@dataclass(frozen=True, slots=True)
class Channels:
    """Where the channels of a wider layer come from.

    Attributes:
        before: C.
        sources: (W,) the channel that each one repeats, on the CPU.
    """

    before: int
    sources: Tensor

    @property
    def shares(self) -> Tensor:
        """(W,) one over the number of channels that repeat the same one."""
        return 1.0 / torch.bincount(self.sources, minlength=self.before)[self.sources]

    def repeat(self, tensor: Tensor, dim: int = 0) -> Tensor:
        """C entries along `dim` to W."""
        return tensor.index_select(dim, self.sources.to(tensor.device))

    def read(self, weight: Tensor) -> Tensor:
        """(any, C, R, S) weights that read channels to (any, W, R, S) that read the repeated ones."""
        return self.repeat(weight, 1) * self.shares.to(weight)[:, None, None]

    def halves(self) -> tuple[Channels, Channels]:
        """The same for the first and for the second half of the channels, which must keep to themselves."""
        first, second = self.sources.chunk(2)
        return Channels(self.before // 2, first), Channels(self.before // 2, second - self.before // 2)


def repeated(before: int, after: int) -> Channels:
    """All channels in order, and between them repeated ones, drawn by torch's global generator.

    Args:
        before: C.
        after: W, at least C.
    """
    return _by_halves(
        before, after, lambda few, many: torch.cat([torch.arange(few), torch.randint(few, (many - few,))])
    )


def shaped(before: int, after: int) -> Channels:
    """Any W channels, fewer or more than C, for weights that are then loaded."""
    return _by_halves(before, after, lambda one, other: torch.arange(other) % one)


def _by_halves(before: int, after: int, sources: Callable[[int, int], Tensor]) -> Channels:
    """The two halves grow alike where both numbers are even, since some layers compute them apart."""
    if before % 2 or after % 2:
        return Channels(before, sources(before, after))
    half, wide = before // 2, after // 2
    return Channels(before, torch.cat([sources(half, wide), half + sources(half, wide)]))


@singledispatch
def changes(layer: nn.Module, channels: Channels) -> Iterator[Change]:
    """Give a layer from C to C channels other ones; its tensors are left to the caller.

    Known are convolutions without groups or by channel, batch norm, what ray_asng's spaces are made of, whatever has
    no weights of its own, and modules made of such. `changes.register` adds another class of layers:

    >>> @changes.register
    ... def _(layer: MyScale, channels: Channels):
    ...     yield layer.scale, channels.repeat

    Args:
        layer: its numbers of channels are set.
        channels: C of it and of its inputs, and the new ones.

    Yields:
        Weights and buffers with what becomes of them.

    Raises:
        ValueError: a layer of other channels, in groups, or one that would have to be odd and cannot.
        TypeError: a layer with weights whose class is not known.
    """
    if next(layer.parameters(recurse=False), None) is not None or next(layer.buffers(recurse=False), None) is not None:
        raise TypeError(
            f"only layers of known classes can be widened; found a {type(layer).__name__} with weights of its own. "
            f"{_REMEDY}"
        )
    for child in layer.children():
        yield from changes(child, channels)


@changes.register
def _of_convolution(layer: nn.Conv2d, channels: Channels) -> Iterator[Change]:
    if (layer.in_channels, layer.out_channels) != (channels.before, channels.before):
        raise ValueError(
            f"only operations that keep the number of channels inside can be widened; found {layer} where there are "
            f"{channels.before} channels. {_REMEDY}"
        )
    if layer.groups not in (1, layer.in_channels):
        raise ValueError(
            f"only convolutions without groups or by channel can be widened; found {layer} with {layer.groups} groups. "
            f"{_REMEDY}"
        )
    layer.in_channels = layer.out_channels = len(channels.sources)
    is_by_channel = layer.groups == channels.before and (channels.before > 1 or isinstance(layer, DepthwiseConv2d))
    if is_by_channel:
        layer.groups = len(channels.sources)
        yield layer.weight, channels.repeat
    else:
        yield layer.weight, lambda weight: channels.read(channels.repeat(weight))
    if layer.bias is not None:
        yield layer.bias, channels.repeat


@changes.register
def _of_batch_norm(layer: nn.BatchNorm2d, channels: Channels) -> Iterator[Change]:
    layer.num_features = len(channels.sources)
    for tensor in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
        if tensor is not None:
            yield tensor, channels.repeat


@changes.register
def _of_factorized_reduce(layer: FactorizedReduce, channels: Channels) -> Iterator[Change]:
    if channels.before % 2 or len(channels.sources) % 2:
        raise ValueError(
            f"a skip connection that halves the image has an even number of channels; it was to grow from "
            f"{channels.before} to {len(channels.sources)}. Take another width or other partial_channels"
        )
    for convolution, half in zip((layer.even, layer.odd), channels.halves(), strict=True):
        convolution.in_channels, convolution.out_channels = len(channels.sources), len(half.sources)
        yield convolution.weight, lambda weight, half=half: channels.read(half.repeat(weight))  # type: ignore[misc]
    yield from changes(layer.norm, channels)


@torch.no_grad()
def change_channels(layer: nn.Module, channels: Channels, optimizer: torch.optim.Optimizer | None = None) -> None:
    """Carry out the changes of a layer; its weights stay the same objects.

    Args:
        layer: from C to C channels.
        channels: the new ones.
        optimizer: of the weights: what it remembers of one (momentum) changes as the weight does.

    Raises:
        ValueError, TypeError: see `changes`.
    """
    for tensor, change in changes(layer, channels):
        remembered = {} if optimizer is None else optimizer.state.get(tensor, {})
        for name, moment in remembered.items():
            if isinstance(moment, Tensor) and moment.shape == tensor.shape:
                remembered[name] = _laid_out_as(moment, change(moment))
        tensor.data = _laid_out_as(tensor, change(tensor.data))


def _laid_out_as(model: Tensor, tensor: Tensor) -> Tensor:
    is_by_channel = model.dim() == 4 and model.is_contiguous(memory_format=torch.channels_last)
    return tensor.contiguous(memory_format=torch.channels_last if is_by_channel else torch.contiguous_format)
