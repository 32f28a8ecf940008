"""Losses and metrics that have a name, as functions of a network's outputs and a batch's targets.

Targets are of one of three kinds, and a name serves some of them: *classes* (cross_entropy; accuracy), *binary* labels
(binary_cross_entropy; accuracy) and *values* (mse, l1; mse, mae). Each function is a mean over the batch, and what is
reported is the mean of these over examples. That is why there is no rmse: a root of means is not a mean of roots.

Dimension letters: B examples of a batch, T positions of a sequence, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

Measure: TypeAlias = Callable[[Tensor, Tensor], Tensor]

NO_TARGET = -100
"""A class target that counts neither in the loss nor in the accuracy: padding of sequences. The number is torch's."""


def cross_entropy(outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean cross entropy, in nats, over the targets that are not `NO_TARGET`.

    Args:
        outputs: logits, (B, K) for one target an example. For more, (B, T, K), classes last, or (B, K, T), as torch
            has it; where both fit, the classes are last. Likewise with more dimensions than T.
        targets: (B,) or (B, T) int64.
        label_smoothing: share of the target spread evenly over all classes.

    Raises:
        ValueError: shapes that do not fit.
    """
    logits = outputs.flatten(0, -2) if _class_dim(outputs, targets) == -1 else outputs
    flat = targets.flatten() if logits is not outputs or targets.ndim == 1 else targets
    return functional.cross_entropy(logits, flat, ignore_index=NO_TARGET, label_smoothing=label_smoothing)


def class_accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Share, 0 to 1, of the targets that are not `NO_TARGET` whose class has the largest logit.

    Args:
        outputs: as of `cross_entropy`.
        targets: (B,) or (B, T) int64.

    Raises:
        ValueError: shapes that do not fit.
    """
    is_right = outputs.argmax(_class_dim(outputs, targets)) == targets
    return is_right.sum() / (targets != NO_TARGET).sum()


def _class_dim(outputs: Tensor, targets: Tensor) -> int:
    """Which dimension of the outputs is that of the classes."""
    if outputs.ndim == targets.ndim + 1:
        if outputs.shape[:-1] == targets.shape:
            return -1
        if outputs.shape[0] == targets.shape[0] and outputs.shape[2:] == targets.shape[1:]:
            return 1
    raise ValueError(
        f"outputs of shape {tuple(outputs.shape)} do not fit class targets of shape {tuple(targets.shape)}: outputs "
        "need one dimension more, the classes, as in (B, K) for (B,), and (B, T, K) or (B, K, T) for (B, T)"
    )


def binary_cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy, in nats, of logits whose sigmoid is the probability of 1.

    Args:
        outputs: logits in the shape of the targets, or with a last dimension of 1 that these lack.
        targets: (B, ...) from 0 to 1 or booleans.

    Raises:
        ValueError: shapes that do not fit.
    """
    logits = _like(outputs, targets)
    return functional.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype))


def binary_accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Share, 0 to 1, of labels on whose side of one half the sigmoid of the logit lies; all labels weigh the same.

    Raises:
        ValueError: shapes that do not fit.
    """
    return ((_like(outputs, targets) > 0) == (targets > 0.5)).to(torch.float32).mean()


def mean_squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean squared difference, in squared units of the targets; outputs as of `binary_cross_entropy`.

    Raises:
        ValueError: shapes that do not fit.
    """
    values = _like(outputs, targets)
    return functional.mse_loss(values, targets.to(values.dtype))


def mean_absolute_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean absolute difference, in units of the targets; outputs as of `binary_cross_entropy`.

    Raises:
        ValueError: shapes that do not fit.
    """
    values = _like(outputs, targets)
    return functional.l1_loss(values, targets.to(values.dtype))


def _like(outputs: Tensor, targets: Tensor) -> Tensor:
    """The outputs in the shape of the targets. torch would spread (B, 1) against (B,) to (B, B) without an error."""
    if _without_last_one(outputs) != _without_last_one(targets):
        raise ValueError(
            f"outputs of shape {tuple(outputs.shape)} do not fit targets of shape {tuple(targets.shape)}; they must "
            "have the same, but for a last dimension of 1"
        )
    return outputs.reshape(targets.shape)


def _without_last_one(tensor: Tensor) -> torch.Size:
    return tensor.shape[:-1] if tensor.ndim > 1 and tensor.shape[-1] == 1 else tensor.shape


LOSSES: dict[str, Measure] = {
    "cross_entropy": cross_entropy,
    "binary_cross_entropy": binary_cross_entropy,
    "mse": mean_squared_error,
    "l1": mean_absolute_error,
}
KIND_OF_LOSS = {"cross_entropy": "classes", "binary_cross_entropy": "binary", "mse": "values", "l1": "values"}
USUAL_METRIC = {"cross_entropy": "accuracy", "binary_cross_entropy": "accuracy", "mse": "mse", "l1": "mae"}
METRICS: dict[str, dict[str, Measure]] = {
    "accuracy": {"classes": class_accuracy, "binary": binary_accuracy},
    "mse": {"values": mean_squared_error},
    "mae": {"values": mean_absolute_error},
}
"""Name -> kind of targets -> function."""
