"""What a user's own `tune.run` leaves can be collected: the real files of the installed Ray."""

import math

import pytest
from tune_output import search_reports

from ray_asng.results.collect import collect
from ray_asng.results.markdown import markdown
from ray_asng.results.schema import failed_trials
from ray_asng.results.summary import content


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """What Tune leaves of five searches.

    Seed 0 finishes, seed 1 fails in its third epoch for good, seed 2 fails there once and recovers, seed 3 is stopped
    after two epochs, and seed 4 too, by someone who says why.
    """
    ray = pytest.importorskip("ray")
    from ray import tune

    folder = tmp_path_factory.mktemp("storage")
    mark = str(folder / "failed_once")

    class Replay(tune.Trainable):
        """Reports what `search_reports` made."""

        def setup(self, config):
            self.epoch = 0

        def step(self):
            from pathlib import Path

            self.epoch += 1
            seed = self.config["seed"]
            if self.epoch == 3 and (seed == 1 or (seed == 2 and not Path(mark).exists())):
                Path(mark).touch()
                raise RuntimeError("lost the device")
            report = self.config["reports"][seed][self.epoch - 1]
            return {**report, "valid_loss": math.nan, "done": self.epoch == 4}

        def save_checkpoint(self, checkpoint_dir):
            from pathlib import Path

            Path(checkpoint_dir, "epoch").write_text(str(self.epoch))

        def load_checkpoint(self, checkpoint_dir):
            from pathlib import Path

            self.epoch = int(Path(checkpoint_dir, "epoch").read_text())

    def stop(trial_id, result):
        if result["seed"] == 4 and result["epoch"] == 2:
            result["ended"] = "collapsed"
        return result["seed"] >= 3 and result["epoch"] == 2

    was_running = ray.is_initialized()
    if not was_running:
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    reports = [search_reports("asng", seed, epochs=4) for seed in range(5)]
    tune.run(
        Replay,
        config={"seed": tune.grid_search([0, 1, 2, 3, 4]), "reports": reports},
        stop=stop,
        name="mine",
        storage_path=str(folder),
        max_failures=1,
        checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=2),
        raise_on_failed_trial=False,
        verbose=0,
    )
    if not was_running:
        ray.shutdown()
    return folder / "mine"


@pytest.mark.ray
def test_finished_failed_recovered_and_stopped_trials_are_told_apart(experiment):
    table = collect(experiment)
    epochs = {}
    for row in table.to_pylist():
        epochs.setdefault(row["seed"], []).append(row["epoch"])
    assert epochs == {0: [1, 2, 3, 4], 1: [1, 2], 2: [1, 2, 3, 4], 3: [1, 2], 4: [1, 2]}
    last = {row["seed"]: row["ended"] for row in table.to_pylist()}
    assert last == {0: "finished", 1: "", 2: "finished", 3: "stopped", 4: "collapsed"}
    (failure,) = failed_trials(table)
    assert (failure.seed, failure.method, failure.iteration) == (1, "asng", 2)
    assert failure.error == "RuntimeError: lost the device"
    assert (failure.epoch, failure.column, failure.checkpoint) == (2, "path_accuracy", "checkpoint_000000")


@pytest.mark.ray
def test_a_bare_run_can_be_reported(experiment):
    text = markdown(content(collect(experiment), lambda name, figure: name))
    assert "lost the device" in text
    assert "| asng | 3 |" in text
    assert "1 of 5 collapsed and ended at epoch 2." in text
    assert "seed 3, was stopped at epoch 2 of 4" in text
