"""The trials of sweeps: one setting of a method varied around its own settings, and how much its result moved."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.integrate import trapezoid

from ray_asng.results.compared import own_settings
from ray_asng.results.statistics import Estimate, Floats, bootstrap_interval
from ray_asng.results.trials import Ground, Trial, search_values

_DECADE = 10.0


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a method reached at the values of one setting.

    Attributes:
        label: of the method.
        key: the setting, such as "method_options.initial_step".
        values: (V,) what it was set to, as text, in the order of the numbers if they are numbers; that of the method's
            own settings among them, where their config says it.
        estimates: (V,) mean over seeds at each value, with its interval.
        default: mean over seeds at the method's own settings; its count is 0 if that was not run.
        default_value: that of `values` which the setting has there; empty if it is none of them, or not known.
    """

    label: str
    key: str
    values: tuple[str, ...]
    estimates: tuple[Estimate, ...]
    default: Estimate
    default_value: str

    @property
    def numbers(self) -> Floats | None:
        """(V,) the values as numbers; None if one is not a number."""
        found = [_number(value) for value in self.values]
        return None if any(number is None for number in found) else np.array(found, dtype=np.float64)

    @property
    def is_logarithmic(self) -> bool:
        """Whether the values span a decade, and can be drawn so."""
        numbers = self.numbers
        return numbers is not None and bool(numbers.min() > 0 and numbers.max() >= _DECADE * numbers.min())

    @property
    def means(self) -> Floats:
        """(V,) the means alone."""
        return np.array([estimate.mean for estimate in self.estimates])

    @property
    def area(self) -> float:
        """Mean over the range of values, by trapezoids: of the logarithms if the values span a decade.

        Values that are no numbers count alike. NaN if a value has no mean.
        """
        numbers = self.numbers
        if numbers is None or np.ptp(numbers) == 0:
            return float(self.means.mean())
        places = np.log(numbers) if self.is_logarithmic else numbers
        return float(trapezoid(self.means, places) / (places[-1] - places[0]))


def sweeps(ground: Ground, column: str) -> list[Sweep]:
    """The sweeps of a ground, method after method.

    Args:
        ground: whose searches name in `setting`, as "key=value", what a sweep set.
        column: whose last values are summarised.
    """
    defaults = own_settings(ground)
    swept: dict[tuple[str, str], dict[str, list[Trial]]] = defaultdict(lambda: defaultdict(list))
    for trials in ground.searches.values():
        for trial in trials:
            key, equals, value = str(trial.last("setting") or "").partition("=")
            if equals:
                swept[(trial.last("label") or trial.last("method") or "unnamed", key)][value].append(trial)
    labels = list(dict.fromkeys(label for label, _ in swept))
    return [
        _sweep(label, key, by_value, defaults.get(label, []), column)
        for (label, key), by_value in sorted(swept.items(), key=lambda entry: labels.index(entry[0][0]))
    ]


def _sweep(
    label: str, key: str, by_value: Mapping[str, Sequence[Trial]], default: Sequence[Trial], column: str
) -> Sweep:
    configured = _configured(default, key)
    if configured and not any(_are_equal(value, configured) for value in by_value):
        # A study does not run a method's own settings a second time as a value of a sweep.
        by_value = {**by_value, configured: default}
    values = tuple(sorted(by_value, key=lambda value: (_number(value) is None, _number(value) or 0.0)))
    return Sweep(
        label=label,
        key=key,
        values=values,
        estimates=tuple(_estimate(by_value[value], column) for value in values),
        default=_estimate(default, column),
        default_value=next((value for value in values if _are_equal(value, configured)), ""),
    )


def _estimate(trials: Sequence[Trial], column: str) -> Estimate:
    return bootstrap_interval(list(search_values(trials, column).values()))


def _configured(trials: Sequence[Trial], key: str) -> str:
    """What the config of trials holds under a key whose parts are joined by dots; empty if it is not there."""
    entry: Any = json.loads(trials[0].last("config_json") or "{}") if trials else {}
    for part in key.split("."):
        if not isinstance(entry, Mapping) or entry.get(part) is None:
            return ""
        entry = entry[part]
    return entry if isinstance(entry, str) else json.dumps(entry)


def _are_equal(value: str, other: str) -> bool:
    number = _number(value)
    return value == other or (number is not None and number == _number(other))


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
