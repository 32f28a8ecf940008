"""How true accuracies are written: percent with two digits, as papers on tables do; a dash where there is none."""

from __future__ import annotations

import math


def percent(accuracy: float | None) -> str:
    """An accuracy from 0 to 1: "93.05"."""
    if accuracy is None or not math.isfinite(accuracy):
        return "—"
    return f"{100 * accuracy:.2f}"


def points(difference: float | None) -> str:
    """A difference of accuracies in percentage points with its sign: "+1.23"; a zero has none."""
    if difference is None or not math.isfinite(difference):
        return "—"
    text = f"{100 * difference:+.2f}"
    return text if float(text) else text[1:]


def percent_range(low: float | None, high: float | None) -> str:
    """An interval of accuracies: "91.20 to 93.90"."""
    return "—" if low is None or high is None else f"{percent(low)} to {percent(high)}"


def points_range(low: float | None, high: float | None) -> str:
    """An interval of differences: "-1.20 to +0.30"."""
    return "—" if low is None or high is None else f"{points(low)} to {points(high)}"


def correlation(value: float | None) -> str:
    """A correlation with its sign: "+0.42"."""
    return "—" if value is None or not math.isfinite(value) else f"{value:+.2f}"


def correlation_range(low: float | None, high: float | None) -> str:
    """An interval of correlations: "-0.10 to +0.42"."""
    return "—" if low is None or high is None else f"{correlation(low)} to {correlation(high)}"


def p_text(p_value: float | None) -> str:
    """A p-value: "0.031", "< 0.001"."""
    if p_value is None:
        return "—"
    return "< 0.001" if p_value < 0.001 else f"{p_value:.2g}"
