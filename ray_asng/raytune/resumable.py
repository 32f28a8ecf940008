"""One experiment of Tune in a folder of its own: begun, or taken up where it was left; and the session around it."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.search.basic_variant import BasicVariantGenerator

from ray_asng.raytune.staging import STATES, finish_copy
from ray_asng.results.collect import collect
from ray_asng.results.report import Report, write_report
from ray_asng.results.store import write_table


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """What Tune is to run. Taken up again, it goes on as it was begun, whatever is said here.

    Attributes:
        folder: of the experiment.
        trainable: what a trial is.
        param_space: as for `tune.Tuner`.
        name: from its config, what tells a trial from others; of its folder, with Tune's id.
        points: in the space that are run, each once; all of its grid if None.
        columns: metrics that the progress table shows.
        checkpoint_every: epochs between checkpoints.
        max_concurrent: trials at a time; as many as the resources allow if None.
        stop: ends trials; None lets them run on.
    """

    folder: Path
    trainable: type[tune.Trainable]
    param_space: Mapping[str, Any]
    name: Callable[[Mapping[str, Any]], str]
    points: Sequence[Mapping[str, Any]] | None = None
    columns: Sequence[str] = ()
    checkpoint_every: int = 5
    max_concurrent: int | None = None
    stop: tune.Stopper | None = None

    def run(self) -> list[tune.Result]:
        """Run all trials, or what an interruption left of them; failed ones are begun or taken up once more.

        Raises:
            KeyboardInterrupt: it was interrupted, and can be taken up.
            RuntimeError: every trial failed.
        """
        grid = (self._taken_up() if any(self.folder.glob(STATES)) else self.begin()).fit()
        results = [grid[index] for index in range(len(grid))]
        # Tune takes Ctrl-C for itself, saves its state and returns.
        if any(result.error is None and not (result.metrics or {}).get("done") for result in results):
            raise KeyboardInterrupt
        if all(result.error is not None for result in results):
            raise RuntimeError(f"every trial failed; the errors are in {self.folder}")
        return results

    def _taken_up(self) -> tune.Tuner:
        path = str(self.folder.resolve())
        finish_copy(Path(path))  # a driver killed in the midst of it left a state that Tune cannot read
        return tune.Tuner.restore(
            path,
            self.trainable,
            resume_unfinished=True,
            resume_errored=True,
            # Tune does not keep the functions in it, of which trials that had not been made yet get their configs.
            param_space=dict(self.param_space),
        )

    def begin(self) -> tune.Tuner:
        """What runs the trials for the first time; made, it has written itself into the folder."""
        points = None if self.points is None else [dict(point) for point in self.points]
        return tune.Tuner(
            self.trainable,
            param_space=dict(self.param_space),
            tune_config=tune.TuneConfig(
                num_samples=1 if points is None else len(points),
                search_alg=BasicVariantGenerator(points_to_evaluate=points),
                max_concurrent_trials=self.max_concurrent,
                # An actor that is used again has imported torch and opened the data already.
                reuse_actors=True,
                trial_name_creator=self._trial_name,
                trial_dirname_creator=self._trial_name,
            ),
            run_config=tune.RunConfig(
                name=self.folder.name,
                storage_path=str(self.folder.resolve().parent),
                checkpoint_config=tune.CheckpointConfig(
                    checkpoint_frequency=self.checkpoint_every, num_to_keep=2, checkpoint_at_end=True
                ),
                stop=self.stop,
                progress_reporter=tune.CLIReporter(
                    metric_columns={column: column for column in self.columns},
                    parameter_columns=["seed"],
                    max_report_frequency=15,
                    max_progress_rows=40,
                    print_intermediate_tables=True,
                ),
                verbose=1,
            ),
        )

    def _trial_name(self, trial: Any) -> str:
        return f"{re.sub(r'[^0-9A-Za-z.=+-]+', '_', self.name(trial.config))}_{trial.trial_id}"


def results_and_report(output: Path, command: str) -> Report:
    """Collect what the experiments in `output` reported into its results.parquet, and write the report of that."""
    write_table(collect(output, command), output / "results.parquet")
    return write_report(output)


class ray_session:
    """Ray for the length of a job: joined if one runs (RAY_ADDRESS), else started here and stopped at the end."""

    def __enter__(self) -> None:
        self.started = not ray.is_initialized()
        if self.started:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            # The newer output of Tune prints every column of every trial and has no choice of columns.
            os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)

    def __exit__(self, *_: object) -> None:
        if self.started:
            ray.shutdown()
