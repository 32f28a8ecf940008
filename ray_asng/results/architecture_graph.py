"""Drawing of a found cell: a left-to-right graph whose labelled edges do not overlap.

Nodes stand on one line in topological order. An edge between neighbours is straight; a longer one is an arc above or
below the line, on the side where it crosses fewer arcs, and farther out than the arcs it spans. Labels stand at the
tops of the arcs, so no two share a place.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, FancyArrowPatch

from ray_asng.results.style import FAINT, INK, headline, option_colours

_SPACING = 2.6
_LEVEL_HEIGHT = 0.95
_NODE_HEIGHT = 0.56
_MARGIN = 0.5
_STEEPER = 1.2
_ABOVE, _BELOW = 1, -1


@dataclass(frozen=True, slots=True)
class Edge:
    """An edge between places on the line, `start` < `end`; `height` is that of its arc's top, 0 if it is straight."""

    start: int
    end: int
    label: str
    height: float = 0.0


def architecture_figure(graph_json: str, title: str, note: str = "", options: Sequence[str] = ()) -> Figure:
    """Draw a graph.

    Args:
        graph_json: {"nodes": [name, ...], "edges": [[from, to, label], ...]}; ends are names or indices of nodes.
        title: of the figure.
        note: a line below the drawing.
        options: of the space, in order, so that colours agree with the other figures.

    Raises:
        ValueError: no such graph, an edge with an unknown end, or a cycle.
    """
    nodes, edges = read_graph(graph_json)
    placed = place_edges(edges)
    top, bottom = max([edge.height for edge in placed] + [0.0]), min([edge.height for edge in placed] + [0.0])
    side = max([_MARGIN] + [_node_width(name) / 2 + 0.1 for name in nodes])
    width, height = _SPACING * (len(nodes) - 1) + 2 * side, top - bottom + 2 * _MARGIN
    figure = Figure(figsize=(max(width, 6.0), height + 0.7), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(-side, width - side), ylim=(bottom - _MARGIN, top + _MARGIN), aspect="equal")
    axes.axis("off")
    colours = option_colours(list(dict.fromkeys([*options, *(edge.label for edge in placed)])))
    drawn = [_draw_node(axes, place, name) for place, name in enumerate(nodes)]
    for edge in placed:
        _draw_edge(axes, edge, colours[edge.label], drawn)
    headline(figure, title, note)
    return figure


def read_graph(graph_json: str) -> tuple[list[str], list[Edge]]:
    """The nodes in topological order (otherwise as given) and the edges between their places."""
    try:
        graph: Mapping[str, Any] = json.loads(graph_json)
        names = [str(name) for name in graph["nodes"]]
        ends = [(_place(names, start), _place(names, end), str(label)) for start, end, label in graph["edges"]]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f'expected a graph {{"nodes": [...], "edges": [[from, to, label]]}}, got {error}') from error
    sorter: TopologicalSorter[int] = TopologicalSorter({node: set() for node in range(len(names))})
    for start, end, _ in ends:
        sorter.add(end, start)
    try:
        order = list(sorter.static_order())
    except CycleError as error:
        raise ValueError(f"the graph has a cycle through {[names[node] for node in error.args[1]]}") from error
    is_sorted = all(start < end for start, end, _ in ends)
    order = list(range(len(names))) if is_sorted else order
    place = {node: index for index, node in enumerate(order)}
    return [names[node] for node in order], [Edge(place[start], place[end], label) for start, end, label in ends]


def place_edges(edges: Sequence[Edge]) -> list[Edge]:
    """Give each edge its side and height, short edges first."""
    placed: list[Edge] = []
    for edge in sorted(edges, key=lambda edge: (edge.end - edge.start, edge.start)):
        is_taken = any((other.start, other.end) == (edge.start, edge.end) for other in placed)
        if edge.end - edge.start == 1 and not is_taken:
            placed.append(edge)
            continue
        above, below = _candidate(edge, _ABOVE, placed), _candidate(edge, _BELOW, placed)
        placed.append(min((above, below), key=lambda arc: (_crossings(arc, placed), abs(arc.height))))
    return placed


def _place(names: list[str], end: Any) -> int:
    if str(end) in names:
        return names.index(str(end))
    if isinstance(end, int) and 0 <= end < len(names):
        return end
    raise ValueError(f"an edge of the graph ends at {end!r}, which is none of the nodes {names}")


def _candidate(edge: Edge, side: int, placed: Sequence[Edge]) -> Edge:
    spanned = [other for other in placed if other.height * side > 0 and _overlap(edge, other)]
    height = _LEVEL_HEIGHT + max((abs(other.height) for other in spanned), default=0.0)
    for other in spanned:
        if edge.start == other.start or edge.end == other.end:
            # Arcs that meet at a node must leave it at different angles, or they run into one line there.
            ratio = (edge.end - edge.start) / (other.end - other.start)
            height = max(height, _STEEPER * ratio * abs(other.height))
    return replace(edge, height=side * height)


def _overlap(edge: Edge, other: Edge) -> bool:
    return edge.start < other.end and other.start < edge.end


def _crossings(edge: Edge, placed: Sequence[Edge]) -> int:
    same_side = [other for other in placed if other.height * edge.height > 0]
    return sum(
        edge.start < other.start < edge.end < other.end or other.start < edge.start < other.end < edge.end
        for other in same_side
    )


def _draw_node(axes: Axes, place: int, name: str) -> Ellipse:
    node = Ellipse(
        (place * _SPACING, 0),
        _node_width(name),
        _NODE_HEIGHT,
        facecolor="#f2f4f7",
        edgecolor=INK,
        linewidth=1.3,
        zorder=4,
    )
    axes.add_patch(node)
    axes.text(place * _SPACING, 0, name, ha="center", va="center", fontsize=10, color=INK, zorder=5)
    return node


def _node_width(name: str) -> float:
    return max(_NODE_HEIGHT, 0.13 * len(name) + 0.3)


def _draw_edge(axes: Axes, edge: Edge, colour: str, drawn: Sequence[Ellipse]) -> None:
    is_none = edge.label == "none"
    start, end = edge.start * _SPACING, edge.end * _SPACING
    # arc3 bends towards a control point at rad times the distance, below for positive rad; its top is at half of that.
    arrow = FancyArrowPatch(
        (start, 0),
        (end, 0),
        connectionstyle=f"arc3,rad={-2 * edge.height / (end - start)}",
        patchA=drawn[edge.start],
        patchB=drawn[edge.end],
        arrowstyle="-|>",
        mutation_scale=14,
        linewidth=1.2 if is_none else 2.2,
        linestyle=(0, (4, 3)) if is_none else "solid",
        color=FAINT if is_none else colour,
        zorder=2,
    )
    axes.add_patch(arrow)
    axes.text(
        (start + end) / 2,
        edge.height,
        edge.label,
        ha="center",
        va="center",
        fontsize=9,
        color=FAINT if is_none else colour,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
        zorder=3,
    )
