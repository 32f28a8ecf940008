"""Checks of the weights by which options are mixed, and the inputs of nodes summed."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ray_asng.space import nearest


def check_mixing_weights(
    weights: Mapping[str, torch.Tensor], decisions: Mapping[str, int], input_weights: Mapping[str, int]
) -> None:
    """Raise unless there are weights for every decision, and all are of the right lengths.

    Args:
        weights: name -> (K,) for decisions, (E,) for input weights.
        decisions: name -> K.
        input_weights: name -> E; they may be left out.

    Raises:
        ValueError: an unknown name, a missing decision, or a tensor of another shape.
    """
    unknown = [name for name in weights if name not in decisions and name not in input_weights]
    if unknown:
        raise ValueError(
            f"mixing weights for an unknown decision {unknown[0]!r}{nearest(unknown[0], tuple(decisions))}"
        )
    given = {name: length for name, length in input_weights.items() if name in weights}
    for name, length in {**decisions, **given}.items():
        found = weights.get(name)
        if not isinstance(found, torch.Tensor) or found.shape != (length,):
            got = tuple(found.shape) if isinstance(found, torch.Tensor) else found or "none"
            what = "decision" if name in decisions else "the node with the input weights"
            raise ValueError(f"{what} {name!r} needs mixing weights of shape ({length},), got {got}")
