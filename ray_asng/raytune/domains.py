"""Tune's `param_space` as a search space and back.

| domain | decision | coordinate in which it is searched |
|---|---|---|
| choice | categorical | none |
| uniform, loguniform | real | the value, or its logarithm |
| randint, qrandint, quniform | integer | number of steps above the least value |
| lograndint, qlograndint, qloguniform | real | the logarithm; the value is rounded |
| randn, qrandn | real | the share of the normal distribution below the value, from 0.001 to 0.999 |

Constants, placeholders of objects and what depends on other parameters (`sample_from`) are left to Tune.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ray import tune
from ray.tune.search import sample
from ray.tune.search.variant_generator import parse_spec_vars
from scipy.special import ndtr, ndtri

from ray_asng.space import Architecture, Categorical, Decision, Integer, Real, SearchSpace, Value, nearest

Path = tuple[str | int, ...]

_LEAST_SHARE = 1e-3  # of a normal distribution, below and above what is searched


@dataclass(frozen=True)
class Parameter:
    """A parameter of a `param_space`, as plain data.

    Attributes:
        path: keys and indices that lead to it.
        kind: "choice", "integer", "float" or "normal".
        options: of a choice.
        low, high: the least and the greatest value; mean and deviation of a normal one.
        log: whether it is searched in its logarithm.
        step: values are multiples of it, or in steps of it above `low`; 0 for any number.
    """

    path: Path
    kind: str
    options: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    step: float = 0.0
    decision: Decision = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "decision", self._decision())

    @property
    def name(self) -> str:
        """The path as one string."""
        return "/".join(map(str, self.path))

    def _decision(self) -> Decision:
        if self.kind == "choice":
            return Categorical(self.name, [str(index) for index in range(len(self.options))])
        if self.kind == "normal":
            return Real(self.name, _LEAST_SHARE, 1.0 - _LEAST_SHARE)
        if self.log:
            # Half a step beyond the bounds, so that rounding gives all values their share.
            reach = self.step / 2.0
            return Real(self.name, max(self.low - reach, self.low / 2.0), self.high + reach, log=True)
        if not self.step:
            return Real(self.name, self.low, self.high)
        return Integer(self.name, 0, round((self.high - self.low) / self.step))

    def value(self, decided: Value) -> Any:
        """What the trial gets for what was decided."""
        if self.kind == "choice":
            return self.options[int(decided)]
        number = float(decided)
        if self.kind == "normal":
            number = self.low + self.high * float(ndtri(number))
            return self._rounded(number)
        if isinstance(self.decision, Integer):
            number = self.low + number * self.step
        number = min(max(self._rounded(number), self.low), self.high)
        return round(number) if self.kind == "integer" else number

    def _rounded(self, number: float) -> float:
        # Rounded once more, so that 3 * 0.1 is 0.3.
        return round(round(number / self.step) * self.step, 12) if self.step else number

    def decided(self, value: Any) -> Value:
        """What would have to be decided for a trial to get this value.

        Raises:
            ValueError: the value is not of the domain.
        """
        if self.kind == "choice":
            for index, option in enumerate(self.options):
                if option is value or (type(option) is type(value) and bool(option == value)):
                    return str(index)
            raise ValueError(f"parameter {self.name!r} has the options {list(self.options)!r}, got {value!r}")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise ValueError(f"parameter {self.name!r} takes a finite number, got {value!r}")
        if self.kind == "normal":
            share = float(ndtr((value - self.low) / self.high))
            return min(max(share, _LEAST_SHARE), 1.0 - _LEAST_SHARE)
        if not self.low <= value <= self.high:
            raise ValueError(f"parameter {self.name!r} takes a number from {self.low} to {self.high}, got {value!r}")
        if isinstance(self.decision, Integer):
            return round((value - self.low) / self.step)
        return float(value)


class ParamSpace:
    """The parameters of a `param_space` that are searched.

    Args:
        parameters: at least one.
        lists: those of the `param_space` that hold a domain, nested as there; a trial gets them as a whole.

    Attributes:
        space: what is decided; the name of a decision is the path of its parameter, joined by "/".
    """

    def __init__(self, parameters: Iterable[Parameter], lists: Mapping[str, Any] | None = None) -> None:
        self.parameters = tuple(parameters)
        self.space = SearchSpace([parameter.decision for parameter in self.parameters])
        self._lists = dict(lists or {})

    @classmethod
    def read(cls, param_space: Mapping[str, Any]) -> ParamSpace | None:
        """The parameters of a `param_space` that have a domain; None if none has.

        Raises:
            ValueError: `grid_search`, a function of other parameters, or a domain that cannot be modelled; with the
                name of the parameter and the remedy.
        """
        _, domains, grids = parse_spec_vars(dict(param_space))
        if grids:
            name = "/".join(map(str, grids[0][0]))
            raise ValueError(
                f"parameter {name!r} is a grid_search, which a search algorithm does not run through; use "
                "tune.choice, or give the values as repeated experiments"
            )
        if not domains:
            return None
        lists = _around_domains(param_space, [path for path, _ in domains])
        return cls([_parameter(path, domain) for path, domain in domains], lists)

    def config(self, architecture: Mapping[str, Value]) -> dict[str, Any]:
        """The searched part of a trial's config, nested as the `param_space`."""
        config: dict[str, Any] = copy.deepcopy(self._lists)
        for parameter in self.parameters:
            _put(config, parameter.path, parameter.value(architecture[parameter.name]))
        return config

    def architecture(self, config: Mapping[str, Any]) -> Architecture:
        """What was decided in a trial with this config, whose other keys do not matter.

        Raises:
            ValueError: a parameter is missing or its value not of the domain.
        """
        return self.space.architecture(
            {parameter.name: parameter.decided(_get(config, parameter)) for parameter in self.parameters}
        )

    def check(self, point: Mapping[str, Any], param_space: Mapping[str, Any]) -> None:
        """Raise ValueError unless the keys of `point` are of `param_space` and its values of their domains."""
        _refuse_unknown(point, param_space, ())
        for parameter in self.parameters:
            if _has(point, parameter.path):
                parameter.decided(_get(point, parameter))

    def state(self) -> dict[str, Any]:
        """Everything, as plain data but for options of choices, which are what they are."""
        rows = [asdict(parameter) for parameter in self.parameters]
        for row, parameter in zip(rows, self.parameters, strict=True):
            del row["decision"]
            row["options"] = parameter.options  # asdict would have copied them
        return {"parameters": rows, "lists": self._lists}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> ParamSpace:
        """The space that `state` described."""
        return cls([Parameter(**row) for row in state["parameters"]], state["lists"])


def to_param_space(space: SearchSpace) -> dict[str, Any]:
    """A search space as a `param_space`: decision name -> domain."""
    return {decision.name: _domain(decision) for decision in space.decisions}


def _domain(decision: Decision) -> Any:
    if isinstance(decision, Categorical):
        return tune.choice(list(decision.options))
    if isinstance(decision, Real):
        return (tune.loguniform if decision.log else tune.uniform)(decision.low, decision.high)
    if decision.step == 1:
        return tune.randint(decision.low, decision.high + 1)
    return tune.choice(list(decision.values))


def _parameter(path: Path, domain: Any) -> Parameter:
    name = "/".join(map(str, path))
    if isinstance(domain, sample.Categorical):
        if not domain.categories:
            raise ValueError(f"parameter {name!r} is a choice among nothing; give it a category")
        return Parameter(path, "choice", options=tuple(domain.categories))
    if isinstance(domain, sample.Function) or not isinstance(domain, (sample.Integer, sample.Float)):
        raise ValueError(
            f"parameter {name!r} is {domain!r}, which draws as it likes and cannot be searched; "
            "use tune.choice, uniform, loguniform, randint or their kin, or compute it inside the trainable"
        )
    sampler: Any = domain.get_sampler()  # type: ignore[no-untyped-call]
    step = 0.0
    if isinstance(sampler, sample.Quantized):
        step, sampler = float(sampler.q), sampler.sampler
    is_integer = isinstance(domain, sample.Integer)
    if isinstance(sampler, sample.Normal):
        return Parameter(path, "normal", low=sampler.mean, high=sampler.sd, step=step)
    if not isinstance(sampler, (sample.Uniform, sample.LogUniform)):
        raise ValueError(f"parameter {name!r} is drawn by {type(sampler).__name__}; use uniform or log-uniform draws")
    return _bounded(path, domain, is_integer, isinstance(sampler, sample.LogUniform), step)


def _bounded(path: Path, domain: Any, is_integer: bool, log: bool, step: float) -> Parameter:
    name = "/".join(map(str, path))
    low, high = float(domain.lower), float(domain.upper)
    if not -math.inf < low <= high < math.inf:
        raise ValueError(f"parameter {name!r} reaches from {low} to {high}; give it finite bounds")
    if is_integer and step <= 1.0:
        high, step = high - 1.0, 1.0  # Tune's upper bound is left out, but where a step larger than 1 is given
    if step:
        low, high = math.ceil(low / step - 1e-9) * step, math.floor(high / step + 1e-9) * step
    kind = "integer" if is_integer else "float"
    if low > high:
        raise ValueError(f"parameter {name!r} has no multiple of {step} between {domain.lower} and {domain.upper}")
    if low == high:
        return Parameter(path, "choice", options=(round(low) if is_integer else low,))
    return Parameter(path, kind, low=low, high=high, log=log, step=step)


def _around_domains(nested: Mapping[str, Any], paths: Iterable[Path]) -> dict[str, Any]:
    """The lists and tuples of `nested` that hold a domain, since a trial gets them as a whole."""
    found: dict[str, Any] = {}
    for path in paths:
        value: Any = nested
        for depth, key in enumerate(path):
            if isinstance(value, (list, tuple)):
                _put(found, path[:depth], _as_lists(value))
                break
            value = value[key]
    return found


def _as_lists(value: Any) -> Any:
    """A list that can be written to, also inside."""
    return [_as_lists(part) for part in value] if isinstance(value, (list, tuple)) else value


def _put(config: Any, path: Path, value: Any) -> None:
    for key in path[:-1]:
        config = config.setdefault(key, {}) if isinstance(config, dict) else config[key]
    config[path[-1]] = value


def _has(config: Any, path: Path) -> bool:
    for key in path:
        if not isinstance(config, Mapping) or key not in config:
            return False
        config = config[key]
    return True


def _refuse_unknown(point: Mapping[str, Any], param_space: Mapping[str, Any], path: Path) -> None:
    for key, value in point.items():
        name = "/".join(map(str, (*path, key)))
        if key not in param_space:
            raise ValueError(f"a point to evaluate has {name!r}{nearest(name, [str(known) for known in param_space])}")
        inner = param_space[key]
        if isinstance(value, Mapping) and isinstance(inner, Mapping):
            _refuse_unknown(value, inner, (*path, key))


def _get(config: Any, parameter: Parameter) -> Any:
    for key in parameter.path:
        try:
            config = config[key]
        except (KeyError, IndexError, TypeError):
            raise ValueError(f"parameter {parameter.name!r} is missing from the config {config!r}") from None
    return config
