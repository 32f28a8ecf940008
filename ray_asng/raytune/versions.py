"""Versions of what decides the numbers, for every result."""

from __future__ import annotations

import platform

import ray
import torch

from ray_asng.version import __version__


def versions() -> dict[str, str]:
    """Package name -> version."""
    return {
        "ray_asng": __version__,
        "torch": str(torch.__version__),
        "ray": ray.__version__,
        "python": platform.python_version(),
    }
