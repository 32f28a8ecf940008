"""Damaged checkpoints taken out of an experiment, so that Tune goes on from the newest good ones.

For every trial Tune's experiment_state-*.json holds a pair of JSON texts: what the trial is (among it `status` and
`relative_logdir`, its folder) and how far it got. In the latter, `checkpoint_manager` is a pickled object with the
list of checkpoints that are kept and the latest of them, each a path together with the metrics of that moment. On
restore Tune hands the latest path to `load_checkpoint` and counts on from the `training_iteration` of the metrics. So
what must change is that object alone: it must no longer know the damaged checkpoints.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import cloudpickle

from ray_asng.checkpoints import checkpoints, damage_of_folder, free_name, how_to_go_on, number, set_aside
from ray_asng.raytune.staging import STATES, finish_copy
from ray_asng.results.store import write_text


@dataclass(frozen=True, slots=True)
class Repair:
    """What was done.

    Attributes:
        lines: a sentence for each trial that has begun.
        copied: files that were torn and are whole again.
        backup: the state file as it was before; None if nothing was damaged, and so nothing changed.
        next_step: the command or call that goes on with the experiment.
    """

    lines: tuple[str, ...]
    copied: tuple[Path, ...]
    backup: Path | None
    next_step: str


def repair(experiment: Path) -> Repair:
    """Let Tune forget the damaged checkpoints of an experiment that is not running.

    If its driver was killed while it copied its files, they are copied again first (see `staging`). Afterwards an
    ordinary resume takes each of its trials up from its newest good checkpoint, and a trial that has none from its
    beginning. A trial that had ended, but whose last checkpoint is damaged, runs its end once more.
    Nothing is removed: a damaged folder is renamed to damaged_checkpoint_*, and the state file is copied first.

    Args:
        experiment: folder that Tune wrote, on a local disk.

    Raises:
        FileNotFoundError: no state file of Tune.
        ValueError: a state file that cannot be read.
    """
    copied = tuple(finish_copy(experiment))
    path = _newest_state(experiment)
    text = path.read_text(encoding="utf-8")
    state = _parsed(path, text)
    trials = [_TrialState(experiment, *entry) for entry in state["trial_data"]]
    begun = [trial for trial in trials if trial.has_begun]
    for trial in begun:
        trial.forget_damaged()
    lines = tuple(trial.sentence() for trial in begun)
    if not any(trial.damaged for trial in begun):
        return Repair(lines, copied, None, how_to_go_on(experiment))
    state["trial_data"] = [
        trial.to_json() if trial.damaged else entry for trial, entry in zip(trials, state["trial_data"], strict=True)
    ]
    backup = free_name(path.with_name(f"{path.name}.before_repair"))
    write_text(backup, text)
    write_text(path, json.dumps(state))
    # Only now: whoever is interrupted before this point repairs again, and finds them where they were.
    for folder in (folder for trial in begun for folder in trial.damaged if folder.is_dir()):
        set_aside(folder)
    return Repair(lines, copied, backup, how_to_go_on(experiment))


class _TrialState:
    """What Tune's state file holds of one trial.

    Attributes:
        has_begun: whether it has a folder of its own.
        folder: that folder.
        damaged: checkpoint folder, there or registered -> what is wrong with it.
    """

    def __init__(self, experiment: Path, identity: str, progress: str) -> None:
        self.experiment = experiment
        self.identity: dict[str, Any] = json.loads(identity)
        self.progress: dict[str, Any] = json.loads(progress)
        self.manager = _unpickled(self.progress["checkpoint_manager"])
        name = self.identity.get("relative_logdir") or ""
        self.has_begun = bool(name)
        self.folder = experiment / name
        self.damaged = self._find_damaged()
        self.is_run_again = False

    def _find_damaged(self) -> dict[Path, str]:
        registered = [result for result in (*self._kept, self._latest) if result is not None]
        folders = {*checkpoints(self.folder), *(self._place(result) for result in registered)}
        found = {folder: damage_of_folder(folder) for folder in sorted(folders)}
        return {folder: wrong for folder, wrong in found.items() if wrong is not None}

    @property
    def _kept(self) -> list[Any]:
        """The checkpoints that Tune keeps, each with a path and metrics; not always in the order of time."""
        kept: list[Any] = self.manager._checkpoint_results
        return kept

    @property
    def _latest(self) -> Any:
        """The checkpoint that Tune takes up; that of another trial after an exploit of PBT; None if there is none."""
        return self.manager._latest_checkpoint_result

    def _place(self, result: Any) -> Path:
        """The folder of a registered checkpoint, also if the experiment was moved since."""
        path = Path(result.checkpoint.path)
        return self.experiment / path.parent.name / path.name

    def forget_damaged(self) -> None:
        """Leave only good checkpoints registered, the newest of them as the latest."""
        good = [result for result in self._kept if self._place(result) not in self.damaged]
        self.manager._checkpoint_results = good
        if self._latest is None or self._place(self._latest) not in self.damaged:
            return
        # Tune can be told to keep no metrics; a trial restored without them would count from 0 again.
        counted = [result for result in good if "training_iteration" in result.metrics]
        newest = max(counted, key=lambda result: number(self._place(result)), default=None)
        self.manager._latest_checkpoint_result = newest
        if self.identity["status"] == "TERMINATED" and self.progress["last_result"].get("ended"):
            # The state of its end is lost. A trial that a scheduler ended would go on beyond that, and is left.
            self.identity["status"] = "PENDING"
            self.is_run_again = True

    def to_json(self) -> list[str]:
        """The pair of texts for the state file."""
        pickled: bytes = cloudpickle.dumps(self.manager)  # type: ignore[no-untyped-call]  # of Ray, which has no types
        progress = {**self.progress, "checkpoint_manager": {"_type": "CLOUDPICKLE_FALLBACK", "value": pickled.hex()}}
        return [json.dumps(self.identity, indent=2), json.dumps(progress, indent=2)]

    def sentence(self) -> str:
        """What was found and done, in a line."""
        newest = "none"
        if self._latest is not None:
            newest = f"{self._place(self._latest).name} (iteration {self._latest.metrics.get('training_iteration')})"
        if not self.damaged:
            return f"{self.folder.name}: no damage, newest checkpoint: {newest}"
        found = "; ".join(f"{folder.name}: {wrong}" for folder, wrong in self.damaged.items())
        if self.identity["status"] == "TERMINATED":
            then = f"it has ended, newest good checkpoint: {newest}"
        elif self._latest is None:
            then = "Tune knows of no good checkpoint, so it will start anew"
        else:
            then = f"it will {'run its end again' if self.is_run_again else 'go on'} from {newest}"
        return f"{self.folder.name}: {found}; {then}"


def _newest_state(experiment: Path) -> Path:
    """The state file that Tune reads on restore: the last by name."""
    states = sorted(experiment.glob(STATES))
    if not states:
        raise FileNotFoundError(
            f"{experiment} has no state file of Ray Tune ({STATES}), so Tune cannot go on with it; start it anew. "
            f"What it has reported is read by `ray-asng collect {experiment}`"
        )
    return states[-1]


def _parsed(path: Path, text: str) -> dict[str, Any]:
    try:
        state: dict[str, Any] = json.loads(text)
        state["trial_data"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is damaged ({error}), so Tune cannot go on with the experiment; start it anew. What it has "
            f"reported is read by `ray-asng collect {path.parent}`"
        ) from error
    return state


def _unpickled(encoded: dict[str, str]) -> Any:
    try:
        return cloudpickle.loads(bytes.fromhex(encoded["value"]))
    except ImportError as error:
        raise ValueError(
            f"the configuration of a trial needs {error.name!r}, which cannot be imported here; name its folder in "
            "PYTHONPATH, as for the script that ran the experiment"
        ) from error
