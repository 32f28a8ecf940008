"""DARTS-PT: an option is chosen by what the supernet loses without it, not by its weight.

The last epochs are the tuning phase. At its start, and in equal distances until its last epoch, one decision more is
made: the decision is drawn at random; each of its options is left out of the mixture in turn; the one whose removal
raises the validation loss most is kept, and from then on stands alone. The weights are tuned to it, and the logits of
the other decisions go on learning, until the next decision.

Where the space compares decisions with each other, as the DARTS space does to keep two inputs a node, those decisions
win whose options the mixture misses most when they are left out without replacement. All of them are compared once,
when the last decision is made; the published code removes the inputs of a node one after the other, tuning in between.

The published code takes the validation accuracy, which ties where the loss does not, and restarts the learning rate at
a tenth of its first value; with a cosine schedule and the default share of the phase it has fallen to that anyway.

References:
    Wang, Cheng, Chen, Tang & Hsieh, "Rethinking Architecture Selection in Differentiable NAS", ICLR 2021; the share of
    the tuning phase is that of the published code for NAS-Bench-201, 25 of 125 epochs.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import torch

from ray_asng.optimizers.base import Problem, Weights
from ray_asng.optimizers.darts import DARTS
from ray_asng.space import Architecture, Floats, SearchSpace

_SOFTMAX_SHARE = 1e-3


class DARTSPT(DARTS):
    """DARTS whose decisions are made one by one in a tuning phase, by leaving options out of the mixture.

    A search of one epoch has no tuning phase: it ends as DARTS does.

    Args:
        space: categorical decisions only.
        seed: of the initial logits, 1e-3 times standard normal, and of the order of decisions.
        learning_rate: of Adam.
        weight_decay: of Adam.
        tuning_share: part of the epochs, the last ones, that belongs to the tuning phase; at least one epoch does. If
            it has fewer epochs than there are decisions, several are made at a time.
        hessian_every: epochs between measurements of the Hessian's dominant eigenvalue; 0 for never.
        device: where the logits live.

    Attributes:
        decided: decision name -> index of the option it keeps, in the order in which decisions were made.

    Raises:
        ValueError: as `DARTS`; or `tuning_share` is not between 0 and 1.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int = 0,
        learning_rate: float = 3e-4,
        weight_decay: float = 1e-3,
        tuning_share: float = 0.2,
        hessian_every: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(space, seed, learning_rate, weight_decay, hessian_every, device)
        if not 0.0 < tuning_share < 1.0:
            raise ValueError(f"tuning_share is a part of the epochs, above 0 and below 1; got {tuning_share!r}")
        self.tuning_share = tuning_share
        self.decided: dict[str, int] = {}
        self._open = [decision.name for decision in space.categorical if len(decision.options) > 1]
        self._num_due = 0
        self._strengths: dict[str, float] = {}

    @property
    def probabilities(self) -> dict[str, Floats]:
        """Decision name -> (K,) softmax of the logits; 1 for the option of a decision that is made."""
        rows = self._state.probabilities
        return {**rows, **{name: np.eye(len(rows[name]))[index] for name, index in self.decided.items()}}

    def reseed(self, seed: int) -> None:
        """Make the remaining decisions in an order of their own."""
        self.generator.manual_seed(seed)

    def on_epoch_end(self, epoch: int, epochs: int) -> None:
        """Have decisions made before the next weight step, if it is their turn."""
        super().on_epoch_end(epoch, epochs)
        self._num_due = decisions_due(epoch, epochs, self.tuning_share, len(self._open) + len(self.decided))

    def weights_for_step(self, problem: Problem) -> dict[str, torch.Tensor]:
        """Make the decisions that are due, then as `weights_for_training`."""
        while len(self.decided) < self._num_due:
            name = self._open.pop(int(torch.randint(len(self._open), (1,), generator=self.generator)))
            self.decided[name] = most_missed(problem, self.weights_for_training(), name)
            if not self._open:
                self._strengths = strengths(problem, self.weights_for_training(), self.decided)
        return self.weights_for_training()

    def _mixture(self) -> dict[str, torch.Tensor]:
        """Softmax of the logits, with its graph; one-hot and without where the decision is made."""
        mixture = super()._mixture()
        return {
            name: torch.eye(len(row), device=row.device)[self.decided[name]] if name in self.decided else row
            for name, row in mixture.items()
        }

    def most_likely(self) -> Architecture:
        """What the space derives; once all decisions are made, from how much each is missed."""
        if not self._strengths:
            return super().most_likely()
        # A little of the softmax breaks ties between options that no decision has kept.
        rows = {name: _SOFTMAX_SHARE * row for name, row in self._state.probabilities.items()}
        for name, index in self.decided.items():
            rows[name][index] += self._strengths[name]
        return self.space.derive(rows)

    def metrics(self) -> dict[str, float]:
        """The number of decisions made, besides what DARTS reports."""
        return {**super().metrics(), "decided": float(len(self.decided))}

    def state_dict(self) -> dict[str, Any]:
        """The state of DARTS, the decisions in their order, and the generator."""
        return {
            **super().state_dict(),
            "decided": dict(self.decided),
            "num_due": self._num_due,
            "strengths": dict(self._strengths),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state of the same space; the settings stay those of the construction."""
        super().load_state_dict(state)
        names = [name for name in self.logits if name in self._open or name in self.decided]
        self.decided = {name: int(index) for name, index in state["decided"].items()}
        self._open = [name for name in names if name not in self.decided]
        self._num_due = int(state["num_due"])
        self._strengths = dict(state["strengths"])
        self.generator.set_state(state["generator"])


def decisions_due(epoch: int, epochs: int, share: float, decisions: int) -> int:
    """How many decisions are to be made before the epoch after number `epoch` (the first is 1) of `epochs`.

    Args:
        epoch: done.
        epochs: of the search.
        share: part of them that belongs to the tuning phase.
        decisions: in all; the first is made before the first epoch of the phase, the last before its last one.
    """
    tuning = max(1, round(share * epochs))
    done = epoch - (epochs - tuning)
    if done < 0:
        return 0
    distances = max(decisions - 1, 1)
    return sum(min(number * tuning // distances, tuning - 1) <= done for number in range(decisions))


def most_missed(problem: Problem, weights: Weights, name: str) -> int:
    """The option of decision `name` without which the loss of the mixture is highest; the first one of equals.

    The weight of an option that is left out is not shared out among the others, as published. A loss that is not
    finite counts as highest.
    """
    losses = []
    for index in range(len(weights[name])):
        without = weights[name].clone()
        without[index] = 0.0
        losses.append(_loss(problem, {**weights, name: without}))
    return int(np.argmax(losses))


def strengths(problem: Problem, weights: Weights, decided: Collection[str]) -> dict[str, float]:
    """Decision name -> number from 0.5 to 1, in the order of the loss of the mixture without any option of it."""
    losses = {name: _loss(problem, {**weights, name: torch.zeros_like(weights[name])}) for name in decided}
    order = sorted(losses, key=lambda name: losses[name])
    return {name: 0.5 + 0.5 * (place + 1) / len(order) for place, name in enumerate(order)}


def _loss(problem: Problem, weights: Weights) -> float:
    loss = problem.evaluate(weights)
    return loss if math.isfinite(loss) else math.inf
