"""The sweeps of a study file: one key of a config at several values, around the study's own combinations."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ray_asng.space import nearest
from ray_asng.study.combination import Combination, Layer, unnamed
from ray_asng.study.sections import OWN_KEYS
from ray_asng.study.source import Place, Source

_KEYS = ("methods", "key", "values")


def swept(source: Source, parts: Sequence[Place], around: Sequence[Combination]) -> Iterator[Combination]:
    """What the sweeps add. A value that a combination has anyway is not run again: it is the combination itself.

    Args:
        source: the file.
        parts: places of what is read; the sweeps of the last one that has any count.
        around: the combinations without sweeps.

    Raises:
        ValueError: a sweep of another form, without values, or of a method that the study has not.
    """
    places = [(*part, "sweeps") for part in parts if "sweeps" in source.at(part)]
    for place in places[-1:]:
        found = source.at(place)
        if not isinstance(found, list):
            raise source.error(place, f"sweeps is a list, got {found!r}")
        for index in range(len(found)):
            yield from _sweep(source, (*place, index), around)


def _sweep(source: Source, place: Place, around: Sequence[Combination]) -> Iterator[Combination]:
    sweep = source.mapping(place, _KEYS)
    key, values = sweep.get("key"), sweep.get("values")
    if not isinstance(key, str) or key.partition(".")[0] in (*OWN_KEYS, "method"):
        raise source.error((*place, "key"), f"a sweep needs a `key`, such as lr or method_options.samples, got {key!r}")
    if not isinstance(values, list) or not values:
        raise source.error((*place, "values"), f"a sweep needs a list of `values`, got {values!r}")
    methods = _methods(source, place, sweep, around)
    layers = [_layer(key, value, source.where((*place, "values", index))) for index, value in enumerate(values)]
    for combination in around:
        if combination.method not in methods:
            continue
        own = unnamed(combination.checked())
        for value, layer in zip(values, layers, strict=True):
            text = value if isinstance(value, str) else json.dumps(value, default=repr)
            parts = (*combination.layers, layer)
            varied = Combination(combination.method, combination.label, f"{key}={text}", parts)
            if unnamed(varied.checked()) != own:
                yield varied


def _layer(key: str, value: Any, where: str) -> Layer:
    """A value of the key, whose parts are joined by a dot."""
    outer, _, inner = key.partition(".")
    return Layer({outer: {inner: value} if inner else value}, where, dict.fromkeys((outer, inner or outer), where))


def _methods(source: Source, place: Place, sweep: Mapping[str, Any], around: Sequence[Combination]) -> Sequence[str]:
    """The methods of a sweep; all of the study if it names none."""
    known = list(dict.fromkeys(combination.method for combination in around))
    if "methods" not in sweep:
        return known
    named = sweep["methods"]
    if not isinstance(named, list) or not named:
        raise source.error(
            (*place, "methods"), f"the methods of a sweep are a list, got {named!r}; leave it out for all"
        )
    for index, name in enumerate(named):
        if name not in known:
            hint = nearest(str(name), known)
            raise source.error((*place, "methods", index), f"a sweep of {name!r}, which the study has not{hint}")
    return named
