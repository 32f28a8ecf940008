"""Result files on disk."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tune_output import search_reports, write_trial

from ray_asng.results.collect import collect
from ray_asng.results.report import write_report
from ray_asng.results.store import read_table, replacing, write_table


@pytest.fixture
def table(tmp_path):
    write_trial(tmp_path / "exp", "aaaaa_00000", search_reports("asng", 0, epochs=3))
    return collect(tmp_path / "exp")


def test_what_is_written_is_read_back(table, tmp_path):
    write_table(table, tmp_path / "results.parquet")
    assert read_table(tmp_path).equals(table, check_metadata=True)


def test_plain_pyarrow_opens_the_file_with_probabilities_as_lists(table, tmp_path):
    write_table(table, tmp_path / "results.parquet")
    plain = pq.read_table(tmp_path / "results.parquet")
    assert plain.schema.field("probabilities").type == pa.list_(pa.list_(pa.float64()))
    first = plain.column("probabilities").to_pylist()[0]
    assert len(first) == 6
    assert all(abs(sum(decision) - 1) < 1e-12 for decision in first)


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path):
    path = tmp_path / "summary.md"
    path.write_text("old")

    def write_half():
        with replacing(path) as file:
            file.write(b"half")
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_newer_format_is_refused_with_the_remedy(table, tmp_path):
    newer = table.replace_schema_metadata({**table.schema.metadata, b"ray_asng.format": b"99"})
    pq.write_table(newer, tmp_path / "results.parquet")
    with pytest.raises(ValueError, match=r"format 99 is newer than 1.*upgrade ray_asng"):
        read_table(tmp_path)


def test_a_foreign_parquet_file_is_refused(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "results.parquet")
    with pytest.raises(ValueError, match="no result data set of ray_asng"):
        read_table(tmp_path)


def test_a_missing_column_is_named(table, tmp_path):
    pq.write_table(table.drop_columns(["metric"]), tmp_path / "results.parquet")
    with pytest.raises(ValueError, match=r"lacks the columns \['metric'\]"):
        read_table(tmp_path)


def test_a_file_of_a_version_without_the_newer_columns_is_read_and_reported(table, tmp_path):
    failure = {"experiment": "exp", "trial": "t", "method": "asng", "seed": 1, "iteration": 2, "error": "E: no"}
    older = table.drop_columns(["ended", "stable_epochs", "convergence_limit"])
    metadata = {**older.schema.metadata, b"ray_asng.failures": json.dumps([failure]).encode()}
    pq.write_table(older.replace_schema_metadata(metadata), tmp_path / "results.parquet")
    text = write_report(tmp_path).summary.read_text()
    assert "| asng | 1 |" in text
    assert "| exp | t | asng | 1 | 2 | — | — | `E: no` |" in text


def test_a_broken_file_is_refused_by_name(tmp_path):
    (tmp_path / "results.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(ValueError, match=r"results.parquet is not a readable Parquet file"):
        read_table(tmp_path)


def test_a_missing_file_is_refused_with_the_command_that_makes_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="ray-asng collect"):
        read_table(tmp_path)
