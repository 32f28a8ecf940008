"""Searches under a real Ray: the three ways to start them, equal seeds, crashes, and a bad config."""

import os
from pathlib import Path

import pytest
from ray import tune
from ray.tune.error import TuneError

from ray_asng import ASNGTrainable, SearchTrainable
from ray_asng.raytune.results_callback import ResultsCallback
from ray_asng.results.collect import collect
from ray_asng.results.store import read_table

pytestmark = pytest.mark.ray

SMALL = {"space_options": {"width": 4, "cells": 1}, "steps_per_epoch": 3, "batch_size": 16, "epochs": 4}
NOT_COMPARED = {"experiment", "trial", "trial_id", "samples_per_second", "wall_seconds", "device_seconds"}
NOT_COMPARED |= {"peak_memory_bytes", "timestamp"}


def table_rows(folder):
    """Rows of the data set without times, rates and memory, by (seed, iteration)."""
    return without_times(collect(Path(folder)).to_pylist())


def without_times(rows):
    kept = [{k: v for k, v in row.items() if k not in NOT_COMPARED} for row in rows]
    return sorted(kept, key=lambda row: (row["method"], row["seed"], row["epoch"]))


def run_config(path, **settings):
    checkpoints = tune.CheckpointConfig(checkpoint_frequency=1, checkpoint_at_end=True)
    return tune.RunConfig(storage_path=str(path), verbose=0, checkpoint_config=checkpoints, **settings)


def dies_once():
    """A trainable whose process ends without a word in the third epoch, once. Local, so that it is pickled whole."""

    class DiesOnce(SearchTrainable):
        def step(self):
            marker = Path(self.resolved.data_dir) / "died"
            if self.search.epoch == 2 and not marker.exists():
                marker.touch()
                os._exit(1)
            return super().step()

    return DiesOnce


def test_two_runs_of_one_seed_give_the_same_rows_and_other_seeds_others(ray_session, tmp_path):
    """Also with `resources_per_trial`, actors that are used again, and a data set written while trials run."""
    config = {**SMALL, "seed": tune.grid_search([0, 1])}
    tune.run(ASNGTrainable, config=config, storage_path=str(tmp_path / "one"), verbose=0)
    tune.run(
        SearchTrainable,
        config=config,
        resources_per_trial={"cpu": 1},
        reuse_actors=True,
        max_concurrent_trials=1,
        callbacks=[ResultsCallback(tmp_path / "live")],
        storage_path=str(tmp_path / "two"),
        verbose=0,
    )
    first, second = table_rows(next((tmp_path / "one").iterdir())), table_rows(next((tmp_path / "two").iterdir()))
    assert len(first) == 8
    assert first == second
    live = read_table(tmp_path / "live").to_pylist()
    assert without_times(live) == second
    assert [row["train_loss"] for row in first[:4]] != [row["train_loss"] for row in first[4:]]


def test_a_trial_whose_process_died_ends_with_the_rows_of_an_undisturbed_one(ray_session, tmp_path):
    folders = {}
    for name, trainable in (("straight", SearchTrainable), ("died", dies_once())):
        folder = folders[name] = tmp_path / name
        folder.mkdir()
        # The folder of data, the same in both configs, serves the one that dies as its notebook.
        grid = tune.Tuner(
            tune.with_resources(trainable, {"cpu": 1}),
            param_space={**SMALL, "seed": 5, "data_dir": str(tmp_path)},
            run_config=run_config(folder, failure_config=tune.FailureConfig(max_failures=1)),
        ).fit()
        assert not grid.errors
    assert (tmp_path / "died").exists()
    straight, died = (table_rows(next(folder.iterdir())) for folder in folders.values())
    assert straight == died


def test_a_bad_config_stops_the_experiment_before_any_trial(ray_session, tmp_path):
    with pytest.raises(ValueError, match="unknown method 'agns'; did you mean 'asng'"):
        tune.run(SearchTrainable, config={**SMALL, "seed": 0, "method": "agns"}, storage_path=str(tmp_path), verbose=0)
    assert not list(tmp_path.rglob("result.json"))


def test_devices_in_the_config_and_in_resources_per_trial_contradict_each_other(ray_session, tmp_path):
    with pytest.raises(TuneError, match="automatically set"):
        tune.run(
            SearchTrainable,
            config={**SMALL, "seed": 0, "cpus": 1},
            resources_per_trial={"cpu": 1},
            storage_path=str(tmp_path),
            verbose=0,
        )
