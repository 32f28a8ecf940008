"""Where the results come from: device, versions, how to make them again, and the settings of every trial."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from ray_asng.results.document import Block, Bullets, Code, Details, Heading, Paragraph, Table
from ray_asng.results.inline import code, literal
from ray_asng.results.schema import recorded_command
from ray_asng.results.trials import Ground, Trial


def origin(table: pa.Table, found: Sequence[Ground], sources: Sequence[str]) -> list[Block]:
    """Device, versions, and the command or the calls that make the results again.

    Args:
        table: all results.
        found: its grounds.
        sources: what the table was read from, such as "results.parquet".
    """
    facts = []
    devices = distinct(table.column("device").to_pylist())
    if devices:
        facts.append(f"Device: {literal(', '.join(devices))}.")
    for versions in distinct(table.column("versions").to_pylist()):
        facts.append(f"Versions: {literal(_versions_text(versions))}.")
    files = f" ({len(sources)} files, shown as one)" if len(sources) > 1 else ""
    facts.append(
        f"Every number above is computed from {literal(', '.join(sources))}{files}; the column config_json has each "
        "trial's settings."
    )
    return [Bullets(tuple(facts)), *_again(table, found)]


def settings(found: Sequence[Ground]) -> list[Block]:
    """The resolved settings of every trial: what all of a ground share, and what differs in a row for each."""
    details = [
        Details(f"{literal(ground.name)}: {len(trials)} {kind}", _settings_of(trials))
        for ground in found
        for kind, groups in (("searches", ground.searches), ("retrainings", ground.retrainings))
        if (trials := [(label, trial) for label, same in groups.items() for trial in same])
    ]
    return [Heading("Settings of every trial"), *details] if details else []


def distinct(values: Sequence[Any]) -> list[str]:
    """The different values as text, in the order in which they come, without those that say nothing."""
    return [str(value) for value in dict.fromkeys(values) if value not in (None, "")]


def _again(table: pa.Table, found: Sequence[Ground]) -> list[Block]:
    command = recorded_command(table)
    if command:
        return [Paragraph("To make it again:"), Code(command, "sh")]
    calls = [call for ground in found for trials in ground.searches.values() for call in _calls(trials)]
    if not calls:
        return []
    imports = ["from ray import tune", "from ray_asng import SearchTrainable", ""]
    lines = "\n".join([*imports, *calls])
    return [Paragraph("The command was not recorded. The searches again:"), Code(lines, "python")]


def _calls(trials: Sequence[Trial]) -> list[str]:
    config = _config(trials[0])
    if not config:
        return []
    config.pop("seed", None)
    seeds = sorted({int(trial.last("seed") or 0) for trial in trials})
    return [f"tune.run(SearchTrainable, config={{**{config!r}, 'seed': tune.grid_search({seeds})}})"]


def _settings_of(trials: Sequence[tuple[str, Trial]]) -> tuple[Block, ...]:
    configs = [_flat(_config(trial)) for _, trial in trials]
    keys = list(dict.fromkeys(key for config in configs for key in config))
    shared = [key for key in keys if len({config.get(key) for config in configs}) == 1]
    varied = [key for key in keys if key not in shared]
    blocks: list[Block] = []
    if shared:
        values = tuple((literal(key), code(configs[0][key])) for key in shared)
        blocks.append(Table(("setting of all", "value"), values))
    header = ("label", "experiment", "trial", "epochs", *(literal(key) for key in varied))
    rows = tuple(
        (
            literal(label),
            literal(trial.last("experiment") or ""),
            literal(trial.last("trial") or ""),
            f"{trial.epochs[-1]:.0f}",
            *(code(config.get(key, "")) for key in varied),
        )
        for (label, trial), config in zip(trials, configs, strict=True)
    )
    without = Counter(bool(config) for config in configs)[False]
    note = f"{without} trial(s) reported no settings." if without else "A dash: the trial's config has no such key."
    return (*blocks, Table(header, rows, note))


def _config(trial: Trial) -> dict[str, Any]:
    """The resolved config of a trial; empty where it is missing or unreadable."""
    try:
        config = json.loads(trial.last("config_json") or "{}")
    except json.JSONDecodeError:
        return {}
    return config if isinstance(config, dict) else {}


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Key -> value as JSON; keys of a dict inside are joined by a dot."""
    flat: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, dict) and value:
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value if isinstance(value, str) and value else json.dumps(value)
    return flat


def _versions_text(versions: str) -> str:
    try:
        return ", ".join(f"{name} {version}" for name, version in json.loads(versions).items())
    except (json.JSONDecodeError, AttributeError):
        return versions
