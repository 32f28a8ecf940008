"""DARTS, second order: the validation loss is taken where one more step of the weights would lead.

The weights of that step depend on the architecture, so its gradient has a second part: the training gradient's change
along the validation gradient, by a central difference.

    w' = w - xi d,   d = gradient_w L_train(w, alpha), with momentum and weight decay where the problem offers them
    v  = gradient_w L_valid(w', alpha)
    gradient_alpha = gradient_alpha L_valid(w', alpha)
                     - xi [gradient_alpha L_train(w + r v, alpha) - gradient_alpha L_train(w - r v, alpha)] / (2 r)

References:
    Liu, Simonyan & Yang, "DARTS: Differentiable Architecture Search", ICLR 2019, equations 6 to 8; defaults of the
    published code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

import torch

from ray_asng.optimizers.base import Cost, Problem, mean_options
from ray_asng.optimizers.darts import DARTS

# Length of the displacement r v of the central difference, in the Euclidean norm over all weights.
_DISPLACEMENT = 0.01


@runtime_checkable
class KnowsDirection(Protocol):
    """What a `Problem` may offer besides: where a step of its weights leads, which momentum and decay have a say in."""

    def weight_direction(
        self, parameters: Sequence[torch.nn.Parameter], gradients: Sequence[torch.Tensor]
    ) -> Sequence[torch.Tensor]:
        """Directions [d] in the shapes of `parameters`: a step would take the weights to w - learning_rate d."""


class SecondOrderDARTS(DARTS):
    """First-order `DARTS`, with its settings, but for the gradient: that of the loss after an unrolled step."""

    @property
    def cost(self) -> Cost:
        """All options in the weight step and in four passes of the architecture step: three training, one validation.

        The weights are held three times meanwhile: as they were, and with gradient and displacement.
        """
        options = mean_options(self.space)
        return Cost(forward=5.0 * options, backward=5.0 * options, memory="all options")

    def architecture_step(self, problem: Problem) -> float:
        """One Adam step along the unrolled gradient; the weights are left as they were, bit for bit.

        Returns:
            The validation loss at the unrolled weights.
        """
        if self.monitor.is_due:
            self.monitor.measure(problem.loss(self._mixture(), "valid"), list(self.logits.values()))
        loss, gradients = unrolled_gradient(problem, self.logits)
        self._state.step(gradients)
        return loss


def unrolled_gradient(problem: Problem, logits: Mapping[str, torch.Tensor]) -> tuple[float, list[torch.Tensor]]:
    """The gradient of L_valid(w'(alpha), alpha) by the logits [alpha].

    Args:
        problem: its weights are moved meanwhile and put back at the end, after an error too.
        logits: decision name -> (K,), which require a gradient.

    Returns:
        L_valid(w', alpha), and gradients in the order and shapes of `logits`.
    """
    parameters = [parameter for parameter in problem.parameters if parameter.requires_grad]
    rows, rate = list(logits.values()), problem.learning_rate
    weights = {name: torch.softmax(row.detach(), dim=0) for name, row in logits.items()}
    direction = _derivatives(problem.loss(weights, "train"), parameters)
    if isinstance(problem, KnowsDirection):
        direction = list(problem.weight_direction(parameters, direction))

    def by_logits(split: str, at: Sequence[torch.Tensor]) -> tuple[torch.Tensor, list[torch.Tensor]]:
        loss = problem.loss({name: torch.softmax(row, dim=0) for name, row in logits.items()}, split)
        return loss.detach(), _derivatives(loss, [*rows, *at])

    with _put_back(parameters) as start:
        _displace(parameters, start, direction, -rate)
        loss, slopes = by_logits("valid", parameters)
        outer, slope = slopes[: len(rows)], slopes[len(rows) :]
        length = float(torch.nn.utils.get_total_norm(slope))
        # The validation loss does not depend on the weights, so it does not matter where the step leads.
        if length == 0.0:
            return float(loss), outer
        radius = _DISPLACEMENT / length
        _displace(parameters, start, slope, radius)
        _, plus = by_logits("train", ())
        _displace(parameters, start, slope, -radius)
        _, minus = by_logits("train", ())
    inner = [(above - below) / (2.0 * radius) for above, below in zip(plus, minus, strict=True)]
    return float(loss), [first - rate * second for first, second in zip(outer, inner, strict=True)]


def _derivatives(loss: torch.Tensor, inputs: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    # What this pass did not reach has no influence on the loss: its gradient is zero.
    return list(torch.autograd.grad(loss, list(inputs), allow_unused=True, materialize_grads=True))


@contextmanager
def _put_back(parameters: Sequence[torch.nn.Parameter]) -> Iterator[list[torch.Tensor]]:
    """Give copies of the parameters' values, and set the parameters to these again at the end."""
    start = [parameter.detach().clone() for parameter in parameters]
    try:
        yield start
    finally:
        with torch.no_grad():
            for parameter, value in zip(parameters, start, strict=True):
                parameter.copy_(value)


@torch.no_grad()
def _displace(
    parameters: Sequence[torch.nn.Parameter],
    start: Sequence[torch.Tensor],
    direction: Sequence[torch.Tensor],
    length: float,
) -> None:
    """Set the parameters to start + length direction."""
    for parameter, value, towards in zip(parameters, start, direction, strict=True):
        parameter.copy_(value).add_(towards, alpha=length)
