"""Steps of the weights at the size that their paths used.

torch gives a slice of a tensor a gradient of the whole tensor's size, and clipping and the optimizer walk through all
of it: a narrow path would cost almost what the widest costs. Here a slice is a leaf of the graph. Its gradient has its
own size, and for a step the weights, and what the optimizer remembers of them, are cut to the widths of the step's
widest path.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import torch

_collecting: ContextVar[SliceGradients | None] = ContextVar("collecting", default=None)

Present = TypeVar("Present", torch.Tensor, torch.Tensor | None)

# Their step is one of each element by itself, whatever the shape, and what they remember has the shape of the weight.
_ELEMENTWISE = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW)


def sliced(tensor: Present, *widths: int) -> Present:
    """The first entries of the first dimensions, as many as `widths` say; None of none.

    While a `SliceGradients` collects, a slice of a parameter is a leaf whose gradient goes there.
    """
    if tensor is None or tensor.shape[: len(widths)] == widths:
        return tensor
    collector = _collecting.get()
    if collector is None or not tensor.requires_grad or not torch.is_grad_enabled():
        return tensor[_index(widths)]
    return collector.leaf(tensor, widths)


class SliceGradients:
    """Gradients of the slices that paths took of the weights.

    Args:
        owners: of copies of parameters, those that get their gradients.
    """

    def __init__(self, owners: Mapping[torch.Tensor, torch.Tensor] | None = None) -> None:
        self._owners = owners or {}
        self._leaves: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._gradients: dict[torch.Tensor, torch.Tensor] = {}

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Slices taken inside are leaves of their own."""
        token = _collecting.set(self)
        try:
            yield
        finally:
            _collecting.reset(token)

    def leaf(self, parameter: torch.Tensor, widths: tuple[int, ...]) -> torch.Tensor:
        """A slice of the parameter's values that takes a gradient."""
        leaf = parameter.detach()[_index(widths)].requires_grad_()
        self._leaves.append((parameter, leaf))
        return leaf

    def collect(self) -> None:
        """Add the gradients of the slices taken since the last call, in their order."""
        for parameter, leaf in self._leaves:
            if leaf.grad is None:
                continue
            owner = self._owners.get(parameter, parameter)
            gradient, total = leaf.grad.to(owner.device), self._gradients.get(owner)
            if total is None:
                self._gradients[owner] = gradient.contiguous()
                continue
            both = tuple(map(max, total.shape, gradient.shape))
            if total.shape != both:
                self._gradients[owner] = total = _placed(total, total.new_zeros(both))
            total[_index(gradient.shape)] += gradient
        self._leaves = []

    @contextmanager
    def narrowed(self, optimizer: torch.optim.Optimizer) -> Iterator[None]:
        """Inside, parameters have the collected gradients, and the size of these, so that the optimizer steps on them.

        Of an optimizer that is not known to go element by element, parameters keep their size, and gradients are
        zero elsewhere. So do parameters that were also used as a whole. Afterwards nothing is collected.
        """
        gradients, self._gradients = self._gradients, {}
        narrow = []
        for parameter, gradient in gradients.items():
            if parameter.grad is not None:
                parameter.grad[_index(gradient.shape)] += gradient
            elif gradient.shape == parameter.shape or not isinstance(optimizer, _ELEMENTWISE):
                parameter.grad = _placed(gradient, torch.zeros_like(parameter))
            else:
                narrow.append(_Narrow(parameter, gradient, optimizer.state[parameter]))
        try:
            yield
        finally:
            for each in narrow:
                each.widen()


class _Narrow:
    """A parameter, and what an optimizer remembers of it, cut to the size of a gradient.

    Cut out as copies: fused steps go through memory and take no strides.
    """

    def __init__(self, parameter: torch.Tensor, gradient: torch.Tensor, remembered: dict[str, Any]) -> None:
        self.parameter, self.remembered = parameter, remembered
        self.index, self.shape = _index(gradient.shape), gradient.shape
        self.whole = parameter.data
        self.whole_remembered = {
            name: value for name, value in remembered.items() if _has_shape(value, self.whole.shape)
        }
        parameter.data = self._cut(self.whole)
        parameter.grad = gradient
        remembered.update({name: self._cut(value) for name, value in self.whole_remembered.items()})

    def _cut(self, whole: torch.Tensor) -> torch.Tensor:
        return whole[self.index].clone(memory_format=torch.contiguous_format)

    def widen(self) -> None:
        """Put everything back, and the gradient away."""
        self.parameter.grad = None
        _placed(self.parameter.data, self.whole)
        self.parameter.data = self.whole
        for name, value in self.remembered.items():
            if _has_shape(value, self.shape):
                # What the optimizer first made in this step is zero where the step did not go.
                whole = self.whole_remembered.get(name)
                self.remembered[name] = _placed(value, torch.zeros_like(self.whole) if whole is None else whole)


def _has_shape(value: Any, shape: torch.Size) -> bool:
    return isinstance(value, torch.Tensor) and value.shape == shape


def _placed(part: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    """`whole`, with `part` at its start."""
    whole[_index(part.shape)] = part
    return whole


def _index(widths: tuple[int, ...]) -> tuple[slice, ...]:
    return tuple(slice(width) for width in widths)
