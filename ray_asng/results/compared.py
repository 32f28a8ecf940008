"""What the truth of a table is compared between: the methods of a ground at their own settings, not those of sweeps.

The truth about an architecture stands in columns `table_<dataset>_<split>_accuracy`, from 0 to 1: what it reaches when
it is trained by itself. What the whole table has in such a column is reported too, in `table_reference`.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ray_asng.results.statistics import Floats
from ray_asng.results.trials import Ground, Groups, Trial

_TRUTH = re.compile(r"table_(.+)_test_accuracy")
_NAMES = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet16_120": "ImageNet16-120"}

_REFERENCE_METHOD = "asng"


@dataclass(frozen=True, slots=True)
class Reference:
    """What the architectures of a table have in one column.

    Attributes:
        best: the largest value.
        best_by_valid: the value of the architecture that is best by the validation column of the same data set.
        mean: of all architectures, which is what a random one has on average.
        quantiles: (101,) the percentiles 0, 1, ..., 100 of all.
    """

    best: float
    best_by_valid: float
    mean: float
    quantiles: Floats

    def percentile(self, percentile: float) -> float:
        """The value below which `percentile` per cent of the architectures lie."""
        return float(np.interp(percentile, np.arange(len(self.quantiles)), self.quantiles))


def own_settings(ground: Ground) -> Groups:
    """Label -> searches that no sweep gave another value."""
    kept = {
        label: [trial for trial in trials if not trial.last("setting")] for label, trials in ground.searches.items()
    }
    return {label: trials for label, trials in kept.items() if trials}


def reference_label(groups: Mapping[str, Sequence[Trial]]) -> str:
    """The label that others are compared with: that of ASNG, or else the first."""
    if _REFERENCE_METHOD in groups:
        return _REFERENCE_METHOD
    by_method = (label for label, trials in groups.items() if trials[0].last("method") == _REFERENCE_METHOD)
    return next(by_method, next(iter(groups)))


def datasets(ground: Ground) -> list[str]:
    """The data sets for which some search of the ground has a true test accuracy, as columns call them."""
    found = {
        match[1]
        for trials in ground.searches.values()
        for trial in trials
        for column, value in trial.rows[-1].items()
        if value is not None and (match := _TRUTH.fullmatch(column))
    }
    known = [name for name in _NAMES if name in found]
    return known + sorted(found.difference(known))


def dataset_name(dataset: str) -> str:
    """A data set as people write it."""
    return _NAMES.get(dataset, dataset)


def truth_column(dataset: str, split: str = "test") -> str:
    """The column with the true accuracy of the reported architecture."""
    return f"table_{dataset}_{split}_accuracy"


def references(groups: Mapping[str, Sequence[Trial]], column: str) -> list[tuple[tuple[str, ...], Reference]]:
    """What the table has in `column`: once for all labels, or once for each space that they search.

    Returns:
        Pairs of the labels and what holds for them.
    """
    labels: dict[str, list[str]] = defaultdict(list)
    for label, trials in groups.items():
        text = next((trial.last("table_reference") for trial in trials if trial.last("table_reference")), "{}")
        entry = json.loads(text).get(column)
        if entry is not None:
            labels[json.dumps(entry)].append(label)
    return [(tuple(same), _reference(json.loads(text))) for text, same in labels.items()]


def first_reference(groups: Mapping[str, Sequence[Trial]], column: str) -> Reference | None:
    """What the table has in `column` for the first label that has any; None without a table."""
    found = references(groups, column)
    return found[0][1] if found else None


def _reference(entry: Mapping[str, Any]) -> Reference:
    return Reference(
        best=float(entry["best"]),
        best_by_valid=float(entry["best_by_valid"]),
        mean=float(entry["random_mean"]),
        quantiles=np.asarray(entry["random_quantiles"], dtype=np.float64),
    )
