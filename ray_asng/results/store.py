"""Result files on disk: written whole or not at all, read with a check of the format."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from ray_asng.results.schema import check_schema

FILE_NAME = "results.parquet"


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that takes the place of `path` when the block ends well; otherwise `path` stays as it was.

    The bytes are on the disk before the name changes, so a reader sees the old file or the new one, never half.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text by replacement."""
    with replacing(path) as file:
        file.write(text.encode())


def write_table(table: pa.Table, path: Path) -> None:
    """Write a result table as Parquet by replacement.

    Raises:
        ValueError: the table is none that `collect` made.
    """
    check_schema(table.schema)
    with replacing(path) as file:
        pq.write_table(table, file, compression="zstd")


def read_table(path: Path) -> pa.Table:
    """Read a result table; `path` is the Parquet file or the folder that holds it as results.parquet.

    Raises:
        FileNotFoundError: there is none.
        ValueError: not Parquet, of a newer format, or without the documented columns.
    """
    file = path / FILE_NAME if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(
            f"no {FILE_NAME} at {file}; make it from Tune's files with `ray-asng collect {file.parent}`"
        )
    try:
        table = pq.read_table(file)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{file} is not a readable Parquet file ({error}); collect it again") from error
    try:
        check_schema(table.schema)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    return table
