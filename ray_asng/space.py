"""Search spaces: decisions with their options, and the architectures that result from deciding them.

An architecture is one option (or number) for each decision. It is the only thing that optimizers, supernets,
tables and results exchange, so this module imports nothing of the package but the decisions.

Dimension letters: D categorical decisions, K options of a decision, M numeric (integer and real) decisions.
"""

from __future__ import annotations

import copy
import difflib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ray_asng.decisions import Categorical, Decision, Floats, Integer, Ints, Real, Value

__all__ = [
    "Architecture",
    "Categorical",
    "Decision",
    "Floats",
    "Integer",
    "Ints",
    "Real",
    "SearchSpace",
    "Value",
    "nearest",
]


class Architecture(Mapping[str, Value]):
    """One option (its name) or number for every decision, in the order of the space. Immutable and hashable.

    Made by the methods of `SearchSpace`, which check it; equal architectures compare and hash equal.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return hash(frozenset(self._values.items()))

    def __repr__(self) -> str:
        return f"Architecture({self._values!r})"

    def to_json(self) -> str:
        """A JSON object from decision name to option name or number."""
        return json.dumps(self._values)


class SearchSpace:
    """The decisions of a search, with the rules that belong to a space rather than to a method.

    Args:
        decisions: in order; names must differ.
        canonical: maps an architecture to the one form shared by all that give an equal network.
        derive: maps final probabilities (decision name -> (K,)) to the option names of the final architecture;
            the default takes the most probable option of every decision.
        cost: a number to keep small, such as parameters, of an architecture; None where it is not known.
        text: the notation that people of the field write for an architecture; JSON by default.
        parse: reads that notation.
        graph: the found network as nodes and labelled edges for drawing, a JSON-able dict
            {"nodes": [name, ...], "edges": [[from, to, label], ...]}; None where there is no such picture.
        sample: draws an architecture from a generator, where decisions hang together; by default each decision is
            drawn uniformly by itself. Methods that learn a distribution of every decision do not use it.
        mutate: a small change of an architecture, drawn from a generator; by default one decision takes another value.
        input_weights: of a network that can weigh the inputs of its nodes: name of such weights in a mixture -> the
            decisions on the edges to the node, in the order of the weights.

    Raises:
        ValueError: no decision, a repeated name, or input weights of what is no decision.
    """

    def __init__(
        self,
        decisions: Sequence[Decision],
        *,
        canonical: Callable[[Architecture], Mapping[str, Value]] | None = None,
        derive: Callable[[Mapping[str, Floats]], Mapping[str, Value]] | None = None,
        cost: Callable[[Architecture], float] | None = None,
        text: Callable[[Architecture], str] | None = None,
        parse: Callable[[str], Mapping[str, Value]] | None = None,
        graph: Callable[[Architecture], dict[str, Any]] | None = None,
        sample: Callable[[np.random.Generator], Mapping[str, Value]] | None = None,
        mutate: Callable[[Architecture, np.random.Generator], Mapping[str, Value]] | None = None,
        input_weights: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.decisions: tuple[Decision, ...] = tuple(decisions)
        self.names: tuple[str, ...] = tuple(decision.name for decision in self.decisions)
        self.categorical: tuple[Categorical, ...] = tuple(
            decision for decision in self.decisions if isinstance(decision, Categorical)
        )
        self.numeric: tuple[Integer | Real, ...] = tuple(
            decision for decision in self.decisions if not isinstance(decision, Categorical)
        )
        if not self.decisions:
            raise ValueError("a search space needs at least one decision, got none")
        repeated = sorted(name for name, times in Counter(self.names).items() if times > 1)
        if repeated:
            raise ValueError(f"decision names must differ; repeated: {repeated}")
        self._by_name = dict(zip(self.names, self.decisions, strict=True))
        self._options = [(decision.name, decision.options) for decision in self.categorical]
        self.input_weights = {name: tuple(edges) for name, edges in (input_weights or {}).items()}
        weighed = [edge for edges in self.input_weights.values() for edge in edges]
        unknown = [name for name in weighed if name not in self._by_name]
        if unknown or any(name in self._by_name for name in self.input_weights):
            raise ValueError(
                "input weights have names of their own and weigh decisions of the space; got "
                f"{self.input_weights} beside the decisions {list(self.names)}"
            )
        self._canonical = canonical
        self._derive = derive
        self._cost = cost
        self._text = text
        self._parse = parse
        self._graph = graph
        self._sample = sample
        self._mutate = mutate

    def __len__(self) -> int:
        """Number of decisions."""
        return len(self.decisions)

    def __getitem__(self, name: str) -> Decision:
        """The decision called `name`."""
        return self._by_name[name]

    def __repr__(self) -> str:
        return f"SearchSpace({list(self.decisions)!r})"

    @property
    def size(self) -> int | float:
        """Number of architectures; infinity as soon as one decision is real."""
        counts: list[int | float] = []
        for decision in self.decisions:
            if isinstance(decision, Categorical):
                counts.append(len(decision.options))
            elif isinstance(decision, Integer):
                counts.append(len(decision.values))
            else:
                counts.append(math.inf)
        return math.prod(counts)

    def architecture(self, values: Mapping[str, Value]) -> Architecture:
        """Check `values` (decision name -> option name or number) and put them into the space's order.

        Raises:
            ValueError: a decision is missing or unknown, or its value is not among its options or bounds.
        """
        unknown = [name for name in values if name not in self._by_name]
        if unknown:
            raise ValueError(f"unknown decision {unknown[0]!r}{nearest(unknown[0], self.names)}")
        missing = [name for name in self.names if name not in values]
        if missing:
            raise ValueError(f"an architecture decides everything; missing: {missing}")
        return Architecture({name: self._by_name[name].check(values[name]) for name in self.names})

    def encode(self, architecture: Mapping[str, Value]) -> tuple[Ints, Floats]:
        """Index arrays of an architecture.

        Returns:
            (D,) option indices of the categorical decisions, and (M,) coordinates of the integer and real ones
            (the value itself, or its natural logarithm for a `Real` with `log=True`); both in the space's order.

        Raises:
            ValueError: not an architecture of this space, or one with a value that is not searched.
        """
        checked = self.architecture(architecture)
        options = [decision.index(checked[decision.name]) for decision in self.categorical]
        values = [decision.encode(checked[decision.name]) for decision in self.numeric]
        return np.array(options, dtype=np.int64), np.array(values, dtype=np.float64)

    def decode(self, options: Ints, values: Floats) -> Architecture:
        """The architecture at (D,) option indices and (M,) coordinates, which are clipped and rounded."""
        # Indices are those of options, so nothing is left to check by name.
        decided: dict[str, Value] = {
            name: names[index] for (name, names), index in zip(self._options, options.tolist(), strict=True)
        }
        if not self.numeric:
            return Architecture(decided)
        for number, coordinate in zip(self.numeric, values.tolist(), strict=True):
            decided[number.name] = number.decode(coordinate)
        return Architecture({name: decided[name] for name in self.names})

    def is_searched(self, architecture: Mapping[str, Value]) -> bool:
        """Whether methods could propose `architecture`: `encode` takes it."""
        return all(architecture[decision.name] in decision.options for decision in self.categorical)

    @property
    def draws_independently(self) -> bool:
        """Whether `sample` draws every decision by itself, uniformly."""
        return self._sample is None

    def sample(self, rng: np.random.Generator) -> Architecture:
        """An architecture by the space's own rule, or else drawn uniformly (a real with `log=True` log-uniformly)."""
        if self._sample is not None:
            return self.architecture(self._sample(rng))
        return Architecture({decision.name: self._draw(decision, rng) for decision in self.decisions})

    @staticmethod
    def _draw(decision: Decision, rng: np.random.Generator) -> Value:
        if isinstance(decision, Categorical):
            return decision.options[int(rng.integers(len(decision.options)))]
        if isinstance(decision, Integer):
            return decision.values[int(rng.integers(len(decision.values)))]
        return decision.decode(rng.uniform(*decision.bounds))

    def mutate(self, architecture: Mapping[str, Value], rng: np.random.Generator) -> Architecture:
        """A copy with a change by the space's own rule; or else one decision, drawn uniformly among those that have a
        choice, takes another value.

        Raises:
            ValueError: every decision has a single option.
        """
        if self._mutate is not None:
            return self.architecture(self._mutate(self.architecture(architecture), rng))
        free = [
            decision
            for decision in self.decisions
            if not isinstance(decision, Categorical) or len(decision.options) > 1
        ]
        if not free:
            raise ValueError("no decision of this space has more than one option; there is nothing to mutate")
        decision = free[int(rng.integers(len(free)))]
        old = architecture[decision.name]
        new = self._draw(decision, rng)
        while new == old:
            new = self._draw(decision, rng)
        return self.architecture({**architecture, decision.name: new})

    def canonical(self, architecture: Mapping[str, Value]) -> Architecture:
        """The one form shared by all architectures that give an equal network."""
        checked = self.architecture(architecture)
        return checked if self._canonical is None else self.architecture(self._canonical(checked))

    def derive(self, probabilities: Mapping[str, Floats]) -> Architecture:
        """The final architecture of a finished distribution.

        Args:
            probabilities: decision name -> (K,) probabilities of a categorical decision, or of an integer's values;
                (mean, deviation) of a real.
        """
        likeliest: dict[str, Value] = {}
        for decision in self.decisions:
            row = probabilities[decision.name]
            if isinstance(decision, Categorical):
                likeliest[decision.name] = decision.options[int(np.argmax(row))]
            elif isinstance(decision, Integer):
                likeliest[decision.name] = decision.values[int(np.argmax(row))]
            else:
                likeliest[decision.name] = decision.check(min(max(float(row[0]), decision.low), decision.high))
        if self._derive is not None:
            likeliest.update(self._derive(probabilities))
        return self.architecture(likeliest)

    def with_cost(self, cost: Callable[[Architecture], float]) -> SearchSpace:
        """The same space with another cost."""
        other = copy.copy(self)
        other._cost = cost
        return other

    def cost(self, architecture: Mapping[str, Value]) -> float | None:
        """The cost that the space knows of an architecture, or None."""
        return None if self._cost is None else self._cost(self.architecture(architecture))

    def text(self, architecture: Mapping[str, Value]) -> str:
        """The architecture in the notation of its field, JSON where there is none."""
        checked = self.architecture(architecture)
        return checked.to_json() if self._text is None else self._text(checked)

    def parse(self, text: str) -> Architecture:
        """The architecture that `text` stands for: a JSON object, or the notation of the space's field.

        Raises:
            ValueError: neither, or not of this space.
        """
        if text.lstrip().startswith("{"):
            return self.architecture(json.loads(text))
        if self._parse is None:
            raise ValueError(f"expected a JSON object from decision to option, such as {{...}}; got {text!r}")
        return self.architecture(self._parse(text))

    def graph(self, architecture: Mapping[str, Value]) -> dict[str, Any] | None:
        """The found network as nodes and labelled edges, or None."""
        return None if self._graph is None else self._graph(self.architecture(architecture))


def nearest(name: str, known: Sequence[str]) -> str:
    """The tail of an error message about an unknown name: the nearest known one, and all of them."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]!r}?" if close else ";"
    return f"{hint} known: {', '.join(sorted(known)) or 'none'}"
