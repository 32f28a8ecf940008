"""What a user puts into his own module where the search shall decide.

All choices of one decision share a switch that holds how they run now; the `Supernet` around the module sets it before
each pass. Which operations run is known on the host, so no pass waits for the device to find out.

Between the large operations of a network all of this runs with cold caches, where a line of Python costs several times
what it costs in a loop of its own. So little happens in a choice's `forward`.

Dimension letters: K options of the choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import nn

from ray_asng.space import Categorical

Candidates: TypeAlias = Mapping[str, nn.Module]
"""The options of a choice by their number, written as text as in the names of weights."""


@dataclass(frozen=True, slots=True)
class One:
    """Only option `index` runs."""

    index: int

    def run(self, candidates: Candidates, inputs: tuple[Any, ...]) -> Any:
        return candidates[str(self.index)](*inputs)


@dataclass(frozen=True, slots=True)
class Mixture:
    """The options `indices` run, and their outputs are summed with `weights` (K,)."""

    indices: tuple[int, ...]
    weights: torch.Tensor

    def run(self, candidates: Candidates, inputs: tuple[Any, ...]) -> torch.Tensor:
        first, *others = self.indices
        total: torch.Tensor = self.weights[first] * candidates[str(first)](*inputs)
        for index in others:
            total = total + self.weights[index] * candidates[str(index)](*inputs)
        return total


@dataclass(frozen=True, slots=True)
class Hard:
    """Only option `index` runs, while the gradient reaches all K `weights`, whose values are one-hot at `index`.

    The weights of the options that did not run enter as scalars of value zero (Dong & Yang, GDAS, CVPR 2019).
    """

    index: int
    weights: torch.Tensor

    def run(self, candidates: Candidates, inputs: tuple[Any, ...]) -> torch.Tensor:
        chosen = self.weights[self.index]
        output: torch.Tensor = chosen * candidates[str(self.index)](*inputs) + (self.weights.sum() - chosen)
        return output


Run: TypeAlias = One | Mixture | Hard


class Switch:
    """How the choices of one decision run now: what `Supernet` sets and the choices read.

    Copies and pickles hold nothing, since a way of running may carry a graph.
    """

    __slots__ = ("now",)

    def __init__(self) -> None:
        self.now: Run | None = None

    def __reduce__(self) -> tuple[type[Switch], tuple[()]]:
        return Switch, ()


class OneOf(nn.Module):
    """One of several operations, each with its own weights.

    Choices of one name are one decision of the search: same options in the same order, separate weights.

    Args:
        options: option name (free text) -> operation; at least two. All must take the same inputs and, if options
            are to be mixed, return tensors of one shape.
        name: of the decision; by default the path of this module inside the supernet's module.
        unsearched: further operations by name, which an architecture may have though no method proposes them: they
            can be run as a path and extracted, and take no part in mixtures.

    Raises:
        ValueError: fewer than two options, or a name that is both an option and unsearched.

    Example:
        >>> layer = OneOf({"wide": nn.Linear(8, 8), "skip": nn.Identity()}, name="layer_1")
    """

    def __init__(
        self,
        options: Mapping[str, nn.Module],
        *,
        name: str | None = None,
        unsearched: Mapping[str, nn.Module] | None = None,
    ) -> None:
        super().__init__()
        further = unsearched or {}
        if len(options) < 2:
            raise ValueError(
                f"OneOf {name or ''!r} needs at least two options, got {list(options)!r}; "
                "put an operation that is not searched into the module itself"
            )
        both = [option for option in further if option in options]
        if both:
            raise ValueError(f"OneOf {name or ''!r} has {both[0]!r} both as an option and as unsearched; name it once")
        self.options: tuple[str, ...] = tuple(options)
        self.unsearched: tuple[str, ...] = tuple(further)
        self.candidates = nn.ModuleList([*options.values(), *further.values()])
        self.name = name
        self.switch = Switch()

    def forward(self, *inputs: Any) -> Any:
        now = self.switch.now
        if now is None:
            raise RuntimeError(
                f"the choice {self.name or self.options!r} was run before anything was chosen; "
                "call the network through Supernet(module)(inputs, architecture)"
            )
        # Not the list itself: it looks an index up in five steps, which cost more than a skip connection.
        return now.run(self.candidates._modules, inputs)

    def decision(self, name: str) -> Categorical:
        """What is searched, called `name`."""
        return Categorical(name, self.options, self.unsearched)

    @property
    def chosen(self) -> str | None:
        """The only operation that runs now; None where several may, or before anything was chosen.

        For a `Partial` around this choice that leaves it out where the choice says so, as an empty edge. Such a module
        needs a `search_space` of its own: to the default one, a choice that does not run does not matter.
        """
        now = self.switch.now
        return (self.options + self.unsearched)[now.index] if isinstance(now, One) else None

    def is_parameter_free(self, index: int) -> bool:
        """Whether option number `index` has no weights of its own, such as a skip connection or pooling."""
        return next(self.candidates[index].parameters(), None) is None

    def extra_repr(self) -> str:
        rest = f", unsearched={list(self.unsearched)!r}" if self.unsearched else ""
        return f"name={self.name!r}, options={list(self.options)!r}{rest}"
