"""A problem with noise on its losses, and a problem whose optimum lies elsewhere.

Put `Noisy` outside: `Noisy(Shifted(problem, seed), deviation, seed)`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ray_asng.space import Architecture, Floats, Integer, Ints, Real, SearchSpace, Value
from ray_asng.tabular.base import Problem
from ray_asng.tabular.formula import check_sizes
from ray_asng.tabular.hashed_normal import hashed_normal
from ray_asng.tabular.planted import LEAST_INTEGERS, draw_place, generator


class Noisy:
    """A problem with normal noise on every loss, another draw at each call.

    A draw is a fixed function of the seed, the stream, the architecture, and the number of calls of this object before.
    So the same calls give the same losses again, and a pickled copy goes on where the original was. Copies in several
    processes count their calls apart: their draws differ as long as their architectures do, and `in_stream` gives each
    a stream of its own where they may not, as `raytune.problem_trainable` does for each trial.

    Args:
        problem: without noise. `optimum`, `least_loss` and `seconds` are as it has them.
        deviation: of the noise, positive, in the unit of the loss.
        seed: of the noise, at least 0.
        stream: name of a sequence of draws.

    Attributes:
        calls: how often a loss was asked for.

    Raises:
        ValueError: deviation or seed out of range.
    """

    def __init__(self, problem: Problem, deviation: float, seed: int, stream: str = "") -> None:
        if not 0.0 < deviation < math.inf:
            raise ValueError(f"deviation must be positive and finite, got {deviation!r}; without noise use the problem")
        check_sizes(0, seed=seed)
        self.problem = problem
        self.deviation = deviation
        self.seed = seed
        self.stream = stream
        self.calls = 0

    @property
    def space(self) -> SearchSpace:
        """What is decided."""
        return self.problem.space

    @property
    def least_loss(self) -> float | None:
        """Loss of the optimum without noise; None where it is not known."""
        return self.problem.least_loss

    @property
    def optimum(self) -> Architecture | None:
        """An architecture that has the least loss without noise; None where none is known."""
        return self.problem.optimum

    def noise_free(self, architecture: Mapping[str, Value]) -> float:
        """The loss without noise."""
        return self.problem.loss(architecture)

    def loss(self, architecture: Mapping[str, Value]) -> float:
        """The loss with noise.

        Raises:
            ValueError: not an architecture of the space.
        """
        checked = self.space.architecture(architecture)
        key = f"{self.seed}/{self.stream}/{self.calls}/{checked.to_json()}"
        self.calls += 1
        return self.noise_free(checked) + self.deviation * hashed_normal(key)

    def __call__(self, config: Mapping[str, Value]) -> float:
        """The loss of what `config` decides, with noise."""
        return self.loss(config)

    def seconds(self, architecture: Mapping[str, Value]) -> float:
        """Simulated seconds that one evaluation costs."""
        return self.problem.seconds(architecture)

    def in_stream(self, stream: str) -> Noisy:
        """The same problem with draws of its own, which has not been called."""
        return Noisy(self.problem, self.deviation, self.seed, stream)


@dataclass(frozen=True)
class Shifted:
    """A problem whose optimum lies elsewhere and is as good, so that no method profits from where it lay.

    In every categorical decision the options exchange their roles by a drawn permutation. In every number a drawn place
    (see `planted`) takes the role of the optimum, and the ranges on both sides of it are stretched or squeezed to fit,
    on the log scale where the decision has one. So order is kept, but an integer may lose some of its former values,
    never that of the optimum. Where no optimum is known, the place takes the role of the centre.

    A number stays as it is whose optimum is at a bound, and an integer of fewer than four values.

    Attributes:
        problem: without noise. `least_loss` and `seconds` are as it has them.
        seed: of permutations and places.

    Raises:
        ValueError: the problem is noisy, or the seed negative.
    """

    problem: Problem
    seed: int

    def __post_init__(self) -> None:
        check_sizes(0, seed=self.seed)
        if isinstance(self.problem, Noisy):
            raise ValueError("Shifted takes a problem without noise; write Noisy(Shifted(problem, ...), ...)")

    @cached_property
    def space(self) -> SearchSpace:
        """The decisions of the problem, without its rules for them, which are for other options."""
        return SearchSpace(self.problem.space.decisions)

    @property
    def least_loss(self) -> float | None:
        """Loss of the optimum, as the problem has it; None where it is not known."""
        return self.problem.least_loss

    @cached_property
    def optimum(self) -> Architecture | None:
        """The architecture in the role of the problem's optimum, numbers up to rounding; None where none is known."""
        if self.problem.optimum is None:
            return None
        options, coordinates = self.space.encode(self.problem.optimum)
        chosen = [int(np.flatnonzero(roles == option)[0]) for roles, option in zip(self._roles, options, strict=True)]
        moved = [
            float(np.interp(coordinate, former, own))
            for coordinate, (own, former) in zip(coordinates, self._knots, strict=True)
        ]
        return self.space.decode(np.array(chosen, dtype=np.int64), np.array(moved, dtype=np.float64))

    def original(self, architecture: Mapping[str, Value]) -> Architecture:
        """The architecture of `problem` whose role this one plays.

        Raises:
            ValueError: not an architecture of the space.
        """
        options, coordinates = self.space.encode(architecture)
        played = [roles[option] for roles, option in zip(self._roles, options, strict=True)]
        moved = [
            float(np.interp(coordinate, own, former))
            for coordinate, (own, former) in zip(coordinates, self._knots, strict=True)
        ]
        return self.problem.space.decode(np.array(played, dtype=np.int64), np.array(moved, dtype=np.float64))

    def loss(self, architecture: Mapping[str, Value]) -> float:
        """The loss of the architecture in this role.

        Raises:
            ValueError: not an architecture of the space.
        """
        return self.problem.loss(self.original(architecture))

    def __call__(self, config: Mapping[str, Value]) -> float:
        """The loss of what `config` decides."""
        return self.loss(config)

    def seconds(self, architecture: Mapping[str, Value]) -> float:
        """Simulated seconds of the architecture in this role."""
        return self.problem.seconds(self.original(architecture))

    @cached_property
    def _roles(self) -> list[Ints]:
        """For each categorical decision (K,): the option of the problem whose role each option plays."""
        rng = generator(self.seed, "roles")
        return [rng.permutation(len(decision.options)) for decision in self.space.categorical]

    @cached_property
    def _knots(self) -> list[tuple[Floats, Floats]]:
        """For each number: coordinates at which it is known which ones of the problem they stand for, and those."""
        rng = generator(self.seed, "shifts")
        optimum = self.problem.optimum
        anchors = [sum(number.bounds) / 2.0 for number in self.space.numeric]
        if optimum is not None:
            anchors = self.space.encode(optimum)[1].tolist()
        return [_knots(number, anchor, rng) for number, anchor in zip(self.space.numeric, anchors, strict=True)]


def _knots(decision: Integer | Real, anchor: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Bounds to bounds, and between them a drawn place to `anchor`."""
    low, high = decision.bounds
    is_short = isinstance(decision, Integer) and len(decision.values) < LEAST_INTEGERS
    if is_short or not low < anchor < high:
        return np.array([low, high]), np.array([low, high])
    place = draw_place(decision, rng)
    return np.array([low, place, high]), np.array([low, anchor, high])
