"""The contracts: of a table of what architectures reached when trained by themselves, and of a problem to search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from ray_asng.space import Architecture, SearchSpace, Value


@runtime_checkable
class Table(Protocol):
    """Values of every architecture of a space, such as `NASBench201Table`.

    Attributes:
        truth: name of the value by which inherited losses are judged; more is better.
    """

    truth: str

    def look_up(self, architecture: Mapping[str, Value]) -> dict[str, float]:
        """Name -> value, the same names for every architecture; accuracies are shares from 0 to 1.

        Raises:
            ValueError: not an architecture of the table.
        """

    def reference(self, space: SearchSpace) -> dict[str, dict[str, float | list[float]]]:
        """What the architectures of `space` have in each value.

        Returns:
            Name -> "best", the largest; "best_by_valid", that of the architecture which is best by the validation
            split; "random_mean", the mean of all; "random_quantiles", the percentiles 0, 1, ..., 100 of all.
        """


@runtime_checkable
class Problem(Protocol):
    """Something to search with few evaluations: a table or a formula, such as `OneMax(20)`.

    A problem can be called like a function, with a config of the same keys as its space, and is then its own loss.
    """

    @property
    def space(self) -> SearchSpace:
        """What is decided."""

    @property
    def least_loss(self) -> float | None:
        """Loss of the best architecture; None where it is not known."""

    @property
    def optimum(self) -> Architecture | None:
        """An architecture that has the least loss; None where none is known."""

    def loss(self, architecture: Mapping[str, Value]) -> float:
        """How bad an architecture is; lower is better.

        Raises:
            ValueError: not an architecture of the space.
        """

    def seconds(self, architecture: Mapping[str, Value]) -> float:
        """Simulated seconds that one evaluation costs; positive, and always the same for an architecture.

        Raises:
            ValueError: not an architecture of the space.
        """

    def __call__(self, config: Mapping[str, Value]) -> float:
        """The loss of what `config` decides."""
