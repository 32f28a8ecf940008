"""Most memory that a process has held."""

from __future__ import annotations

import resource
import sys

import torch


def peak_memory_bytes(device: torch.device) -> int:
    """Bytes allocated by tensors on CUDA since the last reset, else the resident peak of the process's life.

    On the CPU an actor that serves several trials, one after the other, keeps the largest peak of them.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    in_kibibytes = sys.platform != "darwin"
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1024 if in_kibibytes else 1)
