"""The one-shot search loop: a step of the supernet's weights, then a step of the architecture, over and over.

Weight step: the paths of lambda fresh proposals on one training batch, forward and backward one after the other, so
that memory stays at one child's. Architecture step: lambda fresh proposals on one validation batch, forward only; the
optimizer learns from their losses. Methods that mix options run the mixture in both places, and learn from the
gradient by its weights.

Everything random comes from generators of the search, so it can be saved after any epoch and continued bit for bit.

References:
    Akimoto et al., ICML 2019, algorithm 1, as ordered in the published code.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeAlias

import torch

from ray_asng.device_memory import explained_when_out_of_memory, peak_memory_bytes
from ray_asng.final_ranking import final_architecture
from ray_asng.nested import map_tensors
from ray_asng.optimizers.base import MixingOptimizer, Optimizer, SamplingOptimizer
from ray_asng.passes import Passes
from ray_asng.probe import probe
from ray_asng.randomness import drawing_from, load_noise, noise_generators, spawn_seeds
from ray_asng.replicas import Replicas, listed
from ray_asng.settings import MEMORY_FORMATS, PRECISIONS, SearchSettings, in_format, lay_out, rate_factor
from ray_asng.space import Architecture, SearchSpace, Value
from ray_asng.standing import losses_and_scores, standing
from ray_asng.state import check_format, load_moments, load_weights
from ray_asng.steps import MixedSteps, SampledSteps
from ray_asng.stream import IndexStream
from ray_asng.supernets.evaluation import scoring
from ray_asng.supernets.supernet import Supernet
from ray_asng.supernets.ways import Way
from ray_asng.tally import Tally, score_split
from ray_asng.tasks.base import Task

Device: TypeAlias = torch.device | str

STATE_FORMAT = 3
# Steps whose validation loss no method asks for are watched now and then, so that every epoch has one to report.
_STEPS_BETWEEN_LOSSES = 10


class Search:
    """One run of a method on a supernet and a task.

    Args:
        supernet: moved to `device`.
        task: moved to `device`.
        optimizer: a sampling or a mixing optimizer on `supernet.space`.
        settings: lengths and rates.
        seed: of the order of the data, the augmentation, and dropout inside the network.
        device: where network and data live; of several, all of one kind, each runs its share of a step's paths, and
            the first one does the rest.

    Attributes:
        device: the first one.
        devices: all of them.
        epoch: epochs done.
        evaluations: losses of architectures that the optimizer was given.
        steps: weight steps done.
        passes: what it has cost so far; scoring the likeliest path for the report is left out.
        report: what the last epoch returned; empty before the first.
        architecture: the best architecture known: the most likely one, after the last epoch what `finalize` chose.

    Raises:
        ValueError: a batch larger than a split, more devices than paths of a step, or a network, loss or metric that
            cannot work on the task's data (see `probe`).
        TypeError: an optimizer of neither kind.
        MemoryError: the network does not fit.

    Example:
        >>> search = Search(Supernet(module), tasks.digits(), ASNG(supernet.space), SearchSettings(epochs=5))
        >>> while not search.is_done:
        ...     metrics = search.run_epoch()
        >>> child = search.supernet.extract(search.architecture)
    """

    def __init__(
        self,
        supernet: Supernet,
        task: Task,
        optimizer: Optimizer,
        settings: SearchSettings | None = None,
        *,
        seed: int = 0,
        device: Device | Sequence[Device] = "cpu",
    ) -> None:
        if not isinstance(optimizer, (SamplingOptimizer, MixingOptimizer)):
            raise TypeError(f"an optimizer is a SamplingOptimizer or a MixingOptimizer, got {type(optimizer)}")
        self.settings = settings or SearchSettings()
        self.devices = listed(device)
        self.device = self.devices[0]
        self._memory_format = MEMORY_FORMATS[self.settings.memory_format]
        with self._explained("when the search was built"):
            self.supernet = supernet.to(self.device)
            lay_out(self.supernet, self._memory_format)
            self.task = task.to(self.device)
            self.replicas = Replicas(self.supernet, self.devices)
            self.parameters: list[torch.nn.Parameter] = list(self.supernet.parameters())
            self.weight_optimizer = self.settings.make_weight_optimizer(self.parameters)
        self.optimizer = optimizer
        self.seed = seed
        self._start_streams(seed)
        self._initial_rates = [group["lr"] for group in self.weight_optimizer.param_groups]
        self._steps: SampledSteps | MixedSteps = (
            SampledSteps(self, optimizer) if isinstance(optimizer, SamplingOptimizer) else MixedSteps(self, optimizer)
        )
        self.epoch = 0
        self.evaluations = 0
        self.steps = 0
        self.passes = Passes()
        self.wall_seconds = 0.0
        self.report: dict[str, Any] = {}
        self._final: Architecture | None = None
        with self._explained("when a few paths were tried"):
            probe(self)

    def _start_streams(self, seed: int | tuple[int, ...]) -> None:
        """Everything that the search draws, from one seed."""
        seeds = spawn_seeds(seed, 5)
        batch_size = self.settings.batch_size
        self.train_stream = IndexStream("train", self.task.size("train"), batch_size, seeds[0])
        self.valid_stream = IndexStream("valid", self.task.size("valid"), batch_size, seeds[1])
        self.augmentation = torch.Generator().manual_seed(seeds[2])
        self._optimizer_seed = seeds[3]
        self.noise = noise_generators(self.devices, seeds[4])

    @property
    def space(self) -> SearchSpace:
        """What is searched."""
        space: SearchSpace = self.supernet.space
        return space

    @property
    def is_done(self) -> bool:
        """Whether the last epoch has been run."""
        return self.epoch >= self.settings.epochs

    @property
    def steps_per_epoch(self) -> int:
        """Weight steps of an epoch, unless its passes are given (`passes_per_epoch`)."""
        return self.settings.steps_per_epoch or self.train_stream.batches_per_pass

    @property
    def architecture(self) -> Architecture:
        """The best architecture known now."""
        return self._final if self._final is not None else self.optimizer.most_likely()

    def run_epoch(self) -> dict[str, Any]:
        """Run one epoch.

        Returns:
            Metrics, plain numbers, strings and lists under the same keys at every epoch; see `results.schema`.

        Raises:
            RuntimeError: the search is done.
            FloatingPointError: a training loss, all validation losses, or the metric of the most likely path are not
                finite any more.
            MemoryError: a device ran out of memory; says what helps.
        """
        if self.is_done:
            raise RuntimeError(f"the search is done after its {self.settings.epochs} epochs; build one with more")
        with self._explained(f"in epoch {self.epoch + 1}"):
            return self._run_epoch()

    def _run_epoch(self) -> dict[str, Any]:
        started = time.perf_counter()
        if self.device.type == "cuda":
            for device in self.devices:
                torch.cuda.reset_peak_memory_stats(device)
        train, valid = Tally(), Tally()
        for network in self.replicas.networks:
            network.train()
        with drawing_from(*self.noise):
            step = 0
            while step == 0 or not self._is_epoch_full(step):
                self._set_learning_rate(step)
                self._steps.weight_step(train)
                self._architecture_step(step, valid)
                step += 1
        self.steps += step
        self.epoch += 1
        self.optimizer.on_epoch_end(self.epoch, self.settings.epochs)
        if self.is_done:
            self._final = final_architecture(self)
        _, path_score = self.evaluate(self.architecture)
        if train.broken or not math.isfinite(valid.loss) or not math.isfinite(path_score):
            raise FloatingPointError(
                f"the loss was not finite any more in epoch {self.epoch}; lower lr={self.settings.lr} or "
                f"grad_clip={self.settings.grad_clip}"
            )
        seconds = time.perf_counter() - started
        self.wall_seconds += seconds
        self.report = {
            **losses_and_scores(self, train, valid, path_score),
            **standing(self),
            "samples_per_second": (train.examples + valid.examples) / seconds,
            "wall_seconds": self.wall_seconds,
            "device_seconds": self.wall_seconds * self._devices_in_use,
            "peak_memory_bytes": peak_memory_bytes(self.devices),
        }
        return dict(self.report)

    def _is_epoch_full(self, step: int) -> bool:
        """Whether the epoch ends before step number `step`."""
        wanted = self.settings.passes_per_epoch
        return step >= self.steps_per_epoch if wanted is None else self.passes.total >= (self.epoch + 1) * wanted

    def _architecture_step(self, step: int, valid: Tally) -> None:
        seen = valid.examples
        is_learning = self.epoch >= self.settings.warmup_epochs and not self.optimizer.is_resting
        if is_learning and step % self.optimizer.architecture_every == 0:
            self._steps.architecture_step(valid, learn=True)
        if valid.examples == seen and step % _STEPS_BETWEEN_LOSSES == 0:
            self._steps.architecture_step(valid, learn=False)

    @property
    def _devices_in_use(self) -> int:
        return torch.get_num_threads() if self.device.type == "cpu" else len(self.devices)

    def _explained(self, doing: str) -> AbstractContextManager[None]:
        remedy = (
            f"Lower batch_size={self.settings.batch_size}, or width or cells in space_options; or use "
            "precision='bfloat16'; or give the trial more: memory_fraction, gpus, or fewer trials at a time"
        )
        return explained_when_out_of_memory(self.devices, doing, remedy)

    def evaluate(
        self, architecture: Mapping[str, Value], split: str = "valid", examples: int | None = None
    ) -> tuple[float, float]:
        """Mean loss and metric of a path, without augmentation, batch norm by batch.

        Args:
            architecture: of the path.
            split: "train", "valid" or "test".
            examples: at most so many, the first ones of the split; all by default.
        """
        size = self.task.size(split)
        with drawing_from(*self.noise), scoring(self.supernet):
            return score_split(
                self.task,
                split,
                size if examples is None else min(examples, size),
                lambda inputs: self.outputs(inputs, architecture),
            )

    def outputs(self, inputs: Any, way: Way) -> Any:
        """Outputs of one way of running the network, in its present mode, for inputs as the task gives them."""
        return self._outputs(self.features(in_format(inputs, self._memory_format)), way)

    def batch(self, split: str) -> tuple[Any, torch.Tensor]:
        """The next augmented batch of `split`, 'train' or 'valid', laid out in the memory format of the search."""
        stream = self.train_stream if split == "train" else self.valid_stream
        inputs, targets = self.task.batch(split, stream.next(), self.augmentation)
        return in_format(inputs, self._memory_format), targets

    def features(self, inputs: Any) -> Any:
        """What every way of running the network on a batch of inputs computes first, on the first device.

        The inputs themselves if the module has no `before_choices`.
        """
        with self._precision():
            return self.supernet.before_choices(inputs)

    def _outputs(self, features: Any, way: Way, place: int = 0) -> Any:
        """Outputs, on the first device, of network number `place`; the features are on its device."""
        with self._precision():
            outputs = self.replicas.networks[place].with_choices(features, way)
        # A loss in half precision has too few digits to rank paths by.
        return map_tensors(lambda part: _in_float32(part).to(self.device), outputs)

    def _precision(self) -> AbstractContextManager[None]:
        if self.settings.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, PRECISIONS[self.settings.precision])

    def loss_and_score(
        self, features: Any, targets: torch.Tensor, way: Way, place: int = 0
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss with its graph, and metric, of one way of running the network; both scalars on the first device.

        Args:
            features: of the batch, from `features`, on the device of network number `place`.
            targets: of the batch, on the first device.
            way: see `Supernet.forward`.
            place: number of the network in `replicas`.
        """
        outputs = self._outputs(features, way, place)
        loss = self.task.loss(outputs, targets)
        self.passes.add(self.replicas.networks[place].passes, loss)
        return loss, self.task.score(outputs, targets)

    def step_weights(self) -> None:
        """One step of the weights that have a gradient; the others are left as they are."""
        with self.replicas.slices.narrowed(self.weight_optimizer):
            used = [parameter for parameter in self.parameters if parameter.grad is not None]
            torch.nn.utils.clip_grad_norm_(used, self.settings.grad_clip, foreach=True)
            self.weight_optimizer.step()
        self.replicas.hand_out(used)
        for parameter in used:
            parameter.grad = None

    def _set_learning_rate(self, step: int) -> None:
        wanted = self.settings.passes_per_epoch
        done = self.passes.total / wanted if wanted else self.epoch + step / self.steps_per_epoch
        factor = rate_factor(self.settings.schedule, done / self.settings.epochs)
        for group, initial in zip(self.weight_optimizer.param_groups, self._initial_rates, strict=True):
            group["lr"] = initial * factor

    def state_dict(self) -> dict[str, Any]:
        """Everything that the future depends on but the settings: tensors, numbers, strings, lists and dicts.

        As with a module's, weights and moments are not copied: save the state, load it or copy it before going on.
        """
        return {
            "format": STATE_FORMAT,
            **self._kinds(),
            "seed": self.seed,
            "supernet": self.supernet.state_dict(),
            "weight_optimizer": self.weight_optimizer.state_dict()["state"],
            "optimizer": self.optimizer.state_dict(),
            "train_stream": self.train_stream.state_dict(),
            "valid_stream": self.valid_stream.state_dict(),
            "augmentation": self.augmentation.get_state(),
            "noise": [generator.get_state() for generator in self.noise],
            "epoch": self.epoch,
            "evaluations": self.evaluations,
            "steps": self.steps,
            "passes": self.passes.state_dict(),
            "wall_seconds": self.wall_seconds,
            "final": None if self._final is None else dict(self._final),
            "report": self.report,
        }

    def _kinds(self) -> dict[str, str]:
        """What a state must have in common with the search that takes it up, besides the layers of the network."""
        return {
            "space": repr(self.space),
            "method": type(self.optimizer).__name__,
            "weight optimizer": type(self.weight_optimizer).__name__,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken; the settings, such as learning rates, stay those of the construction.

        A search with another seed takes over weights and distribution, but not the random streams: it gets its own.
        So does one on other devices for what is drawn there, such as dropout.

        Raises:
            ValueError: another format, or a state of another space, method, weight optimizer, network or split.
        """
        check_format(state, STATE_FORMAT)
        for what, own in self._kinds().items():
            if state[what] != own:
                raise ValueError(
                    f"the checkpoint is of another {what}: it has {state[what]!r}, this search {own!r}; "
                    f"resume with the {what} it was made with"
                )
        load_weights(self.supernet, state["supernet"])
        load_moments(self.weight_optimizer, state["weight_optimizer"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.train_stream.load_state_dict(state["train_stream"])
        self.valid_stream.load_state_dict(state["valid_stream"])
        self.augmentation.set_state(state["augmentation"])
        self.epoch = int(state["epoch"])
        load_noise(self.noise, state["noise"], (self.seed, self.epoch))
        self.evaluations = int(state["evaluations"])
        self.steps = int(state["steps"])
        self.passes.load_state_dict(state["passes"])
        self.wall_seconds = float(state["wall_seconds"])
        self.report = dict(state["report"])
        # A search that is given more epochs than the one it takes up has not decided yet.
        is_decided = self.is_done and state["final"] is not None
        self._final = self.space.architecture(state["final"]) if is_decided else None
        if state["seed"] != self.seed:
            self.draw_anew()
        self.replicas.hand_out(self.parameters)

    def draw_anew(self, number: int = 0) -> None:
        """Leave the random streams that came with a state for own ones, from the seed, the epoch and `number`."""
        self._start_streams((self.seed, self.epoch, number))
        self.optimizer.reseed(self._optimizer_seed)


def _in_float32(output: torch.Tensor) -> torch.Tensor:
    return output.float() if output.dtype in (torch.bfloat16, torch.float16) else output
