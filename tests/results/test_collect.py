"""From Tune's files to a table."""

import gzip
import json
import math

import pyarrow as pa
import pytest
from tune_output import search_reports, tune_report, write_output, write_trial

from ray_asng.checkpoints import REPORTS_FILE
from ray_asng.results.collect import collect
from ray_asng.results.schema import COLUMNS, KEY, failed_trials, recorded_command


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    return write_output(tmp_path_factory.mktemp("output"))


def rows_of(table: pa.Table, trial: str) -> list[dict]:
    return [row for row in table.to_pylist() if row["trial"] == trial]


def test_every_report_of_every_trial_becomes_a_row_sorted_by_its_key(output):
    table = collect(output)
    keys = list(zip(*(table.column(name).to_pylist() for name in KEY), strict=True))
    assert len(keys) == 8 * 20 + 9 * 10
    assert keys == sorted(set(keys))


def test_output_folder_and_its_tune_folder_give_the_same_table(output):
    assert collect(output).equals(collect(output / "tune"))


def test_a_bare_experiment_folder_is_collected(output):
    table = collect(output / "tune" / "search")
    assert set(table.column("experiment").to_pylist()) == {"search"}
    assert set(table.column("kind").to_pylist()) == {"search"}


def test_documented_columns_come_first_and_the_methods_numbers_after_them(output):
    table = collect(output)
    names = table.schema.names
    assert names[: len(COLUMNS)] == [column.name for column in COLUMNS]
    extra = set(names[len(COLUMNS) :])
    assert {"step_size", "signal_ratio", "path_accuracy", "test_accuracy"} <= extra
    assert not extra & {"training_iteration", "time_total_s", "pid", "config", "done", "timestamp"}
    assert all(table.schema.field(name).type == pa.float64() for name in extra)


def test_every_column_carries_its_meaning(output):
    for field in collect(output).schema:
        assert field.metadata[b"meaning"], field.name
    assert b"whole validation split" in collect(output).schema.field("path_accuracy").metadata[b"meaning"]


def test_the_last_report_of_an_iteration_wins(tmp_path):
    reports = search_reports("asng", 0, epochs=3)
    place = write_trial(tmp_path / "exp", "aaaaa_00000", reports)
    again = {**tune_report("aaaaa_00000", 2, reports[1]), "train_loss": 77.0}
    with (place / "result.json").open("a") as file:
        file.write(json.dumps(again) + "\n")
    rows = rows_of(collect(tmp_path / "exp"), "aaaaa_00000")
    assert [row["iteration"] for row in rows] == [1, 2, 3]
    assert rows[1]["train_loss"] == 77.0


def test_a_torn_last_line_is_left_out(tmp_path):
    place = write_trial(tmp_path / "exp", "aaaaa_00000", search_reports("asng", 0, epochs=3))
    text = (place / "result.json").read_text()
    (place / "result.json").write_text(text[:-200])
    assert [row["iteration"] for row in collect(tmp_path / "exp").to_pylist()] == [1, 2]


def test_a_report_behind_the_torn_half_of_another_is_kept(tmp_path):
    """A resumed trial appends to the file that the killed one left without a line end."""
    reports = search_reports("asng", 0, epochs=3)
    place = write_trial(tmp_path / "exp", "aaaaa_00000", reports)
    torn = (place / "result.json").read_text()[:-200]
    (place / "result.json").write_text(torn + json.dumps(tune_report("aaaaa_00000", 3, reports[2])) + "\n")
    assert [row["iteration"] for row in collect(tmp_path / "exp").to_pylist()] == [1, 2, 3]


def write_second_copy(place, number, trial, reports):
    """A checkpoint folder with the reports that a trial has made before it, first iteration first."""
    folder = place / f"checkpoint_{number:06d}"
    folder.mkdir()
    lines = [json.dumps(tune_report(trial, iteration, report)) for iteration, report in reports.items()]
    (folder / REPORTS_FILE).write_bytes(gzip.compress("\n".join(lines).encode()))
    return folder


def test_reports_that_tunes_file_lacks_are_taken_from_the_checkpoint_and_no_others(tmp_path):
    reports = search_reports("asng", 0, epochs=5, done=4)
    place = write_trial(tmp_path / "exp", "aaaaa_00000", reports)
    whole = collect(tmp_path / "exp")
    second = {number: {**report, "train_loss": 77.0} for number, report in enumerate(reports, start=1)}
    write_second_copy(place, 0, "aaaaa_00000", second)
    assert collect(tmp_path / "exp").equals(whole)
    lines = (place / "result.json").read_text().splitlines(keepends=True)
    (place / "result.json").write_text(lines[1] + lines[3][:200])
    losses = [reports[1]["train_loss"] if number == 2 else 77.0 for number in range(1, 5)]
    assert collect(tmp_path / "exp")["train_loss"].to_pylist() == losses


def test_reports_that_the_newest_checkpoint_lacks_or_cannot_give_are_taken_from_older_ones(tmp_path):
    """It lacks those of before the trial took over another's, and gives none if it is damaged."""
    reports = dict(enumerate(search_reports("asng", 0, epochs=5, done=4), start=1))
    place = write_trial(tmp_path / "exp", "aaaaa_00000", list(reports.values()))
    whole = collect(tmp_path / "exp")
    (place / "result.json").write_text("")
    write_second_copy(place, 0, "aaaaa_00000", {1: reports[1], 2: {**reports[2], "train_loss": 77.0}})
    write_second_copy(place, 1, "aaaaa_00000", {2: reports[2], 3: reports[3], 4: reports[4]})
    damaged = write_second_copy(place, 2, "aaaaa_00000", reports) / REPORTS_FILE
    damaged.write_bytes(damaged.read_bytes()[:-20])
    assert collect(tmp_path / "exp").equals(whole)


@pytest.mark.parametrize("spelled", [math.nan, "null", "nan"])
def test_nan_survives_however_tune_spells_it(tmp_path, spelled):
    reports = [{**report, "valid_loss": spelled} for report in search_reports("asng", 0, epochs=2)]
    write_trial(tmp_path / "exp", "aaaaa_00000", reports)
    assert all(math.isnan(value) for value in collect(tmp_path / "exp").column("valid_loss").to_pylist())


def words(folder):
    return [row["ended"] for row in collect(folder).to_pylist()]


@pytest.mark.parametrize("how", ["finished", "converged", "collapsed"])
def test_the_last_report_alone_says_how_a_trial_ended(tmp_path, how):
    """A trial that had ended and was resumed says it twice."""
    reports = [
        {**report, "ended": how if report["epoch"] > 1 else ""} for report in search_reports("asng", 0, epochs=3)
    ]
    write_trial(tmp_path / "exp", "aaaaa_00000", reports)
    assert words(tmp_path / "exp") == ["", "", how]


@pytest.mark.parametrize("own_word", [{}, {"ended": ""}], ids=["older version", "no word"])
@pytest.mark.parametrize(
    ("epochs_run", "done", "word"),
    [(3, True, "stopped"), (3, False, ""), (20, True, "finished"), (20, False, "finished")],
)
def test_without_a_word_of_its_own_epochs_and_tune_tell_how_a_trial_ended(tmp_path, epochs_run, done, word, own_word):
    """So it is with a scheduler, which sets `done` and nothing else."""
    reports = [{**report, **own_word} for report in search_reports("asng", 0, epochs=20, done=epochs_run)]
    place = write_trial(tmp_path / "exp", "aaaaa_00000", reports[:-1])
    last = {**tune_report("aaaaa_00000", epochs_run, reports[-1]), "done": done}
    with (place / "result.json").open("a") as file:
        file.write(json.dumps(last) + "\n")
    assert words(tmp_path / "exp") == [""] * (epochs_run - 1) + [word]


def test_numbers_on_the_way_to_an_early_end_are_documented_columns(tmp_path):
    reports = [
        {**report, "stable_epochs": 4, "convergence_limit": 0.8} for report in search_reports("asng", 0, epochs=2)
    ]
    write_trial(tmp_path / "exp", "aaaaa_00000", reports)
    (row, _) = collect(tmp_path / "exp").to_pylist()
    assert (row["stable_epochs"], row["convergence_limit"]) == (4, 0.8)
    assert {"stable_epochs", "convergence_limit", "ended"} <= {column.name for column in COLUMNS}


def test_a_large_seed_is_not_rounded(tmp_path):
    seed = 2**60 + 1
    write_trial(tmp_path / "exp", "aaaaa_00000", [{**search_reports("asng", 0, epochs=1)[0], "seed": seed}])
    assert collect(tmp_path / "exp").column("seed").to_pylist() == [seed]


def test_a_trial_that_failed_before_its_first_report_is_listed(output):
    (failure,) = failed_trials(collect(output))
    assert (failure.trial, failure.method, failure.seed, failure.iteration) == ("ab12f_00098", "gaea", 7, 0)
    assert failure.error == "RuntimeError: out of memory"
    assert (failure.epoch, failure.column, failure.value, failure.checkpoint) == (0, "", None, "")


def test_the_exception_is_named_even_if_its_message_has_several_lines(tmp_path):
    error = "Failure # 1 (occurred at 2026-03-01_11-00-00)\n\x1b[36mray::T.train()\x1b[39m\nValueError: bad\n  detail\n"
    write_trial(tmp_path / "exp", "aaaaa_00000", search_reports("asng", 3, epochs=9, done=4), error=error)
    (failure,) = failed_trials(collect(tmp_path / "exp"))
    assert (failure.error, failure.method, failure.seed, failure.iteration) == ("ValueError: bad", "asng", 3, 4)


@pytest.mark.parametrize("done", [None, 5])
def test_a_trial_that_recovered_from_an_error_did_not_fail(tmp_path, done):
    """It finished, or it reported after the time of its last failure."""
    error = "Failure # 1 (occurred at 2026-03-01_10-00-02)\nRuntimeError: node lost\n"
    write_trial(tmp_path / "exp", "aaaaa_00000", search_reports("asng", 0, epochs=9, done=done), error=error)
    assert failed_trials(collect(tmp_path / "exp")) == []


def test_the_command_travels_with_the_table(output):
    assert recorded_command(collect(output, command="ray-asng search --smoke")) == "ray-asng search --smoke"


def test_a_folder_without_trials_is_refused_with_what_was_expected(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected tune/<experiment>/<trial>/result.json"):
        collect(tmp_path)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder"):
        collect(tmp_path / "nowhere")


def test_a_single_trial_is_refused_with_the_folder_to_give(output):
    experiment = output / "tune" / "search"
    with pytest.raises(FileNotFoundError, match=str(experiment)):
        collect(next(experiment.iterdir()))
