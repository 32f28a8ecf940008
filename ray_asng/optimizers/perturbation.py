"""Mixing weights near given ones: at random, and where the loss is worst. Rows are (K,) tensors on the simplex.

References:
    Chen & Hsieh, "Stabilizing Differentiable Architecture Search via Perturbation-based Regularization", ICML 2020.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

_STEPS = 7


def random_perturbation(row: torch.Tensor, radius: float, generator: torch.Generator) -> torch.Tensor:
    """`row` with uniform noise from -radius to radius, clipped to 0 and 1 and divided by its sum; all (K,)."""
    moved = (row + _noise(row, radius, generator)).clamp(0.0, 1.0)
    total = moved.sum()
    # The noise may take all there is, of a row with little on each option: then nothing is perturbed.
    return torch.where(total > 0.0, moved / total.clamp_min(torch.finfo(row.dtype).tiny), row)


def onto_box_and_simplex(point: torch.Tensor, centre: torch.Tensor, radius: float) -> torch.Tensor:
    """The nearest point of the simplex that is nowhere further than `radius` from `centre`.

    It is the point minus a shift, clipped to the box, with the shift for which the sum is 1. The sum falls piecewise
    linearly as the shift grows, and bends only where an option enters or leaves a side of the box.

    Args:
        point: (K,) any numbers.
        centre: (K,) on the simplex.
        radius: of the box, 0 or more.
    """
    low, high = (centre - radius).clamp_min(0.0), (centre + radius).clamp_max(1.0)
    shifts = torch.cat([point - high, point - low]).sort().values
    totals = (point - shifts[:, None]).clamp(low, high).sum(1)
    # At the first shift all are at their highest, which is 1 at least; at the last one at their lowest.
    before = ((totals >= 1.0).sum() - 1).clamp(0, len(shifts) - 2).view(1)
    shift, total = shifts.gather(0, before), totals.gather(0, before)
    fall = total - totals.gather(0, before + 1)
    share = torch.where(fall > 0.0, (total - 1.0) / fall, torch.zeros_like(fall)).clamp(0.0, 1.0)
    shift = shift + share * (shifts.gather(0, before + 1) - shift)
    return torch.minimum(torch.maximum(point - shift, low), high)


def adversarial_perturbation(
    loss: Callable[[Mapping[str, torch.Tensor]], torch.Tensor],
    weights: Mapping[str, torch.Tensor],
    radius: float,
    generator: torch.Generator,
) -> dict[str, torch.Tensor]:
    """Weights within `radius` of given ones at which a loss is higher: projected ascent from a random start.

    A step goes 2 radius / 7 up for options whose slope is above the median of their decision, and as much down for
    those below: on the simplex this is the steepest direction of that length. (The published code takes the signs of
    the slopes and divides by the sum after each step, which can leave the box.)

    Args:
        loss: of a mixture, a scalar with its graph; called nine times.
        weights: decision name -> (K,) on the simplex, without gradient.
        radius: largest change of a weight [epsilon].
        generator: of the start, on the CPU.

    Returns:
        The perturbed weights, or the given ones if the loss is lower at those found.
    """
    with torch.no_grad():
        loss_before = loss(weights)
    moved = {
        name: onto_box_and_simplex(row + _noise(row, radius, generator), row, radius) for name, row in weights.items()
    }
    for _ in range(_STEPS):
        rows = [row.requires_grad_() for row in moved.values()]
        slopes = torch.autograd.grad(loss(moved), rows, allow_unused=True, materialize_grads=True)
        with torch.no_grad():
            moved = {
                name: onto_box_and_simplex(
                    row + 2.0 * radius / _STEPS * (slope - slope.quantile(0.5)).sign(), weights[name], radius
                )
                for (name, row), slope in zip(moved.items(), slopes, strict=True)
            }
    with torch.no_grad():
        is_worse = bool(loss(moved) >= loss_before)
    return moved if is_worse else dict(weights)


def _noise(row: torch.Tensor, radius: float, generator: torch.Generator) -> torch.Tensor:
    """(K,) uniform numbers from -radius to radius; drawn on the CPU, so that all devices see the same ones."""
    return (radius * (2.0 * torch.rand(len(row), generator=generator) - 1.0)).to(row)
