"""The look that all figures share: colours, axes, saving. Figures are objects; pyplot's global state is not used."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ray_asng import registry
from ray_asng.results.store import replacing
from ray_asng.results.trials import BASELINE

# Letters of a headline, of its note, of a panel's title and of a legend that fit into an inch.
_TITLE_LETTERS, _NOTE_LETTERS, _PANEL_LETTERS, _LEGEND_LETTERS = 9, 15, 11, 11
# What the line and the gap of a legend's entry take, in letters.
_LEGEND_GAP = 7

INK = "#333333"
FAINT = "#8c8c8c"

# Methods in the order of the registry. Blue comes first, for the method this package is named for; methods of one
# family (as the two orders of DARTS) have shades of one colour, since they are told apart beside each other anyway.
_METHODS = (
    *("#1f6fb4", "#74b6e8", "#173f6b", "#8a9a1f", "#7a5c3e", "#d4a800", "#2a9d5c", "#9bcb5e", "#5c7f67", "#1c5a45"),
    *("#c8353f", "#ee8f8a", "#7d1d48", "#b9895b", "#3c3c46", "#4b4fa8", "#9a9ce0"),
    *("#d65f9e", "#a24bb0", "#e07b00", "#f2b366", "#00a3b4", "#8fd3da", "#5b2a86", "#c9c13b"),
)

# Options of a space, distinct in print and for most colour-blind readers.
_PALETTE = (
    "#1f6fb4",
    "#e07b00",
    "#2a9d5c",
    "#a24bb0",
    "#c8353f",
    "#7a5c3e",
    "#00a3b4",
    "#d65f9e",
    "#8a9a1f",
    "#4b4fa8",
)


def method_colours(labels: Sequence[str]) -> dict[str, str]:
    """A colour for every label; a registered method has the same one in every report, the baseline is grey."""
    known = list(registry.methods)
    colours = {label: _METHODS[known.index(label) % len(_METHODS)] for label in labels if label in known}
    free = [colour for colour in _METHODS if colour not in colours.values()] or list(_METHODS)
    others = [label for label in labels if label not in colours and label != BASELINE]
    colours.update({label: free[index % len(free)] for index, label in enumerate(others)})
    if BASELINE in labels:
        colours[BASELINE] = FAINT
    return colours


def option_colours(options: Sequence[str]) -> dict[str, str]:
    """A colour for every option of a space, by position; `none` is grey."""
    present = [option for option in options if option != "none"]
    colours = {option: _PALETTE[index % len(_PALETTE)] for index, option in enumerate(present)}
    return {option: colours.get(option, FAINT) for option in options}


def plain_axes(axes: Axes, title: str, xlabel: str = "") -> None:
    """Title at the left, a faint horizontal grid, no box."""
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    axes.set_xlabel(xlabel, fontsize=9, color=INK)
    axes.tick_params(labelsize=8, colors=INK, length=3)
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#bfbfbf")


def headline(figure: Figure, text: str, note: str = "") -> None:
    """The figure's title at its left edge, a smaller line of explanation below it; in lines that fit its width."""
    width = figure.get_figwidth()
    title = textwrap.fill(text, int(_TITLE_LETTERS * width))
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK)
    if note:
        explanation = textwrap.fill(note, int(_NOTE_LETTERS * width))
        figure.supxlabel(explanation, x=0.01, ha="left", fontsize=8, color=FAINT)


def panel_title(text: str, width: float) -> str:
    """A panel's title in lines that fit its width in inches."""
    return textwrap.fill(text, max(int(_PANEL_LETTERS * width), 1))


def legend_columns(names: Sequence[str], width: float) -> int:
    """As many entries in a row as fit below a figure of this width in inches, at most eight."""
    letters = max((len(name) for name in names), default=0) + _LEGEND_GAP
    return min(8, max(len(names), 1), max(int(_LEGEND_LETTERS * width) // letters, 1))


def save(figure: Figure, path: Path) -> Path:
    """Write a PNG by replacement."""
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=130)
    return path


def file_part(label: str) -> str:
    """A label as part of a file name."""
    return re.sub(r"[^A-Za-z0-9_.=-]+", "_", label).strip("_")
