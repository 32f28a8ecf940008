"""What a user types on the command line: NAME:SEEDS, KEY=JSON and architectures, made into values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def name_and_seeds(text: str, seeds: int) -> tuple[str, int]:
    """The two parts of NAME:SEEDS; `seeds` where the second is left out."""
    name, _, count = text.partition(":")
    if count and not count.isdigit():
        raise ValueError(f"--method takes NAME or NAME:SEEDS, such as asng:4; got {text!r}")
    return name, int(count) if count else seeds


def key_values(option: str, texts: tuple[str, ...]) -> dict[str, Any]:
    """KEY=JSON pairs; what is not JSON is taken as a string."""
    pairs = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"{option} takes KEY=VALUE, such as lr=0.1; got {text!r}")
        try:
            pairs[key] = json.loads(value)
        except json.JSONDecodeError:
            pairs[key] = value
    return pairs


def architecture_text(given: str) -> str:
    """The architecture itself, where `given` is the path of a file that holds it."""
    if not given.endswith(".json"):
        return given
    content = architecture_file(Path(given))
    return json.dumps(content.get("architecture", content))


def architecture_file(path: Path) -> dict[str, Any]:
    """What a JSON file holds: an architecture, or more under other names and that under "architecture".

    Raises:
        ValueError: no JSON, or no object.
        OSError: it cannot be read.
    """
    try:
        content = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold an object from decision to option, got a {type(content).__name__}")
    return content
