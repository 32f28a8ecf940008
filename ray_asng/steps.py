"""The two steps of the one-shot loop, for optimizers that propose paths and for those that mix options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from ray_asng.optimizers.base import MixingOptimizer, SamplingOptimizer, Weights
from ray_asng.supernets.evaluation import buffers_kept
from ray_asng.tally import Tally

if TYPE_CHECKING:
    from ray_asng.search import Search


class SampledSteps:
    """The two steps for an optimizer that proposes paths."""

    def __init__(self, search: Search, optimizer: SamplingOptimizer) -> None:
        self.search = search
        self.optimizer = optimizer
        self.buffers = list(search.supernet.buffers())
        self.samples = search.settings.samples or int(getattr(optimizer, "samples", 2))

    def weight_step(self, tally: Tally) -> None:
        inputs, targets = self.search.batch("train")
        for proposal in self.optimizer.ask(self.samples):
            loss, score = self.search.loss_and_score(inputs, targets, proposal.architecture)
            (loss / self.samples).backward()  # type: ignore[no-untyped-call]
            tally.add(loss.detach(), score, len(targets))
        self.search.step_weights()

    def architecture_step(self, tally: Tally, *, learn: bool) -> None:
        inputs, targets = self.search.batch("valid")
        proposals = self.optimizer.ask(self.samples)
        losses = []
        with torch.no_grad(), buffers_kept(self.buffers):
            for proposal in proposals:
                loss, score = self.search.loss_and_score(inputs, targets, proposal.architecture)
                tally.add(loss, score, len(targets))
                losses.append(loss)
        if learn:
            # The one transfer of the step: ranks are made on the host.
            self.optimizer.tell(proposals, torch.stack(losses).tolist())
            self.search.evaluations += len(proposals)


class MixedSteps:
    """The two steps for an optimizer that mixes options; also the `Problem` that it sees."""

    def __init__(self, search: Search, optimizer: MixingOptimizer) -> None:
        self.search = search
        self.optimizer = optimizer
        self.buffers = list(search.supernet.buffers())
        self._batches: dict[str, tuple[Any, torch.Tensor]] = {}
        self._tally = Tally()

    @property
    def parameters(self) -> Sequence[torch.nn.Parameter]:
        return self.search.parameters

    @property
    def learning_rate(self) -> float:
        return float(self.search.weight_optimizer.param_groups[0]["lr"])

    def loss(self, weights: Weights, split: str) -> torch.Tensor:
        inputs, targets = self._batches[split]
        loss, score = self.search.loss_and_score(inputs, targets, weights)
        if split == "valid":
            self._tally.add(loss.detach(), score, len(targets))
        return loss

    def weight_step(self, tally: Tally) -> None:
        inputs, targets = self._batches["train"] = self.search.batch("train")
        loss, score = self.search.loss_and_score(inputs, targets, self.optimizer.weights_for_training())
        loss.backward()  # type: ignore[no-untyped-call]
        tally.add(loss.detach(), score, len(targets))
        self.search.step_weights()

    def architecture_step(self, tally: Tally, *, learn: bool) -> None:
        self._batches["valid"] = self.search.batch("valid")
        self._tally = tally
        with buffers_kept(self.buffers):
            if learn:
                self.optimizer.architecture_step(self)
                self.search.evaluations += 1
            else:
                with torch.no_grad():
                    self.loss(self.optimizer.weights_for_training(), "valid")
