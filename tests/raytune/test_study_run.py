"""A study on real Ray: it gives the same results whatever stopped it, and a failed trial stops none of the others."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ray_asng.raytune.study_run import StudyRun, experiment, run_study
from ray_asng.results.schema import failed_trials, recorded_command
from ray_asng.results.store import read_table
from ray_asng.study.source import ready_studies

pytestmark = pytest.mark.ray

CHANGING = ["trial", "samples_per_second", "wall_seconds", "device_seconds", "peak_memory_bytes"]

STUDY = """\
seeds: 2
config: {epochs: 4, steps_per_epoch: 2, batch_size: 16, train_fraction: 0.9, space_options: {width: 4, cells: 1}}
methods:
  asng: {method_options: {initial_step: 1.0}}
  GAEA (ERM): {method: gaea, method_options: {split: train}}
sweeps:
  - {methods: [asng], key: method_options.initial_step, values: [0.3, 1.0]}
sizes:
  one seed: {seeds: 1}
"""
LABELS = {("asng", ""), ("GAEA (ERM)", ""), ("asng", "method_options.initial_step=0.3")}


def rows(folder):
    """All results in an order that does not depend on which trial was first, without times and Tune's trial ids."""
    table = pq.read_table(folder / "results.parquet").drop_columns(CHANGING)
    return sorted(table.to_pylist(), key=lambda row: [str(row[k]) for k in ("label", "setting", "seed", "iteration")])


def read(folder, text, output, name="mine.yaml", **how):
    (folder / name).write_text(text)
    run = StudyRun.read(str(folder / name), output, **how)
    output.mkdir()
    run.save()
    return run


@pytest.fixture(scope="module")
def undisturbed(ray_session, tmp_path_factory):
    """The folder of the study that ran without interruption."""
    folder = tmp_path_factory.mktemp("undisturbed")
    run = read(folder, STUDY, folder / "out", command="what was typed")
    run_study(run, run.rehearse())
    return folder / "out"


def test_a_study_is_one_experiment_with_all_of_its_trials_in_one_data_set(undisturbed):
    found = rows(undisturbed)
    assert {(row["label"], row["setting"]) for row in found} == LABELS
    assert len({(row["label"], row["setting"], row["seed"]) for row in found}) == 6
    assert len(found) == 6 * 4
    assert {row["experiment"] for row in found} == {"study"}
    assert recorded_command(read_table(undisturbed)) == "what was typed"


def test_the_trials_of_a_study_begin_seed_after_seed(undisturbed):
    trials = sorted(path.name.rpartition("_")[::-2] for path in (undisturbed / "tune" / "study").glob("*_seed*"))
    seeds = [name.split("_seed")[1][0] for _, name in trials]
    assert seeds == ["0"] * 3 + ["1"] * 3


def test_each_trial_ran_with_the_config_that_the_study_gives_it(undisturbed):
    run = StudyRun.load(undisturbed)
    planned = {(trial["label"], trial["setting"], trial["seed"]): trial for trial in run.study.trials}
    for row in rows(undisturbed):
        resolved = json.loads(row["config_json"])
        given = planned[(row["label"], row["setting"], row["seed"])]
        assert {key: resolved[key] for key in given} == given


def test_the_report_of_a_study_names_its_labels(undisturbed):
    text = (undisturbed / "summary.md").read_text()
    assert all(label in text for label in ("GAEA (ERM)", "asng", "initial_step=0.3"))


def workers(process):
    """The processes that Ray runs trials in, of those that `process` and its children have started."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
    found = {process}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return {each for each in found if Path(f"/proc/{each}/cmdline").read_bytes().startswith(b"ray::")}


def is_alive(process):
    status = Path(f"/proc/{process}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


def wait_until(is_reached, otherwise):
    # Against waiting for ever; a loaded machine takes minutes to start Ray.
    deadline = time.monotonic() + 900
    while not is_reached():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.02)


def start(path, output):
    # One trial waits at a time, so that some are not made yet when the driver is killed, as in a large study.
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "TUNE_MAX_PENDING_TRIALS_PG": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "ray_asng", "study", str(path), "--output", str(output)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_study_whose_driver_was_killed_and_that_was_resumed_gives_the_same_results(undisturbed, tmp_path):
    path, output = tmp_path / "mine.yaml", tmp_path / "out"
    path.write_text(STUDY)
    driver = start(path, output)
    trials = output / "tune" / "study"
    wait_until(
        lambda: len(list(trials.glob("*/result.json"))) >= 3 or driver.poll() is not None, "the searches did not begin"
    )
    assert driver.poll() is None, driver.communicate()[0]
    time.sleep(random.random())  # so that repetitions of this test kill at different moments
    orphans = workers(driver.pid)
    assert orphans
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    # They may run on for a moment.
    wait_until(lambda: not any(map(is_alive, orphans)), "the trials did not end with their driver")
    path.write_text("methods: [darts]")  # what goes on is the copy
    resumed = StudyRun.load(output)
    run_study(resumed, resumed.rehearse())
    assert rows(output) == rows(undisturbed)
    found = [json.loads((folder / "best_architecture.json").read_text()) for folder in (output, undisturbed)]
    assert found[0] == found[1]


@pytest.mark.slow
def test_a_study_that_was_killed_before_tune_noted_anything_runs_anew(ray_session, undisturbed, tmp_path):
    run = read(tmp_path, STUDY, tmp_path / "out", size="one seed")
    experiment(run, run.rehearse()).begin()
    written = {path.name for path in (run.output / "tune" / "study").iterdir()}
    assert "tuner.pkl" in written
    assert not [name for name in written if name.startswith("experiment_state")]
    loaded = StudyRun.load(run.output)
    run_study(loaded, loaded.rehearse())
    assert rows(run.output) == [row for row in rows(undisturbed) if row["seed"] == 0]


FAILING = """
from ray_asng.optimizers import RandomSearch

class Fragile(RandomSearch):
    def on_epoch_end(self, epoch, epochs):
        if epoch == 2 and self.breaks:
            raise RuntimeError("it broke, as planned")

def fragile(space, seed):
    made = Fragile(space, seed, candidates=2)
    made.breaks = seed == 1
    return made

STUDY = {
    "seeds": 2,
    "config": {"epochs": 3, "steps_per_epoch": 2, "batch_size": 16, "space_options": {"width": 4, "cells": 1}},
    "methods": {"fragile": {"method": fragile}},
}
"""


def test_a_failed_trial_is_reported_and_the_others_are_finished(ray_session, tmp_path):
    run = read(tmp_path, FAILING, tmp_path / "out", name="mine.py")
    report = run_study(run, run.rehearse())
    table = read_table(run.output)
    last = {(row["label"], row["seed"]): row["ended"] for row in table.to_pylist()}
    assert last == {("fragile", 0): "finished", ("fragile", 1): ""}
    (failure,) = failed_trials(table)
    assert (failure.seed, failure.epoch) == (1, 1)
    assert "it broke, as planned" in failure.error
    assert "it broke, as planned" in report.summary.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("name", ready_studies())
def test_a_ready_study_runs_at_its_smoke_size_without_data(ray_session, tmp_path, name):
    run = StudyRun.read(name, tmp_path, size="smoke", given={"data_dir": str(tmp_path / "nothing")})
    run_study(run, run.rehearse())
    planned = {(trial["label"], trial["setting"], trial["seed"]) for trial in run.study.trials}
    ended = {(row["label"], row["setting"], row["seed"]) for row in rows(tmp_path) if row["ended"] == "finished"}
    assert ended == planned
