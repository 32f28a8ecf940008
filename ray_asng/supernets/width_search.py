"""The width at which a found network has as many parameters as are allowed.

>>> build = partial(ENASMicro, cells=20, affine=True)
>>> width = width_for_parameters(build, architecture, 4_000_000)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import nn

from ray_asng.space import Value
from ray_asng.supernets.cost import count_parameters
from ray_asng.supernets.supernet import Supernet

_FIRST_WIDTH = 16


def width_for_parameters(build: Callable[..., nn.Module], architecture: Mapping[str, Value], limit: int) -> int:
    """The largest width at which the child of an architecture has at most `limit` parameters.

    What the network holds as `auxiliary_head` does not count. Networks are built on torch's meta device, so nothing is
    allocated or drawn.

    Args:
        build: makes the module with choices, called as `build(width=...)`; a wider one must not have fewer parameters.
        architecture: of its space.
        limit: such as 4_000_000.

    Raises:
        ValueError: even a width of 1 has more parameters; not an architecture of the space.
    """
    fits, too_wide, width = 0, math.inf, _FIRST_WIDTH
    while True:
        count = child_parameters(build, architecture, width)
        if count <= limit:
            fits = width
        else:
            too_wide = width
        if too_wide == 1:
            raise ValueError(f"a network of width 1 has {count} parameters already, got limit={limit}; raise it")
        if too_wide - fits == 1:
            return fits
        # Parameters grow about as the square of the width. The bounds close in by at least 1 each time.
        guess = int(width * math.sqrt(max(limit, 0) / count))
        width = int(min(max(guess, fits + 1), too_wide - 1))


def child_parameters(build: Callable[..., nn.Module], architecture: Mapping[str, Value], width: int) -> int:
    """Parameters of the child of `build(width=width)`, without those of its `auxiliary_head`, if it has one."""
    with torch.device("meta"):
        child = Supernet(build(width=width)).extract(architecture)
    return count_parameters(child)
