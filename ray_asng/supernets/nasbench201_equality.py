"""Which NAS-Bench-201 cells are the same network.

A cell is expanded into the sum that its last node is: `none` adds nothing, `skip_connect` adds the terms of its
source, sums have no order, and what does not reach the last node is gone. Two cells are the same network if these
sums agree, up to which edge carries which weights. With equal weights on corresponding operations they then compute
the same function (up to rounding, as sums may be taken in another order).

The published notion of equality, `to_unique_str(consider_zero=True)`, by which the benchmark counts 6 466 cells,
differs in both directions. It merges more: it does not ask whether two equal terms are one convolution used twice or
two with weights of their own, and takes a convolution of nothing for nothing, though the affine batch norm of a
retrained network makes a learned constant of it. It merges less: it tells sums apart that differ by a zero or by the
order of nested terms.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TypeAlias

from ray_asng.space import Architecture, Value

Sum: TypeAlias = tuple["Term", ...]
"""Sorted terms; empty for a node that receives nothing."""

Term: TypeAlias = tuple[str, Sum, int]
"""An operation, what it is applied to, and a label that says which weights it has (0: it has none)."""

_INPUT: Sum = (("input", (), 0),)
_NAMES = tuple(f"edge_{source}_{target}" for target in range(1, 4) for source in range(target))
_WEIGHTED = ("nor_conv_1x1", "nor_conv_3x3")


def canonical(architecture: Architecture, *, operations: tuple[str, ...]) -> Architecture:
    """The first cell over `operations`, in the order of option indices, that is the same network."""
    return _first_of_each(operations)[_network(architecture)]


@lru_cache(maxsize=8)
def _first_of_each(operations: tuple[str, ...]) -> dict[Sum, Architecture]:
    """Network -> the first cell that gives it. Takes about a second for five operations, once per process."""
    first: dict[Sum, Architecture] = {}
    for options in itertools.product(operations, repeat=len(_NAMES)):
        architecture = Architecture(dict(zip(_NAMES, options, strict=True)))
        first.setdefault(_network(architecture), architecture)
    return first


def _network(architecture: Mapping[str, Value]) -> Sum:
    """The expanded cell, labelled such that equal networks give equal sums.

    Convolutions that are equal but for labels can exchange them, so the least of all such labellings is taken.
    """
    expanded = _expanded(architecture)
    alike: dict[Sum, set[int]] = {}
    for term in _weighted_terms(expanded):
        alike.setdefault(_relabelled((term,), {}), set()).add(term[2])
    exchanges = [itertools.permutations(labels) for labels in alike.values()]
    return min(
        _relabelled(expanded, {label: new for labels in exchange for new, label in enumerate(labels, start=1)})
        for exchange in itertools.product(*exchanges)
    )


def _expanded(architecture: Mapping[str, Value]) -> Sum:
    """The sum that the last node is; the label of a convolution is the number of its edge, from 1."""
    nodes = [_INPUT]
    label = 0
    for target in range(1, 4):
        terms: list[Term] = []
        for source in nodes[:target]:
            terms.extend(_applied(str(architecture[_NAMES[label]]), source, label + 1))
            label += 1
        nodes.append(tuple(sorted(terms)))
    return nodes[-1]


def _applied(operation: str, source: Sum, label: int) -> Sum:
    if operation == "skip_connect":
        return source
    if operation in _WEIGHTED:
        return ((operation, source, label),)
    return ((operation, source, 0),) if operation == "avg_pool_3x3" and source else ()


def _weighted_terms(terms: Sum) -> Iterator[Term]:
    for term in terms:
        if term[2]:
            yield term
        yield from _weighted_terms(term[1])


def _relabelled(terms: Sum, new: Mapping[int, int]) -> Sum:
    """The sum with every label replaced; a label that `new` does not know becomes 0."""
    return tuple(sorted((operation, _relabelled(source, new), new.get(label, 0)) for operation, source, label in terms))
