"""The child that a search or a retraining left on disk: its architecture, how it was built, and its weights."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ray_asng.checkpoints import checkpoints, damage, newest_good, read_reports
from ray_asng.retrain import measured_weights
from ray_asng.typed import architecture_file

BEST_CHILD = "best_child.pt"
_RETRAINING = "retraining.pt"
_RETRAININGS = Path("tune") / "retraining"
# Trials that are there for comparison, as nobody asked for their architecture.
_DRAWN = "random_architecture"


@dataclass(frozen=True, slots=True)
class FoundChild:
    """A child on disk.

    Attributes:
        architecture: decision name -> option or number.
        text: in the notation of the space.
        search: keys of the config of its search, such as space, space_options, task and task_options.
        space_options: what it was built with over those of the search; None if that is not recorded.
        weights: its state_dict.
        source: the file that they are from.
    """

    architecture: dict[str, Any]
    text: str
    search: dict[str, Any]
    space_options: dict[str, Any] | None
    weights: dict[str, torch.Tensor]
    source: Path


def find_child(given: Path, weights: Path | None = None) -> FoundChild:
    """The child that `given` stands for.

    Args:
        given: the folder of a search (its best child), of `ray-asng retrain` (if it has retrained one architecture
            once), or of one of the trials below it; a best_child.pt, or a best_architecture.json.
        weights: of an architecture in a JSON file beside which no best_child.pt is: another best_child.pt, or a
            state_dict, which does not say how the network was built.

    Raises:
        FileNotFoundError: nothing of the kind is there.
        ValueError: it was not retrained, or there are several, or a file is damaged or of another kind.
    """
    if weights is not None and given.suffix != ".json":
        raise ValueError(f"--weights belongs to an architecture in a .json file; {given} has its own")
    if given.suffix == ".json":
        return _of_architecture(given, weights)
    if given.is_file():
        return _of_best_child(given)
    if (given / BEST_CHILD).is_file():
        return _of_best_child(given / BEST_CHILD)
    if checkpoints(given):
        return _of_trial(given)
    if (given / _RETRAININGS).is_dir():
        return _of_trial(_only_trial(given))
    searched = sorted(given.glob("best_architecture*.json"))
    if searched:
        raise _untrained(searched[0])
    raise FileNotFoundError(
        f"{given} holds no {BEST_CHILD} and no {_RETRAININGS}; name the folder that `ray-asng search` or "
        "`ray-asng retrain` left, or a trial of a retraining in it"
    )


def _load(path: Path) -> dict[str, Any]:
    wrong = damage(path)
    if wrong is not None:
        raise ValueError(f"{path} {wrong}")
    content = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(content, Mapping):
        raise ValueError(f"{path} must hold a dict, got a {type(content).__name__}")
    return dict(content)


def _of_best_child(path: Path) -> FoundChild:
    content = _load(path)
    missing = [key for key in ("architecture", "config", "state_dict") if key not in content]
    if missing:
        raise ValueError(
            f"{path} is no {BEST_CHILD} (no {', '.join(missing)}); of other weights, name the architecture's .json "
            f"file and --weights {path}"
        )
    return FoundChild(
        architecture=dict(content["architecture"]),
        text=str(content.get("text", "")),
        search=dict(content["config"]["search"]),
        space_options=dict(content["config"]["space_options"]),
        weights=content["state_dict"],
        source=path,
    )


def _of_trial(trial: Path) -> FoundChild:
    checkpoint = newest_good(trial)
    if checkpoint is None or not (checkpoint / _RETRAINING).is_file():
        raise ValueError(f"{trial} holds no good checkpoint of a retraining; name another trial, or retrain again")
    reports = read_reports(checkpoint)
    if not reports:
        raise ValueError(f"the reports in {checkpoint} are missing or damaged; retrain again")
    last = reports[-1]
    if last.get("epoch") != last.get("epochs"):
        raise ValueError(
            f"the retraining {trial.name} stands at epoch {last.get('epoch')} of {last.get('epochs')}; finish it with "
            "--resume"
        )
    config = json.loads(last["config_json"])
    return FoundChild(
        architecture=json.loads(last["architecture"]),
        text=str(last.get("architecture_text") or ""),
        search=dict(config["search"]),
        space_options=dict(config["space_options"]),
        weights=measured_weights(_load(checkpoint / _RETRAINING)),
        source=checkpoint / _RETRAINING,
    )


def _only_trial(folder: Path) -> Path:
    """The retraining below a folder, if there is but one besides those of drawn architectures."""
    trials = [trial for trial in sorted((folder / _RETRAININGS).iterdir()) if checkpoints(trial)]
    asked = [trial for trial in trials if not trial.name.startswith(_DRAWN)] or trials
    if not asked:
        raise FileNotFoundError(f"{folder / _RETRAININGS} holds no checkpoint; finish the retraining with --resume")
    if len(asked) > 1:
        names = "\n".join(f"  {trial}" for trial in asked)
        raise ValueError(f"{folder} holds {len(asked)} retrainings; name the folder of one of them:\n{names}")
    return asked[0]


def _untrained(file: Path) -> ValueError:
    """The error of an architecture that has to be trained first."""
    return ValueError(
        f"{file} is an architecture without weights of its own; train it first: ray-asng retrain "
        f"{shlex.quote(str(file))} --task {architecture_file(file).get('task', 'TASK')} --output DIR, then export DIR"
    )


def _of_architecture(file: Path, weights: Path | None) -> FoundChild:
    content = architecture_file(file)
    architecture = dict(content.get("architecture", content))
    source = weights or file.with_name(BEST_CHILD)
    if not (weights or source.is_file()):
        raise _untrained(file)
    held = _load(source)
    if "state_dict" not in held:
        search: dict[str, Any] = {key: content[key] for key in ("space", "task") if key in content}
        return FoundChild(architecture, str(content.get("text", "")), search, None, held, source)
    found = _of_best_child(source)
    if found.architecture != architecture:
        raise _untrained(file) if weights is None else ValueError(f"{weights} holds another architecture than {file}")
    return found
