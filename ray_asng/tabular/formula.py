"""A problem whose loss is a formula, with a known optimum and made-up seconds.

Dimension letters: D categorical decisions, M numeric (integer and real) ones.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping

from ray_asng.space import Architecture, Floats, Ints, SearchSpace, Value
from ray_asng.tabular.hashed_normal import hashed_normal

MEDIAN_SECONDS = 100.0
LOG_DEVIATION = 0.5


class Formula(ABC):
    """A `Problem` given by its space, its optimum and a formula on index arrays. The least loss is 0."""

    @property
    @abstractmethod
    def space(self) -> SearchSpace:
        """What is decided."""

    @property
    @abstractmethod
    def optimum(self) -> Architecture:
        """An architecture that has the least loss."""

    @abstractmethod
    def formula(self, options: Ints, coordinates: Floats) -> float:
        """The loss at (D,) option indices and (M,) coordinates, as `SearchSpace.encode` gives them."""

    @property
    def least_loss(self) -> float:
        """Loss of the optimum."""
        return 0.0

    def loss(self, architecture: Mapping[str, Value]) -> float:
        """How bad an architecture is; lower is better.

        Raises:
            ValueError: not an architecture of the space.
        """
        return float(self.formula(*self.space.encode(architecture)))

    def __call__(self, config: Mapping[str, Value]) -> float:
        """The loss of what `config` decides."""
        return self.loss(config)

    def seconds(self, architecture: Mapping[str, Value]) -> float:
        """Made-up seconds of one evaluation: log-normal over architectures, without relation to their losses.

        Half of the architectures take less than 100 s, 95 % take from 38 to 266 s. They are a hash of the
        architecture, so even neighbours differ, and the same architecture takes the same time everywhere.

        Raises:
            ValueError: not an architecture of the space.
        """
        text = self.space.architecture(architecture).to_json()
        return MEDIAN_SECONDS * math.exp(LOG_DEVIATION * hashed_normal(text))


def check_sizes(least: int, **sizes: int) -> None:
    """Raise ValueError unless every size is a whole number of at least `least`."""
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < least:
            raise ValueError(f"{name} must be a whole number of at least {least}, got {size!r}")
