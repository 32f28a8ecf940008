"""Results are whole although Tune's file of them is not: a driver that is killed while it copies the file leaves less.

The experiments are real ones of Ray Tune, whose result.json was then cut.
"""

import json
import shutil

import pytest
from ray import tune
from undisturbed import SMALL, run_config

from ray_asng import SearchTrainable
from ray_asng.raytune.retrain_trainable import RetrainTrainable
from ray_asng.results.collect import collect

pytestmark = pytest.mark.ray

EPOCHS = 4
FINISHES, IS_STOPPED, FAILS = range(3)  # seeds
WITHOUT = ["experiment", "samples_per_second", "wall_seconds", "device_seconds", "peak_memory_bytes"]


def failing(mended):
    """Searches of which one fails in its last epoch until the file `mended` is there. Local, for Ray."""

    class Failing(SearchTrainable):
        def step(self):
            if self.resolved.seed == FAILS and self.search.epoch == EPOCHS - 1 and not mended.exists():
                raise RuntimeError("no luck")
            return super().step()

    return Failing


def stop(trial_id, result):
    """Ends a search as `SearchStopper` does: in the driver, which notes why."""
    if result["seed"] == IS_STOPPED and result["epoch"] == 3:
        result["ended"] = "converged"
    return bool(result["ended"])


@pytest.fixture(scope="module")
def experiment(ray_session, tmp_path_factory):
    """An experiment of which one search has finished, one was stopped and one has failed; its trainable; the mend."""
    folder = tmp_path_factory.mktemp("whole")
    trainable = failing(folder / "mended")
    grid = tune.Tuner(
        trainable,
        param_space={**SMALL, "epochs": EPOCHS, "seed": tune.grid_search([FINISHES, IS_STOPPED, FAILS])},
        tune_config=tune.TuneConfig(reuse_actors=True),
        run_config=run_config(folder, name="exp", stop=stop, checkpoints={"num_to_keep": 1}),
    ).fit()
    assert grid.num_errors == 1
    return folder / "exp", trainable, folder / "mended"


def cut(experiment, share):
    """Keep the first part of every result.json, and of nothing else."""
    for file in experiment.glob("*/result.json"):
        content = file.read_bytes()
        file.write_bytes(content[: int(share * len(content))])


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_what_tunes_file_has_lost_is_collected_from_the_checkpoints(experiment, tmp_path, share):
    """Every column of every row, and how each search ended."""
    whole = collect(experiment[0])
    assert [row["iteration"] for row in whole.to_pylist()] == [1, 2, 3, 4, 1, 2, 3, 1, 2, 3]
    assert [row["ended"] for row in whole.to_pylist() if row["ended"]] == ["finished", "converged"]
    shutil.copytree(experiment[0], tmp_path / "exp")
    cut(tmp_path / "exp", share)
    assert collect(tmp_path / "exp").equals(whole)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_restored_experiment_has_every_epoch_once_although_tunes_file_was_lost(experiment, tmp_path, share):
    path, trainable, mended = experiment
    expected = collect(path).drop_columns(WITHOUT).to_pylist()
    # Another name: within a session Tune puts resumed experiments of one name and time into one place.
    damaged = tmp_path / f"damaged_{share}"
    shutil.copytree(path, damaged)
    cut(damaged, share)
    mended.touch()
    try:
        grid = tune.Tuner.restore(str(damaged), trainable, resume_errored=True).fit()
    finally:
        mended.unlink()
    assert grid.num_errors == 0
    rows = collect(damaged).drop_columns(WITHOUT).to_pylist()
    assert [row["iteration"] for row in rows] == [1, 2, 3, 4, 1, 2, 3, 1, 2, 3, 4]
    assert rows[:-1] == expected
    assert [row["ended"] for row in rows if row["ended"]] == ["finished", "converged", "finished"]


def test_a_retraining_is_collected_from_its_checkpoints_too(ray_session, tmp_path):
    edges = [f"edge_{source}_{target}" for target in (1, 2, 3) for source in range(target)]
    config = {
        "search": {**SMALL, "seed": 0},
        "found": {"architecture": dict.fromkeys(edges, "skip_connect")},
        "seed": tune.grid_search([0, 1]),
        "epochs": 2,
        "batch_size": 512,
    }
    run = run_config(tmp_path, name="retraining")
    assert not tune.Tuner(RetrainTrainable, param_space=config, run_config=run).fit().errors
    whole = collect(tmp_path / "retraining")
    assert whole["iteration"].to_pylist() == [1, 2, 1, 2]
    cut(tmp_path / "retraining", 0.0)
    assert collect(tmp_path / "retraining").equals(whole)


def test_an_unreadable_state_of_the_experiment_costs_no_more_than_why_a_search_was_ended(experiment, tmp_path, caplog):
    shutil.copytree(experiment[0], tmp_path / "exp")
    cut(tmp_path / "exp", 0.0)
    (state,) = (tmp_path / "exp").glob("experiment_state-*.json")
    state.write_text(json.dumps({"trial_data": "lost"}))
    whole, rows = collect(experiment[0]).to_pylist(), collect(tmp_path / "exp").to_pylist()
    assert rows == [{**row, "ended": row["ended"].replace("converged", "")} for row in whole]
    assert f"{state.name} cannot be read" in caplog.text
