"""What a trial has reported, kept for its checkpoints.

Tune's driver writes the reports to result.json, but a driver that is killed while it copies that file to the
experiment leaves a part of it or nothing. So every checkpoint of a trial holds all its reports up to there a second
time; `ray_asng.results` reads them where result.json lacks them.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray.tune.utils.util import SafeFallbackEncoder  # type: ignore[attr-defined]  # where Tune's own logger has it

from ray_asng.checkpoints import REPORTS_FILE, read_reports

# What Tune adds and the reports of ours need not: they have the resolved config as `config_json`.
_BULK = frozenset(("config",))


class ReportLog:
    """The last report of every iteration of one trial."""

    def __init__(self) -> None:
        self._lines: dict[int, str] = {}

    def add(self, result: Mapping[str, Any]) -> None:
        """Keep a complete result of `Trainable.train`, as Tune's result.json spells it."""
        kept = {name: value for name, value in result.items() if name not in _BULK}
        self._lines[int(result["training_iteration"])] = json.dumps(kept, cls=SafeFallbackEncoder)

    def save(self, checkpoint: Path) -> None:
        """Write all reports into a checkpoint folder, as a whole or not at all."""
        text = "".join(f"{line}\n" for _, line in sorted(self._lines.items()))
        temporary = checkpoint / f"{REPORTS_FILE}.tmp"
        # All of it is compressed anew every time, so fast goes before small: rows that are alike shrink anyway.
        temporary.write_bytes(gzip.compress(text.encode(), compresslevel=1, mtime=0))
        os.replace(temporary, checkpoint / REPORTS_FILE)

    def load(self, checkpoint: Path, trial: str, iteration: int) -> None:
        """Go on from a checkpoint folder that was made after `iteration`.

        Its reports are taken over if they are those of `trial`; those of another trial (PBT) are not. What was
        reported after `iteration` is forgotten, since it is computed again. A file that is missing or damaged
        counts as empty.
        """
        saved = {report["training_iteration"]: report for report in read_reports(checkpoint)}
        own = {number: json.dumps(report) for number, report in saved.items() if report.get("trial_id") == trial}
        lines = {**self._lines, **own}
        self._lines = {number: line for number, line in lines.items() if number <= iteration}
