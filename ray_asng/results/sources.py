"""What a folder holds, read as one table: its result files, also of several versions, or else Tune's own files.

Reading for a report is lenient where `read_table` is strict: what is missing is left out and said.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ray_asng.results.collect import collect
from ray_asng.results.inline import code
from ray_asng.results.schema import COLUMNS, KEY, check_schema, failed_trials, make_schema, recorded_command
from ray_asng.results.store import FILE_NAME, read_table

PATTERN = "results*.parquet"
"""Names of result files: parts of a study that were collected apart stand beside each other."""

_TYPES = {column.name: column.type for column in COLUMNS}


@dataclass(frozen=True, slots=True)
class Results:
    """All results of a folder.

    Attributes:
        table: with all documented columns.
        names: what it was read from.
        notes: what is missing, a sentence each, as text of a block.
    """

    table: pa.Table
    names: tuple[str, ...]
    notes: tuple[str, ...]


def read_folder(folder: Path) -> Results:
    """Read all result files of a folder; Tune's own files in its `tune/` where there is none.

    Raises:
        FileNotFoundError: neither is there.
        ValueError: no result file can be read; says why, such as that it is of a newer format.
    """
    paths = sorted(folder.glob(PATTERN))
    if not paths:
        return _from_tune(folder)
    tables: dict[str, pa.Table] = {}
    notes: list[str] = []
    for path in paths:
        try:
            tables[path.name], lacking = _read_leniently(path)
        except ValueError as error:
            if len(paths) == 1:
                raise
            notes.append(f"{code(path.name)} is left out: {code(str(error))}")
        else:
            notes += lacking
    if not tables:
        raise ValueError(f"no result file in {folder} can be read: {'; '.join(notes)}")
    joined = _joined(list(tables.values()))
    repeated = sum(table.num_rows for table in tables.values()) - joined.num_rows
    if repeated:
        notes.append(f"{repeated} rows are in several files; of each trial the file that goes farthest counts.")
    return Results(joined, tuple(tables), tuple(notes))


def _from_tune(folder: Path) -> Results:
    if not (folder / "tune").is_dir():
        read_table(folder)  # says what to do about the file that is missing
    note = (
        f"{code(FILE_NAME)} is missing; this report was made from Tune's own files in {code('tune')}. "
        f"Keep them as a data set: {code(f'ray-asng collect {folder} --output {folder}')}."
    )
    return Results(collect(folder), ("Tune's files in tune/",), (note,))


def _read_leniently(path: Path) -> tuple[pa.Table, list[str]]:
    """The table with all documented columns, and a sentence if it had not all of them.

    Raises:
        ValueError: not Parquet, none of ours, of a newer format, or without the columns that tell trials apart.
    """
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path} is not a readable Parquet file ({error}); collect it again") from error
    missing = [column.name for column in COLUMNS if column.name not in table.schema.names]
    broken = [name for name in table.schema.names if name in _TYPES and _cast(table.column(name), name) is None]
    unknown = [name for name in KEY if name in (*missing, *broken)]
    try:
        completed = _completed(table)
        check_schema(completed.schema)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if unknown:
        raise ValueError(f"{path}: nothing tells its trials apart without {unknown}; collect it again")
    notes = []
    if missing:
        names = ", ".join(code(name) for name in missing)
        notes.append(f"{code(path.name)} has no column {names} (of an older version?); what needs it is left out.")
    if broken:
        names = ", ".join(code(name) for name in broken)
        notes.append(f"{code(path.name)} holds something else than this version in {names}; it is left out.")
    return completed, notes


def _completed(table: pa.Table) -> pa.Table:
    """The documented columns in their types, null where they are missing, and the others as float64."""
    columns: dict[str, Any] = {}
    for name in _names([table]):
        present = _cast(table.column(name), name) if name in table.schema.names else None
        columns[name] = pa.nulls(table.num_rows, _type(name)) if present is None else present
    schema = pa.schema([pa.field(name, _type(name)) for name in columns], metadata=table.schema.metadata)
    return pa.table(columns, schema=schema)


def _cast(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray | None:
    """The column in its type; None if it holds something else."""
    try:
        return column.cast(_type(name))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def _type(name: str) -> pa.DataType:
    return _TYPES.get(name, pa.float64())


def _names(tables: list[pa.Table]) -> list[str]:
    extra = {name for table in tables for name in table.schema.names} - _TYPES.keys()
    return [*_TYPES, *sorted(extra)]


def _joined(tables: list[pa.Table]) -> pa.Table:
    """One table; a trial that is in several is taken from the one in which it got farthest."""
    if len(tables) == 1:
        return tables[0]
    farthest: dict[tuple[str, str], tuple[int, int]] = {}
    for place, table in enumerate(tables):
        for experiment, trial, iteration in zip(*(table.column(name).to_pylist() for name in KEY), strict=True):
            reached = farthest.get((experiment, trial), (-1, 0))
            if iteration > reached[0]:
                farthest[(experiment, trial)] = (iteration, place)
    kept = [_only(table, place, farthest) for place, table in enumerate(tables)]
    metrics = {name for table in kept for name in table.column("metric").unique().to_pylist() if name}
    # Of a trial that failed in one file and went on in another, the error is history.
    failures = {
        (failure.experiment, failure.trial): failure
        for place, table in enumerate(tables)
        for failure in failed_trials(table)
        if farthest.get((failure.experiment, failure.trial), (0, place))[1] == place
    }
    commands = "\n".join(dict.fromkeys(command for table in tables if (command := recorded_command(table))))
    schema = make_schema(set(_names(kept)) - _TYPES.keys(), metrics, list(failures.values()), commands)
    bare = [table.replace_schema_metadata(None) for table in kept]
    whole = pa.concat_tables(bare, promote_options="default")
    return whole.select(schema.names).cast(schema)


def _only(table: pa.Table, place: int, farthest: dict[tuple[str, str], tuple[int, int]]) -> pa.Table:
    keys = zip(table.column("experiment").to_pylist(), table.column("trial").to_pylist(), strict=True)
    return table.filter(pa.array([farthest[key][1] == place for key in keys], pa.bool_()))
