"""The DARTS cell space as words: its decisions, its rules, its picture. Needs no torch.

Two kinds of cell, normal and reduction. In each, four nodes, states 2 to 5, are the sum of one operation applied to
each earlier state; states 0 and 1 are the outputs of the two cells before this one. The output of a cell is the
concatenation of its nodes. `normal_edge_0_2` is the decision on the edge from state 0 to state 2 of the normal cell.

While they are searched all edges may carry something. A cell that is trained keeps two inputs a node: the operation on
the others is `none`. So `none` can be decided also where it is not among the options of the search.

References:
    Liu, Simonyan & Yang, "DARTS: Differentiable Architecture Search", ICLR 2019, and its code.
    Li & Talwalkar, "Random Search and Reproducibility for Neural Architecture Search", UAI 2019: how cells are drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from ray_asng.space import Architecture, Categorical, Floats, SearchSpace, Value, nearest
from ray_asng.supernets.darts_genotype import from_string, to_string
from ray_asng.supernets.darts_states import (
    KINDS,
    KNOWN,
    NODES,
    NONE,
    NUM_INPUTS,
    OPERATIONS,
    edge_name,
    inputs_of,
    kept,
)

_PARAMETER_FREE = ("skip_connect", "max_pool_3x3", "avg_pool_3x3")

Options: TypeAlias = Mapping[str, tuple[str, ...]]
"""Decision name -> operations that are searched there."""


def options_of(operations: Sequence[str] | Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Decision name -> its options, in the order of the decisions.

    Args:
        operations: the same for all edges, or of every edge by the name of its decision; on each at least two of
            `OPERATIONS` (or "noise"), one of them not `none`, in the order that the options shall have.

    Raises:
        ValueError: an unknown or a repeated operation, too few of them, an edge that is missing or unknown.
    """
    names = [edge_name(kind, source, node) for kind in KINDS for node in NODES for source in range(node)]
    by_edge = operations if isinstance(operations, Mapping) else dict.fromkeys(names, operations)
    unknown = [name for name in by_edge if name not in names]
    missing = [name for name in names if name not in by_edge]
    if unknown or missing:
        raise ValueError(f"operations of all {len(names)} edges are needed; missing: {missing}, unknown: {unknown}")
    options = {name: tuple(by_edge[name]) for name in names}
    for name, on_edge in options.items():
        for operation in on_edge:
            if operation not in KNOWN:
                raise ValueError(f"unknown DARTS operation {operation!r} on {name!r}{nearest(operation, KNOWN)}")
        if len(on_edge) < 2:
            raise ValueError(
                f"the search needs at least two operations to choose from on {name!r}, got {list(on_edge)!r}; take "
                f"them from {list(KNOWN)!r}"
            )
    return options


def darts_space(
    operations: Sequence[str] | Mapping[str, Sequence[str]] = OPERATIONS, *, edge_weights: bool = False
) -> SearchSpace:
    """The space of 28 decisions, with canonical forms, the rule of two inputs a node, notation and picture.

    Args:
        operations: of all edges, or decision name -> of this edge; see `options_of`.
        edge_weights: whether mixtures may weigh the inputs of nodes.

    Raises:
        ValueError: see `options_of`.
    """
    options = options_of(operations)
    rules: dict[str, Any] = {
        "canonical": canonical,
        "derive": partial(derive, options=options),
        "text": to_string,
        "parse": partial(from_string, options=options),
        "graph": _graph,
        "sample": partial(sample, options=options),
        "mutate": partial(mutate, options=options),
        "input_weights": input_weights() if edge_weights else None,
    }
    return SearchSpace([decision(name, on_edge) for name, on_edge in options.items()], **rules)


def decision(name: str, options: Sequence[str]) -> Categorical:
    """The decision on an edge: its options, and `none` in any case."""
    return Categorical(name, options, () if NONE in options else (NONE,))


def input_weights() -> dict[str, tuple[str, ...]]:
    """Name of the input weights of each node -> the decisions on the edges to it."""
    return {node_name(kind, node): inputs_of(kind, node) for kind in KINDS for node in NODES}


def node_name(kind: str, node: int) -> str:
    """Name of the weights of the inputs of a node."""
    return f"{kind}_node_{node}"


def derive(probabilities: Mapping[str, Floats], options: Options) -> dict[str, Value]:
    """Two inputs for each node: those with the largest probability of an operation other than `none`; it is kept there.

    Among equals the lower source and the earlier operation come first.

    Args:
        probabilities: decision name -> (K,).
        options: of every decision.
    """
    decided: dict[str, Value] = dict.fromkeys(options, NONE)
    for kind in KINDS:
        for node in NODES:
            best = {name: _best(probabilities[name], options[name]) for name in inputs_of(kind, node)}
            # Sorting keeps the order of equals.
            for name in sorted(best, key=lambda name: -best[name][0])[:2]:
                decided[name] = best[name][1]
    return decided


def _best(row: Floats, options: Sequence[str]) -> tuple[float, str]:
    """The largest probability of an operation other than `none`, and the operation."""
    place = max(_carrying(options), key=lambda place: float(row[place]))
    return float(row[place]), options[place]


def _carrying(options: Sequence[str]) -> list[int]:
    """Places of the operations other than `none`."""
    return [place for place, operation in enumerate(options) if operation != NONE]


def canonical(architecture: Mapping[str, Value]) -> dict[str, Value]:
    """`none` for a skip connection or pooling that reads a node without inputs: it carries zeros either way."""
    decided = dict(architecture)
    for kind in KINDS:
        empty: set[int] = set()
        for node in NODES:
            for source, operation in kept(decided, kind, node).items():
                if source in empty and operation in _PARAMETER_FREE:
                    decided[edge_name(kind, source, node)] = NONE
            if not kept(decided, kind, node):
                empty.add(node)
    return decided


def sample(rng: np.random.Generator, options: Options) -> dict[str, Value]:
    """For each node two different inputs and on each an operation other than `none`, all drawn uniformly."""
    decided: dict[str, Value] = dict.fromkeys(options, NONE)
    for kind in KINDS:
        for node in NODES:
            for source in rng.choice(node, 2, replace=False).tolist():
                name = edge_name(kind, source, node)
                decided[name] = _drawn(rng, options[name])
    return decided


def _drawn(rng: np.random.Generator, options: Sequence[str], but: Value = NONE) -> str:
    """An operation other than `none` and `but`."""
    places = [place for place in _carrying(options) if options[place] != but]
    return options[places[int(rng.integers(len(places)))]]


def mutate(architecture: Architecture, rng: np.random.Generator, options: Options) -> dict[str, Value]:
    """One node, drawn uniformly, gets another input or another operation on an input, as likely where both can be.

    A new input takes over the operation of the old one, where it has it among its options.
    """
    nodes = [(kind, node) for kind in KINDS for node in NODES]
    # Where a node reads both inputs of the cell and they have one operation each, nothing of it can be changed.
    for place in rng.permutation(len(nodes)).tolist():
        kind, node = nodes[place]
        read = kept(architecture, kind, node)
        unread = [source for source in range(node) if source not in read]
        changeable = [source for source in read if len(_carrying(options[edge_name(kind, source, node)])) > 1]
        moves = [move for move, can in (("input", unread), ("operation", changeable)) if can]
        if not moves:
            continue
        if moves[int(rng.integers(len(moves)))] == "operation":
            name = edge_name(kind, changeable[int(rng.integers(len(changeable)))], node)
            return {**architecture, name: _drawn(rng, options[name], but=architecture[name])}
        new = edge_name(kind, unread[int(rng.integers(len(unread)))], node)
        if not read:
            return {**architecture, new: _drawn(rng, options[new])}
        old = edge_name(kind, list(read)[int(rng.integers(len(read)))], node)
        operation = architecture[old] if architecture[old] in options[new] else _drawn(rng, options[new])
        return {**architecture, old: NONE, new: operation}
    raise ValueError("no operation and no input of this cell can be changed; give its edges more operations")


def _graph(architecture: Architecture) -> dict[str, Any]:
    """Both cells for drawing, beside each other; an edge with the operation `none` is no edge."""
    nodes: list[str] = []
    edges: list[list[str]] = []
    for kind in KINDS:
        names = [f"{kind} {state}" for state in range(NUM_INPUTS + len(NODES))]
        for node in NODES:
            edges += [[names[source], names[node], name] for source, name in kept(architecture, kind, node).items()]
        edges += [[names[node], f"{kind} output", "concatenation"] for node in NODES]
        nodes += [*names, f"{kind} output"]
    return {"nodes": nodes, "edges": edges}
