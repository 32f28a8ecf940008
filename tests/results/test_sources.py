"""What a report reads from a folder with missing files, missing columns, or files of several versions."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_up import study
from tune_output import search_reports, write_output, write_trial

from ray_asng.results.collect import collect
from ray_asng.results.markdown import markdown
from ray_asng.results.report import write_report
from ray_asng.results.schema import FailedTrial, failed_trials, make_schema, recorded_command
from ray_asng.results.sources import read_folder
from ray_asng.results.store import read_table, write_table
from ray_asng.results.summary import content
from ray_asng.results.trials import grounds


def written(table, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def text_of(folder):
    """The report as Markdown, its figures drawn and thrown away."""
    results = read_folder(folder)
    return markdown(content(results.table, lambda name, figure: name, results.notes, results.names))


def trials_of(table):
    return sorted(set(table.column("trial").to_pylist()))


def test_a_whole_file_is_read_as_it_is_and_nothing_is_missing(tmp_path):
    table = study(4)
    write_table(table, tmp_path / "results.parquet")
    results = read_folder(tmp_path)
    assert results.table.to_pylist() == read_table(tmp_path).to_pylist()
    assert recorded_command(results.table) == "ray-asng study many"
    assert (results.names, results.notes) == (("results.parquet",), ())


def test_missing_columns_are_named_and_the_rest_is_reported(tmp_path):
    written(study(4).drop_columns(["metric", "versions", "config_json"]), tmp_path / "results.parquet")
    report = write_report(tmp_path)
    (note,) = [note for note in report.missing if "has no column" in note]
    assert "metric, versions, config_json" in note
    assert "## nasbench201 on digits" in report.summary.read_text()
    assert "has no column" in report.page.read_text()


@pytest.mark.parametrize("column", ["probabilities", "epoch", "architecture", "seed", "higher_is_better", "decisions"])
def test_any_one_column_may_be_missing(tmp_path, column):
    written(study(2, labels=("asng",)).drop_columns([column]), tmp_path / "results.parquet")
    assert f"has no column `{column}`" in text_of(tmp_path)


def test_a_column_that_holds_something_else_is_left_out_and_named(tmp_path):
    table = study(4)
    texts = pa.array(["a while"] * table.num_rows)
    place = table.schema.get_field_index("wall_seconds")
    written(table.set_column(place, "wall_seconds", texts), tmp_path / "results.parquet")
    results = read_folder(tmp_path)
    assert results.table.column("wall_seconds").null_count == table.num_rows
    assert "something else than this version in `wall_seconds`" in results.notes[0]


def test_without_what_tells_trials_apart_nothing_is_read(tmp_path):
    written(study(4).drop_columns(["trial"]), tmp_path / "results.parquet")
    with pytest.raises(ValueError, match=r"nothing tells its trials apart without \['trial'\]"):
        read_folder(tmp_path)


def test_without_results_a_report_is_made_from_the_files_of_tune(tmp_path):
    write_output(tmp_path)
    results = read_folder(tmp_path)
    assert results.table.equals(collect(tmp_path))
    assert "`results.parquet` is missing" in results.notes[0]
    assert "ray-asng collect" in results.notes[0]


def test_an_experiment_that_has_just_begun_gives_a_report_that_says_so(tmp_path):
    write_trial(tmp_path / "tune" / "search", "aaaaa_00000", [])
    assert "No search and no retraining has reported yet." in write_report(tmp_path).summary.read_text()


def test_a_folder_with_nothing_is_refused_with_the_command_that_helps(tmp_path):
    with pytest.raises(FileNotFoundError, match="ray-asng collect"):
        read_folder(tmp_path)


def test_a_newer_format_is_refused(tmp_path):
    table = study(4)
    newer = table.replace_schema_metadata({**table.schema.metadata, b"ray_asng.format": b"99"})
    written(newer, tmp_path / "results.parquet")
    with pytest.raises(ValueError, match=r"results.parquet: result format 99 is newer than 1"):
        write_report(tmp_path)


def test_parts_of_a_study_in_several_files_are_one_report(tmp_path):
    whole = study(8)
    half = whole.num_rows // 2
    written(whole.slice(0, half), tmp_path / "results.parquet")
    written(whole.slice(half).drop_columns(["label", "setting", "step_size"]), tmp_path / "results_2.parquet")
    results = read_folder(tmp_path)
    assert trials_of(results.table) == trials_of(whole)
    (ground,) = grounds(results.table)
    assert {label: len(trials) for label, trials in ground.searches.items()} == dict.fromkeys(ground.searches, 2)
    (note,) = results.notes
    assert "`results_2.parquet` has no column `label`, `setting`" in note
    said = "computed from results.parquet, results_2.parquet (2 files, shown as one)"
    assert said in text_of(tmp_path)


@pytest.mark.parametrize("names", [("results.parquet", "results_b.parquet"), ("results_b.parquet", "results.parquet")])
def test_of_a_trial_in_two_files_the_one_that_goes_farther_counts(tmp_path, names):
    whole = study(2, labels=("asng", "darts"))
    short = whole.filter(pa.compute.less(whole.column("iteration"), 3))
    failure = FailedTrial("study", "ab12f_00000", "asng", 0, 2, "RuntimeError: killed")
    schema = make_schema(["step_size"], {"accuracy"}, [failure], "first")
    written(short.replace_schema_metadata(schema.metadata), tmp_path / names[0])
    written(whole, tmp_path / names[1])
    results = read_folder(tmp_path)
    assert results.table.num_rows == whole.num_rows
    assert failed_trials(results.table) == []
    assert set(recorded_command(results.table).splitlines()) == {"first", "ray-asng study many"}
    assert results.notes[-1] == "4 rows are in several files; of each trial the file that goes farthest counts."


def test_a_file_that_cannot_be_read_among_others_is_named_and_left_out(tmp_path):
    table = study(4)
    written(table, tmp_path / "results.parquet")
    newer = table.replace_schema_metadata({**table.schema.metadata, b"ray_asng.format": b"99"})
    written(newer, tmp_path / "results_b.parquet")
    (tmp_path / "results_c.parquet").write_bytes(b"PAR1 but not really")
    results = read_folder(tmp_path)
    assert results.table.num_rows == table.num_rows
    assert results.names == ("results.parquet",)
    assert "`results_b.parquet` is left out" in results.notes[0]
    assert "result format 99 is newer than 1" in results.notes[0]
    assert "results_c.parquet is not a readable Parquet file" in results.notes[1]


def test_files_of_which_none_can_be_read_are_refused(tmp_path):
    for name in ("results.parquet", "results_b.parquet"):
        (tmp_path / name).write_bytes(b"PAR1 but not really")
    with pytest.raises(ValueError, match=r"no result file in .* can be read"):
        read_folder(tmp_path)


def test_files_beside_the_results_are_no_results(tmp_path):
    write_trial(tmp_path / "exp", "aaaaa_00000", search_reports("asng", 0, epochs=2))
    write_table(collect(tmp_path / "exp"), tmp_path / "results.parquet")
    written(pa.table({"a": [1]}), tmp_path / "nasbench201.parquet")
    assert read_folder(tmp_path).notes == ()
