"""Searches in fresh processes, timed epoch by epoch: what the benchmarks of Tune have in common.

As a program, `timed_searches.py FOLDER` is one such process: it runs the plan in the folder and leaves its record
there.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np

# Whatever else is imported, is so by the function that needs it: this file is the program of the child processes too,
# whose start is measured, and the plain ones must not load Ray.

# The network of the paper, since its weights are what a checkpoint holds; small images keep a step short.
CONFIG: dict[str, Any] = {
    "space": "nasbench201",
    "space_options": {"width": 16, "cells": 5},
    "task": "digits",
    "task_options": {"size": 16},
    "batch_size": 64,
    "cpus": 1,
}
SMOKE_CONFIG = {**CONFIG, "space_options": {"width": 4, "cells": 1}, "task_options": {}, "batch_size": 16}


@dataclass(frozen=True)
class Plan:
    """What a child process runs.

    Attributes:
        kind: "plain", "tune" or "calibrate".
        config: of the search.
        folder: an empty one of its own, for the record, the log and Tune's files.
        trials: equal ones under Tune, two at a time, in processes that are used again.
        epoch_seconds: what `calibrate` looks for.
        threads: of a plain search; a trial has as many as Tune gives it CPUs.
    """

    kind: str
    config: dict[str, Any]
    folder: str
    trials: int = 1
    epoch_seconds: float = 0.0
    threads: int = 1


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a child process tells. Moments are seconds of the one clock that all processes of a machine share.

    Attributes:
        epochs: `timed_epoch` of every epoch with the trial's id, in the order of their ends.
        init_seconds: of `ray.init`; 0 without Ray.
    """

    epochs: list[dict[str, Any]] = field(default_factory=list)
    init_seconds: float = 0.0


@dataclass(frozen=True)
class Life:
    """A child process that has ended.

    Attributes:
        launched, gone: moments of its begin and end; of several at once, an end shows only after those before it.
        record: what it told.
    """

    launched: float
    gone: float
    record: Record


def timed_epoch(run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Metrics of an epoch with its moments, and what the process was allowed."""
    import torch

    began, cpu = time.monotonic(), time.process_time()
    metrics = run()
    cpu_seconds = time.process_time() - cpu
    allowed = {"process": os.getpid(), "threads": torch.get_num_threads(), "nice": os.nice(0)}
    return {**metrics, **allowed, "began": began, "cpu_seconds": cpu_seconds, "left": time.monotonic()}


def own_columns(trial: str, result: dict[str, Any], before: float) -> dict[str, Any]:
    """What the benchmark needs of a result; `before` is what the search had taken up to this epoch."""
    kept = ("began", "left", "cpu_seconds", "process", "threads", "nice", "train_loss", "wall_seconds")
    return {"trial": trial, "search_seconds": result["wall_seconds"] - before, **{key: result[key] for key in kept}}


def run_plainly(plan: Plan) -> Record:
    """The search in this process, without Ray."""
    import torch

    from ray_asng.config import SearchConfig

    torch.set_num_threads(plan.threads)
    search = SearchConfig.from_mapping(plan.config).build_search()
    record = Record()
    while not search.is_done:
        before = search.wall_seconds
        record.epochs.append(own_columns("plain", timed_epoch(search.run_epoch), before))
    return record


def run_under_tune(plan: Plan) -> Record:
    """The search as `trials` equal trials of one experiment."""
    import ray
    from ray import tune

    from ray_asng import SearchTrainable

    class Timed(SearchTrainable):
        def step(self) -> dict[str, Any]:
            return timed_epoch(super().step)

    class Keep(tune.Callback):
        def on_trial_result(
            self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
        ) -> None:
            before = sum(row["search_seconds"] for row in epochs if row["trial"] == trial.trial_id)
            epochs.append(own_columns(trial.trial_id, result, before))

    epochs: list[dict[str, Any]] = []
    started = time.monotonic()
    ray.init(include_dashboard=False, num_cpus=2, log_to_driver=False, logging_level=logging.ERROR)
    init_seconds = time.monotonic() - started
    tune.run(
        Timed,
        config=plan.config,
        num_samples=plan.trials,
        max_concurrent_trials=2,
        reuse_actors=True,
        checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1, checkpoint_at_end=True),
        storage_path=plan.folder,
        callbacks=[Keep()],
        verbose=0,
    )
    ray.shutdown()
    return Record(epochs=epochs, init_seconds=init_seconds)


def calibrate(plan: Plan) -> Record:
    """The search with ever more steps in an epoch, until an epoch takes `epoch_seconds`."""
    import torch

    from ray_asng.config import SearchConfig

    torch.set_num_threads(1)
    record, steps, seconds = Record(), 2, 0.0
    while seconds < plan.epoch_seconds:
        search = SearchConfig.from_mapping({**plan.config, "steps_per_epoch": steps, "epochs": 2}).build_search()
        search.run_epoch()  # the first of a process is slower
        before = search.wall_seconds
        row = own_columns("calibrate", timed_epoch(search.run_epoch), before)
        record.epochs.append({**row, "steps": steps})
        # Of one thread, so at most those on the clock, and not more because others use the machine just now.
        seconds = row["cpu_seconds"]
        # Architectures differ in cost, so an epoch is made a tenth longer than it must be.
        steps = max(steps + 1, int(np.ceil(1.1 * steps * plan.epoch_seconds / seconds)))
    return record


KINDS: dict[str, Callable[[Plan], Record]] = {
    "plain": run_plainly,
    "tune": run_under_tune,
    "calibrate": calibrate,
}


def run_children(*plans: Plan) -> list[Life]:
    """Run each plan in a fresh process, all at once, and wait for their ends.

    Raises:
        click.ClickException: a child failed; has the end of its log.
    """
    children = []
    for plan in plans:
        folder = Path(plan.folder)
        folder.mkdir(parents=True)
        (folder / "plan.json").write_text(json.dumps(asdict(plan)))
        command = [sys.executable, __file__, plan.folder]
        environment = {**os.environ, "OMP_NUM_THREADS": str(plan.threads), "RAY_USAGE_STATS_ENABLED": "0"}
        # A file and not a pipe: a pipe ends only when the last of Ray's processes has let it go.
        with (folder / "log").open("w") as log:
            launched = time.monotonic()
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        children.append((folder, launched, process))
    # All are waited for before any failure is raised, so that none is left running.
    ends = [(process.wait(), time.monotonic()) for _, _, process in children]
    lives = []
    for (folder, launched, _), (code, gone) in zip(children, ends, strict=True):
        if code:
            raise click.ClickException(f"a child process failed with code {code}:\n{(folder / 'log').read_text()}")
        lives.append(Life(launched, gone, Record(**json.loads((folder / "record.json").read_text()))))
    return lives


def be_child(folder: Path) -> None:
    """Run the plan in `folder` and leave the record there."""
    plan = Plan(**json.loads((folder / "plan.json").read_text()))
    (folder / "record.json").write_text(json.dumps(asdict(KINDS[plan.kind](plan))))


def calibrated_steps(config: dict[str, Any], epoch_seconds: float, folder: str) -> int:
    """Steps of an epoch that takes `epoch_seconds` on this machine."""
    plan = Plan("calibrate", {**config, "seed": 0}, f"{folder}/calibrate", epoch_seconds=epoch_seconds)
    (life,) = run_children(plan)
    return int(life.record.epochs[-1]["steps"])


def allowances(lives: Sequence[Life]) -> str:
    """Threads and niceness that the processes with the epochs had."""
    found = {(row["threads"], row["nice"]) for life in lives for row in life.record.epochs}
    return " or ".join(f"{threads} thread(s) at nice {nice}" for threads, nice in sorted(found))


if __name__ == "__main__":
    be_child(Path(sys.argv[1]))
