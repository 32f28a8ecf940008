"""Mixing weights of which only some options take part: those that a method has not discarded."""

from __future__ import annotations

from collections.abc import Mapping

import torch


class Kept(dict[str, torch.Tensor]):
    """Decision name -> (K,) mixing weights, zero for discarded options. Who knows the class need not run those.

    Args:
        weights: of the kept options only, decision name -> (number kept,), in the order of their indices.
        options: decision name -> indices of the kept options, increasing.
        counts: decision name -> K.
    """

    def __init__(
        self,
        weights: Mapping[str, torch.Tensor],
        options: Mapping[str, tuple[int, ...]],
        counts: Mapping[str, int],
    ) -> None:
        super().__init__(
            {
                name: row.new_zeros(counts[name]).index_copy(0, torch.tensor(options[name], device=row.device), row)
                for name, row in weights.items()
            }
        )
        self.options = dict(options)
