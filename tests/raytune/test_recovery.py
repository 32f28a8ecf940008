"""Searches whose processes are killed end as if nothing had happened, and compute nothing twice that was saved.

To run the kills many times in a row:

    for i in $(seq 20); do python -m pytest tests/raytune/test_recovery.py || break; done
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ray import tune
from undisturbed import SMALL, assert_as_undisturbed, last_state, run_config, saved_iterations, trial_rows

from ray_asng import SearchTrainable
from ray_asng.raytune.staging import finish_copy

pytestmark = pytest.mark.ray

EPOCHS = 8
DRIVER = Path(__file__).with_name("killed_driver.py")


def killed_in_the_middle_of_an_epoch():
    """A trainable whose process kills itself between the steps of its third epoch, once, and notes its epochs.

    Local, so that it is pickled whole.
    """

    class Killed(SearchTrainable):
        def step(self):
            folder = Path(self.resolved.data_dir)
            with (folder / "epochs").open("a") as notes:
                notes.write(f"{self.search.epoch}\n")
            if self.search.epoch == 2 and not (folder / "killed").exists():
                self.search.batch = self.batch_or_death(self.search.batch, folder / "killed")
            return super().step()

        def batch_or_death(self, batch, notice):
            batches = []

            def batch_or_death(split):
                batches.append(split)
                if len(batches) == 4:  # of six: two for each step
                    notice.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
                return batch(split)

            return batch_or_death

    return Killed


def test_a_worker_killed_in_the_middle_of_an_epoch_costs_that_epoch_alone(ray_session, tmp_path):
    config = {**SMALL, "seed": 5, "data_dir": str(tmp_path)}
    grid = tune.Tuner(
        tune.with_resources(killed_in_the_middle_of_an_epoch(), {"cpu": 1}),
        param_space=config,
        run_config=run_config(tmp_path / "tune", failure_config=tune.FailureConfig(max_failures=1)),
    ).fit()
    assert not grid.errors
    assert (tmp_path / "killed").exists()
    assert (tmp_path / "epochs").read_text().split() == ["0", "1", "2", "2", "3"]
    state = last_state(grid.experiment_path, grid[0].metrics["trial_id"])
    assert_as_undisturbed(trial_rows(grid.experiment_path, 5), state, config, tmp_path / "straight")
    assert saved_iterations(grid.experiment_path, grid[0].metrics["trial_id"]) == [1, 2, 3, 4]


@pytest.mark.parametrize("way", ["tuner", pytest.param("run", marks=pytest.mark.slow)])
def test_an_experiment_whose_driver_was_killed_is_restored_as_if_nothing_had_happened(tmp_path, way):
    experiment = tmp_path / "experiment"
    driver = start(tmp_path, way)
    wait_until(lambda: has_begun(tmp_path) or driver.poll() is not None, "the searches did not begin")
    assert driver.poll() is None, driver.stderr.read()
    time.sleep(random.random())  # so that repetitions of this test kill at different moments
    driver.kill()
    driver.wait()
    # Its orphaned trials may run on for a moment.
    wait_until(lambda: not any(map(is_alive, processes(tmp_path))), "the trials did not end with their driver")
    finish_copy(experiment)  # what `ray-asng repair` does where Tune was killed in the midst of copying its state
    saved = registered_epochs(experiment)
    begun = {seed: len(epochs(tmp_path, seed)) for seed in (0, 1)}

    driver = start(tmp_path, way)
    assert driver.wait(timeout=900) == 0, driver.stderr.read()
    for seed in (0, 1):
        again = epochs(tmp_path, seed)[begun[seed] :]
        assert again == list(range(saved[seed], EPOCHS))
        rows = trial_rows(experiment, seed)
        config = {**SMALL, "epochs": EPOCHS, "seed": seed, "data_dir": str(tmp_path)}
        state = last_state(experiment, rows[0]["trial"])
        assert_as_undisturbed(rows, state, config, tmp_path / f"straight_{seed}")
        assert saved_iterations(experiment, rows[0]["trial"]) == list(range(1, EPOCHS + 1))


def start(folder, way):
    # Tune takes a snapshot of its checkpoints every ten seconds; what came after is lost with the driver.
    environment = {**os.environ, "TUNE_GLOBAL_CHECKPOINT_S": "0"}
    command = [sys.executable, str(DRIVER), str(folder), way]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=folder
    )


def wait_until(is_reached, otherwise):
    # Against waiting for ever; a loaded machine takes minutes to start Ray.
    deadline = time.monotonic() + 900
    while not is_reached():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.02)


def has_begun(folder):
    return all(len(epochs(folder, seed)) >= 4 for seed in (0, 1))


def notes(folder, seed):
    """(epoch, process) of the epochs that the search of a seed began, over all of its processes."""
    path = folder / f"epochs_{seed}"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def epochs(folder, seed):
    return [int(epoch) for epoch, _ in notes(folder, seed)]


def processes(folder):
    return {int(process) for seed in (0, 1) for _, process in notes(folder, seed)}


def is_alive(process):
    status = Path(f"/proc/{process}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


def registered_epochs(experiment):
    """Seed -> epochs done at the newest checkpoint that Tune knows of; all of them for a trial that had ended."""
    found = {}
    for trial in tune.ExperimentAnalysis(str(experiment)).trials:
        saved = trial.latest_checkpoint_result
        done = saved.metrics["training_iteration"] if saved else 0
        found[trial.config["seed"]] = EPOCHS if trial.status == "TERMINATED" else done
    return found
