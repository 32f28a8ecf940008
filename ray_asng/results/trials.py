"""A result table as searches and retrainings, grouped by what may be compared.

A *ground* is all that was run on one space and task. Within it a *label* names what is compared: what the trials'
config calls it, with the value that a sweep gave them; or else the method, and the settings in which searches of one
method differ (seeds and machine settings aside).
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from ray_asng import registry
from ray_asng.results.schema import KEY
from ray_asng.results.statistics import Floats

BASELINE = "random_architecture"
"""The method of a retrained child that was drawn, and that no search found."""

HAND_MADE = "hand_made"
"""The method of a retrained child that is the network's own."""

EARLY = ("converged", "collapsed")
"""How searches end before their last epoch because nothing is left to decide: a result, which counts."""

STOPPED = "stopped"
"""How a trial ends that a scheduler or a limit of time ended: it says nothing about the method."""

# Settings of the run, of the machine and of what is looked up afterwards: they do not make another method of a search.
_NOT_COMPARED = frozenset(
    (
        *("seed", "split_seed", "data_dir", "cpus", "gpus", "memory_fraction", "deterministic"),
        *("label", "setting", "table", "table_options", "ranked_cells"),
    )
)


@dataclass(frozen=True, slots=True)
class Trial:
    """All reports of one search or retraining, in order; at least one."""

    rows: tuple[Mapping[str, Any], ...]

    def last(self, column: str) -> Any:
        """The value in the last report; None if there is none."""
        return self.rows[-1].get(column)

    def number(self, column: str) -> float:
        """The number in the last report; NaN if there is none."""
        value = self.last(column)
        return float("nan") if value is None else float(value)

    def series(self, column: str) -> Floats:
        """(R,) values of all reports, NaN where there is none."""
        values = [row.get(column) for row in self.rows]
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)

    @property
    def epochs(self) -> Floats:
        """(R,) epochs of the reports; the iteration where no epoch is reported."""
        epoch = self.series("epoch")
        return np.where(np.isnan(epoch), self.series("iteration"), epoch)

    @property
    def ended(self) -> str:
        """How it ended: the word of the column `ended`, empty if it goes on or an older version reported it."""
        return str(self.last("ended") or "")

    @property
    def ended_early(self) -> bool:
        """Whether it ended itself before its last epoch."""
        return self.ended in EARLY

    @property
    def is_finished(self) -> bool:
        """Whether it is a whole run: it did all its epochs, or ended itself, having converged or collapsed."""
        if self.ended:
            return self.ended != STOPPED
        planned = self.last("epochs")
        return planned is None or bool(self.epochs[-1] >= planned)


Groups = dict[str, list[Trial]]


@dataclass(frozen=True, slots=True)
class Ground:
    """What was run on one space and task.

    Attributes:
        searches, retrainings: label -> trials, in the order in which they are shown.
    """

    space: str
    task: str
    metric: str
    higher_is_better: bool
    searches: Groups
    retrainings: Groups

    @property
    def labels(self) -> list[str]:
        """All labels, in the order in which they are shown."""
        groups = {**self.retrainings, **self.searches}
        return sorted(groups, key=lambda label: _rank(label, groups[label][0]))

    @property
    def name(self) -> str:
        """What reports call it."""
        return f"{self.space} on {self.task}"

    @property
    def path_metric(self) -> str:
        """The column by which searches are compared: the most likely path on the validation split."""
        return f"path_{self.metric}"

    @property
    def test_metric(self) -> str:
        """The column by which retrained children are compared."""
        return f"test_{self.metric}"

    def without_sweeps(self) -> Ground:
        """The ground without searches to which a sweep gave another value; itself where there are no others."""
        kept = {label: trials for label, trials in self.searches.items() if not trials[0].last("setting")}
        return replace(self, searches=kept) if kept else self

    def only(self, labels: Sequence[str]) -> Ground:
        """The ground with the searches and retrainings of these labels, and the retrained baseline."""
        kept = {*labels, BASELINE}
        return replace(
            self,
            searches={label: trials for label, trials in self.searches.items() if label in kept},
            retrainings={label: trials for label, trials in self.retrainings.items() if label in kept},
        )


def grounds(table: pa.Table) -> list[Ground]:
    """The grounds of a result table, sorted by space and task; rows of an unknown kind are left out."""
    by_ground: dict[tuple[str, str], list[Trial]] = defaultdict(list)
    for trial in _trials(table):
        if trial.last("kind") in ("search", "retraining"):
            by_ground[(trial.last("space") or "", trial.last("task") or "")].append(trial)
    return [_ground(space, task, trials) for (space, task), trials in sorted(by_ground.items())]


def counted(trials: Sequence[Trial]) -> list[Trial]:
    """The trials that enter means and tests: the finished ones; if none is, those that got farthest."""
    finished = [trial for trial in trials if trial.is_finished]
    if finished:
        return finished
    farthest = max((trial.epochs[-1] for trial in trials), default=0)
    return [trial for trial in trials if trial.epochs[-1] == farthest]


def search_values(trials: Sequence[Trial], column: str) -> dict[int, float]:
    """Seed -> last value of a column; repetitions of one seed are one run and are averaged."""
    by_seed: dict[int, list[float]] = defaultdict(list)
    for trial in counted(trials):
        by_seed[int(trial.last("seed") or 0)].append(trial.number(column))
    return {seed: float(np.mean(values)) for seed, values in sorted(by_seed.items())}


def child_values(trials: Sequence[Trial], column: str) -> dict[tuple[int, str], float]:
    """(search seed, architecture) -> last value of a column; retrainings of one child are averaged.

    The child is the independent unit: retraining it again tells nothing about other runs of the method. Only the
    hand-made architecture, which no run found, has (retraining seed, architecture) -> value.
    """
    by_child: dict[tuple[int, str], list[float]] = defaultdict(list)
    for trial in counted(trials):
        seed = trial.last("seed" if trial.last("method") == HAND_MADE else "search_seed")
        by_child[(-1 if seed is None else int(seed), trial.last("architecture") or "")].append(trial.number(column))
    return {child: float(np.mean(values)) for child, values in sorted(by_child.items())}


def best_trial(ground: Ground, trials: Sequence[Trial]) -> Trial | None:
    """The counted trial with the best path metric on the validation split; None if none has a finite one."""
    sign = 1.0 if ground.higher_is_better else -1.0
    scored = [(sign * trial.number(ground.path_metric), trial) for trial in counted(trials)]
    finite = [(score, trial) for score, trial in scored if np.isfinite(score)]
    return max(finite, key=lambda pair: pair[0])[1] if finite else None


def _trials(table: pa.Table) -> list[Trial]:
    rows: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in table.sort_by([(name, "ascending") for name in KEY]).to_pylist():
        rows[(row["experiment"], row["trial"])].append(row)
    return [Trial(tuple(reports)) for reports in rows.values()]


def _ground(space: str, task: str, trials: Sequence[Trial]) -> Ground:
    searches = [trial for trial in trials if trial.last("kind") == "search"]
    retrainings = [trial for trial in trials if trial.last("kind") == "retraining"]
    directions = [trial.last("higher_is_better") for trial in trials]
    metrics = [trial.last("metric") for trial in trials if trial.last("metric")]
    return Ground(
        space=space,
        task=task,
        metric=metrics[0] if metrics else "loss",
        higher_is_better=next((bool(known) for known in directions if known is not None), bool(metrics)),
        searches=_sorted(_by_label(searches)),
        retrainings=_sorted(_by_method(retrainings)),
    )


def _by_label(trials: Sequence[Trial]) -> Groups:
    """Groups by the label that the config gave, with the value that a sweep gave; others by method and settings."""
    groups: Groups = defaultdict(list)
    unnamed = []
    for trial in trials:
        label, setting = trial.last("label") or "", trial.last("setting") or ""
        if label or setting:
            groups[", ".join(part for part in (label or _method(trial), setting) if part)].append(trial)
        else:
            unnamed.append(trial)
    for label, same in _by_settings(unnamed).items():
        groups[label] += same
    return groups


def _by_method(trials: Sequence[Trial]) -> Groups:
    groups: Groups = defaultdict(list)
    for trial in trials:
        groups[_method(trial)].append(trial)
    return groups


def _method(trial: Trial) -> str:
    return trial.last("method") or "unnamed"


def _by_settings(trials: Sequence[Trial]) -> Groups:
    """Groups by method and, where one method was run with several settings, by those that differ."""
    groups: Groups = defaultdict(list)
    for method, same in _by_method(trials).items():
        settings = [_settings(trial) for trial in same]
        names = sorted({name for setting in settings for name in setting})
        varied = [name for name in names if len({setting.get(name, "") for setting in settings}) > 1]
        for trial, setting in zip(same, settings, strict=True):
            text = ", ".join(f"{name}={setting.get(name, 'default')}" for name in varied)
            groups[f"{method} ({text})" if text else method].append(trial)
    return groups


def _settings(trial: Trial) -> dict[str, str]:
    config = json.loads(trial.last("config_json") or "{}")
    flat: dict[str, str] = {}
    for name, value in config.items():
        if name in _NOT_COMPARED:
            continue
        if isinstance(value, dict):
            flat.update({key: _plain(entry) for key, entry in value.items()})
        else:
            flat[name] = _plain(value)
    return flat


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _sorted(groups: Groups) -> Groups:
    for trials in groups.values():
        trials.sort(key=lambda trial: (trial.last("search_seed") or 0, trial.last("seed") or 0))
    return {label: groups[label] for label in sorted(groups, key=lambda label: _rank(label, groups[label][0]))}


def _rank(label: str, trial: Trial) -> tuple[bool, int, list[str | float]]:
    """Registered methods in the order of the registry, then others by name, the baseline last.

    Labels of one method are sorted with their numbers as numbers, so that the values of a sweep stand in order.
    """
    known = list(registry.methods)
    method = _method(trial)
    parts = re.split(r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)", label)
    natural = [float(part) if index % 2 else part for index, part in enumerate(parts)]
    return label == BASELINE, known.index(method) if method in known else len(known), natural
