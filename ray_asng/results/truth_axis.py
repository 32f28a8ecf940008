"""The axis of true accuracies: in percent, stretched towards the optimum, where methods that work differ."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from ray_asng.results.compared import Reference
from ray_asng.results.statistics import Floats
from ray_asng.results.style import FAINT

# How far above the optimum the axis would end, in percent: from there on down it is logarithmic.
_MARGIN = 0.5

# Labels are multiples of these; the rounder ones come first, the finer ones stay within ten steps of the optimum.
_STEPS = (10.0, 5.0, 1.0, 0.5, 0.2)
_APART = 0.055


def stretch_to_optimum(axes: Axes, reference: Reference | None, lowest: float) -> None:
    """Make the vertical axis logarithmic in the distance to the optimum; without a table it stays as it is.

    Args:
        axes: values are drawn in percent.
        reference: of the table.
        lowest: the smallest value drawn, in percent.
    """
    if reference is None:
        return
    optimum = 100.0 * reference.best
    ceiling = optimum + _MARGIN

    def height(value: Floats) -> Floats:
        return -np.log(np.maximum(ceiling - np.asarray(value, dtype=np.float64), 1e-6))

    def value(height: Floats) -> Floats:
        return ceiling - np.exp(-np.asarray(height, dtype=np.float64))

    axes.set_yscale("function", functions=(height, value))
    bottom = ceiling - 1.25 * (ceiling - min(lowest, 100.0 * reference.mean))
    top = ceiling - 0.85 * _MARGIN
    axes.set_ylim(bottom, top)
    axes.yaxis.set_major_locator(FixedLocator(_ticks(optimum, bottom)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))


def mark_reference(axes: Axes, reference: Reference | None) -> None:
    """Lines at the optimum of the table and at the mean of all its architectures."""
    if reference is None:
        return
    for value, name, side in ((reference.best, "optimum", "bottom"), (reference.mean, "random mean", "top")):
        axes.axhline(100.0 * value, color=FAINT, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
        axes.annotate(
            name,
            (0.01, 100.0 * value),
            xycoords=("axes fraction", "data"),
            xytext=(0, 1 if side == "bottom" else -1),
            textcoords="offset points",
            va=side,
            fontsize=7,
            color=FAINT,
        )


def _ticks(optimum: float, bottom: float) -> list[float]:
    """Round accuracies between `bottom` and the optimum, as many as can be read side by side."""
    ceiling = optimum + _MARGIN
    apart = _APART * np.log((ceiling - bottom) / _MARGIN)
    ticks: list[float] = []
    for step in _STEPS:
        lowest = max(bottom, optimum - 10 * step)
        multiples = step * np.arange(np.floor(optimum / step), np.floor(lowest / step), -1)
        for tick in (round(float(multiple), 1) for multiple in multiples if multiple < optimum):
            if all(abs(np.log((ceiling - tick) / (ceiling - other))) >= apart for other in ticks):
                ticks.append(tick)
    return sorted(ticks)
