"""Devices of a trial: what is asked of Tune, and what is done with what Tune gave."""

from __future__ import annotations

import gc
import os

import torch
from ray.tune import PlacementGroupFactory

from ray_asng.config import SearchConfig, check_gpus


def request(config: SearchConfig) -> PlacementGroupFactory | None:
    """What `cpus` and `gpus` of the config ask for; None without them, so that `resources_per_trial` and
    `tune.with_resources` decide."""
    if config.cpus is None and config.gpus is None:
        return None
    return PlacementGroupFactory([{"CPU": 1 if config.cpus is None else config.cpus, "GPU": config.gpus or 0}])


def check_request(wanted: PlacementGroupFactory | None, by_config: PlacementGroupFactory | None) -> None:
    """Refuse what a user asks of Tune beside the config.

    Args:
        wanted: by `tune.with_resources` or a subclass.
        by_config: by `cpus` and `gpus` of the config.

    Raises:
        ValueError: both ask, or a number of GPUs that Ray can never give.
    """
    if wanted is None:
        return
    if by_config is not None:
        raise ValueError(
            f"the config asks for devices ({by_config.required_resources}) and so does tune.with_resources "
            f"({wanted.required_resources}); leave cpus and gpus out of one of them"
        )
    check_gpus(wanted.required_resources.get("GPU", 0))


def claim_devices(config: SearchConfig, allocated: PlacementGroupFactory | None) -> list[torch.device]:
    """The devices that Tune allocated; on the CPU one device, with one intra-op thread for each allocated core.

    On a fraction of a GPU the memory is limited to `memory_fraction`, or else to that fraction.

    Raises:
        RuntimeError: a GPU was allocated and torch finds none.
    """
    # cuBLAS reads this when it starts; without it torch refuses deterministic matrix products. Set for every trial,
    # since the next one in this process may be a deterministic one.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(config.deterministic)
    resources = {} if allocated is None else allocated.required_resources
    torch.set_num_threads(max(1, int(resources.get("CPU", 1))))
    gpus = resources.get("GPU", 0)
    if not gpus:
        return [torch.device("cpu")]
    if not torch.cuda.is_available():
        raise RuntimeError(
            f"Tune allocated {gpus:g} GPU but torch finds no CUDA device; install a CUDA build of torch or leave gpus "
            "out"
        )
    devices = [torch.device("cuda", index) for index in range(max(1, int(gpus)))]
    for device in devices:
        # Set also without a limit: an actor may have served a trial that had one.
        torch.cuda.set_per_process_memory_fraction(config.memory_fraction or min(gpus, 1.0), device)
    return devices


def release_memory() -> None:
    """Give back the memory of objects that nobody holds any more.

    A search refers to its steps and they to it, so it stays until the collector of cycles comes by; and torch keeps
    freed blocks of a GPU, which other trials may share, for itself.
    """
    gc.collect()
    torch.cuda.empty_cache()  # does nothing where there is none
