"""The sections of a study file: which entries they have, what a size makes of them, and how they are crossed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from ray_asng.space import nearest
from ray_asng.study.combination import Combination, Layer, merged
from ray_asng.study.source import Place, Source

SECTIONS = {"spaces": "space", "tasks": "task", "methods": "method", "settings": ""}
"""Sections that are crossed, in the order in which they go over each other, and the key that an entry's name is for."""

OWN_KEYS = ("seed", "label", "setting")
"""Keys of a search's config that the study gives each trial itself."""

_UNNAMED = "default"
"""The entry of `settings` that labels leave out."""

Entries: TypeAlias = dict[str, tuple[Layer, ...]]


def crossed(source: Source, parts: Sequence[Place], given: Mapping[str, Any]) -> Iterator[Combination]:
    """Every method on every space and task with all settings, seldom changing first.

    Args:
        source: the file.
        parts: places of what is read: the whole, and the chosen size.
        given: what goes over the file.

    Raises:
        ValueError: a section that is empty or of another form, or a size of something that the study has not.
    """
    base = tuple(layer(source, (*part, "config")) for part in parts if "config" in source.at(part))
    outside = _given_layer(given)
    entries = {section: _entries(source, parts, section) for section in SECTIONS}
    for space, task, setting, method in itertools.product(
        *(entries[s] for s in ("spaces", "tasks", "settings", "methods"))
    ):
        chosen = {"spaces": space, "tasks": task, "methods": method, "settings": setting}
        layers = [each for section, name in chosen.items() for each in entries[section][name]]
        suffixes = (_suffix(entries[section], section, chosen[section]) for section in ("spaces", "tasks", "settings"))
        label = ", ".join(part for part in (method, *suffixes) if part)
        yield Combination(method, label, "", (*base, *layers, outside))


def layer(source: Source, place: Place) -> Layer:
    """The config that stands at a place.

    Raises:
        ValueError: no mapping, or a key that is not for this place.
    """
    config = source.mapping(place)
    foreign = OWN_KEYS if place[-2:-1] == ("methods",) else (*OWN_KEYS, "method")
    for key in foreign:
        if key in config:
            raise source.error((*place, key), f"{key!r} is not set here: the study itself gives it to each trial")
    keys = {key: source.where((*place, key)) for key in config}
    for key, value in config.items():
        if isinstance(value, Mapping):
            keys |= {str(option): source.where((*place, key, option)) for option in value}
    return Layer(config, source.where(place), keys)


def _given_layer(given: Mapping[str, Any]) -> Layer:
    for key in given:
        if key in (*OWN_KEYS, "method"):
            raise ValueError(f"{key!r} is not given beside a study: the study itself gives it to each trial")
    return Layer(given, "what was given", {key: f"given {key}={value!r}" for key, value in given.items()})


def _entries(source: Source, parts: Sequence[Place], section: str) -> Entries:
    """The entries of a section; one without a name where there is no such section."""
    entries: Entries = {}
    for part in parts:
        if section not in source.at(part):
            continue
        place = (*part, section)
        found = _section(source, place)
        if not part:
            entries = found
            continue
        for name in found:
            if name not in entries:
                hint = nearest(name, list(entries))
                raise source.error((*place, name), f"the study has no {name!r} among its {section}{hint}")
        if isinstance(source.at(place), list):
            entries = {name: entries[name] for name in found}
        else:
            entries |= {name: (*entries[name], layers[-1]) for name, layers in found.items()}
    if not entries and section == "methods":
        raise source.error((), "a study needs `methods`: a list of names, or a mapping from labels to configs")
    return entries or {"": ()}


def _section(source: Source, place: Place) -> Entries:
    """Name -> the config that it is short for, and the one that is written."""
    section, content = str(place[-1]), source.at(place)
    if not isinstance(content, list | Mapping) or not content:
        raise source.error(place, f"{section} is a list of names or a mapping from labels to configs, got {content!r}")
    entries: Entries = {}
    for index, name in enumerate(content):
        spot: Place = (*place, index if isinstance(content, list) else name)
        if not isinstance(name, str):
            raise source.error(spot, f"{section} have names that are texts, got {name!r}; put it in quotes")
        if name in entries:
            raise source.error(spot, f"{name!r} stands twice among the {section}; leave it out once")
        where, key = source.where(spot), SECTIONS[section]
        short = Layer({key: name}, where, {key: where}) if key else Layer({}, where, {})
        is_bare = isinstance(content, list) or content[name] is None
        entries[name] = (short, Layer({}, where, {}) if is_bare else layer(source, spot))
    return entries


def _suffix(entries: Entries, section: str, name: str) -> str:
    """What a label must say of a space, task or settings, since a report does not tell it from another."""
    key = SECTIONS[section]
    if not key:
        return name if len(entries) > 1 and name != _UNNAMED else ""
    built = [merged(layers).get(key) for layers in entries.values()]
    own = merged(entries[name]).get(key)
    return name if built.count(own) > 1 and name != own else ""
