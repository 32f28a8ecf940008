"""Conformance of a task's loss and metric, on the outputs of a small network that learns one batch."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ray_asng.nested import map_tensors
from ray_asng.randomness import drawing_from
from ray_asng.supernets.supernet import call
from ray_asng.tasks.base import Task
from ray_asng.testing.equality import difference
from ray_asng.testing.failure import fail, no_error
from ray_asng.testing.global_state import global_randomness_untouched

_STEPS = 60
_RATE = 0.01
# Of a mean over a batch that is taken twice: room for rounding.
_TOLERANCE = 1e-3


def check_loss_and_score(
    task: Task, indices: torch.Tensor, network: nn.Module | Callable[[], nn.Module] | None, seed: int
) -> None:
    """Check `loss` and `score` on the batch `indices` of train, before and after a network has learnt it.

    Args:
        task: what is checked.
        indices: (B,) of the batch.
        network: a module to copy or a builder; by default a linear layer made from `network_options["classes"]`.
        seed: of its initial weights and noise.

    Raises:
        ValueError: no network is given, and none can be made.
    """
    inputs, targets = task.batch("train", indices)
    noise = torch.Generator().manual_seed(seed)
    with drawing_from(noise):
        learner = _network(network, task, inputs).train()
        outputs = call(learner, inputs)
    with global_randomness_untouched("loss and score"):
        _check_loss(task, outputs, targets)
        _check_score(task, outputs, targets)
    _check_mean(task, outputs, targets)
    with drawing_from(noise):
        _check_learning(task, learner, inputs, targets)


def _network(network: nn.Module | Callable[[], nn.Module] | None, task: Task, inputs: Any) -> nn.Module:
    if isinstance(network, nn.Module):
        return copy.deepcopy(network)
    if network is not None:
        return network()
    if not isinstance(inputs, torch.Tensor) or "classes" not in task.network_options:
        raise ValueError(
            "check_task makes a linear network only for inputs that are one tensor and network_options with "
            f"'classes'; got {type(inputs).__name__} and {dict(task.network_options)!r}. Pass network=, a builder of a "
            "small module that maps the inputs to what loss and score take"
        )
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs[0].numel(), int(task.network_options["classes"])))


def _check_loss(task: Task, outputs: Any, targets: torch.Tensor) -> None:
    given = map_tensors(lambda part: part.detach().clone(), (outputs, targets))
    with no_error("task.loss", mend="let loss(outputs, targets, label_smoothing=0.0) take what the network returns"):
        losses = [task.loss(outputs, targets)]
        if _takes_smoothing(task, outputs, targets):
            losses.append(task.loss(outputs, targets, 0.1))
    for loss in losses:
        if not isinstance(loss, torch.Tensor) or loss.shape != () or not math.isfinite(float(loss.detach())):
            fail(
                "task.loss",
                expected="a finite scalar tensor, with label_smoothing too (where that has no meaning: ignored, "
                "or refused by a ValueError that names it)",
                got=loss,
                mend="take the mean over the batch, and keep logarithms and quotients away from 0",
            )
        if not loss.requires_grad:
            fail(
                "task.loss",
                expected="a loss with its graph, since the outputs have one",
                got="a tensor without graph",
                mend="compute the loss with torch operations, without detach, no_grad, item() or argmax",
            )
    changed = difference(given, map_tensors(torch.Tensor.detach, (outputs, targets)), "(outputs, targets)")
    if changed:
        fail("task.loss", expected="outputs and targets as they were", got=changed, mend="change nothing in place")


def _takes_smoothing(task: Task, outputs: Any, targets: torch.Tensor) -> bool:
    """Whether the loss takes label_smoothing; a loss without classes may refuse it by name."""
    try:
        task.loss(outputs, targets, 0.1)
    except ValueError as error:
        return "label_smoothing" not in str(error)
    return True


def _check_score(task: Task, outputs: Any, targets: torch.Tensor) -> None:
    with no_error("task.score", mend="let score(outputs, targets) take what the network returns"):
        score = task.score(outputs, targets)
    if not isinstance(score, torch.Tensor) or score.shape != () or not math.isfinite(float(score.detach())):
        fail(
            "task.score",
            expected="a finite scalar tensor",
            got=score,
            mend="take the mean over the batch, and return a tensor (on the device, no .item())",
        )
    if score.requires_grad:
        fail(
            "task.score",
            expected="a number without graph",
            got="a tensor with graph",
            mend="compute it under torch.no_grad() or from outputs.detach()",
        )


def _check_mean(task: Task, outputs: Any, targets: torch.Tensor) -> None:
    """Each example twice has the same mean."""
    if not isinstance(outputs, torch.Tensor):
        return
    twice = torch.cat([outputs, outputs]).detach(), torch.cat([targets, targets])
    for name, number in (("loss", task.loss), ("score", task.score)):
        once, doubled = float(number(outputs.detach(), targets)), float(number(*twice))
        if not math.isclose(once, doubled, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE):
            fail(
                f"task.{name} of a batch in which every example stands twice",
                expected=f"the mean does not change: {once:.6g}",
                got=f"{doubled:.6g}",
                mend="return the mean over the examples, not the sum",
            )


def _check_learning(task: Task, learner: nn.Module, inputs: Any, targets: torch.Tensor) -> None:
    before = _measured(task, learner, inputs, targets)
    adam = torch.optim.Adam(learner.parameters(), lr=_RATE)
    for _ in range(_STEPS):
        adam.zero_grad()
        task.loss(call(learner, inputs), targets).backward()  # type: ignore[no-untyped-call]
        adam.step()
    after = _measured(task, learner, inputs, targets)
    got = f"loss {before[0]:.4g} before and {after[0]:.4g} after, {task.metric} {before[1]:.4g} and {after[1]:.4g}"
    checked = f"{_STEPS} steps of Adam on one batch"
    if not after[0] < before[0]:
        fail(
            checked,
            expected="a smaller loss",
            got=got,
            mend="the gradient of the loss does not lead downhill: compute it with torch operations; or pass a "
            "network= that can learn this batch",
        )
    gain = (after[1] - before[1]) * (1.0 if task.higher_is_better else -1.0)
    if gain <= 0.0:
        word = "higher" if task.higher_is_better else "lower"
        fail(
            checked,
            expected=f"a better {task.metric} ({word}, as higher_is_better={task.higher_is_better} says)",
            got=got,
            mend="the loss may be of the wrong sign (lower is better, always), higher_is_better may be wrong, or the "
            "loss does not serve the metric",
        )


def _measured(task: Task, learner: nn.Module, inputs: Any, targets: torch.Tensor) -> tuple[float, float]:
    with torch.no_grad():
        outputs = call(learner, inputs)
        return float(task.loss(outputs, targets)), float(task.score(outputs, targets))
