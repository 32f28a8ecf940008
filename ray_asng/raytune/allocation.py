"""Devices of a trial: what is asked of Tune, and what is done with what Tune gave."""

from __future__ import annotations

import os

import torch
from ray.tune import PlacementGroupFactory

from ray_asng.config import SearchConfig


def request(config: SearchConfig) -> PlacementGroupFactory | None:
    """What `cpus` and `gpus` of the config ask for; None without them, so that `resources_per_trial` and
    `tune.with_resources` decide."""
    if config.cpus is None and config.gpus is None:
        return None
    return PlacementGroupFactory([{"CPU": 1 if config.cpus is None else config.cpus, "GPU": config.gpus or 0}])


def claim_device(config: SearchConfig, allocated: PlacementGroupFactory | None) -> torch.device:
    """The device that Tune allocated; on the CPU one intra-op thread for each allocated core.

    Raises:
        RuntimeError: a GPU was allocated and torch finds none.
    """
    if config.deterministic:
        # cuBLAS reads this when it starts; without it torch refuses deterministic matrix products.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(config.deterministic)
    resources = {} if allocated is None else allocated.required_resources
    torch.set_num_threads(max(1, int(resources.get("CPU", 1))))
    if not resources.get("GPU", 0):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise RuntimeError(
            f"Tune allocated {resources['GPU']} GPU but torch finds no CUDA device; install a CUDA build of torch or "
            "leave gpus out"
        )
    # Set also without a limit: an actor may have served a trial that had one.
    torch.cuda.set_per_process_memory_fraction(config.memory_fraction or 1.0)
    return torch.device("cuda", 0)
