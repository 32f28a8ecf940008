"""Conformance of a search space: the rules that its author wrote for architectures hold together."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ray_asng.space import Architecture, Categorical, Floats, Integer, SearchSpace, Value
from ray_asng.testing.failure import fail, no_error

_SAMPLES = 50


def check_space(space: SearchSpace, *, seed: int = 0) -> None:
    """Check `canonical`, `derive`, `text`, `parse`, `cost` and `graph` of a space on architectures drawn from it.

    Args:
        space: what is checked.
        seed: of the architectures.

    Raises:
        AssertionError: says what was checked, expected and found, and what to mend.
    """
    rng = np.random.default_rng(seed)
    for architecture in [*covering(space), *(space.sample(rng) for _ in range(_SAMPLES))]:
        _check_canonical(space, architecture)
        _check_notation(space, architecture)
        _check_cost_and_graph(space, architecture)
        _check_derive(space, one_hot(space, architecture))
        _check_derive(space, random_probabilities(space, rng))


def covering(space: SearchSpace) -> list[Architecture]:
    """A few architectures that together hold every option, and both bounds of every number."""
    turns = max([2, *(len(decision.options) for decision in space.categorical)])

    def value(name: str, turn: int) -> Value:
        decision = space[name]
        if isinstance(decision, Categorical):
            return decision.options[turn % len(decision.options)]
        return (decision.low, decision.high)[turn % 2]

    return [space.architecture({name: value(name, turn) for name in space.names}) for turn in range(turns)]


def one_hot(space: SearchSpace, architecture: Mapping[str, Value]) -> dict[str, Floats]:
    """Probabilities that are sure of `architecture`."""
    rows: dict[str, Floats] = {}
    for decision in space.decisions:
        value = architecture[decision.name]
        if isinstance(decision, Categorical):
            rows[decision.name] = np.array([float(option == value) for option in decision.options])
        elif isinstance(decision, Integer):
            rows[decision.name] = np.array([float(i == value) for i in decision.values])
        else:
            rows[decision.name] = np.array([float(value), 0.0])
    return rows


def random_probabilities(space: SearchSpace, rng: np.random.Generator) -> dict[str, Floats]:
    """Probabilities drawn uniformly from the simplex; of a real the mean between its bounds."""
    rows: dict[str, Floats] = {}
    for decision in space.decisions:
        if isinstance(decision, Categorical):
            rows[decision.name] = rng.dirichlet(np.ones(len(decision.options)))
        elif isinstance(decision, Integer):
            rows[decision.name] = rng.dirichlet(np.ones(len(decision.values)))
        else:
            rows[decision.name] = np.array([rng.uniform(decision.low, decision.high), 1.0])
    return rows


def _check_canonical(space: SearchSpace, architecture: Architecture) -> None:
    checked = f"the canonical form of {architecture!r}"
    with no_error(checked, mend="let `canonical` give an option of the space for every decision"):
        once = space.canonical(architecture)
        twice = space.canonical(once)
    if twice != once:
        fail(
            checked,
            expected=f"to be its own canonical form: {once!r}",
            got=repr(twice),
            mend="let `canonical` map every architecture to one representative of its class, and that to itself",
        )


def _check_notation(space: SearchSpace, architecture: Architecture) -> None:
    with no_error(f"the JSON form of {architecture!r}", mend="let `parse` alone the texts that begin with '{'"):
        again = space.parse(architecture.to_json())
    if again != architecture:
        fail(
            "the JSON form of an architecture",
            expected=f"to be read as the architecture that wrote it: {architecture!r}",
            got=repr(again),
            mend="use plain strings, integers and floats as options and numbers",
        )
    checked = f"the notation of {architecture!r}"
    with no_error(checked, mend="pass `parse` beside `text`, able to read all that `text` writes"):
        text = space.text(architecture)
        read = space.parse(text)
    if space.canonical(read) != space.canonical(architecture):
        fail(
            checked,
            expected="parse(text(architecture)) is the same network",
            got=f"{text!r}, which is read as {read!r}",
            mend="let `text` write every decision that matters, and `parse` read it into the same decision",
        )


def _check_derive(space: SearchSpace, probabilities: Mapping[str, Floats]) -> None:
    with no_error(
        f"derive({dict(probabilities)!r})",
        mend="let `derive` return an option (its name, not its index) for each decision that it decides",
    ):
        space.derive(probabilities)


def _check_cost_and_graph(space: SearchSpace, architecture: Architecture) -> None:
    checked = f"cost and graph of {architecture!r}"
    with no_error(checked, mend="let `cost` and `graph` take every architecture of the space"):
        cost, graph = space.cost(architecture), space.graph(architecture)
    if cost is not None and not math.isfinite(cost):
        fail(checked, expected="a finite cost", got=cost, mend="let `cost` return a finite number")
    if graph is not None and not _is_graph(graph):
        fail(
            checked,
            expected='{"nodes": [name, ...], "edges": [[from, to, label], ...]} with edges between these nodes',
            got=graph,
            mend="let `graph` return this form, in plain lists, dicts and strings, or None",
        )


def _is_graph(graph: Any) -> bool:
    try:
        nodes, edges = json.loads(json.dumps(graph))["nodes"], graph["edges"]
        return all(source in nodes and target in nodes for source, target, _ in edges)
    except (KeyError, TypeError, ValueError):
        return False
