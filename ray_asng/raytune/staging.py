"""The copy that a killed driver had not finished, finished.

Tune's driver writes its files into a folder of its Ray session (the staging folder) and copies them from there to the
experiment, over the former ones. If it is killed while it copies, a file of the experiment is cut or empty, and no
restore can read it. The staging folder is whole and stays on the driver's machine until its temporary files are
cleared.
"""

from __future__ import annotations

import json
import logging
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ray._common.utils import get_default_ray_temp_dir  # where Ray itself puts its sessions

from ray_asng.results.store import replacing

logger = logging.getLogger(__name__)

STATES = "experiment_state-*.json"


def finish_copy(experiment: Path, sessions: Path | None = None) -> list[Path]:
    """Take the driver's files from its staging folder again if one that Tune restores from is torn.

    Args:
        experiment: folder that Tune wrote, on a local disk, and that no driver writes to any more.
        sessions: the folder with the folders of Ray's sessions; by default Ray's own.

    Returns:
        The files that were torn; none of them is now.

    Raises:
        ValueError: there are such files, and no staging folder of this experiment here.
    """
    torn = [path for path in sorted(experiment.iterdir()) if path.is_file() and _is_torn(path)]
    if not torn:
        return []
    states = sorted(experiment.glob(STATES))
    if sessions is None:
        sessions = Path(get_default_ray_temp_dir())  # type: ignore[no-untyped-call]  # of Ray, which has no types
    found = list(_staging_folders(experiment, states[-1].name, sessions)) if states else []
    if not found:
        raise ValueError(
            f"{torn[0]} is damaged, as by a driver that was killed while it copied the file, and its own copy is not "
            f"in {sessions} on this machine. Repair the experiment on the driver's machine, or start it anew; what it "
            f"has reported is read by `ray-asng collect {experiment}`"
        )
    newest = max(found, key=lambda folder: (folder / states[-1].name).stat().st_mtime_ns)
    for source in sorted(path for path in newest.rglob("*") if path.is_file()):
        with replacing(experiment / source.relative_to(newest)) as file:
            file.write(source.read_bytes())
    logger.info("%s: the driver's files were copied again from %s", experiment, newest)
    return torn


def _is_torn(path: Path) -> bool:
    """Whether a file that Tune restores an experiment from cannot be read to its end."""
    content = path.read_bytes()
    if path.match(STATES):
        return _parsed(content) is None
    # What a search algorithm calls .json is a pickle too.
    is_pickle = path.suffix == ".pkl" or path.match("*-state-*.json")
    return is_pickle and not content.endswith(pickle.STOP)


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def _staging_folders(experiment: Path, state: str, sessions: Path) -> Iterator[Path]:
    """Staging folders with a whole state file of that name whose trials are those of the experiment."""
    trials = {path.name for path in experiment.iterdir() if path.is_dir()}
    for path in sessions.glob(f"session_*/artifacts/*/{experiment.name}/driver_artifacts/{state}"):
        parsed = _parsed(path.read_bytes())
        if not isinstance(parsed, dict):
            continue
        staged = {json.loads(identity).get("relative_logdir") for identity, _ in parsed["trial_data"]} - {None, ""}
        if staged and trials <= staged:
            yield path.parent
