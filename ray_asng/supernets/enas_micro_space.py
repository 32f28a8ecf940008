"""The ENAS micro space as words: its decisions, its notation, its picture. Needs no torch.

Two kinds of cell, normal and reduction. In each, five nodes are the sum of two branches: an operation on one of the
states that were there before, states 0 and 1 being the outputs of the two cells before this one and state 2 + i that
of node i. What no node reads makes up the output of the cell.

References:
    Pham et al., "Efficient Neural Architecture Search via Parameter Sharing", ICML 2018.
    Akimoto et al., "Adaptive Stochastic Natural Gradient Method for One-Shot Neural Architecture Search", ICML 2019.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ray_asng.space import Architecture, Categorical, SearchSpace, Value

OPERATIONS = ("skip_connect", "avg_pool_3x3", "max_pool_3x3", "sep_conv_3x3", "sep_conv_5x5")
"""Options of every operation, in the order of the code of ASNG-NAS."""

ENAS_CODES = ("sep_conv_3x3", "sep_conv_5x5", "avg_pool_3x3", "max_pool_3x3", "skip_connect")
"""The operations in the order in which ENAS numbers them, from 0."""

KINDS = ("normal", "reduce")
NUM_INPUTS = 2
"""Of a cell."""
NUM_NODES = 5
_BRANCHES = (1, 2)
_NUMBERS = len(KINDS) * NUM_NODES * 2 * len(_BRANCHES)


def input_name(kind: str, node: int, branch: int) -> str:
    """Name of the decision which state the branch 1 or 2 of a node reads."""
    return f"{kind}_node_{node}_input_{branch}"


def operation_name(kind: str, node: int, branch: int) -> str:
    """Name of the decision which operation the branch 1 or 2 of a node applies."""
    return f"{kind}_node_{node}_operation_{branch}"


def enas_micro_space() -> SearchSpace:
    """The space of 40 decisions, with canonical forms, notation and picture."""
    return SearchSpace(list(_decisions()), canonical=canonical, text=to_string, parse=from_string, graph=_graph)


def _decisions() -> Iterator[Categorical]:
    """In the order of the code of ASNG-NAS: of a node first the two inputs, then the two operations."""
    for kind in KINDS:
        for node in range(NUM_NODES):
            states = [str(state) for state in range(NUM_INPUTS + node)]
            yield from (Categorical(input_name(kind, node, branch), states) for branch in _BRANCHES)
            yield from (Categorical(operation_name(kind, node, branch), OPERATIONS) for branch in _BRANCHES)


def canonical(architecture: Mapping[str, Value]) -> dict[str, Value]:
    """The two branches of each node in order of input and operation: they share their weights, so both orders are one.

    Nodes are not renumbered.
    """
    ordered: dict[str, Value] = {}
    for kind in KINDS:
        for node in range(NUM_NODES):
            pairs = sorted(_branches(architecture, kind, node), key=lambda pair: (pair[0], OPERATIONS.index(pair[1])))
            for branch, (state, operation) in zip(_BRANCHES, pairs, strict=True):
                ordered[input_name(kind, node, branch)] = str(state)
                ordered[operation_name(kind, node, branch)] = operation
    return ordered


def _branches(architecture: Mapping[str, Value], kind: str, node: int) -> list[tuple[int, str]]:
    """State and operation of each branch."""
    return [
        (int(architecture[input_name(kind, node, branch)]), str(architecture[operation_name(kind, node, branch)]))
        for branch in _BRANCHES
    ]


def to_string(architecture: Mapping[str, Value]) -> str:
    """The notation of ENAS: of each cell, normal first, five nodes [input, operation, input, operation] in numbers.

    States are numbered as here, operations as in `ENAS_CODES`. Without brackets and commas it is what ENAS takes as
    `child_fixed_arc`.

    Raises:
        ValueError: not an architecture of this space.
    """
    checked = enas_micro_space().architecture(architecture)
    cells = [
        [
            [number for state, name in _branches(checked, kind, node) for number in (state, ENAS_CODES.index(name))]
            for node in range(NUM_NODES)
        ]
        for kind in KINDS
    ]
    return json.dumps(cells)


def from_string(text: str) -> Architecture:
    """The architecture that `text` names in the notation of ENAS, with brackets and commas or without.

    Raises:
        ValueError: something else than 40 numbers, or a number of no earlier state or of no operation.
    """
    found = re.findall(r"\d+", text)
    if len(found) != _NUMBERS or re.search(r"[^\d\s,\[\]]", text):
        raise ValueError(
            f"expected two cells of {NUM_NODES} nodes [input, operation, input, operation] in the numbers of ENAS, "
            f"{_NUMBERS} in all, such as '[[[0, 4, 1, 0], ...], [...]]'; got {len(found)} in {text!r}"
        )
    numbers = iter(map(int, found))
    decided: dict[str, Value] = {}
    for kind in KINDS:
        for node in range(NUM_NODES):
            for branch in _BRANCHES:
                state, code = next(numbers), next(numbers)
                _check(kind, node, state, code)
                decided[input_name(kind, node, branch)] = str(state)
                decided[operation_name(kind, node, branch)] = ENAS_CODES[code]
    return enas_micro_space().architecture(decided)


def _check(kind: str, node: int, state: int, code: int) -> None:
    where = f"node {node} of the {kind} cell"
    if state >= NUM_INPUTS + node:
        raise ValueError(f"{where} reads state {state}, but there are only 0 to {NUM_INPUTS + node - 1} before it")
    if code >= len(ENAS_CODES):
        raise ValueError(f"{where} has operation {code}; ENAS numbers them 0 to 4: {list(ENAS_CODES)}")


def loose_ends(sources: Sequence[Sequence[int]]) -> list[int]:
    """Nodes that no other node reads, ascending; `sources` are the states that each node reads."""
    read = {state for states in sources for state in states}
    return [node for node in range(len(sources)) if NUM_INPUTS + node not in read]


def _graph(architecture: Architecture) -> dict[str, Any]:
    """Both cells for drawing, beside each other."""
    nodes: list[str] = []
    edges: list[list[str]] = []
    for kind in KINDS:
        names = [f"{kind} {state}" for state in range(NUM_INPUTS + NUM_NODES)]
        branches = [_branches(architecture, kind, node) for node in range(NUM_NODES)]
        for node, pairs in enumerate(branches):
            edges += [[names[state], names[NUM_INPUTS + node], operation] for state, operation in pairs]
        loose = loose_ends([[state for state, _ in pairs] for pairs in branches])
        edges += [[names[NUM_INPUTS + node], f"{kind} output", "concatenation"] for node in loose]
        nodes += [*names, f"{kind} output"]
    return {"nodes": nodes, "edges": edges}
