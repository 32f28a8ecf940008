"""The two steps of the one-shot loop, for optimizers that propose paths and for those that mix options."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from ray_asng.final_ranking import first_examples
from ray_asng.optimizers.base import MixingOptimizer, Proposal, SamplingOptimizer, Weights
from ray_asng.optimizers.kept import Kept
from ray_asng.optimizers.one_hot import OneHot
from ray_asng.shared_features import SharedFeatures
from ray_asng.supernets.evaluation import buffers_kept, scoring
from ray_asng.supernets.partial_channels import check_growth, partial_channels_of, set_partial_channels
from ray_asng.supernets.ways import Among, StraightThrough, Way
from ray_asng.tally import Tally, score_split

if TYPE_CHECKING:
    from ray_asng.search import Search


class SampledSteps:
    """The two steps for an optimizer that proposes paths."""

    def __init__(self, search: Search, optimizer: SamplingOptimizer) -> None:
        self.search = search
        self.optimizer = optimizer
        self.buffers = search.replicas.buffers
        self.samples = search.settings.samples or optimizer.samples
        if self.samples < optimizer.least_samples:
            raise ValueError(
                f"samples must be at least {optimizer.least_samples} for {type(optimizer).__name__}, which learns from "
                f"ranks; got {self.samples}"
            )
        self.weight_samples = search.settings.weight_samples or self.samples
        if self.weight_samples % optimizer.round_size:
            raise ValueError(
                f"a weight step of {type(optimizer).__name__} has rounds of {optimizer.round_size} paths, so that it "
                f"trains all options alike; got {self.weight_samples} paths. Leave samples and weight_samples unset, "
                f"or set weight_samples to a multiple of {optimizer.round_size}"
            )
        fewest = min(self.samples, self.weight_samples)
        if len(search.devices) > fewest:
            name = "samples" if fewest == self.samples else "weight_samples"
            raise ValueError(
                f"a step of {fewest} paths cannot occupy {len(search.devices)} devices; "
                f"set {name}={len(search.devices)}, or give the search {fewest} devices (gpus)"
            )

    def weight_step(self, tally: Tally) -> None:
        """Fresh paths on one training batch, then one step. What the paths have in common runs once.

        As many paths as there are devices run forward and backward before the next ones.
        """
        inputs, targets = self.search.batch("train")
        shared = SharedFeatures(self.search.features(inputs))
        for proposals in self._rounds(self.weight_samples):
            losses = []
            with self.search.replicas.slices.collecting():
                for place, proposal in enumerate(proposals):
                    start = shared.start(self.search.devices[place])
                    loss, score = self.search.loss_and_score(start, targets, proposal.architecture, place)
                    tally.add(loss, score, len(targets))
                    if loss.requires_grad:  # a path may have no weights at all
                        losses.append(loss / self.weight_samples)
                # One call for all: it runs the graphs of different devices at the same time.
                if losses:
                    torch.autograd.backward(losses)
            shared.collect_gradients()
            self.search.replicas.collect_gradients()
        shared.backward()
        self.search.step_weights()

    def architecture_step(self, tally: Tally, *, learn: bool) -> None:
        """Fresh paths on one validation batch; with `learn` the optimizer is told their losses."""
        inputs, targets = self.search.batch("valid")
        told: list[Proposal] = []
        losses = []
        with torch.no_grad(), buffers_kept(self.buffers):
            shared = SharedFeatures(self.search.features(inputs))
            for proposals in self._rounds(self.samples):
                for place, proposal in enumerate(proposals):
                    start = shared.start(self.search.devices[place])
                    loss, score = self.search.loss_and_score(start, targets, proposal.architecture, place)
                    tally.add(loss, score, len(targets))
                    losses.append(loss)
                told += proposals
        if learn:
            # The one transfer of the step: ranks are made on the host.
            self.optimizer.tell(told, torch.stack(losses).tolist())
            self.search.evaluations += len(told)

    def _rounds(self, samples: int) -> list[list[Proposal]]:
        """So many fresh proposals, as many at a time as there are devices."""
        proposals = self.optimizer.ask(samples)
        count = len(self.search.devices)
        return [proposals[start : start + count] for start in range(0, len(proposals), count)]


class MixedSteps:
    """The two steps for an optimizer that mixes options; also the `Problem` that it sees."""

    def __init__(self, search: Search, optimizer: MixingOptimizer) -> None:
        self.search = search
        self.optimizer = optimizer
        self.buffers = search.replicas.buffers
        search.supernet.refuse_values()
        if len(search.devices) > 1:
            raise ValueError(
                f"{type(optimizer).__name__} runs one mixture a step, which occupies one device; it was given "
                f"{len(search.devices)}. Give it one (gpus=1), or use a method that samples paths"
            )
        self._batches: dict[str, tuple[Any, torch.Tensor]] = {}
        self._tally = Tally()
        optimizer.prepare(self, search.settings.epochs)

    @property
    def parameters(self) -> Sequence[torch.nn.Parameter]:
        """The supernet's weights."""
        return self.search.parameters

    @property
    def learning_rate(self) -> float:
        """The present learning rate of the weights."""
        return float(self.search.weight_optimizer.param_groups[0]["lr"])

    def loss(self, weights: Weights, split: str) -> torch.Tensor:
        """Loss of the mixture on this step's batch of `split`."""
        if split not in self._batches:
            self._batches[split] = self.search.batch(split)
        inputs, targets = self._batches[split]
        loss, score = self.search.loss_and_score(self.search.features(inputs), targets, _way(weights))
        if split == "valid":
            self._tally.add(loss, score, len(targets))
        return loss

    def evaluate(self, weights: Weights) -> float:
        """Loss of the mixture on the examples of the validation split by which architectures are ranked at the end."""
        search, way = self.search, _way(weights)
        examples = first_examples(search)
        with scoring(search.supernet):
            loss, _ = score_split(search.task, "valid", examples, lambda inputs: search.outputs(inputs, way))
        search.evaluations += 1
        search.passes.forward += search.supernet.passes * examples / search.settings.batch_size
        return loss

    def weight_direction(
        self, parameters: Sequence[torch.nn.Parameter], gradients: Sequence[torch.Tensor]
    ) -> list[torch.Tensor]:
        """Where a step of the weights would go: to w - learning_rate d, with decay and momentum of SGD.

        Clipping is left out. Of other weight optimizers than SGD, the gradients themselves.

        Args:
            parameters: some of the supernet's weights.
            gradients: of a loss by these, in their shapes.

        Returns:
            Directions [d], in the shapes of `parameters`.
        """
        optimizer = self.search.weight_optimizer
        if not isinstance(optimizer, torch.optim.SGD):
            return list(gradients)
        settings = optimizer.param_groups[0]
        directions = []
        for parameter, gradient in zip(parameters, gradients, strict=True):
            direction = gradient + settings["weight_decay"] * parameter.detach()
            buffer = optimizer.state[parameter].get("momentum_buffer")
            directions.append(direction if buffer is None else direction + settings["momentum"] * buffer)
        return directions

    @property
    def partial_channels(self) -> int:
        """Parts of the channels of which the supernet's operations see one."""
        return partial_channels_of(self.search.supernet)

    def check_partial_channels(self, parts: int) -> None:
        """Raise ValueError or TypeError if the operations cannot be made to see one of fewer parts."""
        check_growth(self.search.supernet, parts)

    def set_partial_channels(self, parts: int) -> None:
        """Make the operations see one of fewer parts; what the weight optimizer remembers grows with them."""
        set_partial_channels(self.search.supernet, parts, self.search.weight_optimizer)

    def weight_step(self, tally: Tally) -> None:
        """The mixture on one training batch."""
        inputs, targets = self.search.batch("train")
        self._batches = {"train": (inputs, targets)}
        with buffers_kept(self.buffers):
            weights = self.optimizer.weights_for_step(self)
        way = _way(weights)
        loss, score = self.search.loss_and_score(self.search.features(inputs), targets, way)
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
        tally.add(loss, score, len(targets))
        self.search.step_weights()

    def architecture_step(self, tally: Tally, *, learn: bool) -> None:
        """One step of the optimizer; without `learn` the loss on a validation batch alone."""
        self._tally = tally
        with buffers_kept(self.buffers):
            if learn:
                loss = self.optimizer.architecture_step(self)
                self.search.evaluations += 1
                if not math.isfinite(loss):
                    raise FloatingPointError(
                        f"the loss of an architecture step became {loss}; lower lr={self.learning_rate}"
                    )
            else:
                with torch.no_grad():
                    self.loss(self.optimizer.weights_for_training(), "valid")


def _way(weights: Weights) -> Way:
    """How the supernet runs mixing weights: those that stand for one path run it alone, discarded options not."""
    if isinstance(weights, OneHot):
        return StraightThrough(weights.architecture, weights)
    return Among(weights.options, weights) if isinstance(weights, Kept) else weights
