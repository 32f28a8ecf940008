"""Train a found network from scratch on all training data and measure it on the test data.

The recipe is the same for every architecture, however it was found; that alone makes test accuracies comparable.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ray_asng.device_memory import explained_when_out_of_memory, peak_memory_bytes
from ray_asng.randomness import drawing_from, load_noise, noise_generators, spawn_seeds
from ray_asng.settings import MEMORY_FORMATS, check_name, check_number, check_whole, in_format, lay_out, rate_factor
from ray_asng.space import nearest
from ray_asng.state import check_format, load_moments, load_weights
from ray_asng.stream import IndexStream
from ray_asng.supernets import cost
from ray_asng.supernets.evaluation import buffers_kept
from ray_asng.supernets.supernet import call
from ray_asng.tally import Tally, measure_split, score_split
from ray_asng.tasks.base import Task
from ray_asng.weight_optimizers import SCHEDULES, WEIGHT_OPTIMIZERS, Schedule, WeightOptimizer, make_weight_optimizer

STATE_FORMAT = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class RetrainSettings:
    """Recipe of a retraining; by default SGD with Nesterov momentum and a cosine to 0.

    Attributes:
        epochs: passes over the training data.
        batch_size: examples of a step.
        weight_optimizer: "sgd", "adamw", or a function from parameters to a `torch.optim.Optimizer`.
        lr: at the start; a weight optimizer given as a function has its own.
        schedule: what the learning rates are multiplied by: "cosine" or "linear", both to 0, "constant", "steps" (a
            tenth after two fifths, a hundredth after four), or a function from the share that is done to a factor.
        momentum: of SGD, in Nesterov's form.
        weight_decay: of SGD or AdamW.
        grad_clip: bound on the global norm of the gradient.
        label_smoothing: share of the target spread evenly over all classes, for classification.
        drop_path: at the end, probability with which the output of a chosen operation is dropped for an example; it
            grows linearly from 0.
        auxiliary_weight: of the loss of a second head (`auxiliary_head`), for a network that has one; 0 for none.
            Published is 0.4.
        ema: decay per step of an exponential moving average of the weights, which is then what is measured; 0 for
            none.
        memory_format: "channels_last" or "contiguous".
    """

    epochs: int = 30
    batch_size: int = 128
    weight_optimizer: WeightOptimizer = "sgd"
    lr: float = 0.1
    schedule: Schedule = "cosine"
    momentum: float = 0.9
    weight_decay: float = 5e-4
    grad_clip: float = 5.0
    label_smoothing: float = 0.0
    drop_path: float = 0.0
    auxiliary_weight: float = 0.0
    ema: float = 0.0
    memory_format: str = "channels_last"

    @classmethod
    def from_mapping(cls, recipe: Mapping[str, Any]) -> RetrainSettings:
        """Settings of these names.

        Raises:
            ValueError: an unknown name, or a value out of range.
        """
        known = tuple(setting.name for setting in dataclasses.fields(cls))
        for name in recipe:
            if name not in known:
                raise ValueError(f"unknown field {name!r} of a retraining's recipe{nearest(name, known)}")
        return cls(**recipe)

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            check_whole(name, getattr(self, name), 1)
        for name in ("lr", "grad_clip"):
            check_number(name, getattr(self, name), above=0.0)
        for name in ("weight_decay", "auxiliary_weight"):
            check_number(name, getattr(self, name), low=0.0)
        for name in ("momentum", "label_smoothing", "drop_path", "ema"):
            check_number(name, getattr(self, name), low=0.0, below=1.0)
        check_name("memory_format", self.memory_format, tuple(MEMORY_FORMATS))
        if not callable(self.weight_optimizer):
            check_name("weight_optimizer", self.weight_optimizer, WEIGHT_OPTIMIZERS)
        if not callable(self.schedule):
            check_name("schedule", self.schedule, tuple(SCHEDULES))


class Retraining:
    """One retraining, epoch by epoch, which can be stopped and continued bit for bit.

    Args:
        child: a freshly initialised network; moved to `device`. In training mode one with an `auxiliary_head` returns
            a pair: its outputs, and those of the head.
        task: moved to `device`.
        settings: the recipe.
        choice_paths: paths inside the child where a searched operation stands, for drop-path
            (`Supernet.paths_in_child`).
        seed: of the order of the data, the augmentation and drop-path.
        device: where network and data live.

    Raises:
        ValueError: an auxiliary weight and a network without auxiliary head, or the other way round; images that are
            too small for the head.
    """

    def __init__(
        self,
        child: nn.Module,
        task: Task,
        settings: RetrainSettings | None = None,
        *,
        choice_paths: Sequence[str] = (),
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        self.settings = settings or RetrainSettings()
        self.device = torch.device(device)
        self._memory_format = MEMORY_FORMATS[self.settings.memory_format]
        self.child = child.to(self.device)
        lay_out(self.child, self._memory_format)
        self.task = task.to(self.device)
        seeds = spawn_seeds(seed, 4)
        self.stream = IndexStream("train_valid", task.size("train_valid"), self.settings.batch_size, seeds[0])
        self.augmentation = torch.Generator().manual_seed(seeds[1])
        self.noise = noise_generators([self.device], seeds[2])
        self._noise_of_measuring = seeds[3]
        self.seed = seed
        self.choice_paths = tuple(choice_paths)
        self.weight_optimizer = make_weight_optimizer(
            self.settings.weight_optimizer,
            list(self.child.parameters()),
            lr=self.settings.lr,
            momentum=self.settings.momentum,
            weight_decay=self.settings.weight_decay,
            nesterov=True,
        )
        self._initial_rates = [group["lr"] for group in self.weight_optimizer.param_groups]
        self.average = (
            AveragedModel(self.child, multi_avg_fn=get_ema_multi_avg_fn(self.settings.ema), use_buffers=True)  # type: ignore[no-untyped-call]
            if self.settings.ema
            else None
        )
        self.parameters = cost.count_parameters(self.child)
        self.flops = count_flops(self.child, task)
        self._check_auxiliary()
        self.epoch = 0
        self.wall_seconds = 0.0
        self.report: dict[str, Any] = {}

    @property
    def is_done(self) -> bool:
        """Whether the last epoch has been run."""
        return self.epoch >= self.settings.epochs

    @property
    def network(self) -> nn.Module:
        """What is measured: the child, or the moving average of its weights."""
        return self.child if self.average is None else self.average.module

    def run_epoch(self) -> dict[str, Any]:
        """One pass over the training data, then the test data once; plain metrics under the same keys each time."""
        if self.is_done:
            raise RuntimeError(f"the retraining is done after its {self.settings.epochs} epochs")
        remedy = f"Lower batch_size={self.settings.batch_size}, or width or cells in space_options"
        with explained_when_out_of_memory([self.device], f"in epoch {self.epoch + 1}", remedy):
            return self._run_epoch()

    def _run_epoch(self) -> dict[str, Any]:
        started = time.perf_counter()
        tally = Tally()
        steps = self.stream.batches_per_pass
        self.child.train()
        with drawing_from(*self.noise), self._dropping_paths():
            for step in range(steps):
                share = (self.epoch * steps + step) / (self.settings.epochs * steps)
                factor = rate_factor(self.settings.schedule, share)
                for group, initial in zip(self.weight_optimizer.param_groups, self._initial_rates, strict=True):
                    group["lr"] = initial * factor
                self._train_step(tally)
        self.epoch += 1
        test_loss, test_score = self.evaluate("test")
        measured = {f"test_{name}": value for name, value in self.test_measures().items()}
        if tally.broken or not math.isfinite(test_loss):
            raise FloatingPointError(
                f"the loss was not finite any more in epoch {self.epoch}; lower lr={self.settings.lr}"
            )
        seconds = time.perf_counter() - started
        self.wall_seconds += seconds
        self.report = {
            "epoch": self.epoch,
            "train_loss": tally.loss,
            f"train_{self.task.metric}": tally.score,
            "test_loss": test_loss,
            f"test_{self.task.metric}": test_score,
            **measured,
            "parameters": self.parameters,
            "flops": self.flops,
            "learning_rate": float(self.weight_optimizer.param_groups[0]["lr"]),
            "samples_per_second": tally.examples / seconds,
            "wall_seconds": self.wall_seconds,
            "device_seconds": self.wall_seconds * (torch.get_num_threads() if self.device.type == "cpu" else 1),
            "peak_memory_bytes": peak_memory_bytes([self.device]),
        }
        return dict(self.report)

    def _train_step(self, tally: Tally) -> None:
        inputs, targets = self.task.batch("train_valid", self.stream.next(), self.augmentation)
        outputs, auxiliary = self._run_to_train(inputs)
        loss = self.task.loss(outputs, targets, self.settings.label_smoothing)
        if auxiliary is not None:
            extra = self.task.loss(auxiliary, targets, self.settings.label_smoothing)
            loss = loss + self.settings.auxiliary_weight * extra
        self.weight_optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.child.parameters(), self.settings.grad_clip, foreach=True)
        self.weight_optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.child)
        tally.add(loss, self.task.score(outputs, targets), len(targets))

    def _run_to_train(self, inputs: Any) -> tuple[Any, Any]:
        """Outputs in training, and those of the auxiliary head or None."""
        outputs = self._run(self.child, inputs)
        return outputs if self._has_auxiliary_head else (outputs, None)

    @property
    def _has_auxiliary_head(self) -> bool:
        return getattr(self.child, "auxiliary_head", None) is not None

    def _check_auxiliary(self) -> None:
        weight = self.settings.auxiliary_weight
        if weight and not self._has_auxiliary_head:
            raise ValueError(
                f"auxiliary_weight={weight:g} weighs the loss of an auxiliary head, and this network has none: build "
                "it with auxiliary=True (in space_options) if its space knows that, or leave auxiliary_weight at 0"
            )
        if not self._has_auxiliary_head:
            return
        if not weight:
            raise ValueError(
                "this network has an auxiliary head, which learns nothing with auxiliary_weight=0: give the retraining "
                "a weight, such as the published 0.4, or build the network with auxiliary=False"
            )
        # The head runs in training alone. It must not fail there after hours of search.
        inputs, _ = self.task.batch("test", torch.arange(2))
        with torch.no_grad(), buffers_kept(list(self.child.buffers())), self._drawing_apart():
            self.child.train()
            self._run_to_train(inputs)

    def _drawing_apart(self) -> AbstractContextManager[None]:
        """Let what the network draws be the same each time, and no part of the training's randomness."""
        return drawing_from(*noise_generators([self.device], self._noise_of_measuring))

    def evaluate(self, split: str) -> tuple[float, float]:
        """Mean loss and metric on a whole split, in evaluation mode."""
        self.network.eval()
        with torch.no_grad(), self._drawing_apart():
            return score_split(self.task, split, self.task.size(split), lambda inputs: self._run(self.network, inputs))

    def test_measures(self) -> dict[str, float]:
        """What the task measures on the whole test split besides its metric (`test_measures`), if it does."""
        measures = getattr(self.task, "test_measures", {})
        self.network.eval()
        with torch.no_grad(), self._drawing_apart():
            return measure_split(
                self.task, "test", self.task.size("test"), lambda inputs: self._run(self.network, inputs), measures
            )

    def _run(self, network: nn.Module, inputs: Any) -> Any:
        return call(network, in_format(inputs, self._memory_format))

    @contextmanager
    def _dropping_paths(self) -> Iterator[None]:
        """Drop-path as hooks that are gone afterwards, so that the child stays an ordinary module."""
        rate = self.settings.drop_path * self.epoch / self.settings.epochs
        places = dict(self.child.named_modules())
        found = [places[path] for path in self.choice_paths if path in places]
        hooks = [
            module.register_forward_hook(lambda _module, _inputs, output: drop_path(output, rate))
            for module in found
            if rate > 0.0 and not isinstance(module, nn.Identity)
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def state_dict(self) -> dict[str, Any]:
        """Everything that the future depends on but the settings."""
        state = {
            "format": STATE_FORMAT,
            "child": self.child.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "weight_optimizer": self.weight_optimizer.state_dict()["state"],
            "stream": self.stream.state_dict(),
            "augmentation": self.augmentation.get_state(),
            "noise": [generator.get_state() for generator in self.noise],
            "epoch": self.epoch,
            "wall_seconds": self.wall_seconds,
            "report": self.report,
        }
        return copy.deepcopy(state)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken.

        Raises:
            ValueError: a newer format, or the state of another network.
        """
        check_format(state, STATE_FORMAT)
        load_weights(self.child, state["child"])
        if self.average is not None and state["average"] is not None:
            self.average.load_state_dict(state["average"])
        load_moments(self.weight_optimizer, state["weight_optimizer"])
        self.stream.load_state_dict(state["stream"])
        self.augmentation.set_state(state["augmentation"])
        self.epoch = int(state["epoch"])
        load_noise(self.noise, state["noise"], (self.seed, self.epoch))
        self.wall_seconds = float(state["wall_seconds"])
        self.report = dict(state["report"])


def measured_weights(state: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The weights that a saved retraining was measured with: the child's, or their moving average."""
    if state["average"] is None:
        return dict(state["child"])
    prefix = "module."
    return {name.removeprefix(prefix): value for name, value in state["average"].items() if name.startswith(prefix)}


def drop_path(output: torch.Tensor, rate: float) -> torch.Tensor:
    """Zero `output` (B, ...) for a random share `rate` of the examples and scale the others up to keep the mean.

    Draws from torch's global generator, which the retraining lends.
    """
    kept = torch.rand(len(output), device=output.device).ge_(rate).to(output.dtype) / (1.0 - rate)
    return output * kept.view(-1, *[1] * (output.dim() - 1))


def count_flops(network: nn.Module, task: Task) -> int:
    """Floating-point operations of one example of the task; see `supernets.cost.count_flops`."""
    inputs, _ = task.batch("test", torch.arange(1))
    return cost.count_flops(network, inputs)
