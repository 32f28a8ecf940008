"""Example inputs of a network, and its outputs by name: what an export is traced with, and what it is compared on."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Example:
    """Inputs of one batch on the CPU.

    Attributes:
        args: tensors passed in order, the examples of the batch along the first dimension.
        kwargs: tensors passed by name, likewise.
        names: of all tensors, those of `args` first, as the parameters of the network's `forward` are called.
    """

    args: tuple[Tensor, ...]
    kwargs: dict[str, Tensor]
    names: tuple[str, ...]

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Name -> tensor."""
        return dict(zip(self.names, (*self.args, *self.kwargs.values()), strict=True))

    @property
    def size(self) -> int:
        """Examples in the batch."""
        return len(next(iter(self.tensors.values())))

    def mapped(self, change: Callable[[Tensor], Tensor]) -> Example:
        """The example with every tensor changed."""
        args = tuple(change(tensor) for tensor in self.args)
        return Example(args, {name: change(tensor) for name, tensor in self.kwargs.items()}, self.names)

    def run(self, network: Callable[..., Any]) -> dict[str, Tensor]:
        """The outputs of a network: name, as `by_name` makes it, -> tensor. None has the name of an input."""
        with torch.no_grad():
            outputs = by_name(network(*self.args, **self.kwargs))
            return {f"output_{name}" if name in self.names else name: tensor for name, tensor in outputs}


def make_example(network: nn.Module, inputs: Any) -> Example:
    """What `network` is called with: a tensor, a tuple (arguments in order) or a dict (arguments by name).

    Raises:
        TypeError: something that is no tensor, or that does not fit the parameters of `forward`.
        ValueError: no tensor, no batch dimension, or batches of different sizes.
    """
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    if isinstance(inputs, Mapping):
        kwargs = dict(inputs)
    else:
        args = inputs if isinstance(inputs, tuple) else (inputs,)
    wrong = [type(value).__name__ for value in (*args, *kwargs.values()) if not isinstance(value, Tensor)]
    if wrong:
        raise TypeError(f"example inputs are a tensor, or a tuple or dict of tensors, batch first; got a {wrong[0]}")
    example = Example(args, kwargs, (*_positional_names(network, args, kwargs), *kwargs))
    shapes = {name: tuple(tensor.shape) for name, tensor in example.tensors.items()}
    if not shapes or not all(shapes.values()) or len({shape[0] for shape in shapes.values()}) > 1 or not example.size:
        raise ValueError(f"example inputs need a first dimension of one size, the examples of the batch; got {shapes}")
    return example.mapped(lambda tensor: tensor.detach().cpu().contiguous())


def _positional_names(network: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[str]:
    signature = inspect.signature(network.forward)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(
            f"the example inputs do not fit forward{signature} of {type(network).__name__}: {error}"
        ) from error
    for name, value in signature.bind_partial(*args).arguments.items():
        if signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL:
            yield from (f"{name}_{place}" for place in range(len(value)))
        else:
            yield name


def by_name(outputs: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors among outputs: "output" if it is one, else by key or "output_" and place, joined by "_".

    Raises:
        TypeError: something else than tensors in tuples, lists and dicts.
    """
    if isinstance(outputs, Tensor):
        yield name or "output", outputs
    elif isinstance(outputs, Mapping):
        for key, value in outputs.items():
            yield from by_name(value, f"{name}_{key}".removeprefix("_"))
    elif isinstance(outputs, (tuple, list)):
        for place, value in enumerate(outputs):
            yield from by_name(value, f"{name or 'output'}_{place}")
    else:
        raise TypeError(
            f"a network can be exported that returns tensors, or tuples, lists and dicts of them; got a "
            f"{type(outputs).__name__}"
        )
