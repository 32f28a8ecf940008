"""ASNG and DARTS on CIFAR-10 from Parquet files: `RAY_ASNG_DATA=<folder> python examples/cifar10_parquet.py`.

Any Parquet file with a column of encoded images and one of integer labels will do; they are decoded once and shared
by all trials of the machine. Here everything is small (16 x 16 pixels, 2000 images, a narrow network): it shows the
way, not the accuracy. About 50 seconds on two cores.
"""

import argparse
import os
import sys
from pathlib import Path

import ray
from ray import tune

from ray_asng import SearchTrainable

TRAIN, TEST = "cifar10_webp_train.parquet", "cifar10_webp_test.parquet"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=3, help="of each search")
    parser.add_argument("--train-images", type=int, default=2000, help="of the 50000")
    parser.add_argument("--storage", type=Path, default=Path("ray_results"), help="folder of Tune's experiments")
    options = parser.parse_args()
    folder = Path(os.environ.get("RAY_ASNG_DATA") or "not set").absolute()
    if not all((folder / name).is_file() for name in (TRAIN, TEST)):
        sys.exit(f"set the environment variable RAY_ASNG_DATA to a folder with the files {TRAIN} and {TEST}")

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # the compact progress table, with columns of our choice
    ray.init(include_dashboard=False)
    task_options = {"train": TRAIN, "test": TEST, "size": 16, "train_images": options.train_images, "test_images": 500}
    tuner = tune.Tuner(
        # On a machine with a GPU: {"cpu": 2, "gpu": 0.5}, which puts two searches on it.
        tune.with_resources(SearchTrainable, {"cpu": 1}),
        param_space={
            "method": tune.grid_search(["asng", "darts"]),
            "space": "nasbench201",
            "space_options": {"width": 8, "cells": 1},
            "task": "images",
            "task_options": task_options,
            "data_dir": str(folder),
            "epochs": options.epochs,
            "seed": 0,
        },
        tune_config=tune.TuneConfig(reuse_actors=True),
        run_config=tune.RunConfig(
            storage_path=str(options.storage.resolve()),
            progress_reporter=tune.CLIReporter(metric_columns=["epoch", "train_loss", "path_accuracy"]),
            verbose=1,
        ),
    )
    results = tuner.fit()
    ray.shutdown()

    if results.num_errors:
        sys.exit(f"a search failed; its error is in {results.experiment_path}")
    for result in results:
        found = result.metrics
        print(f"{found['method']:6} path accuracy {found['path_accuracy']:.3f}  {found['architecture_text']}")


if __name__ == "__main__":
    main()
