"""What elastic layers share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn.utils import skip_init

Layer = TypeVar("Layer", bound=nn.Module)


class Elastic(nn.Module):
    """A layer with a width that follows a choice."""

    @abstractmethod
    def plain(self) -> nn.Module:
        """The layer of torch that does the same at the present widths, with copies of the weights it uses."""


def build_plain(
    kind: Callable[..., Layer],
    elastic: nn.Module,
    tensors: Mapping[str, torch.Tensor | None],
    *sizes: int,
    **options: Any,
) -> Layer:
    """A layer of torch of these sizes, with copies of `tensors` (None where it has none), in the mode of `elastic`."""
    like = next(tensor for tensor in tensors.values() if tensor is not None)
    layer: Layer = skip_init(kind, *sizes, **options, device=like.device, dtype=like.dtype)  # type: ignore[no-untyped-call]
    for name, values in tensors.items():
        if values is None:
            continue
        own, old = getattr(layer, name), getattr(elastic, name)
        with torch.no_grad():
            own.copy_(values)
        if isinstance(own, nn.Parameter):
            own.requires_grad_(old.requires_grad)
    return layer.train(elastic.training)
