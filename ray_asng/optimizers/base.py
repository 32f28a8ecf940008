"""The two contracts of an architecture optimizer.

A *sampling* optimizer proposes whole architectures and learns from their losses alone. A *mixing* optimizer gives
every option a weight and learns from the gradient of a loss by these weights. Neither knows networks, data or Ray.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from ray_asng.space import Architecture, Floats, Ints, SearchSpace, Value

if TYPE_CHECKING:  # annotations only: sampling optimizers must work where torch is slow to import
    import torch

Weights: TypeAlias = "Mapping[str, torch.Tensor]"
Evaluate: TypeAlias = Callable[[Mapping[str, Value]], float]
"""Loss of an architecture with the weights it has now, on a fixed part of the validation split. Lower is better."""


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """An architecture with what its optimizer needs to learn from it later.

    Attributes:
        architecture: what to evaluate.
        options: (D,) option indices of the categorical decisions; (0,) where one of its values is not searched.
        values: (M,) raw draws of the integer and real decisions, neither clipped nor rounded.
        log_probability: natural logarithm of the density under the distribution it was drawn from.
        version: how many updates that distribution had seen.
    """

    architecture: Architecture
    options: Ints
    values: Floats = field(default_factory=lambda: np.empty(0))
    log_probability: float = 0.0
    version: int = 0


def proposal_of(space: SearchSpace, architecture: Architecture) -> Proposal:
    """A proposal that stands for the architecture alone; without indices where one of its values has none."""
    if not space.is_searched(architecture):
        return Proposal(architecture, np.empty(0, dtype=np.int64))
    return Proposal(architecture, *space.encode(architecture))


@dataclass(frozen=True, slots=True)
class Cost:
    """What one step of a search (a weight step and its share of an architecture step) costs with a method.

    Attributes:
        forward: forward passes, in passes of one path.
        backward: backward passes, likewise.
        memory: "one path" or "all options": what a pass with gradients keeps at a time.
    """

    forward: float
    backward: float
    memory: str


class Optimizer(ABC):
    """What both kinds share. Subclass `SamplingOptimizer` or `MixingOptimizer`, not this.

    `convergence_limit`, `is_resting`, `finalize`, `finalists`, `reseed`, `on_epoch_end`, `cost` and `metrics` are
    hooks: they do next to nothing and are there to be replaced.

    Attributes:
        architecture_every: weight steps for one architecture step of the search loop.
        ranking_batches: validation batches that a loss for `finalists` is the mean over; by default as many as make
            2048 examples, at most the whole split.
        recalibration_batches: training batches by which each architecture that is ranked at the end gets running
            statistics of its own, where batch norms keep any; with 0 they use those of each validation batch.
    """

    space: SearchSpace
    architecture_every: int = 1
    ranking_batches: int | None = None
    recalibration_batches: int = 0

    @property
    @abstractmethod
    def probabilities(self) -> dict[str, Floats]:
        """Decision name -> (K,) probabilities; over its values for an integer; (mean, deviation) for a real."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything that the future depends on, as tensors, numbers, strings, lists and dicts; copies."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned; settings given at construction stay."""

    @property
    def convergence_limit(self) -> float:
        """The largest convergence (`ray_asng.concentration`) that bounds on the probabilities allow."""
        return 1.0

    @property
    def is_resting(self) -> bool:
        """Whether the search shall make no architecture steps now, as in `warmup_epochs`."""
        return False

    def most_likely(self) -> Architecture:
        """The architecture that the optimizer holds best now, without further evaluations."""
        return self.space.derive(self.probabilities)

    def finalize(self, evaluate: Evaluate) -> Architecture:
        """The architecture that the search returns; methods that rank or project at the end use `evaluate`."""
        return self.most_likely()

    def finalists(self, evaluate: Evaluate) -> list[Architecture]:
        """Architectures of which the search returns the best one by its loss on the whole validation split.

        By default there is one, that of `finalize`, and nothing is left to compare. Methods that rank in two stages
        return the best of the first stage, the best first.
        """
        return [self.finalize(evaluate)]

    def reseed(self, seed: int) -> None:
        """Draw from a new random stream from now on, if the method draws at all.

        Called when a search takes over the state of another one, whose stream it must not repeat.
        """

    def on_epoch_end(self, epoch: int, epochs: int) -> None:
        """Called after epoch number `epoch` (the first is 1) of `epochs`; for schedules."""

    def metrics(self) -> dict[str, float]:
        """The method's own numbers for the report: the same keys at every call, finite values."""
        return {}


class SamplingOptimizer(Optimizer):
    """Learns from losses of whole architectures.

    Attributes:
        samples: proposals for one update that the search loop draws unless told otherwise.
        least_samples: fewer than these teach the method nothing.
        round_size: proposals of one `ask` that belong together; a weight step has a multiple of so many paths.
    """

    samples: int = 2
    least_samples: int = 1
    round_size: int = 1

    @property
    def cost(self) -> Cost:
        """Paths of `samples` proposals in the weight step, with gradients, and as many in the architecture step."""
        forward = self.samples * (1.0 + 1.0 / self.architecture_every)
        return Cost(forward=forward, backward=self.samples, memory="one path")

    @abstractmethod
    def ask(self, count: int) -> list[Proposal]:
        """Draw `count` proposals from the present distribution."""

    @abstractmethod
    def tell(self, proposals: Sequence[Proposal | Mapping[str, Value]], losses: Sequence[float] | Floats) -> None:
        """Learn once from all that is given; a bare architecture stands for its own values.

        Args:
            proposals: (N,) from any earlier `ask`, or plain architectures.
            losses: (N,); lower is better. NaN and infinities rank worst.
        """


class Problem(Protocol):
    """What a mixing optimizer may ask of the search, during either step."""

    @property
    def parameters(self) -> Sequence[torch.nn.Parameter]:
        """The supernet's weights, for methods that unroll a weight step."""

    @property
    def learning_rate(self) -> float:
        """The present learning rate of the weights."""

    def loss(self, weights: Weights, split: str) -> torch.Tensor:
        """Loss (a scalar with its graph) of the mixture on this step's batch of `split`: 'train' or 'valid'."""

    def evaluate(self, weights: Weights) -> float:
        """Loss of the mixture, without gradient, on a fixed part of the validation split: up to 2048 examples."""

    @property
    def partial_channels(self) -> int:
        """Parts of the channels of which operations see one (`space_options`); 1 if they see all."""

    def check_partial_channels(self, parts: int) -> None:
        """Raise ValueError or TypeError if the operations cannot be made to see one of fewer parts."""

    def set_partial_channels(self, parts: int) -> None:
        """Make the operations see one of fewer parts; for `weights_for_step`."""


class MixingOptimizer(Optimizer):
    """Learns from the gradient of a loss by the weights with which options are mixed."""

    def prepare(self, problem: Problem, epochs: int) -> None:
        """Called before a search of so many epochs starts: a hook for methods that need more than a space.

        Raises:
            ValueError, TypeError: the method cannot search this network, or not in so many epochs.
        """

    @property
    def cost(self) -> Cost:
        """Both steps run all options forward and backward."""
        options = mean_options(self.space)
        return Cost(forward=2.0 * options, backward=2.0 * options, memory="all options")

    @abstractmethod
    def weights_for_training(self) -> dict[str, torch.Tensor]:
        """Decision name -> (K,) mixing weights, without gradient, for the next step of the supernet's weights."""

    def weights_for_step(self, problem: Problem) -> dict[str, torch.Tensor]:
        """What the weight step about to be made runs: a hook for methods that choose it by losses.

        By default `weights_for_training()`, which remains what the method mixes by at other times. The problem's
        'train' batch is the one that the step is made on.
        """
        return self.weights_for_training()

    @abstractmethod
    def architecture_step(self, problem: Problem) -> float:
        """Move the architecture once; return the loss that it saw."""


def mean_options(space: SearchSpace) -> float:
    """Options of a categorical decision, on the average: passes of one path that a mixture of all options costs."""
    return float(np.mean([len(decision.options) for decision in space.categorical]))


def categorical_only(space: SearchSpace, method: str) -> None:
    """Refuse a space that a method for categorical decisions cannot take.

    Raises:
        ValueError: the space has integer or real decisions.
    """
    if space.numeric:
        names = [decision.name for decision in space.numeric]
        raise ValueError(
            f"{method} takes categorical decisions only; {names} are numeric. "
            "Use asng, sng, random_search, rsps or evolution."
        )
