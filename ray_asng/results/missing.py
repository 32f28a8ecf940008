"""What a reader would expect of a ground and does not find."""

from __future__ import annotations

import numpy as np

from ray_asng.results.compared import datasets
from ray_asng.results.figures import undrawn
from ray_asng.results.inline import literal
from ray_asng.results.trials import BASELINE, STOPPED, Ground, Trial, search_values


def missing(ground: Ground) -> list[str]:
    """A sentence for each thing that is missing or incomplete, as text of a block."""
    where = literal(ground.name)
    notes = []
    if not ground.searches:
        notes.append(f"{where}: no search, only retraining.")
    if not ground.retrainings and not datasets(ground):
        notes.append(f"{where}: nothing was retrained yet, so there is no test {ground.metric}.")
    elif ground.retrainings and BASELINE not in ground.retrainings:
        notes.append(f"{where}: no random architecture was retrained, so nothing shows what searching is worth.")
    for label, trials in ground.searches.items():
        values = search_values(trials, ground.path_metric)
        if len(values) == 1:
            notes.append(f"{where}: {literal(label)} has one seed only, so it has no interval and no test.")
        broken = [seed for seed, value in values.items() if not np.isfinite(value)]
        if broken:
            left_out = f"no finite {ground.path_metric}; left out of the mean."
            notes.append(f"{where}: {literal(label)}, seed(s) {broken}: {left_out}")
    for label, trials in (*ground.searches.items(), *ground.retrainings.items()):
        notes += [f"{where}: {_unfinished(label, trial)}" for trial in trials if not trial.is_finished]
    return notes + undrawn(ground)


def _unfinished(label: str, trial: Trial) -> str:
    how = "was stopped" if trial.ended == STOPPED else "stands"
    which = f"{trial.last('kind')} of {literal(label)}, seed {trial.last('seed')}"
    reached = f"epoch {trial.epochs[-1]:.0f} of {trial.last('epochs')}"
    return f"{which}, {how} at {reached}; it does not count where finished ones do."
