"""The NAS-Bench-201 cell as words: its decisions, its notation, its cost, its picture. Needs no torch.

A cell has four nodes. Node 0 is its input, node 3 its output, and every node is the sum of one operation applied to
each earlier node. The six operations are the decisions, `edge_0_1` being the one from node 0 to node 1.

References:
    Dong & Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search", ICLR 2020.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ray_asng.space import Architecture, Categorical, SearchSpace, Value, nearest
from ray_asng.supernets.nasbench201_equality import canonical

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""Options of every decision, in the order of the published table."""

NUM_NODES = 4
EDGES = tuple((source, target) for target in range(1, NUM_NODES) for source in range(target))
"""(source, target) of the six edges, in the order of the notation."""

COSTS = {
    "parameters": (73_306, {"nor_conv_1x1": 28_000, "nor_conv_3x3": 243_040}),
    "flops": (7_783_050, {"nor_conv_1x1": 3_932_160, "nor_conv_3x3": 35_389_440}),
}
"""Of the published network (16 channels, 5 cells a stage, CIFAR-10): of the skeleton, and of an operation on any edge.

FLOPs are multiply-adds of one image of 32 x 32 pixels, as the published table counts them. An operation that does not
reach the output of the cell counts too.
"""

_FORM = "|op~0|+|op~0|op~1|+|op~0|op~1|op~2|"
_PATTERN = re.compile(re.escape(_FORM).replace("op", "([^|~+]+)"))


def edge_name(source: int, target: int) -> str:
    """Name of the decision on the edge from node `source` to node `target`."""
    return f"edge_{source}_{target}"


def edges_to(target: int) -> tuple[str, ...]:
    """Names of the decisions on the edges to node `target`."""
    return tuple(edge_name(source, target) for source in range(target))


def node_name(target: int) -> str:
    """Name of the weights of the inputs of node `target`."""
    return f"node_{target}"


def nasbench201_space(
    operations: Sequence[str] = OPERATIONS, cost: str = "parameters", *, edge_weights: bool = False
) -> SearchSpace:
    """The space of cells over `operations`, with canonical forms, notation, cost and picture.

    Args:
        operations: at least two of `OPERATIONS`, in the order that the options shall have.
        cost: "parameters" or "flops" of the published network with this cell, see `COSTS`.
        edge_weights: whether mixtures may weigh the inputs of nodes.

    Raises:
        ValueError: fewer than two operations, an unknown or a repeated one; an unknown cost.
    """
    if cost not in COSTS:
        raise ValueError(f"unknown cost {cost!r} of a NAS-Bench-201 cell{nearest(cost, tuple(COSTS))}")
    for operation in operations:
        _check_operation(operation)
    if len(operations) < 2:
        raise ValueError(
            f"the search needs at least two operations to choose from, got {list(operations)!r}; "
            f"take them from {list(OPERATIONS)!r}"
        )
    return SearchSpace(
        [Categorical(edge_name(*edge), operations) for edge in EDGES],
        canonical=partial(canonical, operations=tuple(operations)),
        cost=partial(_cost, unit=cost),
        text=to_string,
        parse=from_string,
        graph=_graph,
        input_weights={node_name(node): edges_to(node) for node in range(1, NUM_NODES)} if edge_weights else None,
    )


def to_string(architecture: Mapping[str, Value]) -> str:
    """The published notation `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`; `op~j` is the operation on node j.

    Raises:
        ValueError: not an architecture of this space.
    """
    checked = nasbench201_space().architecture(architecture)
    nodes = [
        "".join(f"|{checked[edge_name(source, target)]}~{source}" for source in range(target)) + "|"
        for target in range(1, NUM_NODES)
    ]
    return "+".join(nodes)


def from_string(text: str) -> Architecture:
    """The architecture that `text` names in the published notation; spaces around it are ignored.

    Raises:
        ValueError: another form, or an unknown operation.
    """
    found = _PATTERN.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"expected a NAS-Bench-201 cell of the form {_FORM!r}, got {text!r}")
    for operation in found.groups():
        _check_operation(operation)
    return Architecture({edge_name(*edge): operation for edge, operation in zip(EDGES, found.groups(), strict=True)})


def _check_operation(operation: str) -> None:
    if operation not in OPERATIONS:
        raise ValueError(f"unknown NAS-Bench-201 operation {operation!r}{nearest(operation, OPERATIONS)}")


def _cost(architecture: Architecture, *, unit: str) -> int:
    """Exactly a sum over the edges."""
    skeleton, of_operation = COSTS[unit]
    return skeleton + sum(of_operation.get(str(operation), 0) for operation in architecture.values())


def _graph(architecture: Architecture) -> dict[str, Any]:
    """The cell for drawing; an edge with the operation `none` is no edge."""
    edges = [
        [str(source), str(target), architecture[edge_name(source, target)]]
        for source, target in EDGES
        if architecture[edge_name(source, target)] != "none"
    ]
    return {"nodes": [str(node) for node in range(NUM_NODES)], "edges": edges}
