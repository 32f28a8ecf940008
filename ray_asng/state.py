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
    """Load what an optimizer remembers of each weight; its settings, such as the learning rate, stay."""
    settings = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": copy.deepcopy(dict(moments)), "param_groups": settings})
