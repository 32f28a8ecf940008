"""A whole study, read and checked: its trials, in the order in which they run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray_asng.space import nearest
from ray_asng.study.combination import Combination, refuse_repetitions
from ray_asng.study.sections import SECTIONS, crossed
from ray_asng.study.source import Place, Source, read_source
from ray_asng.study.sweeps import swept

_PARTS = ("seeds", "config", *SECTIONS, "sweeps")


@dataclass(frozen=True, slots=True)
class Study:
    """A study whose configs are known to be possible.

    Attributes:
        source: its file.
        about: what it asks.
        seeds: of every combination.
        combinations: what every seed runs.
    """

    source: Source
    about: str
    seeds: tuple[int, ...]
    combinations: tuple[Combination, ...]

    @property
    def trials(self) -> list[dict[str, Any]]:
        """The configs of all trials, seed after seed: stopped halfway, it is a fair comparison of fewer seeds."""
        return [combination.config(seed) for seed in self.seeds for combination in self.combinations]


def load_study(path: Path, size: str | None = None, given: Mapping[str, Any] | None = None) -> Study:
    """Read a study and check the configs of its trials.

    Args:
        path: of the file.
        size: one of its sizes; None takes it as it stands.
        given: keys of a search's config that go over the file, but not over what a sweep varies.

    Raises:
        ValueError: an unknown key or name, a value out of range, an empty list, two trials that are the same, or a
            sweep of a method that the study has not; with file and line.
        TypeError: a module, array or tensor in a config.
        FileNotFoundError: no such file.
    """
    source = read_source(path)
    source.mapping((), ("about", *_PARTS, "sizes"))
    parts: tuple[Place, ...] = ((),) if size is None else ((), _size(source, size))
    own = list(crossed(source, parts, given or {}))
    combinations = (*own, *swept(source, parts, own))
    refuse_repetitions(combinations)
    return Study(source, str(source.content.get("about", "")), _seeds(source, parts), combinations)


def sizes(source: Source) -> list[str]:
    """Names of the sizes that a study has.

    Raises:
        ValueError: `sizes` is no mapping.
    """
    return list(source.mapping(("sizes",))) if "sizes" in source.content else []


def _size(source: Source, size: str) -> Place:
    """The place of a size."""
    known = sizes(source)
    if size not in known:
        raise source.error(("sizes",), f"unknown size {size!r}{nearest(size, known)}")
    source.mapping(("sizes", size), _PARTS)
    return ("sizes", size)


def _seeds(source: Source, parts: Sequence[Place]) -> tuple[int, ...]:
    """The seeds that a number or a list stands for; one if none are given."""
    places = [(*part, "seeds") for part in parts if "seeds" in source.at(part)]
    if not places:
        return (0,)
    given = source.at(places[-1])
    seeds = given if isinstance(given, list) else range(given) if _is_whole(given) else ()
    if not seeds or not all(_is_whole(seed) for seed in seeds) or len(set(seeds)) < len(seeds):
        expected = "a whole number from 1, or a list of different whole numbers from 0"
        raise source.error(places[-1], f"seeds is {expected}, got {given!r}")
    return tuple(seeds)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
