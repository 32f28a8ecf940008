"""NAS-Bench-201 as a problem: search by validation accuracy, report test accuracy, count the seconds of training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ray_asng.space import Architecture, Categorical, SearchSpace, Value
from ray_asng.tabular.nasbench201 import EDGES, NASBench201Table


@dataclass(frozen=True)
class NASBench201Problem:
    """The cells of a table.

    Attributes:
        table: by default the one in the data folder.
        dataset: "cifar10", "cifar100" or "ImageNet16-120".

    Raises:
        FileNotFoundError: there is no table in the data folder; says how to get one.
        ValueError: unknown data set, or the table has no accuracies of it.

    Example:
        >>> problem = NASBench201Problem(dataset="cifar10")
        >>> problem.value(problem.optimum)
    """

    table: NASBench201Table = field(default_factory=NASBench201Table)
    dataset: str = "cifar10"

    def __post_init__(self) -> None:
        self.table.accuracies(self.dataset, "valid")  # raises for what is not in the table, and is needed anyway

    @cached_property
    def space(self) -> SearchSpace:
        """Six categorical decisions `edge_0_1` ... `edge_2_3` among the operations of the table."""
        return SearchSpace([Categorical(f"edge_{edge}", self.table.operations) for edge in EDGES])

    @cached_property
    def optimum(self) -> Architecture:
        """The cell with the highest validation accuracy."""
        return self.table.best(self.dataset, "valid")

    @cached_property
    def least_loss(self) -> float:
        """Loss of the optimum."""
        return -float(np.nanmax(self.table.accuracies(self.dataset, "valid")))

    def loss(self, architecture: Mapping[str, Value]) -> float:
        """Minus the validation accuracy after 200 epochs, in percent, the mean over the public seeds.

        Raises:
            ValueError: not a cell of the table, or one without this accuracy.
        """
        return -self.table.accuracy(self.space.architecture(architecture), self.dataset, "valid")

    def __call__(self, config: Mapping[str, Value]) -> float:
        """The loss of what `config` decides."""
        return self.loss(config)

    def value(self, architecture: Mapping[str, Value]) -> float:
        """Test accuracy after 200 epochs in percent, for a report alone: a search that looks at it is not fair.

        Raises:
            ValueError: not a cell of the table, or one without this accuracy.
        """
        return self.table.accuracy(self.space.architecture(architecture), self.dataset, "test")

    def seconds(self, architecture: Mapping[str, Value]) -> float:
        """Recorded seconds of the training whose accuracy `loss` gives.

        Raises:
            ValueError: not a cell of the table, or one without this time.
        """
        return self.table.seconds(self.space.architecture(architecture), self.dataset)
