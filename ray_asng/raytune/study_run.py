"""A study as one experiment of Tune: built once to see that it can be, run or taken up again, and reported."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray import tune

from ray_asng.config import SearchConfig, name_of
from ray_asng.optimizers.base import SamplingOptimizer
from ray_asng.raytune.resumable import Experiment, ray_session, results_and_report
from ray_asng.raytune.trainable import SearchTrainable
from ray_asng.results.report import Report
from ray_asng.search import Search
from ray_asng.settings import SearchSettings
from ray_asng.study.combination import Combination
from ray_asng.study.plan import Study, load_study
from ray_asng.study.source import find_study
from ray_asng.tabular.base import Table
from ray_asng.tasks.base import Task

_INDEX = "__trial__"
"""The key of a config that says which trial of the study it is; keys that begin so are not the search's."""


@dataclass(frozen=True)
class Rehearsal:
    """What building every search once has told.

    Attributes:
        passes: (C,) forward and backward passes that a search of each combination makes, about, in those of one path.
        metrics: of the tasks.
    """

    passes: tuple[float, ...]
    metrics: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class StudyRun:
    """A study and how it is run.

    Attributes:
        output: folder of everything that is written.
        study: what is run.
        size: of the study, by which it was read; None for the file as it stands.
        given: keys of a search's config that went over the file.
        max_concurrent: trials at a time; as many as the resources allow if None.
        command: what was typed, for the report.
    """

    output: Path
    study: Study
    size: str | None = None
    given: Mapping[str, Any] = field(default_factory=dict)
    max_concurrent: int | None = None
    command: str = ""

    @classmethod
    def read(
        cls, file: str, output: Path, size: str | None = None, given: Mapping[str, Any] | None = None, **how: Any
    ) -> StudyRun:
        """The study of a file, or a ready one of that name; `how` are the other attributes.

        Raises:
            FileNotFoundError, ValueError, TypeError: there is no such study, or it cannot be; see `load_study`.
        """
        study = load_study(find_study(file), size, given)
        return cls(output=output, study=study, size=size, given=given or {}, **how)

    def rehearse(self) -> Rehearsal:
        """Build a search of every combination, so that whatever is wrong is said before anything is started.

        Raises:
            ValueError, TypeError: a search that cannot be, such as a method on a space that it does not take; with
                the line of the study.
            FileNotFoundError: missing data, or a missing table.
        """
        kept = _Kept()
        built = [_passes_and_metric(combination, kept) for combination in self.study.combinations]
        passes, metrics = zip(*built, strict=True)
        return Rehearsal(passes=passes, metrics=tuple(dict.fromkeys(metrics)))

    def save(self) -> None:
        """Copy the study into the folder, with how it is run, so that `load` can take it up."""
        source = self.study.source
        copy = self.output / f"study{source.path.suffix}"
        copy.write_text(source.text, encoding="utf-8")
        how = {name: getattr(self, name) for name in ("size", "given", "max_concurrent", "command")}
        (self.output / "study.json").write_text(json.dumps({"file": copy.name, **how}, indent=2) + "\n")

    @classmethod
    def load(cls, output: Path) -> StudyRun:
        """The study that was begun in `output`.

        Raises:
            FileNotFoundError: none was.
        """
        path = output / "study.json"
        if not path.is_file():
            raise FileNotFoundError(f"{output} holds no study to resume (no study.json); start it without --resume")
        how = json.loads(path.read_text())
        return cls.read(str(output / how.pop("file")), output, **how)


def run_study(run: StudyRun, rehearsal: Rehearsal) -> Report:
    """Run a study, or go on with it; returns its report.

    Raises:
        KeyboardInterrupt: it was interrupted, and can be taken up.
        RuntimeError: every trial failed.
    """
    with ray_session():
        experiment(run, rehearsal).run()
    return results_and_report(run.output, run.command)


def experiment(run: StudyRun, rehearsal: Rehearsal) -> Experiment:
    """All trials of a study as one experiment of Tune."""
    trials = run.study.trials
    return Experiment(
        folder=run.output / "tune" / "study",
        trainable=SearchTrainable,
        param_space=_param_space(trials),
        points=[{_INDEX: index} for index in range(len(trials))],
        name=lambda config: _name(trials[config[_INDEX]]),
        columns=("epoch", "train_loss", *(f"path_{metric}" for metric in rehearsal.metrics)),
        max_concurrent=run.max_concurrent,
    )


def plan_text(run: StudyRun) -> str:
    """What the study would run, built once: a line for each combination, then how much that is."""
    study, rehearsal = run.study, run.rehearse()
    lines = [("label", "setting", "space", "task", "epochs", "passes")]
    for combination, passes in zip(study.combinations, rehearsal.passes, strict=True):
        config = combination.checked()
        names = (combination.label, combination.setting, name_of(config.space), name_of(config.task))
        lines.append((*names, str(config.settings.epochs), f"{passes:.0f}"))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    seeds = ", ".join(map(str, study.seeds))
    total = len(study.seeds) * sum(rehearsal.passes)
    return "\n".join(
        [
            *rows,
            "",
            f"{len(study.trials)} trials: {len(study.combinations)} of each of the seeds {seeds}",
            f"about {total:.3g} forward and backward passes of one path in all",
        ]
    )


def _name(trial: Mapping[str, Any]) -> str:
    parts = (trial["label"], trial["setting"], f"seed{trial['seed']}")
    return "_".join(part for part in parts if part)


def _param_space(trials: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A space whose points are told apart by their number alone; from it Tune resolves the whole config.

    That is done when a trial is about to start, after it has been named. A key that some trials lack has its default
    there, since for Tune all configs have the same keys.
    """
    keys = dict.fromkeys(key for trial in trials for key in trial)
    columns = {key: [trial.get(key, _default(key)) for trial in trials] for key in keys}
    resolved = {key: tune.sample_from(_of_trial(values)) for key, values in columns.items()}
    return {_INDEX: tune.choice(list(range(len(trials)))), **resolved}


def _of_trial(values: Sequence[Any]) -> Callable[[Any], Any]:
    return lambda config: values[config[_INDEX]]


def _default(key: str) -> Any:
    """What a search's config has under a key that is left out."""
    fields = {field.name: field for owner in (SearchConfig, SearchSettings) for field in dataclasses.fields(owner)}
    known = fields[key]
    return known.default if known.default_factory is dataclasses.MISSING else known.default_factory()


def _passes_and_metric(combination: Combination, kept: _Kept) -> tuple[float, str]:
    """Build a search; what it will cost, and the metric of its task."""
    config = combination.checked()
    try:
        search = config.build_search(task=kept.task(config))
        table = kept.table(config)
        if table is not None:
            table.reference(search.space)
    except (ValueError, TypeError) as error:
        raise combination.located(error) from error
    return _passes(search), search.task.metric


def _passes(search: Search) -> float:
    settings, optimizer = search.settings, search.optimizer
    if settings.passes_per_epoch is not None:
        return settings.epochs * settings.passes_per_epoch
    a_step = optimizer.cost.forward + optimizer.cost.backward
    if isinstance(optimizer, SamplingOptimizer) and settings.samples is not None:
        a_step *= settings.samples / optimizer.samples  # the cost is that of the method's own number
    return settings.epochs * search.steps_per_epoch * a_step


class _Kept:
    """Tasks and tables, which many searches have in common and which take longest to build."""

    def __init__(self) -> None:
        self._built: dict[str, Any] = {}

    def task(self, config: SearchConfig) -> Task:
        """The task of a search."""
        said = (config.task, config.task_options, config.split_seed, config.train_fraction, config.data_dir)
        task: Task = self._once(f"task {said!r}", config.build_task)
        return task

    def table(self, config: SearchConfig) -> Table | None:
        """The table of a search."""
        said = (config.table, config.table_options, config.data_dir)
        table: Table | None = self._once(f"table {said!r}", config.build_table)
        return table

    def _once(self, name: str, build: Callable[[], Any]) -> Any:
        if name not in self._built:
            self._built[name] = build()
        return self._built[name]
