"""Reading one trial folder of Ray Tune as plain files: reports, configuration, error.

Tune appends one JSON object a line to result.json. A process that is killed may leave half a line, and the resumed
one then writes its first report behind that half. A trial that takes up an older checkpoint reports some iterations
again. error.txt stays even when a later attempt succeeds.

The driver keeps result.json elsewhere and copies it to the experiment from time to time. One that is killed while it
copies leaves a part of the file or nothing, and the resumed one goes on from there; what is missing then is taken
from the checkpoints, which hold the reports a second time.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray_asng.checkpoints import checkpoints, read_reports

logger = logging.getLogger(__name__)

Report = dict[str, Any]

_TRIAL_ID = re.compile(r"_((?:[0-9a-f]{5,8}_\d{5})|[0-9a-f]{8})_")
_TERMINAL_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_FAILURE_TIME = re.compile(r"\(occurred at ([0-9_-]+)\)")
_EXCEPTION = re.compile(r"^[A-Za-z_][\w.]*(Error|Exception|Interrupt|Exit)\b")


@dataclass(frozen=True, slots=True)
class TrialFiles:
    """What one trial folder holds.

    Attributes:
        folder: where it was read.
        trial: Tune's id of the trial.
        reports: the last report of every iteration, in the order of iterations: that of result.json, or else that of
            the newest checkpoint which has it.
        config: as in params.json; empty if there is none.
        error: the line that names the exception that ended the trial; None if it did not fail (or recovered).
    """

    folder: Path
    trial: str
    reports: tuple[Report, ...]
    config: dict[str, Any]
    error: str | None


def is_trial(folder: Path) -> bool:
    """Whether `folder` is a trial folder of Tune."""
    return (folder / "params.json").is_file() or (folder / "result.json").is_file()


def read_trial(folder: Path) -> TrialFiles:
    """Read a trial folder; a missing file counts as empty."""
    written = {int(report["training_iteration"]): report for report in _reports(folder / "result.json")}
    reports = tuple(report for _, report in sorted(_completed(written, folder).items()))
    return TrialFiles(
        folder=folder,
        trial=_trial_id(folder, reports),
        reports=reports,
        config=_config(folder / "params.json"),
        error=_error(folder / "error.txt", reports),
    )


def did_all_epochs(report: Report) -> bool:
    """Whether a report is of the last epoch; a trial that plans no epochs is as long as it says."""
    planned, done = report.get("epochs"), report.get("epoch")
    return not planned or (done is not None and done >= planned)


def _completed(written: Mapping[int, Report], folder: Path) -> dict[int, Report]:
    """The reports by iteration, with those that only the checkpoints of the trial hold."""
    reports = dict(written)
    # One checkpoint holds all before it, unless the trial took over another's on the way.
    for checkpoint in reversed(checkpoints(folder)):
        saved = read_reports(checkpoint)
        for report in saved:
            reports.setdefault(report["training_iteration"], report)
        if saved and len(reports) == max(reports):
            break
    last = max(reports, default=0)
    if last and last not in written:
        reports[last] = {**reports[last], **_verdict(folder, last)}
    return reports


def _verdict(folder: Path, iteration: int) -> Report:
    """What the driver, which asks stoppers and schedulers, added to the trial's last report, if it was this one.

    A checkpoint holds the report as the trial made it. Tune's state of the experiment has the last one of each trial.
    """
    states = sorted(folder.parent.glob("experiment_state-*.json"))
    if not states:
        return {}
    try:
        trials = json.loads(states[-1].read_text(encoding="utf-8"))["trial_data"]
        progress = {json.loads(identity)["relative_logdir"]: text for identity, text in trials}
        last = dict(json.loads(progress[folder.name])["last_result"]) if folder.name in progress else {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("%s cannot be read (%r); how %s ended may be missing", states[-1], error, folder.name)
        return {}
    is_this = last.get("training_iteration") == iteration
    return {key: last[key] for key in ("ended", "done") if is_this and key in last}


def _reports(path: Path) -> list[Report]:
    if not path.is_file():
        return []
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").split("\n"), start=1):
        if not line.strip():
            continue
        report = _last_object(line)
        if report is None:
            logger.warning("%s line %d is no report (half written?) and is left out", path, number)
        else:
            found.append(report)
    return found


def _last_object(line: str) -> Report | None:
    """The report on a line, also if it stands behind the torn half of another."""
    for start in (match.start() for match in re.finditer(r"\{", line)):
        try:
            report = json.loads(line[start:])
        except json.JSONDecodeError:
            continue
        return report if isinstance(report.get("training_iteration"), int) else None
    return None


def _config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return config if isinstance(config, dict) else {}


def _trial_id(folder: Path, reports: tuple[Report, ...]) -> str:
    for report in reports:
        if report.get("trial_id"):
            return str(report["trial_id"])
    match = _TRIAL_ID.search(folder.name)
    return match.group(1) if match else folder.name


def _error(path: Path, reports: tuple[Report, ...]) -> str | None:
    if not path.is_file() or (reports and _went_on(path, reports[-1])):
        return None
    text = _TERMINAL_COLOUR.sub("", path.read_text(encoding="utf-8", errors="replace"))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    named = [line for line in lines if _EXCEPTION.match(line)]
    return (named or lines or ["no error text"])[-1]


def _went_on(path: Path, last: Report) -> bool:
    """Whether the trial got over its error: it finished, or reported after it."""
    if last.get("done") is True or (last.get("epochs") and did_all_epochs(last)):
        return True
    times = _FAILURE_TIME.findall(path.read_text(encoding="utf-8", errors="replace"))
    return bool(times) and str(last.get("date", "")) > times[-1]
