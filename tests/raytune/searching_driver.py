"""Trials chosen by ASNGSearch in a process of its own, which a test kills: `searching_driver.py FOLDER`.

Started again on the same folder it goes on. Every trial notes its config in FOLDER/ended before its result is reported.
"""

import json
import logging
import os
import sys
import time
from pathlib import Path

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "0"  # as the README says, for trials of seconds

import ray
from ray import tune

from ray_asng import ASNGSearch

TRIALS = 20


def noting(folder):
    def trial(config):
        time.sleep(0.4)
        with (Path(folder) / "ended").open("a") as notes:
            notes.write(json.dumps(config, sort_keys=True) + "\n")
        return {"loss": (config["a"] - 3) ** 2 + (config["b"] != "x")}

    return trial


def main(folder):
    ray.init(include_dashboard=False, num_cpus=2, log_to_driver=False, logging_level=logging.ERROR)
    path = str(folder / "experiment")
    if tune.Tuner.can_restore(path):
        tuner = tune.Tuner.restore(path, noting(folder))
    else:
        search = ASNGSearch(metric="loss", mode="min", seed=0)
        tuner = tune.Tuner(
            noting(folder),
            param_space={"a": tune.randint(0, 40), "b": tune.choice(["x", "y", "z"]), "c": {"constant": 1}},
            tune_config=tune.TuneConfig(search_alg=search, num_samples=TRIALS, max_concurrent_trials=2),
            run_config=tune.RunConfig(name="experiment", storage_path=str(folder), verbose=0),
        )
    results = tuner.fit()
    rows = [(result.config, result.metrics["loss"]) for result in results]
    (folder / "results.json").write_text(json.dumps({"rows": rows, "errors": len(results.errors)}))
    ray.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
