"""From Tune's result files to one table.

Tune's own files are the source of truth while a run lasts: a bare `tune.run` has nothing else. `collect` may be
called at any time, also on a run that goes on or that was killed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from ray_asng.checkpoints import newest_good
from ray_asng.results.schema import COLUMNS, TUNE_KEYS, FailedTrial, make_schema
from ray_asng.results.tune_files import Report, TrialFiles, did_all_epochs, is_trial, read_trial

# Tune writes a NaN of numpy's float32 as the text "null", and other non-numbers as Python prints them.
_NOT_A_NUMBER = {"null": math.nan, "nan": math.nan, "NaN": math.nan, "inf": math.inf, "-inf": -math.inf}


def collect(folder: Path, command: str = "") -> pa.Table:
    """All reports below `folder` as one table, sorted by experiment, trial and iteration.

    Of several reports of one (trial, iteration) the last one counts. Numbers that are not documented columns become
    float64 columns; what Tune adds is dropped. Failed trials are in `schema.failed_trials(table)`.

    Args:
        folder: an output folder (with `tune/`), a folder of experiments, or one experiment.
        command: what was typed to make the results, kept for the report.

    Raises:
        FileNotFoundError: no trial of Tune below `folder`.
    """
    rows: list[Report] = []
    failures: list[FailedTrial] = []
    for experiment in experiment_folders(folder):
        trials = [read_trial(trial) for trial in sorted(experiment.iterdir()) if is_trial(trial)]
        for trial in sorted(trials, key=lambda trial: trial.trial):
            rows += _rows(experiment.name, trial)
            if trial.error is not None:
                failures.append(_failure(experiment.name, trial, trial.error))
    metrics = {str(row["metric"]) for row in rows if row.get("metric")}
    schema = make_schema(_extra_numbers(rows), metrics, failures, command)
    columns = {
        field.name: pa.array([_convert(row.get(field.name), field.type) for row in rows], field.type)
        for field in schema
    }
    return pa.table(columns, schema=schema)


def experiment_folders(folder: Path) -> list[Path]:
    """The experiments of an output folder, of a folder of experiments, or the one experiment that `folder` is.

    Raises:
        FileNotFoundError: there is none.
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f"there is no folder {folder}; give the output folder of a run or an experiment of Tune"
        )
    if is_trial(folder):
        raise FileNotFoundError(f"{folder} is a single trial; give the folder of its experiment, {folder.parent}")
    parent = folder / "tune" if (folder / "tune").is_dir() else folder
    if _has_trials(parent):
        return [parent]
    experiments = sorted(child for child in parent.iterdir() if child.is_dir() and _has_trials(child))
    if not experiments:
        raise FileNotFoundError(
            f"no trials of Ray Tune in {folder}; expected tune/<experiment>/<trial>/result.json, "
            "<experiment>/<trial>/result.json or <trial>/result.json below it"
        )
    return experiments


def _has_trials(folder: Path) -> bool:
    return any(is_trial(child) for child in folder.iterdir() if child.is_dir())


def _rows(experiment: str, trial: TrialFiles) -> list[Report]:
    """The reports without what Tune adds; how the trial ended is said in the last one alone."""
    rows = []
    for report in trial.reports:
        kept = {name: value for name, value in report.items() if name not in TUNE_KEYS}
        key = {"experiment": experiment, "trial": trial.trial, "iteration": report["training_iteration"]}
        rows.append({**kept, **key, "ended": _ended(report) if report is trial.reports[-1] else ""})
    return rows


def _ended(last: Report) -> str:
    """The word for how a trial ended, by its last report.

    The trial itself knows that it finished, a stopper of ours says why it ended a trial; of a scheduler and other
    stoppers only Tune's `done` is left. Reports of older versions have none of these words.
    """
    if last.get("ended"):
        return str(last["ended"])
    if last.get("epochs") and did_all_epochs(last):
        return "finished"
    if last.get("done") is True:
        return "finished" if did_all_epochs(last) else "stopped"
    return ""


def _failure(experiment: str, trial: TrialFiles, error: str) -> FailedTrial:
    last = trial.reports[-1] if trial.reports else {}
    column = f"{'test' if last.get('kind') == 'retraining' else 'path'}_{last.get('metric')}"
    checkpoint = newest_good(trial.folder)
    method, seed = last.get("method", trial.config.get("method")), last.get("seed", trial.config.get("seed"))
    return FailedTrial(
        experiment=experiment,
        trial=trial.trial,
        method=method if isinstance(method, str) else "",
        seed=seed if isinstance(seed, int) else None,
        iteration=int(last.get("training_iteration", 0)),
        error=error,
        epoch=_whole_number(last.get("epoch")) or 0,
        column=column if column in last else "",
        value=_number(last[column]) if column in last else None,
        checkpoint=checkpoint.name if checkpoint else "",
    )


def _extra_numbers(rows: Iterable[Report]) -> set[str]:
    """Names besides the documented ones that hold numbers wherever they are reported."""
    documented = {column.name for column in COLUMNS}
    numbers: set[str] = set()
    others: set[str] = set()
    for row in rows:
        for name in row.keys() - documented:
            value = row[name]
            if isinstance(value, (bool, int, float)):
                numbers.add(name)
            elif value is not None and not (isinstance(value, str) and value in _NOT_A_NUMBER):
                others.add(name)
    return numbers - others


def _convert(value: Any, type_: pa.DataType) -> Any:
    """A value of a JSON report as what the column takes; None where it says nothing."""
    if value is None:
        return None
    if pa.types.is_string(type_):
        return value if isinstance(value, str) else json.dumps(value)
    if pa.types.is_list(type_):
        return [[_number(entry) for entry in decision] for decision in value]
    if pa.types.is_boolean(type_):
        return bool(value)
    if pa.types.is_integer(type_):
        return _whole_number(value)
    return _number(value)


def _whole_number(value: Any) -> int | None:
    if isinstance(value, int):  # not by way of a float, which would round a large seed
        return value
    number = _number(value)
    return int(number) if math.isfinite(number) else None


def _number(value: Any) -> float:
    if isinstance(value, str):
        return _NOT_A_NUMBER.get(value, math.nan)
    return math.nan if value is None else float(value)
