"""A network that contains every architecture of its space, and runs one path or a mixture of all.

The supernet is an `nn.Module` around the user's module. It finds the choices inside, builds their search space, sets
how they run before each pass, and extracts the network of one architecture as an ordinary module (the child).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from ray_asng.space import Architecture, Categorical, Decision, SearchSpace, Value
from ray_asng.supernets.choice import Hard, Mixture, One, OneOf, Run
from ray_asng.supernets.elastic.base import Elastic
from ray_asng.supernets.elastic.partial import Partial
from ray_asng.supernets.elastic.repeat import Repeat
from ray_asng.supernets.input_weights import InputWeights, input_weights_inside
from ray_asng.supernets.mixing_weights import check_mixing_weights
from ray_asng.supernets.places import decided_inside
from ray_asng.supernets.value_choice import Choice, Derived, Number, ValueChoice, largest
from ray_asng.supernets.ways import Among, StraightThrough, Way
from ray_asng.supernets.width_conflict import explain_width_conflict


class Supernet(nn.Module):
    """A module with choices, run as one path, as a mixture, or straight-through.

    The present way of running is held by the choices, so one pass runs at a time: run a path forward and backward
    before the next. Two supernets around one module (or a part of it) share its choices' switches too.

    Args:
        module: holds at least one choice: a `OneOf`, or an `IntegerChoice`, `ValueChoice` or `RealChoice` in an
            attribute, or in a list, tuple or dict there. If it has an attribute `search_space`, a `SearchSpace` whose
            decisions are those of its choices, that one is used: it may know canonical forms, notations and
            pictures. If it has methods `before_choices` (inputs to features, with no choice inside) and
            `with_choices` (features to outputs, not changing the features in place), which one after the other do what
            `forward` does, a search runs the first one once a step for all its paths.

    Attributes:
        space: the search space, decisions in the order in which the module holds its choices.
        choices: decision name -> the `OneOf`s that it decides.
        values: decision name -> the choices of values that it decides.
        passes: what the present way of running costs, in passes of one path: for a mixture, options that run a choice.

    Raises:
        ValueError: no choice inside; choices of one name that differ in class, options or bounds; another
            `search_space`.

    Example:
        >>> supernet = Supernet(nn.Sequential(OneOf({"conv": nn.Conv2d(3, 3, 3), "pool": nn.MaxPool2d(3)}, name="a")))
        >>> output = supernet(torch.ones(1, 3, 8, 8), {"a": "pool"})
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.choices: dict[str, list[OneOf]] = {}
        self.values: dict[str, list[Choice]] = {}
        self._derived: list[Derived] = []
        self._repeats = {path: part for path, part in module.named_modules() if isinstance(part, Repeat)}
        self._partials = {path: part for path, part in module.named_modules() if isinstance(part, Partial)}
        self._places: dict[str, list[str]] = {}
        self._decisions: dict[str, Decision] = {}
        self._find_choices()
        if not self._decisions:
            raise ValueError(
                f"no choice found in {type(module).__name__}; put OneOf({{...}}) where the search shall decide, or "
                "keep an IntegerChoice, ValueChoice or RealChoice as an attribute of a module"
            )
        self._option_index = {
            name: {option: index for index, option in enumerate(choices[0].options + choices[0].unsearched)}
            for name, choices in self.choices.items()
        }
        self.input_weights = input_weights_inside(module)
        self.space = self._find_space()
        self.passes = 1.0

    def _find_choices(self) -> None:
        names: dict[int, str] = {}
        for path, found in decided_inside(self.module):
            if isinstance(found, Derived):
                self._derived.append(found)
                continue
            name = names.get(id(found)) or found.name or path or "choice"
            if id(found) not in names:
                self._add(name, path, found)
            names[id(found)] = name
            self._places.setdefault(name, []).append(path)

    def _add(self, name: str, path: str, choice: OneOf | Choice) -> None:
        decision = choice.decision(name)
        known = [*self.choices.get(name, ()), *self.values.get(name, ())]
        if known and (self._decisions[name] != decision or type(known[0]) is not type(choice)):
            raise ValueError(
                f"choices of one name are one decision and need the same class and bounds, or the same options in the "
                f"same order: {name!r} is {_words(known[0])} at {self._places[name][0]!r} and {_words(choice)} at "
                f"{path!r}; give one of them another name"
            )
        self._decisions[name] = decision
        if isinstance(choice, OneOf):
            self.choices.setdefault(name, []).append(choice)
        else:
            self.values.setdefault(name, []).append(choice)
        if known:
            choice.switch = known[0].switch

    def _find_space(self) -> SearchSpace:
        decisions = list(self._decisions.values())
        weighed = {name: part.edges for name, part in self.input_weights.items()}
        own = getattr(self.module, "search_space", None)
        if own is None:
            return SearchSpace(decisions, canonical=self._fix_unreached, input_weights=weighed)
        if not isinstance(own, SearchSpace) or set(own.decisions) != set(decisions) or own.input_weights != weighed:
            raise ValueError(
                f"the search_space of {type(self.module).__name__} must be a SearchSpace with the decisions of its "
                f"choices {decisions!r} and the input weights {weighed}, got {own!r}"
            )
        return own

    @property
    def choice_paths(self) -> list[str]:
        """Paths, inside the module, of all `OneOf`s."""
        return [path for name in self.choices for path in self._places[name]]

    def paths_in_child(self, architecture: Mapping[str, Value]) -> list[str]:
        """Paths, inside the extracted child, of the operations that were chosen."""
        indices, _ = self._chosen(architecture)
        skipped = self._skipped(architecture)
        reached = [path for path in self.choice_paths if not f"{path}.".startswith(skipped)]
        return [self._path_in_child(path, indices) for path in reached]

    def _skipped(self, architecture: Mapping[str, Value]) -> tuple[str, ...]:
        """Beginnings of the paths of modules that do not run: other options, blocks beyond a depth, parts left out."""
        indices, values = self._chosen(architecture)
        with self._reading(indices, values):
            skipped = [
                f"{path}.{block}"
                for path, repeat in self._repeats.items()
                for block in range(len(repeat), largest(repeat.depth))
            ]
            skipped += self._left_out()
        for name, index in indices.items():
            others = [option for option in range(len(self._option_index[name])) if option != index]
            skipped += [f"{outer}.candidates.{option}" for outer in self._places[name] for option in others]
        return tuple(f"{path}.".removeprefix(".") for path in skipped)

    def _left_out(self) -> list[str]:
        """Paths of what partial modules leave out at the present values."""
        partials = self._partials.items()
        return [f"{path}.{part}".removeprefix(".") for path, module in partials for part in module.unused()]

    def _path_in_child(self, path: str, indices: Mapping[str, int]) -> str:
        """Where an option was chosen, it stands in the place of its choice."""
        outer_ones = [(outer, index) for name, index in indices.items() for outer in self._places[name]]
        for outer, index in sorted(outer_ones, key=lambda place: -len(place[0])):
            prefix = f"{outer}.candidates.{index}".removeprefix(".")
            if f"{path}.".startswith(f"{prefix}."):
                path = f"{outer}{path[len(prefix) :]}".removeprefix(".")
        return path

    def forward(self, inputs: Any, way: Way) -> Any:
        """Run the network.

        Args:
            inputs: a tensor, or a tuple or dict of what the module's `forward` takes.
            way: an architecture (decision name -> option name or number): only the chosen operations run, at the
                chosen widths; or mixing weights (decision name -> (K,) tensor): every operation runs, but for those
                whose weight is a constant zero, and a node whose input weights are among them (name -> (E,) tensor)
                sums its inputs by these; or `StraightThrough` or `Among`. Only a path where not all choices are
                `OneOf`s.

        Returns:
            What the module returns.

        Raises:
            ValueError: a decision is missing or unknown, or has no such option; widths do not fit together.
        """
        self.select(way)
        return self._run(self.module, inputs)

    def _run(self, part: Callable[..., Any], inputs: Any) -> Any:
        try:
            return call(part, inputs)
        except RuntimeError:
            if self.values:
                explain_width_conflict(self.module, lambda: call(part, inputs))
            raise

    def before_choices(self, inputs: Any) -> Any:
        """What all paths compute first: the features that `with_choices` takes.

        The inputs themselves if the module has no such part.
        """
        if not self.has_parts:
            return inputs
        # A choice that runs in here is told so, instead of running as it did last.
        for choices in self.choices.values():
            choices[0].switch.now = None
        for values in self.values.values():
            values[0].switch.now = None
        part: Any = self.module.before_choices
        return call(part, inputs)

    def with_choices(self, features: Any, way: Way) -> Any:
        """Run the network from what `before_choices` returned; like `forward` otherwise."""
        self.select(way)
        part: Any = self.module.with_choices if self.has_parts else self.module
        return self._run(part, features)

    @property
    def has_parts(self) -> bool:
        """Whether the module has the two parts."""
        return hasattr(self.module, "before_choices") and hasattr(self.module, "with_choices")

    def select(self, way: Way) -> None:
        """Set how the choices run from now on; `forward` does this by itself."""
        self.passes = 1.0
        for part in self.input_weights.values():
            part.switch.now = None
        values: Mapping[str, Number] = {}
        if isinstance(way, StraightThrough):
            self.refuse_values()
            indices, _ = self._chosen(way.architecture)
            runs: Mapping[str, Run] = {name: Hard(index, way.weights[name]) for name, index in indices.items()}
        elif isinstance(way, Among):
            self.refuse_values()
            runs = self._mixtures(way.weights, way.options)
        elif any(isinstance(value, torch.Tensor) for value in way.values()):
            self.refuse_values()
            runs = self._mixtures(way)  # type: ignore[arg-type]  # a value that is no tensor is refused there
        else:
            indices, values = self._chosen(way)  # type: ignore[arg-type]
            runs = {name: One(index) for name, index in indices.items()}
        for name, run in runs.items():
            self.choices[name][0].switch.now = run
        for name, value in values.items():
            self.values[name][0].switch.now = value

    def refuse_values(self) -> None:
        """Raise ValueError if there are choices of values: of these only paths can be run."""
        if self.values:
            raise ValueError(
                f"the values {list(self.values)} cannot be mixed: a module reads one at a time. Use a method that "
                "samples paths, such as asng, sng, rsps, random_search or evolution"
            )

    def _chosen(self, architecture: Mapping[str, Value]) -> tuple[dict[str, int], dict[str, Number]]:
        """Option indices of the `OneOf`s, and the numbers that the other choices read."""
        try:
            if len(architecture) == len(self._decisions):
                indices = {name: index[architecture[name]] for name, index in self._option_index.items()}  # type: ignore[index]
                return indices, {name: self._number(name, architecture[name]) for name in self.values}
        except (KeyError, TypeError):  # no such decision or option, or an option that cannot be one
            pass
        return self._chosen(self.space.architecture(architecture))  # raises, with what is wrong

    def _number(self, name: str, value: Value) -> Number:
        choice = self.values[name][0]
        if isinstance(choice, ValueChoice):
            return choice.options[value]  # type: ignore[index]  # KeyError of one that is none
        return self._decisions[name].check(value)  # type: ignore[return-value]  # the others are numeric

    def _mixtures(
        self, weights: Mapping[str, torch.Tensor], options: Mapping[str, Sequence[int]] | None = None
    ) -> dict[str, Mixture]:
        options = options or {}
        lengths = {name: len(choices[0].options) for name, choices in self.choices.items()}
        check_mixing_weights(weights, lengths, {name: len(part.edges) for name, part in self.input_weights.items()})
        for name, part in self.input_weights.items():
            part.switch.now = weights.get(name)
        constants = [name for name in self.choices if not weights[name].requires_grad]
        # One transfer for all decisions: asking each weight by itself would wait for the device each time.
        values = torch.cat([weights[name] for name in constants]).tolist() if constants else []
        runs: dict[str, Mixture] = {}
        for name, length in lengths.items():
            used: Sequence[int] = options.get(name, range(length))
            if name in constants:
                mine, values = values[:length], values[length:]
                used = [i for i in used if mine[i] != 0.0] or [used[0]]
            runs[name] = Mixture(tuple(used), weights[name])
        counts = {name: len(choices) for name, choices in self.choices.items()}
        self.passes = sum(len(runs[name].indices) * count for name, count in counts.items()) / sum(counts.values())
        return runs

    def extract(self, architecture: Mapping[str, Value]) -> nn.Module:
        """The child network: a copy in which every choice is replaced by the chosen operation or number.

        Elastic layers become layers of torch at the chosen widths. The child holds copies of the weights and no choice
        class; in the same mode its output equals the path's (but for rounding where there are elastic layers).
        """
        indices, values = self._chosen(self.space.architecture(architecture))
        skipped = self._skipped(architecture)
        with self._reading(indices, values):
            # What copying finds in place of a choice, an expression or an elastic layer.
            chosen: dict[int, Any] = {id(derived): derived.now for derived in self._derived}
            chosen |= {id(choice): values[name] for name, choices in self.values.items() for choice in choices}
            chosen |= {id(self.module.get_submodule(path)): None for path in self._left_out()}
            chosen |= {id(part): None for part in self.module.modules() if isinstance(part, InputWeights)}
            # Seen from the inside out, since an option may hold choices itself. The memo of deepcopy does the
            # replacing, so operations that were not chosen are never copied.
            for path, part in reversed(list(self.module.named_modules(remove_duplicate=False))):
                if id(part) in chosen or f"{path}.".startswith(skipped):
                    continue
                if isinstance(part, OneOf):
                    name = next(name for name, choices in self.choices.items() if any(c is part for c in choices))
                    chosen[id(part)] = copy.deepcopy(part.candidates[indices[name]], chosen)
                elif isinstance(part, Elastic):
                    chosen[id(part)] = part.plain()
                elif isinstance(part, Repeat):
                    blocks = [copy.deepcopy(block, chosen) for block in part]
                    chosen[id(part)] = nn.Sequential(*blocks).train(part.training)
            child: nn.Module = copy.deepcopy(self.module, chosen)
        return child

    def build_child(self, architecture: Mapping[str, Value]) -> nn.Module:
        """The child to be trained from scratch: what were elastic layers draw initial weights for their own widths.

        The other layers have those of the supernet. Draws from torch's global generator.
        """
        child = self.extract(architecture)
        indices, _ = self._chosen(architecture)
        skipped = self._skipped(architecture)
        for path, part in self.module.named_modules():
            if isinstance(part, Elastic) and not f"{path}.".startswith(skipped):
                layer: Any = child.get_submodule(self._path_in_child(path, indices))
                layer.reset_parameters()
        return child

    @contextmanager
    def _reading(self, indices: Mapping[str, int], values: Mapping[str, Number]) -> Iterator[None]:
        """Let the choices read these, and afterwards again what they read before."""
        reads: dict[str, Any] = {**{name: One(index) for name, index in indices.items()}, **values}
        switches: dict[str, Any] = {name: choices[0].switch for name, choices in self.choices.items()}
        switches |= {name: choices[0].switch for name, choices in self.values.items()}
        before = {name: switch.now for name, switch in switches.items()}
        for name, switch in switches.items():
            switch.now = reads[name]
        try:
            yield
        finally:
            for name, switch in switches.items():
                switch.now = before[name]

    def parameter_free_share(self, architecture: Mapping[str, Value]) -> float:
        """Share of the decisions whose chosen option has no weights: near 1 a search has collapsed.

        Of the decisions that run, chose an option of the search and have one with weights; 0 if none has. An edge that
        a module leaves out, as those beyond two to a node of the DARTS space, does not run.
        """
        indices, _ = self._chosen(architecture)
        skipped = self._skipped(architecture)
        free = []
        for name, index in indices.items():
            choice = self.choices[name][0]
            options = range(len(choice.options))
            if index in options and self._is_reached(name, skipped) and not all(map(choice.is_parameter_free, options)):
                free.append(choice.is_parameter_free(index))
        return sum(free) / len(free) if free else 0.0

    def _is_reached(self, name: str, skipped: tuple[str, ...]) -> bool:
        """Whether a decision stands anywhere but inside what does not run."""
        return any(not f"{path}.".startswith(skipped) for path in self._places[name])

    def _fix_unreached(self, architecture: Architecture) -> dict[str, Value]:
        """Give the first option, or the lowest number, to decisions that stand only inside options not chosen."""
        skipped = self._skipped(architecture)
        return {
            name: value if self._is_reached(name, skipped) else _first(self._decisions[name])
            for name, value in architecture.items()
        }


def _first(decision: Decision) -> Value:
    return decision.options[0] if isinstance(decision, Categorical) else decision.low


def _words(choice: OneOf | Choice) -> str:
    """Of an error message: what the choice may become."""
    return f"a OneOf of {list(choice.options)!r}" if isinstance(choice, OneOf) else repr(choice)


def call(module: Callable[..., Any], inputs: Any) -> Any:
    """Call a module, or a part of it, with a tensor, a tuple (arguments in order) or a dict (arguments by name)."""
    if isinstance(inputs, tuple):
        return module(*inputs)
    if isinstance(inputs, Mapping):
        return module(**inputs)
    return module(inputs)
