"""Checkpoints on disk: which are whole, which is the newest of those, and what to do about the others.

Tune writes a trial's checkpoints as folders <experiment>/<trial>/checkpoint_00000k with k counting up; each of ours
holds one file of torch.save, which is a zip, and the reports of the trial so far. torch itself does not look at the
check sums of a zip, so they are checked here, with the standard library alone: reports and the command line need
neither torch nor Ray for it.
"""

from __future__ import annotations

import gzip
import json
import logging
import re
import shlex
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

REPORTS_FILE = "reports.jsonl.gz"
"""What the trial has reported up to the checkpoint: one JSON object a line, with the keys of Tune's result.json."""

_NAME = re.compile(r"checkpoint_(\d+)")
_FILES = "*.pt"
# What zipfile raises on broken bytes, depending on where they are. OSError: a position outside the file, or a disk
# that fails.
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OSError,
)


def checkpoints(trial: Path) -> list[Path]:
    """The checkpoint folders of a trial folder, oldest first."""
    found = [entry for entry in trial.glob("checkpoint_*") if _NAME.fullmatch(entry.name) and entry.is_dir()]
    return sorted(found, key=number)


def number(checkpoint: Path) -> int:
    """The k of checkpoint_00000k, by which checkpoints of one trial are ordered; -1 for another name."""
    match = _NAME.fullmatch(checkpoint.name)
    return int(match.group(1)) if match else -1


def newest_good(trial: Path) -> Path | None:
    """The newest checkpoint folder of a trial folder that is not damaged; None if there is none."""
    return next((folder for folder in reversed(checkpoints(trial)) if damage_of_folder(folder) is None), None)


def damage_of_folder(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint folder; None if nothing is.

    A folder without a file of ours is a stranger's checkpoint: what it should hold is not known, so only an empty
    one is damaged. The reports are a second copy, and do not count.
    """
    if not checkpoint.is_dir():
        return "there is no such folder"
    if not any(checkpoint.iterdir()):
        return "the folder is empty"
    states = sorted(checkpoint.glob(_FILES))
    if not states and (checkpoint / REPORTS_FILE).is_file():
        return f"the file of the state is missing beside {REPORTS_FILE}"
    for file in states:
        wrong = damage(file)
        if wrong is not None:
            return f"{file.name} {wrong}"
    return None


def read_reports(checkpoint: Path) -> list[dict[str, Any]]:
    """The reports in a checkpoint folder, by iteration; none if they are not there or damaged.

    Each has a whole number `training_iteration`. Damage is logged and nothing more, since it is a second copy.
    """
    try:
        return _parsed_reports((checkpoint / REPORTS_FILE).read_bytes())
    except FileNotFoundError:  # made by an older version, or removed by Tune a moment ago
        return []
    except (OSError, EOFError, zlib.error, ValueError) as error:
        logger.warning(
            "%s is damaged or not yet whole (%s); this copy of the reports is not used",
            checkpoint / REPORTS_FILE,
            error,
        )
        return []


def _parsed_reports(content: bytes) -> list[dict[str, Any]]:
    if not content:  # which gzip takes for the compression of nothing
        raise ValueError("it is empty")
    reports = [json.loads(line) for line in gzip.decompress(content).splitlines()]
    for report in reports:
        if not isinstance(report, dict) or not isinstance(report.get("training_iteration"), int):
            raise ValueError(f"expected a report with a training_iteration, got {str(report)[:60]!r}")
    return reports


def damage(file: Path) -> str | None:
    """What is wrong with a file that torch.save should have written; None if nothing is. Reads the whole file.

    Raises:
        PermissionError: the file may not be read, so nothing is known of it.
    """
    if not file.is_file():
        return "is missing"
    size = file.stat().st_size
    if size == 0:
        return "is empty"
    try:
        with zipfile.ZipFile(file) as archive:
            broken = archive.testzip()
            parts = archive.infolist()
    except PermissionError:
        raise
    except _BROKEN as error:
        return f"is truncated or damaged: {error} ({size} bytes)"
    if broken is not None:
        return f"is damaged: wrong check sum of its part {broken} ({size} bytes)"
    if not all(_is_plain(part) for part in parts) or len({part.filename for part in parts}) < len(parts):
        return f"is damaged: its table of contents contradicts itself ({size} bytes)"
    if not any(part.filename.endswith("/data.pkl") for part in parts):
        return f"is no file of torch.save: it has the parts {[part.filename for part in parts[:3]]}"
    return None


def _is_plain(part: zipfile.ZipInfo) -> bool:
    """Whether a part is described as torch.save does it; a zip has no check sum over these descriptions."""
    is_stored = part.compress_type == zipfile.ZIP_STORED and part.file_size == part.compress_size
    return is_stored and part.external_attr == 0 and part.internal_attr == 0 and part.volume == 0


def set_aside(checkpoint: Path) -> Path:
    """Rename a damaged checkpoint folder to a name that nobody takes for a checkpoint; returns the new path."""
    aside = free_name(checkpoint.with_name(f"damaged_{checkpoint.name}"))
    checkpoint.rename(aside)
    return aside


def free_name(path: Path) -> Path:
    """`path`, or the first of `path`_2, `path`_3, ... that does not exist."""
    free, count = path, 1
    while free.exists():
        count += 1
        free = path.with_name(f"{path.name}_{count}")
    return free


def experiment_of(file: Path) -> Path | None:
    """The experiment folder of <experiment>/<trial>/checkpoint_*/file; None for another path."""
    is_ours = _NAME.fullmatch(file.parent.name) is not None and len(file.parents) > 2
    return file.parents[2] if is_ours else None


def how_to_go_on(experiment: Path) -> str:
    """How an experiment is taken up again where it was left: a command, or a call of Tune."""
    output = experiment.parent.parent
    for command, file in (("search", "job.json"), ("study", "study.json")):
        if experiment.parent.name == "tune" and (output / file).is_file():
            return f"ray-asng {command} --output {shlex.quote(str(output))} --resume"
    if (experiment / "tuner.pkl").is_file():
        return f"tune.Tuner.restore({str(experiment)!r}, trainable, resume_unfinished=True, resume_errored=True).fit()"
    return 'the same tune.run(...) with resume="AUTO+ERRORED"'
