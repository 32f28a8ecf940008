"""The command line: what it refuses and with which words, and one small job from start to end.

Refusals are tested in this process. The jobs run as a user runs them, in processes of their own.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner

from ray_asng import Supernet
from ray_asng.cli import main
from ray_asng.config import SearchConfig
from ray_asng.retrain import Retraining
from ray_asng.supernets.nasbench201_space import from_string, to_string

COMMANDS = ("search", "retrain", "study", "export", "collect", "report", "repair", "list", "prepare")
WRITTEN = ("results.parquet", "summary.md", "report.html", "best_architecture.json", "best_child.pt", "job.json")
TIMES = {"samples_per_second", "wall_seconds", "device_seconds", "peak_memory_bytes"}
CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|none~1|avg_pool_3x3~2|"


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def assert_one_line(result, *words):
    """The command failed with a single line that has all of `words`, and without a traceback."""
    assert result.exit_code == 1, result.output
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1, result.output
    assert [word for word in words if word not in result.output] == [], result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command):
    result = invoke(command, "--help")
    assert result.exit_code == 0
    assert f"Usage: main {command}" in result.output
    assert command in invoke("--help").output


@pytest.mark.parametrize("command", ["search", "retrain"])
def test_commands_that_run_can_be_resumed_overwritten_and_shortened(command):
    text = invoke(command, "--help").output
    assert [option for option in ("--output", "--resume", "--overwrite", "--smoke") if option not in text] == []


def test_the_package_is_a_command_too():
    done = subprocess.run([sys.executable, "-m", "ray_asng", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("ray-asng, version ")


def test_list_shows_what_is_built_in_with_a_line_on_each():
    result = invoke("list")
    assert result.exit_code == 0
    lines = [line.split(maxsplit=1) for line in result.output.splitlines()]
    described = {line[0]: line[1] for line in lines if len(line) == 2}
    built_in = (
        "asng",
        "sng",
        "random_search",
        "darts",
        "gaea",
        "nasbench201",
        "digits",
        "cifar10",
        "cifar100",
        "images",
    )
    assert set(built_in) <= set(described)
    assert all(len(text) > 10 for text in described.values())


REFUSED = [
    (["--method", "asgn"], ["unknown method 'asgn'", "did you mean 'asng'?"]),
    (["--method", "asng:many"], ["NAME:SEEDS", "'asng:many'"]),
    (["--method", "asng:2", "--method", "asng:4"], ["['asng'] more than once"]),
    (["--method", "asng:0"], ["'asng' needs at least one seed, got 0"]),
    (["--space", "nasbench"], ["unknown space 'nasbench'", "did you mean 'nasbench201'?"]),
    (["--task", "digit"], ["unknown task 'digit'", "did you mean 'digits'?"]),
    (["--set", "epoch=3"], ["unknown config key 'epoch'", "did you mean 'epochs'?"]),
    (["--set", "lr"], ["--set takes KEY=VALUE", "'lr'"]),
    (["--set", "lr=-1"], ["lr must be a finite number above 0, got -1"]),
    (["--set", "batch_size=100000"], ["100000", "split"]),
    (["--set", 'space_options={"widht": 4}'], ["unknown option 'widht'", "did you mean 'width'?"]),
    (["--set", 'method_options={"initial_stp": 1}'], ["unknown option 'initial_stp'", "did you mean 'initial_step'?"]),
    (["--set", 'method_options={"samples": 1}', "--method", "asng"], ["samples must be at least 2", "got 1"]),
    (["--set", 'task_options={"sise": 8}'], ["unknown option 'sise'", "did you mean 'size'?"]),
    (["--set-retrain", "epoch=3"], ["unknown field 'epoch'", "did you mean 'epochs'?"]),
    (["--set-retrain", "batch_size=100000"], ["100000", "at most"]),
    (["--set-retrain", "drop_path=1.5"], ["drop_path must be", "below 1, got 1.5"]),
]


@pytest.mark.parametrize(("options", "words"), REFUSED, ids=[" ".join(options) for options, _ in REFUSED])
def test_a_bad_job_is_refused_in_one_line_before_anything_is_written(options, words, tmp_path):
    assert_one_line(invoke("search", "--smoke", "--output", tmp_path / "out", *options), *words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("task", ["cifar10", "cifar100"])
def test_missing_data_name_the_command_that_gets_them(task, tmp_path):
    result = invoke("search", "--output", tmp_path / "out", "--task", task, "--data-dir", tmp_path / "data")
    assert_one_line(result, f"ray-asng prepare {task}", str(tmp_path / "data"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("architecture", "words"),
    [
        (CELL.replace("none", "nothing"), ["unknown NAS-Bench-201 operation 'nothing'"]),
        ("|none~0|", ["expected a NAS-Bench-201 cell of the form"]),
        ('{"edge_0_1": "none"}', ["missing: ['edge_0_2'"]),
        ("nowhere.json", ["nowhere.json"]),
    ],
)
def test_an_architecture_that_is_none_is_refused(architecture, words, tmp_path):
    assert_one_line(invoke("retrain", architecture, "--output", tmp_path / "out"), *words)
    assert list(tmp_path.iterdir()) == []


def test_retraining_nothing_is_refused(tmp_path):
    result = invoke("retrain", "--output", tmp_path / "out")
    assert result.exit_code == 2
    assert "name at least one ARCHITECTURE" in result.output


@pytest.mark.parametrize("name", [*WRITTEN, "tune", "figures"])
@pytest.mark.parametrize("arguments", [["search"], ["retrain", CELL]], ids=["search", "retrain"])
def test_results_that_are_there_are_neither_continued_nor_removed_unasked(arguments, name, tmp_path):
    (tmp_path / name).write_bytes(b"three days of work")
    assert_one_line(invoke(*arguments, "--smoke", "--output", tmp_path), name, "--resume", "--overwrite")
    assert (tmp_path / name).read_bytes() == b"three days of work"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_overwriting_by_a_bad_job_removes_nothing(tmp_path):
    (tmp_path / "results.parquet").write_bytes(b"three days of work")
    assert_one_line(invoke("search", "--output", tmp_path, "--overwrite", "--set", "epoch=3"), "did you mean 'epochs'?")
    assert (tmp_path / "results.parquet").read_bytes() == b"three days of work"


def test_resuming_and_overwriting_at_once_is_refused(tmp_path):
    result = invoke("search", "--output", tmp_path / "out", "--resume", "--overwrite")
    assert result.exit_code == 2
    assert "leave out --overwrite" in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_job_is_resumed_as_it_was_begun(tmp_path):
    result = invoke("search", "--output", tmp_path / "out", "--resume", "--epochs", 9)
    assert result.exit_code == 2
    assert "leave out --epochs" in result.output


def test_resuming_where_no_job_was_started_is_refused(tmp_path):
    assert_one_line(invoke("search", "--output", tmp_path / "out", "--resume"), "holds no job to resume", "job.json")
    assert list(tmp_path.iterdir()) == []


def test_preparing_the_digits_says_that_they_are_embedded():
    result = invoke("prepare", "digits")
    assert result.exit_code == 0
    assert "1437 development and 360 test images of 1 x 8 x 8 in 10 classes" in result.output
    assert "nothing to prepare" in result.output


def test_preparing_takes_options_of_the_task():
    assert "1 x 12 x 12" in invoke("prepare", "digits", "--set", "size=12").output


def test_preparing_something_unknown_is_refused():
    assert_one_line(invoke("prepare", "digit"), "unknown task 'digit'", "did you mean 'digits'?")


def test_preparing_images_that_are_not_there_names_the_file(tmp_path):
    result = invoke("prepare", "images", "--set", "train=mine.parquet", "--data-dir", tmp_path)
    assert_one_line(result, str(tmp_path / "mine.parquet"))


@pytest.fixture
def tune_folder(tmp_path, monkeypatch):
    """What a main job leaves, made up."""
    monkeypatch.syspath_prepend(Path(__file__).parent / "results")
    from tune_output import write_output

    return write_output(tmp_path / "job")


def test_collecting_and_reporting_a_run_of_tune(tune_folder, tmp_path):
    output = tmp_path / "mine"
    collected = invoke("collect", tune_folder / "tune" / "search", "--output", output)
    assert collected.exit_code == 0, collected.output
    assert f"160 rows in {output / 'results.parquet'}" in collected.output
    assert [path.name for path in output.iterdir()] == ["results.parquet"]

    reported = invoke("report", output)
    assert reported.exit_code == 0, reported.output
    assert "nasbench201 on digits" in reported.output
    assert "| asng | 4 |" in (output / "summary.md").read_text()
    assert f"{len(list((output / 'figures').glob('*.png')))} figures in" in reported.output


def test_collected_results_are_replaced_only_when_asked(tune_folder, tmp_path):
    (tmp_path / "results.parquet").write_bytes(b"three days of work")
    assert_one_line(invoke("collect", tune_folder, "--output", tmp_path), "results.parquet exists", "--overwrite")
    assert (tmp_path / "results.parquet").read_bytes() == b"three days of work"
    assert invoke("collect", tune_folder, "--output", tmp_path, "--overwrite").exit_code == 0
    assert set(pq.read_table(tmp_path / "results.parquet")["kind"].to_pylist()) == {"search", "retraining"}


def test_repairing_needs_the_state_that_tune_keeps(tune_folder):
    assert_one_line(invoke("repair", tune_folder), "no state file of Ray Tune", "ray-asng collect")


@pytest.mark.parametrize("place", ["/proc/none/out", "a_file", "a_file/out"])
@pytest.mark.parametrize("command", ["search", "collect"])
def test_an_output_that_cannot_be_written_is_refused_before_anything_starts(tune_folder, tmp_path, command, place):
    (tmp_path / "a_file").write_text("mine")
    arguments = ["search", "--smoke"] if command == "search" else ["collect", tune_folder]
    result = invoke(*arguments, "--output", tmp_path / place)
    assert_one_line(result, f"nothing can be written to {tmp_path / place}", "choose another --output")
    assert (tmp_path / "a_file").read_text() == "mine"


def test_an_error_of_the_operating_system_names_the_file_without_a_number(tmp_path):
    (tmp_path / "found.json").mkdir()
    result = invoke("retrain", tmp_path / "found.json", "--output", tmp_path / "out")
    assert_one_line(result, f"{tmp_path / 'found.json'}: Is a directory")


def test_collecting_where_tune_wrote_nothing_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    assert_one_line(invoke("collect", tmp_path / "empty", "--output", tmp_path / "out"), "no trials of Ray Tune")
    assert not (tmp_path / "out").exists()


def test_reporting_without_results_names_the_command_that_makes_them(tmp_path):
    assert_one_line(invoke("report", tmp_path), "no results.parquet", "ray-asng collect")


# One small job: long enough for an interruption in its midst, too small for a meaning.
JOB = ("search", "--smoke", "--epochs", "16")


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "ray_asng", *map(str, arguments)],
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process):
    """What the process wrote, once it has ended well."""
    text, _ = process.communicate()
    assert process.returncode == 0, text
    return text


def rows(folder, *without):
    """All results in an order that does not depend on which trial was first, without times and Tune's trial ids."""
    table = pq.read_table(folder / "results.parquet").drop_columns(["trial", *TIMES, *without])
    return sorted(table.to_pylist(), key=lambda row: [str(row[k]) for k in ("kind", "method", "seed", "iteration")])


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """Folder of a job that ran without interruption, and what it printed."""
    folder = tmp_path_factory.mktemp("job") / "out"
    return folder, finish(start(*JOB, "--output", folder))


@pytest.mark.ray
def test_a_job_leaves_results_and_says_where(job):
    folder, text = job
    assert {path.name for path in folder.iterdir()} == {*WRITTEN, "tune", "figures"}
    assert [name for name in WRITTEN[:-1] if str(folder / name) not in text] == []
    figures = {path.name for path in (folder / "figures").glob("*.png")}
    assert {"curves.png", "probabilities_asng_seed0.png", "architecture_asng.png", "retraining.png"} <= figures
    assert "| asng | 1 |" in (folder / "summary.md").read_text()
    kinds = {(row["kind"], row["method"]) for row in rows(folder)}
    found = {(kind, method) for kind in ("search", "retraining") for method in ("asng", "darts")}
    assert kinds == found | {("retraining", "random_architecture")}


@pytest.mark.ray
def test_the_best_architecture_is_written_in_the_notation_of_the_field(job):
    best = json.loads((job[0] / "best_architecture.json").read_text())
    assert dict(from_string(best["text"])) == best["architecture"]
    searches = [row for row in rows(job[0]) if row["kind"] == "search" and row["epoch"] == row["epochs"]]
    assert best["path_accuracy"] == max(row["path_accuracy"] for row in searches)


@pytest.mark.ray
def test_the_best_child_is_rebuilt_from_its_file_and_is_as_good_as_reported(job):
    best = torch.load(job[0] / "best_child.pt", weights_only=True)
    config = SearchConfig.from_mapping(best["config"]["search"])
    task = config.build_task()
    options = best["config"]["space_options"]
    child = Supernet(config.build_module(task, **options)).extract(best["architecture"])
    child.load_state_dict(best["state_dict"])
    _, accuracy = Retraining(child, task).evaluate("test")
    (reported,) = (row for row in rows(job[0]) if (row["kind"], row["method"]) == ("retraining", best["method"]))
    assert accuracy == pytest.approx(reported["test_accuracy"], abs=1e-6)


@pytest.mark.ray
def test_resuming_a_finished_job_changes_nothing(job):
    folder, _ = job
    before, child = rows(folder), (folder / "best_child.pt").read_bytes()
    text = finish(start("search", "--output", folder, "--resume"))
    assert "Written: " in text
    assert rows(folder) == before
    assert (folder / "best_child.pt").read_bytes() == child


@pytest.mark.ray
def test_repairing_a_job_whose_checkpoints_are_whole_changes_nothing(job):
    result = invoke("repair", job[0])
    assert result.exit_code == 0, result.output
    assert result.output.count("no damage") == 5
    assert "nothing was changed" in result.output


@pytest.mark.ray
@pytest.mark.slow
def test_a_job_whose_newest_checkpoints_are_damaged_is_repaired_and_resumed(job, tmp_path):
    """The searches go back to an older checkpoint, the retrainings, which have one only, to their beginning."""
    folder = tmp_path / "moved"
    shutil.copytree(job[0], folder)
    for trial in (folder / "tune").glob("*/*/"):
        (*_, newest) = sorted(trial.glob("checkpoint_*"))
        (file,) = newest.glob("*.pt")
        file.write_bytes(file.read_bytes()[:-1000])
    result = invoke("repair", folder)
    assert result.exit_code == 0, result.output
    assert result.output.count("it will run its end again from") == 2
    assert result.output.count("it will start anew") == 3
    assert f"Go on with: ray-asng search --output {folder} --resume" in result.output
    finish(start("search", "--output", folder, "--resume"))
    assert rows(folder) == rows(job[0])
    weights, expected = (torch.load(place / "best_child.pt", weights_only=True) for place in (folder, job[0]))
    assert all(torch.equal(weights["state_dict"][name], value) for name, value in expected["state_dict"].items())


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A job begun by --overwrite in a folder with older files and stopped by Ctrl-C amid its searches; its end."""
    folder = tmp_path_factory.mktemp("interrupted")
    (folder / "figures").mkdir()
    for name in ("results.parquet", "figures/old.png", "notes.txt"):
        (folder / name).write_bytes(b"old")
    process = start(*JOB, "--output", folder, "--overwrite")
    while process.poll() is None and not is_amid(folder / "tune" / "search"):
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate()
    return folder, process.returncode, text


def is_amid(experiment):
    """Whether a search has reported six epochs, and so has a checkpoint."""
    return any(path.read_text().count("\n") >= 6 for path in experiment.glob("*/result.json"))


@pytest.mark.ray
def test_an_interrupted_job_says_how_to_go_on(interrupted):
    folder, code, text = interrupted
    assert code == 1
    assert text.splitlines()[-1] == f"Error: interrupted; go on with: ray-asng search --output {folder} --resume"


@pytest.mark.ray
def test_overwriting_removes_the_old_results_and_nothing_else(interrupted):
    folder, _, _ = interrupted
    assert sorted(path.name for path in folder.iterdir()) == ["job.json", "notes.txt", "tune"]


@pytest.mark.ray
@pytest.mark.slow
def test_an_interrupted_job_that_is_resumed_gives_the_rows_of_one_that_was_not(interrupted, job):
    folder, _, _ = interrupted
    finish(start("search", "--output", folder, "--resume"))
    assert rows(folder) == rows(job[0])
    assert {path.name for path in folder.iterdir()} == {*WRITTEN, "notes.txt", "tune", "figures"}
    assert not (folder / "figures" / "old.png").exists()


@pytest.mark.ray
def test_retraining_takes_the_file_of_the_best_architecture_and_notations(job, tmp_path):
    best = job[0] / "best_architecture.json"
    output = tmp_path / "out"
    options = ("--smoke", "--random-architectures", "0", "--seeds", "2", "--output", output)
    text = finish(start("retrain", best, CELL, *options))
    assert "test accuracy" in text
    retrained = {(row["kind"], row["method"], row["architecture_text"], row["seed"]) for row in rows(output)}
    cells = (json.loads(best.read_text())["text"], to_string(from_string(CELL)))
    assert retrained == {("retraining", "given", cell, seed) for cell in cells for seed in (0, 1)}
