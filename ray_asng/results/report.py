"""From the results in a folder to summary.md, report.html, the figures and best_architecture.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from matplotlib.figure import Figure

from ray_asng.results import restored
from ray_asng.results.html import page
from ray_asng.results.inline import plain
from ray_asng.results.markdown import markdown
from ray_asng.results.missing import missing
from ray_asng.results.sources import read_folder
from ray_asng.results.store import write_text
from ray_asng.results.style import save
from ray_asng.results.summary import content, suffix
from ray_asng.results.tables import terminal_table
from ray_asng.results.trials import Ground, Trial, best_trial, grounds


@dataclass(frozen=True, slots=True)
class Report:
    """What was written, and what could not be.

    Attributes:
        summary: the Markdown file.
        page: the HTML file, which needs no other.
        figures: the PNG files.
        best_architectures: a JSON file for each ground that has a search; one if there is one ground.
        missing: what a reader would expect and does not find, a sentence each.
        table: the short text table for a terminal.
    """

    summary: Path
    page: Path
    figures: tuple[Path, ...]
    best_architectures: tuple[Path, ...]
    missing: tuple[str, ...]
    table: str


def write_report(folder: Path) -> Report:
    """Write summary.md, report.html, figures/ and best_architecture.json beside the results.

    These are the folder's results*.parquet, or Tune's files in its tune/ if there is none. With several grounds (spaces
    or tasks) the names of figures and architectures end with space and task.

    Raises:
        FileNotFoundError: the folder has no results.
        ValueError: they cannot be read by this version.
    """
    results = read_folder(folder)
    found = grounds(results.table)
    drawn: list[Path] = []

    def store(name: str, figure: Figure) -> str:
        drawn.append(save(figure, _free(folder / "figures" / f"{name}.png", drawn)))
        return drawn[-1].relative_to(folder).as_posix()

    blocks = content(results.table, store, results.notes, results.names, restored.section(folder))
    summary, html = folder / "summary.md", folder / "report.html"
    write_text(summary, markdown(blocks))
    write_text(html, page(blocks, folder))
    notes = (*results.notes, *(note for ground in found for note in missing(ground)))
    return Report(
        summary=summary,
        page=html,
        figures=tuple(drawn),
        best_architectures=_write_best(folder, found),
        missing=tuple(plain(note) for note in notes),
        table=terminal_table(results.table),
    )


def best_search(table: pa.Table) -> Trial:
    """The search with the best path metric on the validation split; the test split has no say.

    Finished searches come first. `last("architecture")` of the result is what it found.

    Raises:
        ValueError: no search with a finite path metric, or several grounds, whose metrics do not compare.
    """
    found = [ground for ground in grounds(table) if ground.searches]
    if len(found) > 1:
        names = [ground.name for ground in found]
        raise ValueError(f"no best over several spaces or tasks: {names}; keep the rows of one space and task")
    trials = [trial for ground in found for group in ground.searches.values() for trial in group]
    best = best_trial(found[0], trials) if found else None
    if best is None:
        raise ValueError("no search in these results has reported a finite path metric; finish a search first")
    return best


def _free(path: Path, taken: list[Path]) -> Path:
    """The path, with a number where another figure has this name: labels may differ in signs that no file name has."""
    number, free = 1, path
    while free in taken:
        number += 1
        free = path.with_name(f"{path.stem}_{number}{path.suffix}")
    return free


def _write_best(folder: Path, found: list[Ground]) -> tuple[Path, ...]:
    written = []
    for ground in found:
        best = best_trial(ground, [trial for trials in ground.searches.values() for trial in trials])
        if best is not None:
            path = folder / f"best_architecture{suffix(ground) if len(found) > 1 else ''}.json"
            write_text(path, _best_json(ground, best))
            written.append(path)
    return tuple(written)


def _best_json(ground: Ground, best: Trial) -> str:
    found = {
        "architecture": json.loads(best.last("architecture") or "{}"),
        "text": best.last("architecture_text"),
        "method": best.last("method"),
        "seed": best.last("seed"),
        "space": ground.space,
        "task": ground.task,
        ground.path_metric: best.number(ground.path_metric),
    }
    return json.dumps(found, indent=2) + "\n"
