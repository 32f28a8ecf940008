"""One-hot mixing weights that have the gradient of soft ones: one path runs, all options learn (straight-through)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch

from ray_asng.space import Architecture, SearchSpace


class OneHot(Mapping[str, torch.Tensor]):
    """Mixing weights that are one-hot at the options of one architecture.

    They can be used like any others. Who knows the class need not look at the values to find the path, and can run it
    alone.

    Args:
        architecture: where the ones are.
        weights: decision name -> (K,) one-hot, h - stop_gradient(p) + p with soft weights p.
    """

    def __init__(self, architecture: Architecture, weights: Mapping[str, torch.Tensor]) -> None:
        self.architecture = architecture
        self._weights = dict(weights)

    def __getitem__(self, name: str) -> torch.Tensor:
        return self._weights[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._weights)

    def __len__(self) -> int:
        return len(self._weights)


def straight_through(space: SearchSpace, soft: Mapping[str, torch.Tensor]) -> OneHot:
    """One-hot at the largest soft weight of each decision; derivatives are those by the soft weights.

    Args:
        space: categorical decisions only.
        soft: decision name -> (K,) with its graph [p].
    """
    places = [soft[name].detach().argmax() for name in space.names]
    # p - stop_gradient(p) first: it is zero exactly, so that the sum is one-hot exactly.
    weights = {
        name: torch.nn.functional.one_hot(place, len(soft[name])).to(soft[name].dtype)
        + (soft[name] - soft[name].detach())
        for name, place in zip(space.names, places, strict=True)
    }
    # One transfer for all decisions: asking each by itself would wait for the device each time.
    options = np.array(torch.stack(places).tolist())
    return OneHot(space.decode(options, np.empty(0)), weights)
