"""Searches under Tune's schedulers: paused and resumed ones are as undisturbed ones, bad ones end, PBT takes over."""

import json
import shutil
import time
from pathlib import Path

import pytest
import torch
from ray import tune
from ray.tune.schedulers import ASHAScheduler, HyperBandScheduler, PopulationBasedTraining
from undisturbed import (
    SMALL,
    assert_as_undisturbed,
    assert_same_metrics,
    last_state,
    run_config,
    saved_iterations,
    trial_rows,
)

from ray_asng import SearchTrainable
from ray_asng.checkpoints import read_reports
from ray_asng.raytune.state_file import load_state
from ray_asng.results.collect import collect

pytestmark = pytest.mark.ray


def fit(folder, config, scheduler, *, concurrent=2, trainable=SearchTrainable, **settings):
    return tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space=config,
        tune_config=tune.TuneConfig(scheduler=scheduler, max_concurrent_trials=concurrent, reuse_actors=True),
        run_config=run_config(folder, **settings),
    ).fit()


def last_seed_waits(folder):
    """A trainable that lets seed 2 be paused before seed 3 reports. Local, so that it is pickled whole.

    HyperBand never resumes a trial whose pause is still being saved when the last one of its bracket reports.
    """

    class LastSeedWaits(SearchTrainable):
        def step(self):
            while self.resolved.seed == 3 and not list(folder.glob("*/*seed=2*/checkpoint_*")):
                time.sleep(0.1)
            time.sleep(2.0 * (self.resolved.seed == 3))
            return super().step()

    return LastSeedWaits


@pytest.mark.slow
def test_a_search_that_hyperband_paused_and_resumed_is_as_an_undisturbed_one(ray_session, tmp_path):
    config = {**SMALL, "epochs": 2}
    # Of the seeds 2 and 3 the first pauses after an epoch until the second has caught up; then it goes on.
    scheduler = HyperBandScheduler(
        time_attr="training_iteration", metric="seed", mode="min", max_t=2, reduction_factor=2
    )
    grid = fit(
        tmp_path / "tune",
        {**config, "seed": tune.grid_search([0, 1, 2, 3])},
        scheduler,
        concurrent=None,
        trainable=last_seed_waits(tmp_path / "tune"),
    )
    assert not grid.errors
    assert [len(trial_rows(grid.experiment_path, seed)) for seed in range(4)] == [2, 2, 2, 1]
    assert grid[2].metrics["iterations_since_restore"] == 1
    rows, state = trial_rows(grid.experiment_path, 2), last_state(grid.experiment_path, grid[2].metrics["trial_id"])
    assert_as_undisturbed(rows, state, {**config, "seed": 2}, tmp_path / "straight")
    assert saved_iterations(grid.experiment_path, rows[0]["trial"]) == [1, 2]


def test_asha_ends_bad_searches_and_the_results_say_so(ray_session, tmp_path):
    # One after the other, so that the bad one is compared with the good one.
    scheduler = ASHAScheduler(metric="train_loss", mode="min", max_t=4, grace_period=1, reduction_factor=2)
    config = {**SMALL, "seed": 0, "lr": tune.grid_search([0.05, 1e-7])}
    grid = fit(tmp_path, config, scheduler, concurrent=1)
    assert not grid.errors
    last = {}
    for row in collect(tmp_path / grid.experiment_path).to_pylist():
        last[json.loads(row["config_json"])["lr"]] = (row["epoch"], row["ended"])
    assert last[0.05] == (4, "finished")
    assert last[1e-7][0] < 4
    assert last[1e-7][1] == "stopped"


@pytest.fixture(scope="module")
def exchange(ray_session, tmp_path_factory):
    """What PBT makes of a bad search and a good one, which the bad one takes over after two epochs of four."""
    scheduler = PopulationBasedTraining(
        time_attr="training_iteration",
        metric="train_loss",
        mode="min",
        perturbation_interval=2,
        quantile_fraction=0.5,
        resample_probability=1.0,
        synch=True,
        hyperparam_mutations={"lr": [0.2, 0.3], "method_options": {"snr_threshold": [2.0], "initial_step": [0.5]}},
    )
    config = {
        **SMALL,
        "seed": tune.grid_search([0, 1]),
        "lr": tune.sample_from(lambda spec: [1e-7, 0.05][spec.config.seed]),
    }
    config["method_options"] = {"snr_threshold": 1.5, "initial_step": 1.0}
    grid = fit(tmp_path_factory.mktemp("exchange"), config, scheduler, checkpoints={"num_to_keep": None})
    assert not grid.errors
    return grid


def test_a_search_that_takes_over_another_by_pbt_keeps_to_its_config_and_its_own_draws(exchange, tmp_path):
    """The rows after the exchange are those of a search with the new config that loads the other's checkpoint."""
    grid = exchange
    bad, good = sorted(grid, key=lambda result: result.metrics["trial_id"])
    rows, state = trial_rows(grid.experiment_path, 1)[-4:], last_state(grid.experiment_path, good.metrics["trial_id"])
    assert_as_undisturbed(rows, state, good.config, tmp_path / "straight")  # it was paused at the exchange

    first, *_, last = collect(tmp_path / grid.experiment_path).to_pylist()[:4]
    assert json.loads(first["config_json"])["lr"] == 1e-7
    new = json.loads(last["config_json"])
    assert new["lr"] in (0.2, 0.3)
    assert new["method_options"] == {"snr_threshold": 2.0, "initial_step": 0.5}

    # The other's checkpoint after its second epoch, taken over by a trial of this number, out of Tune.
    donated = sorted((tmp_path / grid.experiment_path / good.path).glob("checkpoint_*"))[1]
    assert load_state(donated / "search.pt")["epoch"] == 2
    replay = SearchTrainable({**bad.config})
    replay._trial_info = type("TrialInfo", (), {"trial_id": bad.metrics["trial_id"], "trial_resources": None})()
    replay.load_checkpoint(str(donated))
    report = [replay.train(), replay.train()][-1]
    assert_same_metrics(last, report)
    weights = load_state(max((tmp_path / bad.path).glob("checkpoint_*")) / "search.pt")["supernet"]
    assert all(torch.equal(weights[name], value) for name, value in replay.search.supernet.state_dict().items())

    alike = SearchTrainable({**bad.config})
    alike.load_checkpoint(str(donated))
    assert alike.train()["train_loss"] != collect(tmp_path / grid.experiment_path).to_pylist()[2]["train_loss"]


def test_a_search_that_takes_over_another_by_pbt_keeps_to_its_own_reports(exchange, tmp_path):
    """Those of before the exchange are in its older checkpoints, as far as it had made one and Tune keeps it."""
    experiment = tmp_path / "exchange"
    shutil.copytree(exchange.experiment_path, experiment)
    for result in exchange:
        folder = experiment / Path(result.path).name
        newest = read_reports(max(folder.glob("checkpoint_*")))
        assert {report["trial_id"] for report in newest} == {result.metrics["trial_id"]}
        (folder / "result.json").write_text("")
    before = collect(Path(exchange.experiment_path)).drop_columns(["experiment"])
    assert before["iteration"].to_pylist() == [1, 2, 3, 4] * 2
    rows = {(row["trial"], row["iteration"]): repr(row) for row in before.to_pylist()}
    found = {
        (row["trial"], row["iteration"]): repr(row)
        for row in collect(experiment).drop_columns(["experiment"]).to_pylist()
    }
    assert found.items() <= rows.items()
    assert {(trial, 4) for trial, _ in rows} <= found.keys()
