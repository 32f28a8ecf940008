"""Test images as retrained children restore them, for the report of a job whose task is to restore images."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import torch
from ray import tune

from ray_asng.raytune.retrain_trainable import CHECKPOINT_FILE, build_retraining, retrained_config
from ray_asng.raytune.state_file import load_state
from ray_asng.results.restored import restored_images, restored_path
from ray_asng.results.style import save
from ray_asng.retrain import measured_weights

_PICTURES = 8


def draw_restored(output: Path, retrained: Iterable[tune.Result]) -> None:
    """Draw the first test images masked, restored by the first child of each method, and true.

    Nothing is drawn of other tasks, or where no child has a checkpoint.

    Args:
        output: folder of the report.
        retrained: results of `RetrainTrainable`s.
    """
    usable = [(result.metrics, result) for result in retrained if result.checkpoint is not None and result.metrics]
    first: dict[str, tune.Result] = {}
    # What searches found comes first, by their seeds; others have the seed -1.
    for metrics, result in sorted(usable, key=lambda pair: (pair[0]["search_seed"] < 0, pair[0]["search_seed"])):
        first.setdefault(metrics["method"], result)
    rows = []
    for method, result in first.items():
        config = json.loads(result.metrics["config_json"])  # type: ignore[index]  # those without were left out
        search = retrained_config(config)
        if search.task != "inpainting":
            return
        task = search.build_task()
        child = build_retraining(search, config, task)[0].child
        with result.checkpoint.as_directory() as folder:  # type: ignore[union-attr]  # likewise
            child.load_state_dict(measured_weights(load_state(Path(folder) / CHECKPOINT_FILE)))
        masked, true = task.batch("test", torch.arange(min(_PICTURES, task.size("test"))))
        with torch.no_grad():
            rows.append((method.replace("_", " "), child.eval()(masked).numpy()))
    if rows:
        figure = restored_images([("masked", masked.numpy()), *rows, ("true", true.numpy())])
        save(figure, restored_path(output))
