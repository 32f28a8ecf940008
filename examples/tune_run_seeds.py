"""Many seeds of one search side by side under Ray Tune, and their table: `python examples/tune_run_seeds.py`.

Every trial is a whole ASNG search of the NAS-Bench-201 cell on handwritten digits. Tune may stop, restart or move a
trial at any time; it goes on from its last checkpoint as if nothing had happened. About 40 seconds on two cores.
"""

import argparse
import os
from pathlib import Path

import ray
from ray import tune

from ray_asng import ASNGTrainable
from ray_asng.results.collect import collect
from ray_asng.results.report import write_report
from ray_asng.results.store import write_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10, help="of each search")
    parser.add_argument("--seeds", type=int, default=4, help="number of searches")
    parser.add_argument("--storage", type=Path, default=Path("ray_results"), help="folder of Tune's experiments")
    options = parser.parse_args()

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the compact progress table, with columns of our choice
    ray.init(include_dashboard=False)
    analysis = tune.run(
        ASNGTrainable,
        config={
            "space": "nasbench201",
            "space_options": {"width": 4, "cells": 1},
            "task": "digits",
            "epochs": options.epochs,
            "seed": tune.grid_search(list(range(options.seeds))),
        },
        resources_per_trial={"cpu": 1},
        # A class-based trainable writes checkpoints only if asked to.
        checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=5, checkpoint_at_end=True),
        # The next trial takes over the process of one that ended, which has imported torch already.
        reuse_actors=True,
        storage_path=str(options.storage.resolve()),
        progress_reporter=tune.CLIReporter(metric_columns=["epoch", "train_loss", "path_accuracy"]),
        verbose=1,
    )
    ray.shutdown()

    experiment = Path(analysis.experiment_path)
    write_table(collect(experiment), experiment / "results.parquet")
    report = write_report(experiment)
    print(f"\n{report.table}\n")
    print(f"summary, {len(report.figures)} figures and results.parquet are in {experiment}")


if __name__ == "__main__":
    main()
