"""The memory of the devices of a trial: how much it took at most, and what to do when it was not enough."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

_GIB = 2**30


def peak_memory_bytes(devices: Sequence[torch.device]) -> int:
    """Bytes allocated by tensors on CUDA since the last reset, of the fullest device; else the process's peak.

    On the CPU that is the resident peak of the process's life: an actor that serves several trials, one after the
    other, keeps the largest peak of them.
    """
    if devices[0].type == "cuda":
        return max(torch.cuda.max_memory_allocated(device) for device in devices)
    in_kibibytes = sys.platform != "darwin"
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1024 if in_kibibytes else 1)


@contextmanager
def explained_when_out_of_memory(devices: Sequence[torch.device], doing: str, remedy: str) -> Iterator[None]:
    """Let an out-of-memory error say how much was in use and what helps.

    Args:
        devices: of the trial.
        doing: what was being done, such as "in epoch 3".
        remedy: what the caller's settings allow to lower.

    Raises:
        MemoryError: in place of the error of the allocator.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
        fullest = max(devices, key=lambda device: peak_memory_bytes([device]))
        peak = peak_memory_bytes([fullest]) / _GIB
        raise MemoryError(
            f"out of memory {doing}: at most {peak:.2f} GiB were in use on {_place(fullest)}. {remedy}. "
            f"The allocator said: {str(error).splitlines()[0]}"
        ) from error


def _is_out_of_memory(error: Exception) -> bool:
    # Besides torch's own class: the CPU's allocator, CUDA itself, and its libraries when others fill the GPU.
    words = ("DefaultCPUAllocator", "out of memory", "ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(word in str(error) for word in words)


def _place(device: torch.device) -> str:
    if device.type != "cuda":
        return "the host"
    total = torch.cuda.get_device_properties(device).total_memory / _GIB
    share = torch.cuda.get_per_process_memory_fraction(device)
    return f"{device}, of whose {total:.2f} GiB this trial may take {share:.0%} (memory_fraction)"
