"""Where the next architecture comes from. One file a method; `base` holds the two contracts.

The names below are resolved on first use: sampling methods work without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray_asng.optimizers.asng import ASNG
    from ray_asng.optimizers.base import MixingOptimizer, Optimizer, Proposal, SamplingOptimizer
    from ray_asng.optimizers.darts import DARTS
    from ray_asng.optimizers.gaea import GAEA
    from ray_asng.optimizers.random_search import RandomSearch
    from ray_asng.optimizers.sng import SNG

_HOMES = {
    "ASNG": "asng",
    "SNG": "sng",
    "RandomSearch": "random_search",
    "DARTS": "darts",
    "GAEA": "gaea",
    "Optimizer": "base",
    "SamplingOptimizer": "base",
    "MixingOptimizer": "base",
    "Proposal": "base",
}

__all__ = [
    "ASNG",
    "DARTS",
    "GAEA",
    "SNG",
    "MixingOptimizer",
    "Optimizer",
    "Proposal",
    "RandomSearch",
    "SamplingOptimizer",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
