"""How sharply the validation loss is curved in the logits: the dominant eigenvalue of its Hessian, as a monitor.

Where it grows, the architecture found by rounding the mixture is much worse than the mixture, and methods that mix
options tend to collapse to skip connections.

    H = d^2 L_valid(softmax(alpha)) / d alpha^2   on one batch, by exact products H v (differentiating twice)

The eigenvalue is the largest one, not the largest in magnitude. It is never negative: a constant added to the logits
of a decision changes nothing, so 0 is always an eigenvalue.

References:
    Zela, Elsken, Saikia, Marrakchi, Brox & Hutter, "Understanding and Robustifying Differentiable Architecture
    Search", ICLR 2020.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh

from ray_asng.space import Floats


def dominant_eigenvalue(gradients: Sequence[torch.Tensor], rows: Sequence[torch.Tensor]) -> float:
    """The largest eigenvalue of a Hessian by all numbers of `rows`, by Lanczos iterations.

    Args:
        gradients: of a scalar by `rows`, with their graphs, which are kept.
        rows: tensors that the scalar depends on, n numbers together.

    Returns:
        The eigenvalue, exact up to about the square root of the precision of the gradients.
    """
    gradient = torch.cat([each.flatten() for each in gradients])
    size = len(gradient)
    if not gradient.requires_grad:  # the scalar is linear in all rows
        return 0.0

    def product(vector: Floats) -> Floats:
        direction = torch.from_numpy(np.array(vector).reshape(-1)).to(gradient)
        curved = torch.autograd.grad(
            gradient, rows, direction, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        result: Floats = torch.cat([each.flatten() for each in curved]).double().cpu().numpy()
        return result

    if size == 1:
        return float(product(np.ones(1))[0])
    # The start decides nothing but the last digits; it is always the same so that equal searches report equal numbers.
    start = np.random.default_rng(0).standard_normal(size)
    if not product(start).any():  # of a Hessian of zeros the iterations make nothing
        return 0.0
    tolerance = float(torch.finfo(gradient.dtype).eps) ** 0.5
    hessian = LinearOperator((size, size), matvec=product, dtype=np.float64)
    (largest,) = eigsh(hessian, k=1, which="LA", v0=start, tol=tolerance, return_eigenvectors=False)
    return float(largest)


class HessianMonitor:
    """Measures the eigenvalue once in every so many epochs, at the first architecture step of the epoch.

    A measurement takes some tens of products H v, about two forward and backward passes each. Like the scoring of the
    likeliest path, they are left out of the passes that a search reports.

    Args:
        every: epochs between measurements; 0 for never.

    Attributes:
        value: of the last measurement, 0.0 before the first.
        is_due: whether the next architecture step is to be measured.

    Raises:
        ValueError: `every` is negative.
    """

    def __init__(self, every: int) -> None:
        if every < 0:
            raise ValueError(f"hessian_every must be 0 (never) or a number of epochs, got {every!r}")
        self.every = every
        self.value = 0.0
        self.is_due = every > 0

    def measure(self, loss: torch.Tensor, rows: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Take the eigenvalue of the Hessian of `loss` (a scalar with its graph) by `rows`.

        Returns:
            The gradients of the loss by the rows, without graph: the measurement starts from them.
        """
        gradients = torch.autograd.grad(loss, rows, create_graph=True, allow_unused=True, materialize_grads=True)
        self.value = dominant_eigenvalue(gradients, rows)
        self.is_due = False
        return [gradient.detach() for gradient in gradients]

    def end_epoch(self, epoch: int) -> None:
        """Called after epoch number `epoch`; the first is 1."""
        if self.every and epoch % self.every == 0:
            self.is_due = True

    def metrics(self) -> dict[str, float]:
        """The last measurement as `hessian_eigenvalue`; nothing where none is ever taken."""
        return {"hessian_eigenvalue": self.value} if self.every else {}

    def state_dict(self) -> dict[str, Any]:
        """The last measurement, and whether the next one is due."""
        return {"value": self.value, "is_due": self.is_due}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a state; how often to measure stays that of the construction."""
        self.value = float(state["value"])
        self.is_due = bool(state["is_due"]) and self.every > 0
