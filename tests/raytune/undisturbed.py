"""What a search gives when nothing happens to it, to compare disturbed ones with: metrics and the whole last state."""

from pathlib import Path

from ray import tune

from ray_asng import SearchTrainable
from ray_asng.checkpoints import read_reports
from ray_asng.raytune.state_file import load_state
from ray_asng.results.collect import collect
from ray_asng.testing.equality import difference

SMALL = {"space_options": {"width": 4, "cells": 1}, "steps_per_epoch": 3, "batch_size": 16, "epochs": 4}

CHANGING = {"samples_per_second", "wall_seconds", "device_seconds", "peak_memory_bytes"}
_FROM_TUNE = {"experiment", "trial", "trial_id", "iteration", "timestamp"}


def compared(row):
    """A row of the results without times, rates and memory, and without columns that are not filled."""
    return {k: v for k, v in row.items() if k not in CHANGING | _FROM_TUNE and v is not None}


def undisturbed(config, folder):
    """The rows of a search run in this process, and its last state."""
    trainable = SearchTrainable(config)
    reports = [trainable.train()]
    while not reports[-1]["done"]:
        reports.append(trainable.train())
    trainable.save_checkpoint(str(folder))
    return reports, load_state(Path(folder) / "search.pt")


def assert_as_undisturbed(rows, state, config, folder):
    """Rows of one trial and its last state equal those of an undisturbed search bit for bit."""
    folder.mkdir()
    reports, expected = undisturbed(config, folder)
    assert [row["iteration"] for row in rows] == list(range(1, config["epochs"] + 1))
    for row, report in zip(rows, reports, strict=True):
        assert_same_metrics(row, report)
    assert not difference(without_times(state), without_times(expected))


def assert_same_metrics(row, report):
    """Every column of the row equals what was reported, and every metric of the report stands in the row."""
    kept = compared(row)
    assert {name: report[name] for name in kept} == kept
    metrics = {name for name, value in report.items() if isinstance(value, float) and not name.startswith("time_")}
    assert metrics - CHANGING <= set(kept)


def trial_rows(experiment, seed):
    """The rows of the Parquet data set that belong to one seed."""
    return [row for row in collect(Path(experiment)).to_pylist() if row["seed"] == seed]


def last_state(experiment, trial):
    """The newest checkpoint of a trial."""
    (folder,) = [folder for folder in Path(experiment).iterdir() if folder.is_dir() and trial in folder.name]
    return load_state(max(folder.glob("checkpoint_*")) / "search.pt")


def saved_iterations(experiment, trial):
    """The iterations whose reports the newest checkpoint of a trial holds."""
    (folder,) = [folder for folder in Path(experiment).iterdir() if folder.is_dir() and trial in folder.name]
    return [report["training_iteration"] for report in read_reports(max(folder.glob("checkpoint_*")))]


def without_times(state):
    report = {name: value for name, value in state["report"].items() if name not in CHANGING}
    return {**state, "report": report, "wall_seconds": None, "trial": None}


def run_config(path, *, checkpoints=None, **settings):
    every = tune.CheckpointConfig(**{"checkpoint_frequency": 1, "checkpoint_at_end": True, **(checkpoints or {})})
    return tune.RunConfig(storage_path=str(path), verbose=0, checkpoint_config=every, **settings)
