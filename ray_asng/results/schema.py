"""The columns of a result data set: name, Arrow type, unit and meaning, as data.

One row is one report of one trial (an epoch of a search or of a retraining); `KEY` identifies it. The documented
columns are always there, null where they do not apply. To them come the metrics of the task (`train_accuracy`,
`test_psnr`, ...) and every other number that a method reports of itself, all float64. Descriptions travel in the
Parquet file as field metadata, failed trials and the format version as schema metadata.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

FORMAT_VERSION = 1
"""Raised when a column changes its meaning; a reader refuses newer ones."""

KEY = ("experiment", "trial", "iteration")

_FORMAT = b"ray_asng.format"
_FAILURES = b"ray_asng.failures"
_COMMAND = b"ray_asng.command"


@dataclass(frozen=True, slots=True)
class Column:
    """One documented column; unit "1" is a bare number, "" a text."""

    name: str
    type: pa.DataType
    unit: str
    meaning: str


_TEXT, _COUNT, _NUMBER, _FLAG = pa.string(), pa.int64(), pa.float64(), pa.bool_()
# Parquet calls the items of a list "element"; with that name a table equals itself after writing and reading.
_LISTS = pa.list_(pa.field("element", pa.list_(pa.field("element", _NUMBER))))

COLUMNS = (
    Column("experiment", _TEXT, "", "name of Tune's experiment"),
    Column("trial", _TEXT, "", "Tune's trial id; a trial is one search or one retraining"),
    Column("iteration", _COUNT, "1", "number of the report within the trial, from 1"),
    Column("kind", _TEXT, "", "search or retraining"),
    Column("method", _TEXT, "", "the method that searches, or that found the retrained child"),
    Column("label", _TEXT, "", "what reports call the trial; empty: its method, with the settings that vary"),
    Column("setting", _TEXT, "", "what was varied in the trial of a sweep, as key=value; or empty"),
    Column("space", _TEXT, "", "name of the search space, or module:qualname of a user's own"),
    Column("task", _TEXT, "", "name of the task, or module:qualname of a user's own"),
    Column("seed", _COUNT, "", "seed of this search or retraining"),
    Column("search_seed", _COUNT, "", "seed of the search that found the retrained child; -1 where there was none"),
    Column("split_seed", _COUNT, "", "seed of the split into train and valid"),
    Column("metric", _TEXT, "", "name of the task's metric"),
    Column("higher_is_better", _FLAG, "", "direction of the task's metric"),
    Column("epoch", _COUNT, "1", "epochs done"),
    Column("epochs", _COUNT, "1", "epochs that the trial is to do"),
    Column("ended", _TEXT, "", "of a last report: finished, converged, collapsed or stopped; empty while it goes on"),
    Column("train_loss", _NUMBER, "1", "mean loss of the epoch's training batches"),
    Column("valid_loss", _NUMBER, "1", "mean loss of the epoch's architecture steps on the validation split"),
    Column("test_loss", _NUMBER, "1", "mean loss of a retrained child on the test split"),
    Column("convergence", _NUMBER, "1", "mean over decisions of the largest probability, from 1/K to 1"),
    Column("convergence_limit", _NUMBER, "1", "largest convergence that the method's bounds on probabilities allow"),
    Column(
        "stable_epochs",
        _COUNT,
        "1",
        "epochs since the most likely architecture last changed; 0 in warm-up and near uniform probabilities",
    ),
    Column("entropy", _NUMBER, "nat", "mean over decisions of the entropy of the probabilities"),
    Column("parameter_free_share", _NUMBER, "1", "of decisions with parametric options: share for one without"),
    Column("architecture", _TEXT, "", "JSON object from decision to option; of the last row: what the search found"),
    Column("architecture_text", _TEXT, "", "the architecture in the notation of its field"),
    Column("architecture_graph", _TEXT, "", 'JSON {"nodes": [name], "edges": [[from, to, label]]}, or empty'),
    Column(
        "decisions",
        _TEXT,
        "",
        'JSON list of {"name", "options"}; of numbers {"name", "low", "high"}, of integers "step" too',
    ),
    Column("probabilities", _LISTS, "1", "one list a decision; of a real: mean, deviation"),
    Column("evaluations", _COUNT, "1", "losses of single architectures used so far"),
    Column("steps", _COUNT, "1", "weight steps so far"),
    Column("forward_passes", _NUMBER, "1", "of one path on a batch, so far; of a mixture as many as options run"),
    Column("backward_passes", _NUMBER, "1", "likewise"),
    Column("table_reference", _TEXT, "", "JSON object from column to what the table's architectures have in it"),
    Column("inherited", _TEXT, "", "JSON list of [inherited validation loss, truth by the table]; or empty"),
    Column("parameters", _COUNT, "1", "weights of the retrained child"),
    Column("flops", _NUMBER, "1", "floating point operations of the retrained child for one example"),
    Column("learning_rate", _NUMBER, "1", "of the weights, at the end of the epoch"),
    Column("samples_per_second", _NUMBER, "1/s", "training examples a second"),
    Column("wall_seconds", _NUMBER, "s", "time since the trial began, interruptions left out"),
    Column("device_seconds", _NUMBER, "s", "wall_seconds times the number of devices of the trial"),
    Column("peak_memory_bytes", _NUMBER, "B", "largest memory in use so far"),
    Column("device", _TEXT, "", "cpu, cuda:0, ..."),
    Column("versions", _TEXT, "", "JSON object from package to version"),
    Column("config_json", _TEXT, "", "resolved configuration of the trial as JSON"),
)

# Files that were written before these columns came are read all the same.
_ADDED_LATER = frozenset(
    (
        *("ended", "convergence_limit", "stable_epochs", "label", "setting", "steps", "forward_passes"),
        *("backward_passes", "table_reference", "inherited"),
    )
)

_SPLITS = {
    "train": "mean over the paths (or of the mixture) on the epoch's training batches",
    "valid": "mean over the paths (or of the mixture) on the epoch's validation batches",
    "path": "the most likely path on the whole validation split",
    "test": "the retrained child on the test split",
}

TUNE_KEYS = frozenset(
    (
        *("trial_id", "training_iteration", "timestamp", "date", "done", "config", "pid", "hostname", "node_ip"),
        *("experiment_id", "experiment_tag", "time_this_iter_s", "time_total_s", "time_since_restore"),
        *("iterations_since_restore", "timesteps_total", "timesteps_since_restore", "timesteps_this_iter"),
        *("episodes_total", "episodes_this_iter", "warmup_time", "checkpoint_dir_name", "should_checkpoint"),
    )
)
"""What Tune adds to every report; not kept."""


@dataclass(frozen=True, slots=True)
class FailedTrial:
    """A trial that ended with an error, and the last good state it reached.

    Attributes:
        iteration: the last report it made; 0 if it made none.
        error: the line of the error text that names the exception.
        seed: None where the trial's configuration has none.
        epoch: epochs done by its last report; 0 if it made none.
        column: the column of `value`, such as "path_accuracy"; empty if it was not reported.
        value: the task's metric in the last report; None if it was not reported.
        checkpoint: folder name of its newest checkpoint that is not damaged; empty if there is none.
    """

    experiment: str
    trial: str
    method: str
    seed: int | None
    iteration: int
    error: str
    epoch: int = 0
    column: str = ""
    value: float | None = None
    checkpoint: str = ""


def describe(name: str, metrics: Collection[str] = ()) -> Column:
    """The documented column of that name, or one for a metric of the task or for a method's own number.

    Args:
        name: of the column.
        metrics: names of the tasks' metrics, such as "accuracy".
    """
    for column in COLUMNS:
        if column.name == name:
            return column
    if name.startswith("table_"):
        return Column(name, _NUMBER, "1", "what the reported architecture has in the table")
    split, _, metric = name.partition("_")
    if split in _SPLITS and metric in metrics:
        return Column(name, _NUMBER, "1", f"{metric}: {_SPLITS[split]}")
    return Column(name, _NUMBER, "1", "a number that the method reports of itself")


def make_schema(
    extra: Iterable[str], metrics: Collection[str], failures: Sequence[FailedTrial] = (), command: str = ""
) -> pa.Schema:
    """The Arrow schema of a data set.

    Args:
        extra: columns besides `COLUMNS`; they are sorted.
        metrics: names of the tasks' metrics.
        failures: trials that ended with an error.
        command: what was typed to make the results; empty if unknown.
    """
    columns = [*COLUMNS, *(describe(name, metrics) for name in sorted(extra))]
    fields = [
        pa.field(column.name, column.type, metadata={"unit": column.unit, "meaning": column.meaning})
        for column in columns
    ]
    metadata = {
        _FORMAT: str(FORMAT_VERSION),
        _FAILURES: json.dumps([asdict(failure) for failure in failures]),
        _COMMAND: command,
    }
    return pa.schema(fields, metadata=metadata)


def failed_trials(table: pa.Table) -> list[FailedTrial]:
    """The trials that ended with an error; they may have rows too, up to the report they reached."""
    found: list[dict[str, Any]] = json.loads(_metadata(table.schema, _FAILURES) or "[]")
    return [FailedTrial(**failure) for failure in found]


def recorded_command(table: pa.Table) -> str:
    """What was typed to make the results; empty if it was not recorded."""
    return _metadata(table.schema, _COMMAND)


def check_schema(schema: pa.Schema) -> None:
    """Refuse a table that this version cannot read.

    Raises:
        ValueError: no data set of this package, a newer format, or a missing column.
    """
    version = _metadata(schema, _FORMAT)
    if not version:
        raise ValueError("no result data set of ray_asng (its format version is missing); make one with `collect`")
    if int(version) > FORMAT_VERSION:
        raise ValueError(
            f"result format {version} is newer than {FORMAT_VERSION}, the newest that this version of ray_asng "
            "reads; upgrade ray_asng, or collect again with this version"
        )
    expected = [column.name for column in COLUMNS if column.name not in _ADDED_LATER]
    missing = [name for name in expected if name not in schema.names]
    if missing:
        raise ValueError(f"the result data set lacks the columns {missing}; collect it again from Tune's files")


def _metadata(schema: pa.Schema, key: bytes) -> str:
    value: bytes = (schema.metadata or {}).get(key, b"")
    return value.decode()
