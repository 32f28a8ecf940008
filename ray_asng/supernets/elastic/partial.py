"""Modules that leave out parts of themselves, depending on what was chosen."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

from torch import nn


class Partial(nn.Module):
    """A module some of whose parts do not run, depending on the present values of its choices.

    Such as the operations at inputs that were not chosen. The module's own `forward` leaves them out; that a child
    does not carry their weights along takes their names. In the child None stands in their place.

    Example:
        >>> class ReadsOne(elastic.Partial):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.source = ValueChoice(3, name="source")
        ...         self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
        ...
        ...     def forward(self, states):
        ...         return self.layers[int(self.source)](states[int(self.source)])
        ...
        ...     def unused(self):
        ...         return (f"layers.{place}" for place in range(3) if place != int(self.source))
    """

    @abstractmethod
    def unused(self) -> Iterator[str]:
        """Paths, inside this module, of the modules that do not run at the present values, here or elsewhere."""
