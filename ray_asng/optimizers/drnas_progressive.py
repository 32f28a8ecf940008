"""DrNAS in stages: operations see more and more of the channels, and fewer and fewer options are left.

A stage mixes the options that are left on one of so many parts of the channels. Before the next one, those with the
smallest beta are discarded, and the operations get more channels, which begin as copies of others (`widening`). At the
beginning of a stage the distribution rests, while the weights get used to it.

References:
    Chen, Wang, Cheng, Tang & Hsieh, "DrNAS: Dirichlet Neural Architecture Search", ICLR 2021, and its code; defaults
    of its progressive search of NAS-Bench-201. That of the DARTS space, without `none`, has partial_channels (6, 4)
    and keeps 4 of 7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

import torch

from ray_asng.optimizers.base import Cost, Problem
from ray_asng.optimizers.drnas import DrNAS
from ray_asng.optimizers.kept import Kept
from ray_asng.space import Floats, SearchSpace

_FEWEST = 2
_REST_SHARE = 0.2


class ProgressiveDrNAS(DrNAS):
    """DrNAS in stages of partial channels.

    Args:
        space: categorical decisions only.
        seed: of the initial beta, 1e-3 times standard normal, and of the samples.
        learning_rate: of Adam.
        regulariser: "l2", "kl" or None; see `DrNAS`. The divergence is that over the options that are left.
        regulariser_weight: of either.
        partial_channels: parts of the channels of which operations see one, stage by stage, decreasing; the network
            is built with the first.
        kept: options of each decision that are left in the second stage, the third, and so on; 2 or more. All where
            there are not so many.
        stage_epochs: length of each stage; by default they are equally long.
        rest_epochs: of each stage, at its beginning; by default a fifth of its epochs.
        device: where beta lives.

    Attributes:
        stage: number of the present one, from 0.
        options: decision name -> indices of the options that are left.

    Raises:
        ValueError: as `DrNAS`; partial channels, options or epochs of the stages that do not fit together.
    """

    def __init__(
        self,
        space: SearchSpace,
        seed: int = 0,
        learning_rate: float = 3e-4,
        regulariser: str | None = "l2",
        regulariser_weight: float = 1e-3,
        partial_channels: Sequence[int] = (4, 2),
        kept: Sequence[int] = (3,),
        stage_epochs: Sequence[int] | None = None,
        rest_epochs: int | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(space, seed, learning_rate, regulariser, regulariser_weight, device)
        self.partial_channels, self.kept = tuple(partial_channels), tuple(kept)
        self.stage_epochs = None if stage_epochs is None else tuple(stage_epochs)
        self.rest_epochs = rest_epochs
        self._check()
        self.stage = 0
        self.options = {name: tuple(range(len(row))) for name, row in self.beta.items()}
        self._epoch = 0
        self._epochs = 0

    def _check(self) -> None:
        stages = len(self.partial_channels)
        falling = all(one > other for one, other in pairwise(self.partial_channels))
        if not self.partial_channels or not falling or self.partial_channels[-1] < 1:
            raise ValueError(
                f"partial_channels are numbers of parts that fall from stage to stage, at last to 1 or more, such as "
                f"(4, 2); got {self.partial_channels}"
            )
        if len(self.kept) != stages - 1 or any(number < _FEWEST for number in self.kept):
            raise ValueError(
                f"kept has the number of options, 2 or more, for each of the {stages - 1} stages after the first; "
                f"got {self.kept}"
            )
        if any(one < other for one, other in pairwise(self.kept)):
            raise ValueError(
                f"kept cannot rise from stage to stage, as discarded options do not return; got {self.kept}"
            )
        if self.stage_epochs is not None and (len(self.stage_epochs) != stages or min(self.stage_epochs) < 1):
            raise ValueError(
                f"stage_epochs has the number of epochs, 1 or more, of each of the {stages} stages; got "
                f"{self.stage_epochs}"
            )
        if self.rest_epochs is not None and self.rest_epochs < 0:
            raise ValueError(f"rest_epochs must be 0 or more, got {self.rest_epochs}")

    def prepare(self, problem: Problem, epochs: int) -> None:
        """Find out whether the stages fit the search.

        Raises:
            ValueError: they do not fit its epochs; the network has other partial channels than the first stage, or
                operations that cannot have those of a later one.
            TypeError: an operation has layers of a class that cannot be widened.
        """
        lengths, stages = self._lengths(epochs), len(self.partial_channels)
        if min(lengths) < 1 or sum(lengths) != epochs:
            wanted = f"stage_epochs={self.stage_epochs}" if self.stage_epochs else f"{stages} stages of equal length"
            raise ValueError(
                f"{wanted} do not fit a search of {epochs} epochs; give stage_epochs whose sum is {epochs}"
                if epochs >= stages
                else f"{stages} stages need at least {stages} epochs, got a search of {epochs}"
            )
        if self.rest_epochs is not None and self.rest_epochs >= min(lengths):
            raise ValueError(
                f"rest_epochs={self.rest_epochs} leave nothing of a stage of {min(lengths)} epochs in which the "
                f"distribution learns; take fewer, or more epochs than {epochs}"
            )
        if problem.partial_channels != self.partial_channels[0]:
            first = self.partial_channels[0]
            raise ValueError(
                f"the first stage has partial_channels={first}, the network {problem.partial_channels}: build it with "
                f'"space_options": {{"partial_channels": {first}}}, or give the method other partial_channels'
            )
        for parts in self.partial_channels[1:]:
            problem.check_partial_channels(parts)
        self._epochs = epochs

    def _lengths(self, epochs: int) -> tuple[int, ...]:
        """Epochs of each stage."""
        if self.stage_epochs is not None:
            return self.stage_epochs
        stages = len(self.partial_channels)
        return tuple(epochs * (stage + 1) // stages - epochs * stage // stages for stage in range(stages))

    @property
    def is_resting(self) -> bool:
        """Whether the present stage has just begun."""
        if not self._epochs:
            return False
        lengths = self._lengths(self._epochs)
        due = self._stage_due
        rest = int(_REST_SHARE * lengths[due]) if self.rest_epochs is None else self.rest_epochs
        return self._epoch - sum(lengths[:due]) < rest

    @property
    def _stage_due(self) -> int:
        """The stage of the epoch that comes next."""
        ends = accumulate(self._lengths(self._epochs))
        return min(sum(self._epoch >= end for end in ends), len(self.partial_channels) - 1)

    @property
    def cost(self) -> Cost:
        """Both steps run the options that are left forward and backward."""
        options = sum(map(len, self.options.values())) / len(self.options)
        return Cost(forward=2.0 * options, backward=2.0 * options, memory="all options")

    @property
    def probabilities(self) -> dict[str, Floats]:
        """Decision name -> (K,) mean of the Dirichlet distribution, 0 for options that are discarded."""
        means = {name: torch.from_numpy(row) for name, row in super().probabilities.items()}
        return {name: row.numpy() for name, row in Kept(means, self.options, self._counts).items()}

    def on_epoch_end(self, epoch: int, epochs: int) -> None:
        """Have the next stage begun before the next weight step, if it is its turn."""
        super().on_epoch_end(epoch, epochs)
        self._epoch, self._epochs = epoch, epochs

    def weights_for_step(self, problem: Problem) -> dict[str, torch.Tensor]:
        """Begin the stage that is due, then as `weights_for_training`."""
        while self._epochs and self.stage < self._stage_due:
            self.stage += 1
            self._discard(self.kept[self.stage - 1])
            problem.set_partial_channels(self.partial_channels[self.stage])
        return self.weights_for_training()

    def weights_for_training(self) -> dict[str, torch.Tensor]:
        """A fresh sample over the options that are left, detached."""
        sample = {name: row.detach() for name, row in super()._sample().items()}
        return Kept(sample, self.options, self._counts)

    def _discard(self, kept: int) -> None:
        """Leave so many options of each decision, those with the largest beta."""
        for name, options in self.options.items():
            beta = self.beta[name].tolist()
            best = sorted(options, key=lambda option, beta=beta: -beta[option])[:kept]  # type: ignore[misc]
            self.options[name] = tuple(sorted(best))

    def _left(self) -> dict[str, torch.Tensor]:
        return {name: row[list(self.options[name])] for name, row in self.beta.items()}

    def _sample(self) -> dict[str, torch.Tensor]:
        return Kept(super()._sample(), self.options, self._counts)

    @property
    def _counts(self) -> dict[str, int]:
        return {name: len(row) for name, row in self.beta.items()}

    def metrics(self) -> dict[str, float]:
        """The number of the stage, from 1, and the parts of the channels of which operations see one."""
        return {
            **super().metrics(),
            "stage": self.stage + 1.0,
            "partial_channels": float(self.partial_channels[self.stage]),
        }

    def state_dict(self) -> dict[str, Any]:
        """The state of DrNAS, the stage, the options that are left and the epochs done."""
        options = {name: list(left) for name, left in self.options.items()}
        return {**super().state_dict(), "stage": self.stage, "options": options, "epoch": self._epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state of the same space; the settings stay those of the construction."""
        super().load_state_dict(state)
        self.stage, self._epoch = int(state["stage"]), int(state["epoch"])
        self.options = {name: tuple(map(int, left)) for name, left in state["options"].items()}
