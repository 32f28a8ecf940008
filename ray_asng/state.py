"""What the states of a search and of a retraining have in common when they are taken up again."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch


def check_format(state: Mapping[str, Any], newest: int) -> None:
    """Refuse a state that another version of the package wrote in another format.

    Raises:
        ValueError: its format is not `newest`.
    """
    if state["format"] > newest:
        raise ValueError(
            f"the checkpoint has format {state['format']}, this version reads {newest}; upgrade ray_asng to go on "
            "with it"
        )
    if state["format"] < newest:
        raise ValueError(
            f"the checkpoint has format {state['format']}, this version reads {newest}; go on with the version of "
            "ray_asng that wrote it, which the column `versions` of its results names"
        )


def load_weights(module: torch.nn.Module, weights: Mapping[str, Any]) -> None:
    """Load weights into a module of the same layers.

    Raises:
        ValueError: other layers.
    """
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(
            f"the checkpoint is of a network with other layers (width, cells or other options): {error}"
        ) from error


def load_moments(optimizer: torch.optim.Optimizer, moments: Mapping[Any, Any]) -> None:
    """Load what an optimizer remembers of each weight; its settings, such as the learning rate, stay.

    Moments that it has and `moments` lack stay as they are: those of SGD whose momentum was zero before.
    """
    own = optimizer.state_dict()
    merged = {key: {**own["state"].get(key, {}), **moments.get(key, {})} for key in {**own["state"], **moments}}
    optimizer.load_state_dict({"state": copy.deepcopy(merged), "param_groups": own["param_groups"]})
    for weight, remembered in optimizer.state.items():
        for name, moment in remembered.items():
            if isinstance(moment, torch.Tensor) and moment.shape == weight.shape:
                # They come in the memory format of whoever saved them, and fused optimizers take them for the weight's.
                remembered[name] = torch.empty_like(weight).copy_(moment)
