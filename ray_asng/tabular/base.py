"""The contract of a table: what architectures reached when they were trained by themselves, looked up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from ray_asng.space import SearchSpace, Value


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
