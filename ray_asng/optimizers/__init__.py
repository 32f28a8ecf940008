"""Where the next architecture comes from. One file a method; `base` holds the two contracts.

The names below are resolved on first use: sampling methods work without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray_asng.optimizers.asng import ASNG
    from ray_asng.optimizers.base import Cost, MixingOptimizer, Optimizer, Proposal, SamplingOptimizer
    from ray_asng.optimizers.darts import DARTS
    from ray_asng.optimizers.darts_2nd import SecondOrderDARTS
    from ray_asng.optimizers.darts_es import EarlyStoppedDARTS
    from ray_asng.optimizers.darts_pt import DARTSPT
    from ray_asng.optimizers.drnas import DrNAS
    from ray_asng.optimizers.drnas_progressive import ProgressiveDrNAS
    from ray_asng.optimizers.evolution import RegularizedEvolution
    from ray_asng.optimizers.fairnas import FairNAS
    from ray_asng.optimizers.gaea import GAEA
    from ray_asng.optimizers.gaea_gdas import GAEAGDAS
    from ray_asng.optimizers.gdas import GDAS
    from ray_asng.optimizers.natural_adam import NaturalAdam
    from ray_asng.optimizers.pc_darts import PCDARTS
    from ray_asng.optimizers.random_search import RandomSearch
    from ray_asng.optimizers.reinforce import REINFORCE
    from ray_asng.optimizers.rsps import RSPS
    from ray_asng.optimizers.sdarts import SDARTSAdversarial, SDARTSRandom
    from ray_asng.optimizers.snas import SNAS
    from ray_asng.optimizers.sng import SNG
    from ray_asng.optimizers.spos import SPOS
    from ray_asng.optimizers.wa_asng import WeightAdaptingASNG

_HOMES = {
    "ASNG": "asng",
    "SNG": "sng",
    "WeightAdaptingASNG": "wa_asng",
    "NaturalAdam": "natural_adam",
    "REINFORCE": "reinforce",
    "RegularizedEvolution": "evolution",
    "RandomSearch": "random_search",
    "RSPS": "rsps",
    "SPOS": "spos",
    "FairNAS": "fairnas",
    "DARTS": "darts",
    "SecondOrderDARTS": "darts_2nd",
    "EarlyStoppedDARTS": "darts_es",
    "DARTSPT": "darts_pt",
    "PCDARTS": "pc_darts",
    "SDARTSRandom": "sdarts",
    "SDARTSAdversarial": "sdarts",
    "SNAS": "snas",
    "GDAS": "gdas",
    "GAEA": "gaea",
    "GAEAGDAS": "gaea_gdas",
    "DrNAS": "drnas",
    "ProgressiveDrNAS": "drnas_progressive",
    "Optimizer": "base",
    "SamplingOptimizer": "base",
    "MixingOptimizer": "base",
    "Proposal": "base",
    "Cost": "base",
}

__all__ = [
    "ASNG",
    "DARTS",
    "DARTSPT",
    "GAEA",
    "GAEAGDAS",
    "GDAS",
    "PCDARTS",
    "REINFORCE",
    "RSPS",
    "SNAS",
    "SNG",
    "SPOS",
    "Cost",
    "DrNAS",
    "EarlyStoppedDARTS",
    "FairNAS",
    "MixingOptimizer",
    "NaturalAdam",
    "Optimizer",
    "ProgressiveDrNAS",
    "Proposal",
    "RandomSearch",
    "RegularizedEvolution",
    "SDARTSAdversarial",
    "SDARTSRandom",
    "SamplingOptimizer",
    "SecondOrderDARTS",
    "WeightAdaptingASNG",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
