"""One-shot neural architecture search as a citizen of Ray Tune.

Read in this order: `space` (decisions and architectures), `optimizers.asng` (the method), `supernets.supernet`
(networks that run a chosen path or a mixture), `search` (the loop), `raytune.trainable` (a search as a Tune trial).
`results` makes tables and figures of what Tune wrote; `cli` is the command line.

The names below are resolved on first use, so importing the package imports neither torch, ray nor matplotlib.
"""

from __future__ import annotations

from ray_asng.version import __version__

# Type checkers take this name for true. Its home is `typing`, whose import takes longer than starting Python.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ray_asng import registry, tasks
    from ray_asng.raytune.searcher import ASNGSearch
    from ray_asng.raytune.stopper import SearchStopper
    from ray_asng.raytune.trainable import ASNGTrainable, SearchTrainable
    from ray_asng.space import Architecture, Categorical, Integer, Real, SearchSpace
    from ray_asng.supernets.choice import OneOf
    from ray_asng.supernets.supernet import Supernet
    from ray_asng.supernets.value_choice import IntegerChoice, RealChoice, ValueChoice

_HOMES = {
    "ASNGTrainable": "ray_asng.raytune.trainable",
    "SearchTrainable": "ray_asng.raytune.trainable",
    "ASNGSearch": "ray_asng.raytune.searcher",
    "SearchStopper": "ray_asng.raytune.stopper",
    "OneOf": "ray_asng.supernets.choice",
    "IntegerChoice": "ray_asng.supernets.value_choice",
    "ValueChoice": "ray_asng.supernets.value_choice",
    "RealChoice": "ray_asng.supernets.value_choice",
    "Supernet": "ray_asng.supernets.supernet",
    "SearchSpace": "ray_asng.space",
    "Categorical": "ray_asng.space",
    "Integer": "ray_asng.space",
    "Real": "ray_asng.space",
    "Architecture": "ray_asng.space",
}

__all__ = [
    "ASNGTrainable",
    "SearchTrainable",
    "ASNGSearch",
    "SearchStopper",
    "OneOf",
    "IntegerChoice",
    "ValueChoice",
    "RealChoice",
    "Supernet",
    "SearchSpace",
    "Categorical",
    "Integer",
    "Real",
    "Architecture",
    "registry",
    "tasks",
    "__version__",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in ("registry", "tasks"):
        return import_module(f"ray_asng.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
