"""Four seeds of an ASNG search under Ray Tune, on handwritten digits that come with scikit-learn."""

from ray import tune

from ray_asng import ASNGTrainable

if __name__ == "__main__":
    small = {"width": 8, "cells": 1}
    analysis = tune.run(
        ASNGTrainable,
        config={"task": "digits", "space_options": small, "epochs": 10, "seed": tune.grid_search([0, 1, 2, 3])},
        checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=5, checkpoint_at_end=True),
        reuse_actors=True,
        verbose=0,
    )
    for trial in sorted(analysis.trials, key=lambda trial: trial.config["seed"]):
        found = trial.last_result
        print(f"seed {found['seed']}  path accuracy {found['path_accuracy']:.3f}  {found['architecture_text']}")
