"""Conformance of a task: its splits and batches. Loss and metric are checked in `learning`."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from ray_asng.nested import map_tensors
from ray_asng.tasks.base import SPLITS, Task
from ray_asng.testing.equality import difference, tensors
from ray_asng.testing.failure import fail, no_error
from ray_asng.testing.global_state import global_randomness_untouched
from ray_asng.testing.learning import check_loss_and_score

_BATCH = 16
_CHUNK = 256
# Above this number of examples the splits are not compared example by example.
_FEW = 4096


def check_task(
    build: Callable[[], Any], *, network: nn.Module | Callable[[], nn.Module] | None = None, seed: int = 0
) -> None:
    """Check a task: members, splits, batches, augmentation, loss and metric.

    Args:
        build: makes the task, new each time.
        network: for the inputs of the task (a module to copy, or a builder); its outputs are given to loss and score.
            By default a linear layer on the flattened inputs with `network_options["classes"]` outputs.
        seed: of augmentation and network.

    Raises:
        AssertionError: says what was checked, expected and found, and what to mend.
        ValueError: no network is given, and none can be made from `network_options`.

    Example:
        >>> check_task(lambda: MyTask(folder="data"), network=lambda: MyNetwork(width=8))
    """
    with global_randomness_untouched("building the task"):
        task = _built(build)
    _check_members(task)
    _check_sizes(task)
    with global_randomness_untouched("drawing batches"):
        for split in SPLITS:
            _check_batch(task, split)
            _check_augmentation(task, split, seed)
        _check_equal_builds(task, _built(build))
        _check_train_and_valid(task)
    check_loss_and_score(task, _indices(task, "train"), network, seed)


def _built(build: Callable[[], Any]) -> Task:
    with no_error("building the task", mend="let the builder return a task"):
        task = build()
    missing = [name for name in _members() if not hasattr(task, name)]
    if missing:
        fail(
            "the members of the task",
            expected=f"{', '.join(_members())}, as in ray_asng.tasks.base.Task",
            got=f"a {type(task).__name__} without {', '.join(missing)}",
            mend="add them",
        )
    with no_error("task.to(cpu)", mend="let `to` return the task with its data on the device"):
        moved: Task = task.to(torch.device("cpu"))
    if not isinstance(moved, Task):
        fail("task.to(cpu)", expected="a task", got=type(moved), mend="let `to` return the task, not None")
    return moved


def _members() -> tuple[str, ...]:
    return "name", "metric", "higher_is_better", "network_options", "to", "size", "batch", "loss", "score"


def _check_members(task: Task) -> None:
    if not isinstance(task.name, str) or not task.name.strip() or not task.name.isprintable():
        fail("task.name", expected="a line of text for reports", got=repr(task.name), mend='name it, such as "digits"')
    if not isinstance(task.metric, str) or not task.metric.isidentifier():
        fail(
            "task.metric",
            expected='a word that makes a column name, such as "accuracy" in "valid_accuracy"',
            got=repr(task.metric),
            mend="use letters, digits and underscores only",
        )
    if not isinstance(task.higher_is_better, bool):
        fail("task.higher_is_better", expected="True or False", got=repr(task.higher_is_better), mend="use a bool")
    try:
        is_plain = isinstance(task.network_options, Mapping) and bool(json.dumps(dict(task.network_options)))
    except TypeError:
        is_plain = False
    if not is_plain:
        fail(
            "task.network_options",
            expected='a dict of plain values, such as {"classes": 10, "in_channels": 3}; {} if there is nothing to say',
            got=repr(task.network_options),
            mend="use names of the builder's options as keys, and numbers or strings as values",
        )


def _check_sizes(task: Task) -> None:
    sizes = {}
    for split in SPLITS:
        with no_error(f"task.size({split!r})", mend=f"answer for each of {SPLITS}"):
            sizes[split] = task.size(split)
    if not all(isinstance(size, int) and size > 0 for size in sizes.values()):
        fail("the sizes of the splits", expected="an int above 0 for each", got=sizes, mend="give every split examples")
    if sizes["train"] + sizes["valid"] != sizes["train_valid"]:
        fail(
            "the sizes of the splits",
            expected="train + valid = train_valid",
            got=sizes,
            mend="let train_valid hold all examples of train and of valid, and nothing else",
        )


def _indices(task: Task, split: str) -> torch.Tensor:
    """A few indices of a split, out of order."""
    return torch.arange(min(_BATCH, task.size(split))).flip(0)


def _drawn(task: Task, split: str, indices: torch.Tensor, generator: torch.Generator | None = None) -> Any:
    with no_error(
        f"a batch of {split!r} with{'' if generator else 'out'} a generator",
        mend="let batch(split, indices, generator=None) return inputs and targets for any indices below size(split)",
    ):
        inputs, targets = task.batch(split, indices, generator)
    return inputs, targets


def _check_batch(task: Task, split: str) -> None:
    indices = _indices(task, split)
    checked = f"a batch of {split!r}"
    first = _drawn(task, split, indices)
    parts = list(tensors(first))
    if not isinstance(first[1], torch.Tensor) or any(part.ndim < 1 or len(part) != len(indices) for part in parts):
        fail(
            checked,
            expected=f"inputs (tensor, tuple or dict of tensors) and a targets tensor, {len(indices)} examples first",
            got=[tuple(part.shape) for part in parts],
            mend="put the batch dimension first, with one entry for each index",
        )
    if any(part.device.type != "cpu" for part in parts):
        fail(
            checked,
            expected="on the device given to task.to",
            got={str(part.device) for part in parts},
            mend="build batches on the device that `to` was called with",
        )
    kept = copy.deepcopy(first)
    turned = map_tensors(lambda part: part.flip(0), _drawn(task, split, indices.flip(0)))
    for part in parts:
        # Whoever uses a batch may change it in place; the data must not notice.
        part.zero_()
    where = difference(kept, _drawn(task, split, indices), "batch") or difference(kept, turned, "batch")
    if where:
        fail(
            checked,
            expected="the same examples for the same indices, whatever was asked before and in which order",
            got=where,
            mend="without a generator draw nothing, keep no position in the data, take rows by the indices given, and "
            "return copies (data[indices]) rather than views of the data",
        )


def _check_augmentation(task: Task, split: str, seed: int) -> None:
    """Everything random in a batch comes from its generator."""
    indices = _indices(task, split)
    generators = [torch.Generator().manual_seed(seed) for _ in range(2)]
    checked = f"augmented batches of {split!r} with equal generators"
    with global_randomness_untouched(f"drawing augmented batches of {split!r}"):
        batches = [_drawn(task, split, indices, generator) for generator in generators]
    where = difference(batches[0], batches[1], "batch")
    if where or not torch.equal(generators[0].get_state(), generators[1].get_state()):
        fail(
            checked,
            expected="equal batches, and generators that stand at the same place",
            got=where or "generators at different places",
            mend="let the augmentation draw everything from the generator given, and as much for equal indices",
        )


def _check_equal_builds(task: Task, again: Task) -> None:
    for split in SPLITS:
        indices = _indices(task, split)
        where = difference(_drawn(task, split, indices), _drawn(again, split, indices), f"{split} batch")
        if where or task.size(split) != again.size(split):
            fail(
                "two tasks from one builder",
                expected="the same examples under the same indices",
                got=where or f"{task.size(split)} and {again.size(split)} examples in {split!r}",
                mend="divide the data by a seed (`split_seed`) of its own, and sort what comes unordered",
            )


def _check_train_and_valid(task: Task) -> None:
    """Train and valid are a division of train_valid; compared where the data are few and of one shape."""
    if task.size("train_valid") > _FEW:
        return
    counts = {split: Counter(_examples(task, split)) for split in ("train", "valid", "train_valid")}
    parts = counts["train"] + counts["valid"]
    if parts != counts["train_valid"]:
        extra = sum((parts - counts["train_valid"]).values())
        fail(
            "the examples of train and valid",
            expected="together those of train_valid, each once",
            got=f"{extra} examples too many and {sum((counts['train_valid'] - parts).values())} missing",
            mend="divide one permutation of the development data, so that no example both fits weights and chooses "
            "architectures",
        )


def _examples(task: Task, split: str) -> Iterator[bytes]:
    for indices in torch.split(torch.arange(task.size(split)), _CHUNK):
        parts = [part.contiguous().view(len(indices), -1) for part in tensors(_drawn(task, split, indices))]
        for row in zip(*parts, strict=True):
            yield b"".join(part.numpy(force=True).tobytes() for part in row)
