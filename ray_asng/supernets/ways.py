"""The ways to run a supernet: one path, a mixture of the options, or what lies between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch

from ray_asng.space import Value


@dataclass(frozen=True, slots=True)
class StraightThrough:
    """Run the path of `architecture`, let the gradient reach the `weights` (decision name -> (K,)) of all options.

    The values of the weights must be one-hot at the architecture's options (hard - soft.detach() + soft).
    """

    architecture: Mapping[str, Value]
    weights: Mapping[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Among:
    """Mix the `options` (decision name -> their indices) by `weights` (decision name -> (K,)); no other ones run."""

    options: Mapping[str, tuple[int, ...]]
    weights: Mapping[str, torch.Tensor]


Way: TypeAlias = Mapping[str, Value] | Mapping[str, torch.Tensor] | StraightThrough | Among
