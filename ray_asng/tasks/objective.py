"""What a task on a user's own data measures: its loss and its metric, chosen by name or given as functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeAlias

import torch
from torch import Tensor

from ray_asng.space import nearest
from ray_asng.tasks.losses_and_metrics import KIND_OF_LOSS, LOSSES, METRICS, USUAL_METRIC, cross_entropy

OwnMeasure: TypeAlias = Callable[[Any, Tensor], Any]
"""A user's function of the outputs of the network and the (B, ...) targets of a batch, giving one number."""


@dataclass(frozen=True, slots=True)
class Objective:
    """A loss and a metric.

    Attributes:
        loss: name or function.
        metric: name or function.
        metric_name: for columns of reports.
        higher_is_better: of the metric.
        kind: of the targets, "classes", "binary" or "values"; None if only functions of the user's look at them.
    """

    loss: str | OwnMeasure
    metric: str | OwnMeasure
    metric_name: str
    higher_is_better: bool
    kind: str | None

    def loss_of(self, outputs: Any, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Mean loss of a batch, a scalar with its graph.

        Raises:
            TypeError: outputs that are no tensor, for a loss with a name.
            ValueError: shapes that do not fit, smoothing of a loss that has no classes, or a function of the user's
                that gives no scalar.
        """
        if label_smoothing and self.loss != "cross_entropy":
            raise ValueError(
                f"label_smoothing={label_smoothing} spreads a target over classes, which the loss {_name(self.loss)!r} "
                "does not do; set it to 0"
            )
        if self.loss == "cross_entropy":
            return cross_entropy(_tensor(outputs, "loss", self.loss), targets, label_smoothing)
        if isinstance(self.loss, str):
            return LOSSES[self.loss](_tensor(outputs, "loss", self.loss), targets)
        loss = self.loss(outputs, targets)
        if not isinstance(loss, Tensor) or loss.shape != ():
            raise ValueError(
                f"the loss {_name(self.loss)!r} must be a tensor without dimensions, the mean over a batch; "
                f"{_on(outputs, targets)} it is {_words(loss)}"
            )
        return loss

    def score_of(self, outputs: Any, targets: Tensor) -> Tensor:
        """Mean metric of a batch, a scalar without graph.

        Raises:
            TypeError: outputs that are no tensor, for a metric with a name.
            ValueError: shapes that do not fit; a function of the user's that gives no scalar, or NaN for outputs that
                are finite. The latter is looked for on the CPU alone, elsewhere it would wait for the device.
        """
        with torch.no_grad():
            if isinstance(self.metric, str):
                return METRICS[self.metric][str(self.kind)](_tensor(outputs, "metric", self.metric), targets)
            value = self.metric(outputs, targets)
        if isinstance(value, Real):
            value = torch.tensor(float(value), device=targets.device)
        if not isinstance(value, Tensor) or value.shape != ():
            raise ValueError(
                f"the metric {self.metric_name!r} must be one number for a batch; {_on(outputs, targets)} it is "
                f"{_words(value)}"
            )
        # A path that diverges has a metric of NaN, which is the search's affair and not the metric's.
        if value.device.type == "cpu" and math.isnan(value) and _is_finite(outputs):
            raise ValueError(
                f"the metric {self.metric_name!r} is NaN {_on(outputs, targets)}, which are finite; let it give a "
                "number for every batch, such as 0 where it divides by 0"
            )
        return value.detach().to(torch.float32)


def choose_objective(
    targets: torch.dtype,
    loss: str | OwnMeasure | None = None,
    metric: str | OwnMeasure | None = None,
    metric_name: str | None = None,
    higher_is_better: bool | None = None,
) -> Objective:
    """The loss and metric for targets of a type, by name, function or default.

    Raises:
        ValueError: an unknown name; a loss and a metric that do not go together; a function without its name or
            direction, or these without a function.
        TypeError: targets of a type that the loss cannot use.
    """
    if loss is None:
        loss = _usual_loss(targets)
    if not isinstance(loss, str) and not callable(loss):
        raise TypeError(f"loss must be a name or a function (outputs, targets), got {loss!r}")
    if isinstance(loss, str) and loss not in LOSSES:
        raise ValueError(f"unknown loss {loss!r}{nearest(loss, tuple(LOSSES))}; or a function (outputs, targets)")
    if metric is None:
        if not isinstance(loss, str):
            raise ValueError(
                f"the loss {_name(loss)!r} is a function and says nothing of a metric; give one of {sorted(METRICS)}, "
                "or a function with metric_name and higher_is_better"
            )
        metric = USUAL_METRIC[loss]
    if isinstance(metric, str) and metric not in METRICS:
        raise ValueError(
            f"unknown metric {metric!r}{nearest(metric, tuple(METRICS))}; or a function (outputs, targets) whose mean "
            "over batches has a meaning, with metric_name and higher_is_better"
        )
    kind = _kind(loss, metric, targets)
    if isinstance(metric, str):
        if metric_name is not None or higher_is_better is not None:
            raise ValueError(f"metric_name and higher_is_better belong to a function; {metric!r} has its own")
        return Objective(loss, metric, metric, metric == "accuracy", kind)
    _check_own_metric(metric, metric_name, higher_is_better)
    return Objective(loss, metric, str(metric_name), bool(higher_is_better), kind)


def _usual_loss(targets: torch.dtype) -> str:
    if targets.is_complex:
        raise TypeError(f"targets of type {targets} have no loss by default; give loss=, a function (outputs, targets)")
    if targets.is_floating_point:
        return "mse"
    return "binary_cross_entropy" if targets is torch.bool else "cross_entropy"


def _kind(loss: str | OwnMeasure, metric: str | OwnMeasure, targets: torch.dtype) -> str | None:
    """What the names among loss and metric take the targets for."""
    kind = KIND_OF_LOSS[loss] if isinstance(loss, str) else None
    if isinstance(metric, str):
        served = tuple(METRICS[metric])
        if kind is None:
            kind = _usual_kind(targets) if len(served) > 1 else served[0]
        if kind not in served:
            usual = [name for name in METRICS if kind in METRICS[name]]
            raise ValueError(
                f"the metric {metric!r} does not go with the loss {_name(loss)!r} on targets of type {targets}; use "
                f"one of {usual}, or a function"
            )
    is_whole = not (targets.is_floating_point or targets.is_complex or targets is torch.bool)
    if kind == "classes" and not is_whole:
        raise TypeError(
            f"targets must be class indices (integers) for {_name(loss)!r} with {_name(metric)!r}, got {targets}; "
            "convert them, or use loss='mse' for numbers and loss='binary_cross_entropy' for labels of 0 and 1"
        )
    if kind is not None and targets.is_complex:
        raise TypeError(
            f"targets must be real for {_name(loss)!r} with {_name(metric)!r}, got {targets}; use functions"
        )
    return kind


def _usual_kind(targets: torch.dtype) -> str:
    return KIND_OF_LOSS[_usual_loss(targets)]


def _check_own_metric(metric: object, metric_name: object, higher_is_better: object) -> None:
    if not callable(metric):
        raise TypeError(f"metric must be a name or a function (outputs, targets), got {metric!r}")
    if not isinstance(metric_name, str) or not isinstance(higher_is_better, bool):
        raise ValueError(
            "a metric that is a function needs metric_name, a word for reports, and higher_is_better, True or False; "
            f"got metric_name={metric_name!r} and higher_is_better={higher_is_better!r}"
        )
    if not metric_name.isidentifier() or metric_name == "loss":
        raise ValueError(
            f"metric_name={metric_name!r} must be a word of letters, digits and underscores other than 'loss': it "
            "makes column names such as valid_accuracy, and valid_loss is taken"
        )


def _tensor(outputs: Any, what: str, name: str) -> Tensor:
    if not isinstance(outputs, Tensor):
        raise TypeError(
            f"the {what} {name!r} takes one tensor, and the network returns {_words(outputs)}; give {what}=, a "
            "function (outputs, targets)"
        )
    return outputs


def _name(measure: str | OwnMeasure) -> str:
    return measure if isinstance(measure, str) else getattr(measure, "__name__", type(measure).__name__)


def _on(outputs: Any, targets: Tensor) -> str:
    return f"on a batch of {len(targets)} examples, outputs {_words(outputs)} and targets {_words(targets)},"


def _words(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    return f"a {type(value).__name__}" if value is None or not isinstance(value, Real) else repr(value)


def _is_finite(outputs: Any) -> bool:
    if isinstance(outputs, Tensor):
        return bool(outputs.isfinite().all())
    parts = outputs.values() if isinstance(outputs, Mapping) else outputs
    return not isinstance(outputs, (Mapping, tuple, list)) or all(map(_is_finite, parts))
