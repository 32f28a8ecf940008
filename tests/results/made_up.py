"""A made-up data set of a study, written by the schema alone: as many trials as one asks for, quickly."""

import json

import numpy as np
import pyarrow as pa
from table_trials import BEST, DATASETS, REFERENCE
from tune_output import search_reports

from ray_asng.results.schema import COLUMNS, make_schema

METHODS = ("asng", "random_search", "darts", "gaea")


def study(trials, epochs=3, labels=METHODS, settings=("",), columns=lambda number, iteration: {}):
    """The table of a study: `trials` searches, spread over labels and settings of a sweep.

    Args:
        columns: further columns of a trial's report, by the numbers of both.
    """
    rows = []
    for number in range(trials):
        label = labels[number % len(labels)]
        setting = settings[number // len(labels) % len(settings)]
        seed = number // (len(labels) * len(settings))
        rows += [{**row, **columns(number, row["iteration"])} for row in _trial(number, label, setting, seed, epochs)]
    extra = sorted({name for row in rows for name in row} - {column.name for column in COLUMNS})
    schema = make_schema(extra, {"accuracy"}, command="ray-asng study many")
    arrays = {field.name: pa.array([row.get(field.name) for row in rows], field.type) for field in schema}
    return pa.table(arrays, schema=schema)


def truths(number, iteration):
    """Columns of a table of true accuracies, for `study`."""
    rng = np.random.default_rng([number, iteration])
    level = 0.94 - 0.1 / iteration + rng.normal(0.0, 0.004)
    losses = rng.normal(1.0, 0.2, 60)
    return {
        **{f"table_{name}_test_accuracy": min(level / 0.9437, 1.0) * BEST[name] for name in DATASETS},
        "table_reference": json.dumps(REFERENCE),
        "inherited": json.dumps([[loss, 1.0 - 0.1 * loss + rng.normal(0.0, 0.02)] for loss in losses]),
        "steps": 100 * iteration,
        "forward_passes": 300.0 * iteration,
        "backward_passes": 200.0 * iteration,
        "wall_seconds": 11.0 * iteration + number % 5,
    }


def _trial(number, label, setting, seed, epochs):
    """The reports of one search; method and label agree where the label names a method."""
    method = label if label in METHODS else "asng"
    key, _, value = setting.partition("=")
    config = {"method": method, "label": label, "setting": setting, "space": "nasbench201", "task": "digits"}
    config |= {"seed": seed, "epochs": epochs, "method_options": {key: value} if key else {}}
    config |= dict.fromkeys(("lr", "momentum", "weight_decay", "grad_clip", "batch_size", "samples"), 0.5)
    shift = np.random.default_rng(number).normal(0.0, 0.02)
    common = {"experiment": "study", "trial": f"ab12f_{number:05d}", "label": label, "setting": setting}
    return [
        {
            **report,
            **common,
            "iteration": iteration,
            "seed": seed,
            "config_json": json.dumps(config),
            "path_accuracy": report["path_accuracy"] + shift,
            "ended": "finished" if iteration == epochs else "",
        }
        for iteration, report in enumerate(search_reports(method, seed % 10, epochs), start=1)
    ]
