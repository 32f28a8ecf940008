"""How a benchmark leaves its report: Markdown for people, and the same numbers as JSON."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any


def machine() -> dict[str, Any]:
    """Where the numbers come from; the load is that of the minute before the first measurement."""
    return {
        "cores": os.cpu_count(),
        "load before": round(os.getloadavg()[0], 2),
        "torch": version("torch"),
        "ray": version("ray"),
        "machine": platform.machine(),
        "date": time.strftime("%Y-%m-%d"),
    }


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(
        f"|{'|'.join(map(str, line))}|" if line[0] == "---" else f"| {' | '.join(map(str, line))} |" for line in lines
    )


def leave(
    output: Path,
    name: str,
    title: str,
    *,
    about: str,
    tables: Sequence[str],
    settings: Mapping[str, Any],
    numbers: Mapping[str, Any],
) -> str:
    """Write `name`.md and `name`.json into the folder `output`.

    Args:
        output: made if it is not there.
        name: of the benchmark, without an ending.
        title: the heading.
        about: what was measured and how; the doc string of the benchmark.
        tables: and paragraphs, in their order.
        settings: what the numbers depend on, with those of `machine`.
        numbers: for JSON.

    Returns:
        The tables, to be shown.
    """
    shown = "\n\n".join(tables)
    where = ", ".join(f"{key} {value}" for key, value in settings.items())
    output.mkdir(parents=True, exist_ok=True)
    (output / f"{name}.md").write_text(f"# {title}\n\n{about}\n{shown}\n\n{where}\n")
    content = {"settings": dict(settings), **numbers}
    (output / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")
    return shown
