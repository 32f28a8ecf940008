"""Searches under a real Ray: the three ways to start them, equal seeds, crashes, and a bad config."""

from pathlib import Path

import pytest
from ray import tune
from ray.tune.error import TuneError
from torch import nn
from undisturbed import SMALL, assert_as_undisturbed, last_state, run_config, trial_rows

from ray_asng import ASNGTrainable, OneOf, SearchTrainable
from ray_asng.raytune.results_callback import ResultsCallback
from ray_asng.results.collect import collect
from ray_asng.results.markdown import markdown
from ray_asng.results.schema import failed_trials
from ray_asng.results.store import read_table
from ray_asng.results.summary import content

pytestmark = pytest.mark.ray

NOT_COMPARED = {"experiment", "trial", "trial_id", "samples_per_second", "wall_seconds", "device_seconds"}
NOT_COMPARED |= {"peak_memory_bytes", "timestamp"}


def table_rows(folder):
    """Rows of the data set without times, rates and memory, by (seed, iteration)."""
    return without_times(collect(Path(folder)).to_pylist())


def without_times(rows):
    kept = [{k: v for k, v in row.items() if k not in NOT_COMPARED} for row in rows]
    return sorted(kept, key=lambda row: (row["method"], row["seed"], row["epoch"]))


def fails_for_seed_1():
    """A trainable that fails in the third epoch of one seed. Local, so that it is pickled whole."""

    class Fails(SearchTrainable):
        def step(self):
            if self.resolved.seed == 1 and self.search.epoch == 2:
                raise RuntimeError("no luck")
            return super().step()

    return Fails


def fails_after_first_epoch():
    class FailsOnce(SearchTrainable):
        def step(self):
            if self.search.epoch == 1:
                raise RuntimeError("no luck")
            return super().step()

    return FailsOnce


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


def test_a_trial_that_fails_disturbs_no_other_and_is_reported_with_its_last_good_state(ray_session, tmp_path):
    grid = tune.Tuner(
        fails_for_seed_1(),
        param_space={**SMALL, "seed": tune.grid_search([0, 1, 2])},
        tune_config=tune.TuneConfig(reuse_actors=True),
        run_config=run_config(tmp_path / "tune"),
    ).fit()
    assert (grid.num_errors, grid.num_terminated) == (1, 2)
    for seed in (0, 2):
        rows = trial_rows(grid.experiment_path, seed)
        state = last_state(grid.experiment_path, rows[0]["trial"])
        assert_as_undisturbed(rows, state, {**SMALL, "seed": seed}, tmp_path / f"straight_{seed}")
    (failed,) = failed_trials(collect(Path(grid.experiment_path)))
    assert (failed.seed, failed.epoch, failed.checkpoint) == (1, 2, "checkpoint_000001")
    assert "no luck" in failed.error
    summary_text = markdown(content(collect(Path(grid.experiment_path)), lambda name, figure: name))
    assert "| 1 | 2 |" in summary_text
    assert "checkpoint_000001 | `RuntimeError: no luck` |" in summary_text


def linear_choices(options):
    """A function that builds a small module with these options of its one choice. Local, for Ray."""

    def build():
        choice = OneOf({name: nn.Linear(64, 10) for name in options}, name="layer")
        return nn.Sequential(nn.Flatten(), choice)

    return build


def test_an_experiment_is_not_restored_with_another_trainable_or_space(ray_session, tmp_path):
    config = {"space": linear_choices("ab"), "steps_per_epoch": 2, "batch_size": 16, "epochs": 2, "seed": 0}
    failing = tune.Tuner(fails_after_first_epoch(), param_space=config, run_config=run_config(tmp_path, name="failed"))
    assert failing.fit().num_errors == 1
    path = str(tmp_path / "failed")
    with pytest.raises(ValueError, match="trainable"):
        tune.Tuner.restore(path, ASNGTrainable, resume_errored=True)
    other = {**config, "space": linear_choices("abc")}
    grid = tune.Tuner.restore(path, fails_after_first_epoch(), param_space=other, resume_errored=True).fit()
    assert "the checkpoint is of another space" in str(grid.errors[0])
    assert "resume with the space it was made with" in str(grid.errors[0])
    (last,) = collect(tmp_path / "failed").to_pylist()
    assert last["epoch"] == 1


def test_a_bad_config_stops_the_experiment_before_any_trial(ray_session, tmp_path):
    with pytest.raises(ValueError, match="unknown method 'asgn'; did you mean 'asng'"):
        tune.run(SearchTrainable, config={**SMALL, "seed": 0, "method": "asgn"}, storage_path=str(tmp_path), verbose=0)
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
