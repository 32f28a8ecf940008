"""The Parquet data set of an experiment, kept up to date while it runs."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

from ray import tune

from ray_asng.results.collect import collect
from ray_asng.results.store import FILE_NAME, write_table

logger = logging.getLogger(__name__)


class ResultsCallback(tune.Callback):
    """Writes `results.parquet` when trials end, at most every so often, and when the experiment ends.

    Tune's own files stay the source of truth: this collects them, so nothing is lost if the driver is killed between
    two writes (`ray-asng collect` makes the data set from the files).

    Args:
        output: folder of `results.parquet`.
        seconds: least time between two writes while the experiment runs.

    Example:
        >>> tune.run(SearchTrainable, config={"seed": 0}, callbacks=[ResultsCallback("results")])
    """

    def __init__(self, output: str | Path, seconds: float = 60.0) -> None:
        self.output = Path(output).resolve()
        self.seconds = seconds
        self._experiment: Path | None = None
        self._written = 0.0

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Remember where Tune writes."""
        self._experiment = Path(trial.local_experiment_path)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Write, unless that was done a moment ago."""
        if time.monotonic() - self._written >= self.seconds:
            self._write()

    def on_experiment_end(self, trials: list[Any], **info: Any) -> None:
        """Write everything."""
        self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        if self._experiment is None:
            return
        try:
            write_table(collect(self._experiment), self.output / FILE_NAME)
        except Exception:
            # Whatever it is, a search of days must not end because of a table that can be made afterwards.
            logger.exception("results.parquet was not written; make it by `ray-asng collect %s`", self._experiment)
