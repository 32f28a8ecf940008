"""The config of a study's trials in parts, each of which knows its line: so an error can say where it comes from."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray_asng.config import SearchConfig


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A part of a config.

    Attributes:
        config: keys of a search's config.
        where: it stands: file and line.
        keys: key, or option in a dict of options -> file and line.
    """

    config: Mapping[str, Any]
    where: str
    keys: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Combination:
    """What every seed of a study runs once.

    Attributes:
        method: what the study calls its method.
        label: what reports call it: that, with its space, task or settings where only they tell it from others.
        setting: what a sweep gave it, "key=value"; or empty.
        layers: its config; later ones go over former ones.
    """

    method: str
    label: str
    setting: str
    layers: tuple[Layer, ...]

    @property
    def name(self) -> str:
        """Label and setting."""
        return ", ".join(part for part in (self.label, self.setting) if part)

    def config(self, seed: int) -> dict[str, Any]:
        """The config of its trial with this seed."""
        return {**merged(self.layers), "seed": seed, "label": self.label, "setting": self.setting}

    def checked(self) -> SearchConfig:
        """The config of its trials, checked, with one seed for all.

        Raises:
            ValueError, TypeError: what `SearchConfig.from_mapping` refuses, with file and line.
        """
        from ray_asng.config import SearchConfig

        try:
            return SearchConfig.from_mapping(self.config(seed=0))
        except (ValueError, TypeError) as error:
            raise self.located(error) from error

    def located(self, error: Exception) -> Exception:
        """The error with the line of the key that its message names first, or else with that of the method."""
        message = str(error)
        found = [
            (match.start(), where)
            for layer in reversed(self.layers)
            for key, where in layer.keys.items()
            if (match := re.search(rf"(?<!\w){re.escape(key)}(?!\w)", message))
        ]
        method = next(layer.where for layer in reversed(self.layers) if "method" in layer.keys)
        where = min(found, key=lambda pair: pair[0])[1] if found else method
        kind = TypeError if isinstance(error, TypeError) else ValueError
        return kind(f"{where}: {self.name}: {message}")


def merged(layers: Sequence[Layer]) -> dict[str, Any]:
    """One config of several parts; dicts of options are merged by option."""
    config: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.config.items():
            both = key.endswith("_options") and isinstance(value, Mapping) and isinstance(config.get(key), Mapping)
            config[key] = {**config[key], **value} if both else value
    return config


def unnamed(config: SearchConfig) -> SearchConfig:
    """The config without what reports call it: trials with the same one are the same trial."""
    return dataclasses.replace(config, label="", setting="")


def refuse_repetitions(combinations: Sequence[Combination]) -> None:
    """Refuse combinations of which two are the same.

    Raises:
        ValueError: names both, with the line in which the second one begins to differ.
    """
    seen: list[tuple[SearchConfig, Combination]] = []
    for combination in combinations:
        config = unnamed(combination.checked())
        for other_config, other in seen:
            if config == other_config:
                own = [layer.where for layer in combination.layers if layer not in other.layers]
                raise ValueError(
                    f"{(own or [combination.layers[-1].where])[-1]}: {combination.name} is the same trial as "
                    f"{other.name}: they differ in nothing but what they are called; leave one of them out"
                )
        seen.append((config, combination))
