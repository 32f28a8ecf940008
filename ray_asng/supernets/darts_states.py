"""How the states, edges and operations of a DARTS cell are numbered and named. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping

from ray_asng.space import Value

KINDS = ("normal", "reduce")
NUM_INPUTS = 2
"""Of a cell: states 0 and 1, the outputs of the two cells before."""
NODES = (2, 3, 4, 5)
"""Numbers of the nodes among the states."""
NONE = "none"
"""The operation of an edge that is left out."""
OPERATIONS = (
    NONE,
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
"""The published options of every decision, in the published order."""

NOISE = "noise"
"""An operation of the space S4 alone: what it gives has nothing to do with its input."""

KNOWN = (*OPERATIONS, NOISE)


def edge_name(kind: str, source: int, node: int) -> str:
    """Name of the decision on the edge from state `source` to a node, of cells of a kind."""
    return f"{kind}_edge_{source}_{node}"


def inputs_of(kind: str, node: int) -> tuple[str, ...]:
    """Names of the decisions on the edges to a node."""
    return tuple(edge_name(kind, source, node) for source in range(node))


def kept(architecture: Mapping[str, Value], kind: str, node: int) -> dict[int, str]:
    """Source -> operation of the edges to a node that carry something, in the order of the sources."""
    operations = {source: str(architecture[edge_name(kind, source, node)]) for source in range(node)}
    return {source: operation for source, operation in operations.items() if operation != NONE}
