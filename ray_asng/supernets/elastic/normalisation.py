"""Normalisation layers whose widths follow choices."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ray_asng.supernets.elastic.base import Elastic, build_plain
from ray_asng.supernets.elastic.slices import sliced
from ray_asng.supernets.value_choice import Width, largest


class _BatchNorm(Elastic):
    """Batch norms; subclasses say which one of torch they are."""

    _kind: type[nn.BatchNorm1d] | type[nn.BatchNorm2d]
    width: Width

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(B, num_features, ...), normalised; only the running statistics of the present features move."""
        layer: Any = self
        layer._check_input_dim(inputs)
        width = int(self.width)
        momentum = layer.momentum or 0.0
        if layer.training and layer.track_running_stats:
            layer.num_batches_tracked.add_(1)
            if layer.momentum is None:
                momentum = 1.0 / float(layer.num_batches_tracked)
        return functional.batch_norm(
            inputs,
            sliced(layer.running_mean, width),
            sliced(layer.running_var, width),
            sliced(layer.weight, width),
            sliced(layer.bias, width),
            layer.training or layer.running_mean is None,
            momentum,
            layer.eps,
        )

    def plain(self) -> nn.Module:
        """See `Elastic.plain`."""
        layer: Any = self
        width = int(self.width)
        options = {name: getattr(layer, name) for name in ("eps", "momentum", "affine", "track_running_stats")}
        names = ("weight", "bias", "running_mean", "running_var")
        tensors = {name: sliced(getattr(layer, name), width) for name in names}
        if all(tensor is None for tensor in tensors.values()):
            return self._kind(width, **options).train(self.training)
        plain = build_plain(self._kind, self, tensors, width, **options)
        if plain.num_batches_tracked is not None:
            plain.num_batches_tracked.copy_(layer.num_batches_tracked)
        return plain


class BatchNorm1d(_BatchNorm, nn.BatchNorm1d):
    """`torch.nn.BatchNorm1d` with a number of features that may follow a choice.

    Running statistics of shared weights are a mixture of all widths; a search therefore evaluates paths by the
    statistics of the batch, and a child is trained, or its statistics are taken anew, before it is used.

    Args:
        num_features: of its inputs.
        **options: eps, momentum, affine, track_running_stats, as of torch's layer.
    """

    _kind = nn.BatchNorm1d

    def __init__(self, num_features: Width, **options: Any) -> None:
        nn.BatchNorm1d.__init__(self, largest(num_features), **options)
        self.width = num_features


class BatchNorm2d(_BatchNorm, nn.BatchNorm2d):
    """`torch.nn.BatchNorm2d` with a number of features that may follow a choice; see `BatchNorm1d`."""

    _kind = nn.BatchNorm2d

    def __init__(self, num_features: Width, **options: Any) -> None:
        nn.BatchNorm2d.__init__(self, largest(num_features), **options)
        self.width = num_features


class LayerNorm(nn.LayerNorm, Elastic):
    """`torch.nn.LayerNorm` over the last dimension, whose width may follow a choice.

    Args:
        normalized_shape: width of the last dimension.
        eps: added to the variance.
        elementwise_affine: whether it scales and shifts.
        bias: whether it shifts.
    """

    def __init__(
        self, normalized_shape: Width, eps: float = 1e-5, elementwise_affine: bool = True, bias: bool = True
    ) -> None:
        super().__init__(largest(normalized_shape), eps, elementwise_affine, bias)
        self.width = normalized_shape

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(..., normalized_shape), normalised."""
        width = int(self.width)
        return functional.layer_norm(inputs, (width,), sliced(self.weight, width), sliced(self.bias, width), self.eps)

    def plain(self) -> nn.LayerNorm:
        """See `Elastic.plain`."""
        width = int(self.width)
        options = {"eps": self.eps, "elementwise_affine": self.elementwise_affine, "bias": self.bias is not None}
        tensors = {"weight": sliced(self.weight, width), "bias": sliced(self.bias, width)}
        if self.weight is None:
            return nn.LayerNorm(width, **options).train(self.training)
        return build_plain(nn.LayerNorm, self, tensors, width, **options)
