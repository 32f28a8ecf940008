"""Convolutions whose numbers of channels follow choices.

Dimension letters: B examples, C channels, L length, H height, W width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ray_asng.supernets.elastic.base import Elastic, build_plain
from ray_asng.supernets.elastic.slices import sliced
from ray_asng.supernets.value_choice import Width, largest

Size = int | tuple[int, ...]


def _settings(layer: Any, *names: str) -> dict[str, Any]:
    """Of a layer of torch, as its constructor takes them."""
    return {name: getattr(layer, name) for name in ("kernel_size", "stride", "padding", "dilation", *names)}


class _Conv(Elastic):
    """Convolutions that mix channels; subclasses say which one of torch they are."""

    _kind: type[nn.Conv1d] | type[nn.Conv2d]
    widths: tuple[Width, Width]

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, in_channels, ...) to (B, out_channels, ...), at their present values."""
        width_in, width_out = map(int, self.widths)
        layer: Any = self
        output: torch.Tensor = layer._conv_forward(
            inputs, sliced(layer.weight, width_out, width_in), sliced(layer.bias, width_out)
        )
        return output

    def plain(self) -> nn.Module:
        """See `Elastic.plain`."""
        width_in, width_out = map(int, self.widths)
        layer: Any = self
        tensors = {"weight": sliced(layer.weight, width_out, width_in), "bias": sliced(layer.bias, width_out)}
        options = _settings(self, "padding_mode")
        return build_plain(self._kind, self, tensors, width_in, width_out, bias=layer.bias is not None, **options)


class Conv1d(_Conv, nn.Conv1d):
    """`torch.nn.Conv1d` with numbers of channels that may follow choices, and without groups.

    Args:
        in_channels: of its inputs.
        out_channels: of its outputs.
        kernel_size: as of torch's layer.
        **options: stride, padding, dilation, bias, padding_mode, as of torch's layer.

    Raises:
        TypeError: another option.
    """

    _kind = nn.Conv1d

    def __init__(self, in_channels: Width, out_channels: Width, kernel_size: Size, **options: Any) -> None:
        _refuse_groups(options)
        nn.Conv1d.__init__(self, largest(in_channels), largest(out_channels), kernel_size, **options)  # type: ignore[arg-type]
        self.widths = (in_channels, out_channels)


class Conv2d(_Conv, nn.Conv2d):
    """`torch.nn.Conv2d` with numbers of channels that may follow choices, and without groups; see `Conv1d`."""

    _kind = nn.Conv2d

    def __init__(self, in_channels: Width, out_channels: Width, kernel_size: Size, **options: Any) -> None:
        _refuse_groups(options)
        nn.Conv2d.__init__(self, largest(in_channels), largest(out_channels), kernel_size, **options)  # type: ignore[arg-type]
        self.widths = (in_channels, out_channels)


class _DepthwiseConv(Elastic):
    """Convolutions of each channel by itself; subclasses say which one of torch they are."""

    _kind: type[nn.Conv1d] | type[nn.Conv2d]
    width: Width

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, channels, ...) to (B, channels, ...), at their present number."""
        width = int(self.width)
        layer: Any = self
        convolve = functional.conv1d if self._kind is nn.Conv1d else functional.conv2d
        settings = (layer.stride, layer.padding, layer.dilation)
        return convolve(inputs, sliced(layer.weight, width), sliced(layer.bias, width), *settings, groups=width)

    def plain(self) -> nn.Module:
        """See `Elastic.plain`."""
        width = int(self.width)
        layer: Any = self
        tensors = {"weight": sliced(layer.weight, width), "bias": sliced(layer.bias, width)}
        options = {**_settings(self), "groups": width, "bias": layer.bias is not None}
        return build_plain(self._kind, self, tensors, width, width, **options)


class DepthwiseConv1d(_DepthwiseConv, nn.Conv1d):
    """`torch.nn.Conv1d` with a group for each channel, whose number may follow a choice.

    Args:
        channels: of inputs and outputs.
        kernel_size: as of torch's layer.
        **options: stride, padding (numbers), dilation, bias, as of torch's layer.

    Raises:
        TypeError: another option.
    """

    _kind = nn.Conv1d

    def __init__(self, channels: Width, kernel_size: Size, **options: Any) -> None:
        _refuse_groups(options, "padding_mode")
        count = largest(channels)
        nn.Conv1d.__init__(self, count, count, kernel_size, groups=count, **options)  # type: ignore[arg-type]
        self.width = channels


class DepthwiseConv2d(_DepthwiseConv, nn.Conv2d):
    """`torch.nn.Conv2d` with a group for each channel, whose number may follow a choice; see `DepthwiseConv1d`."""

    _kind = nn.Conv2d

    def __init__(self, channels: Width, kernel_size: Size, **options: Any) -> None:
        _refuse_groups(options, "padding_mode")
        count = largest(channels)
        nn.Conv2d.__init__(self, count, count, kernel_size, groups=count, **options)  # type: ignore[arg-type]
        self.width = channels


class _ConvTranspose(Elastic):
    """Transposed convolutions; subclasses say which one of torch they are."""

    _kind: type[nn.ConvTranspose1d] | type[nn.ConvTranspose2d]
    widths: tuple[Width, Width]

    def forward(self, input: torch.Tensor, output_size: list[int] | None = None) -> torch.Tensor:  # as torch
        """(B, in_channels, ...) to (B, out_channels, ...), at their present values; `output_size` as of torch."""
        width_in, width_out = map(int, self.widths)
        layer: Any = self
        convolve = functional.conv_transpose1d if self._kind is nn.ConvTranspose1d else functional.conv_transpose2d
        spatial = (layer.stride, layer.padding, layer.kernel_size, len(layer.kernel_size), layer.dilation)
        padding_out = layer._output_padding(input, output_size, *spatial)
        weight, bias = sliced(layer.weight, width_in, width_out), sliced(layer.bias, width_out)
        return convolve(input, weight, bias, layer.stride, layer.padding, padding_out, 1, layer.dilation)

    def plain(self) -> nn.Module:
        """See `Elastic.plain`."""
        width_in, width_out = map(int, self.widths)
        layer: Any = self
        tensors = {"weight": sliced(layer.weight, width_in, width_out), "bias": sliced(layer.bias, width_out)}
        options = {**_settings(self, "output_padding"), "bias": layer.bias is not None}
        return build_plain(self._kind, self, tensors, width_in, width_out, **options)


class ConvTranspose1d(_ConvTranspose, nn.ConvTranspose1d):
    """`torch.nn.ConvTranspose1d` with numbers of channels that may follow choices, and without groups.

    Args:
        in_channels: of its inputs.
        out_channels: of its outputs.
        kernel_size: as of torch's layer.
        **options: stride, padding, output_padding, dilation, bias, as of torch's layer.

    Raises:
        TypeError: another option.
    """

    _kind = nn.ConvTranspose1d

    def __init__(self, in_channels: Width, out_channels: Width, kernel_size: Size, **options: Any) -> None:
        _refuse_groups(options, "padding_mode")
        nn.ConvTranspose1d.__init__(self, largest(in_channels), largest(out_channels), kernel_size, **options)  # type: ignore[arg-type]
        self.widths = (in_channels, out_channels)


class ConvTranspose2d(_ConvTranspose, nn.ConvTranspose2d):
    """`torch.nn.ConvTranspose2d` with numbers of channels that may follow choices; see `ConvTranspose1d`."""

    _kind = nn.ConvTranspose2d

    def __init__(self, in_channels: Width, out_channels: Width, kernel_size: Size, **options: Any) -> None:
        _refuse_groups(options, "padding_mode")
        nn.ConvTranspose2d.__init__(self, largest(in_channels), largest(out_channels), kernel_size, **options)  # type: ignore[arg-type]
        self.widths = (in_channels, out_channels)


def _refuse_groups(options: dict[str, Any], *more: str) -> None:
    for name in ("groups", *more):
        if name in options:
            remedy = (
                "for a group for each channel use DepthwiseConv1d or 2d" if name == "groups" else "pad the input first"
            )
            raise TypeError(f"this elastic convolution takes no {name}, got {options[name]!r}; {remedy}")
