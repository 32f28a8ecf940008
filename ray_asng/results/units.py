"""How numbers are written in tables and figures: accuracies in percent, sizes with a prefix."""

from __future__ import annotations

import math

from ray_asng.results.statistics import Estimate


def is_fraction(metric: str) -> bool:
    """Whether a metric lies in 0..1 and is shown in percent."""
    return metric.endswith("accuracy")


def scale_of(metric: str) -> float:
    """What a metric is multiplied with to be shown."""
    return 100.0 if is_fraction(metric) else 1.0


def metric_text(metric: str, value: float | None) -> str:
    """A value of a metric: "98.3 %", or four digits for what is no accuracy."""
    if value is None:
        return "—"
    if not math.isfinite(value):
        return "not a number"
    return f"{100 * value:.1f} %" if is_fraction(metric) else f"{value:.4g}"


def spread_text(metric: str, width: float) -> str:
    """The half width of an interval, in the unit of the metric, with a digit more where it is small."""
    shown = scale_of(metric) * width
    if is_fraction(metric):
        return f"{shown:.1f}" if shown >= 0.1 else f"{shown:.2f}"
    return f"{shown:.2g}"


def difference_text(metric: str, value: float) -> str:
    """A difference of two values of a metric, with its sign: "+1.2"; of accuracies in percentage points."""
    text = f"{100 * value:+.1f}" if is_fraction(metric) else f"{value:+.3g}"
    return text if float(text) else text[1:]  # a zero has no sign


def estimate_text(metric: str, estimate: Estimate) -> str:
    """A mean with its interval: "98.3 % ± 0.4"; without one it says why."""
    if estimate.count == 0:
        return "—"
    mean = metric_text(metric, estimate.mean)
    if estimate.half_width is None:
        return f"{mean} (one value, no interval)"
    return f"{mean} ± {spread_text(metric, estimate.half_width)}"


def seconds_text(seconds: float | None) -> str:
    """A time: "8.3 s", "126 s", "2.1 h"."""
    if seconds is None or not math.isfinite(seconds):
        return "—"
    if seconds >= 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds:.0f} s" if seconds >= 100 else f"{seconds:.1f} s"


def bytes_text(size: float | None) -> str:
    """A memory size: "312 MiB"."""
    if size is None or not math.isfinite(size):
        return "—"
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"


def count_text(count: float | None) -> str:
    """A large count: "1.23 M", "73.3 k", "512"."""
    if count is None or not math.isfinite(count):
        return "—"
    for size, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g} {prefix}"
    return f"{count:.0f}"
