"""An experiment of two searches in a process of its own, which a test kills: `killed_driver.py FOLDER tuner|run`.

Started again on the same folder it goes on. Every epoch that a trial begins is noted in FOLDER/epochs_SEED, with its
process.
"""

import logging
import os
import sys
from pathlib import Path

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import ray
from ray import tune

from ray_asng import SearchTrainable


def noting():
    """A trainable that notes its epochs. Local, so that it is pickled whole."""

    class SearchTrainable_(SearchTrainable):
        def step(self):
            with (Path(self.resolved.data_dir) / f"epochs_{self.resolved.seed}").open("a") as notes:
                notes.write(f"{self.search.epoch} {os.getpid()}\n")
            return super().step()

    return SearchTrainable_


def main(folder, way):
    config = {
        "space_options": {"width": 4, "cells": 1},
        "steps_per_epoch": 3,
        "batch_size": 16,
        "epochs": 8,
        "seed": tune.grid_search([0, 1]),
        "data_dir": str(folder),  # not read by the embedded task; the notes go there
    }
    checkpoints = tune.CheckpointConfig(checkpoint_frequency=2, num_to_keep=2, checkpoint_at_end=True)
    ray.init(include_dashboard=False, num_cpus=2, log_to_driver=False, logging_level=logging.ERROR)
    if way == "run":
        tune.run(
            noting(),
            name="experiment",
            config=config,
            storage_path=str(folder),
            checkpoint_config=checkpoints,
            resume="AUTO",
            verbose=0,
        )
    elif tune.Tuner.can_restore(str(folder / "experiment")):
        tune.Tuner.restore(str(folder / "experiment"), noting()).fit()
    else:
        run = tune.RunConfig(name="experiment", storage_path=str(folder), checkpoint_config=checkpoints, verbose=0)
        tune.Tuner(noting(), param_space=config, run_config=run).fit()
    ray.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
