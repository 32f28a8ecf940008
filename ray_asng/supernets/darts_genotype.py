"""The genotype: the notation in which DARTS and the projects after it write a cell.

`Genotype(normal=[('sep_conv_3x3', 1), ...], normal_concat=range(2, 6), reduce=[...], reduce_concat=range(2, 6))` lists
for each node, states 2 to 5 in turn, two pairs of operation and source.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from ray_asng.space import Architecture, Value, nearest
from ray_asng.supernets.darts_states import KINDS, KNOWN, NODES, NONE, edge_name, kept

FORM = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('skip_connect', 1), ...], normal_concat=range(2, 6), reduce=[...], "
    "reduce_concat=range(2, 6))"
)
_INPUTS_OF_A_NODE = 2
_FIELDS = ("normal", "normal_concat", "reduce", "reduce_concat")


def to_string(architecture: Architecture) -> str:
    """The genotype; the two inputs of a node in the order of their sources.

    An architecture in which a node has more inputs or fewer, as samples of a search may, has no genotype: it is
    written as JSON.
    """
    cells = {kind: [kept(architecture, kind, node) for node in NODES] for kind in KINDS}
    if any(len(inputs) != _INPUTS_OF_A_NODE for nodes in cells.values() for inputs in nodes):
        return architecture.to_json()
    concat = f"range({NODES[0]}, {NODES[-1] + 1})"
    fields = []
    for kind, nodes in cells.items():
        pairs = [(operation, source) for inputs in nodes for source, operation in inputs.items()]
        fields += [f"{kind}={pairs!r}", f"{kind}_concat={concat}"]
    return f"Genotype({', '.join(fields)})"


def from_string(text: str, options: Mapping[str, Sequence[str]]) -> dict[str, Value]:
    """What every edge does by the genotype `text`: decision name -> operation, `none` where it names none.

    Args:
        text: of the form of `FORM`; the nodes that are concatenated may be a list too, but are all four.
        options: of every decision in the space that the cell shall be of.

    Raises:
        ValueError: another form; an unknown operation, or one that the space does not have on its edge; a source that
            is no earlier state, or that one node reads twice; another number of pairs.
    """
    fields = _fields(text)
    for kind in KINDS:
        concat = fields[f"{kind}_concat"]
        if len(concat) != len(NODES) or sorted(map(str, concat)) != list(map(str, NODES)):
            raise ValueError(
                f"a DARTS cell is the concatenation of its nodes, {kind}_concat=range(2, 6); got {concat!r}"
            )
    decided: dict[str, Value] = dict.fromkeys(options, NONE)
    for kind in KINDS:
        pairs = _pairs(kind, fields[kind])
        for place, (operation, source) in enumerate(pairs):
            node = NODES[place // _INPUTS_OF_A_NODE]
            name = _checked(kind, node, operation, source, options)
            if decided[name] != NONE:
                raise ValueError(f"node {node} of the {kind} cell reads state {source} twice; give it two inputs")
            decided[name] = operation
    return decided


def _fields(text: str) -> dict[str, Any]:
    """The four fields."""
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if not isinstance(call, ast.Call) or ast.unparse(call.func) != "Genotype" or call.args:
            _refuse(text)
        fields = {str(keyword.arg): _value(keyword.value) for keyword in call.keywords}
    except (SyntaxError, ValueError, TypeError):  # no expression, or no literal
        _refuse(text)
    if sorted(fields) != sorted(_FIELDS):
        _refuse(text)
    return fields


def _value(expression: ast.expr) -> Sequence[Any]:
    """A list or tuple of literals, or a range of whole numbers."""
    if isinstance(expression, ast.Call) and ast.unparse(expression.func) == "range" and not expression.keywords:
        return range(*(ast.literal_eval(bound) for bound in expression.args))
    found = ast.literal_eval(expression)
    if not isinstance(found, (list, tuple)):
        raise ValueError(f"expected a list, got {found!r}")
    return found


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"expected a genotype of the form {FORM}; got {text!r}")


def _pairs(kind: str, given: Sequence[Any]) -> list[tuple[str, int]]:
    expected = _INPUTS_OF_A_NODE * len(NODES)
    if len(given) != expected:
        raise ValueError(
            f"the {kind} cell has {len(NODES)} nodes with two pairs (operation, source) each, {expected} in all; got "
            f"{len(given)}"
        )
    for pair in given:
        is_pair = isinstance(pair, (list, tuple)) and len(pair) == 2
        if not is_pair or not isinstance(pair[0], str) or type(pair[1]) is not int:
            raise ValueError(f"the {kind} cell is a list of pairs such as ('sep_conv_3x3', 0); got {pair!r}")
    return [(operation, source) for operation, source in given]


def _checked(kind: str, node: int, operation: str, source: int, options: Mapping[str, Sequence[str]]) -> str:
    """The decision that the pair is about."""
    if not 0 <= source < node:
        raise ValueError(
            f"node {node} of the {kind} cell reads state {source}, but there are only 0 to {node - 1} before it"
        )
    name = edge_name(kind, source, node)
    if operation not in KNOWN:
        raise ValueError(
            f"unknown operation {operation!r} on input {source} of node {node} of the {kind} cell"
            f"{nearest(operation, KNOWN)}"
        )
    if operation == NONE or operation not in options[name]:
        raise ValueError(
            f"this space has no {operation!r} on {name!r} (input {source} of node {node} of the {kind} cell), only "
            f"{[each for each in options[name] if each != NONE]}"
        )
    return name
