"""The paths of one step on several devices, with the result that one device would give.

Every device holds a copy of the supernet. Paths run in rounds, one a device; their gradients are brought to the first
device and added in the order of the paths, as if it had run them one after the other. So a search does not depend on
how many devices it has, as far as their arithmetic is the same. The weights of the first device are the ones that
count: only they have a weight optimizer, are evaluated and are saved.

Running statistics are an exception: those of the first device see its own paths only.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence

import torch

from ray_asng.supernets.elastic.slices import SliceGradients
from ray_asng.supernets.supernet import Supernet


class Replicas:
    """A supernet and its copies, one a device.

    Args:
        supernet: on the first device.
        devices: at least one; the same one may be given more than once.

    Attributes:
        networks: the supernet itself, then the copies.
        slices: gradients of the slices that paths took of the weights of elastic layers, of any network.
    """

    def __init__(self, supernet: Supernet, devices: Sequence[torch.device]) -> None:
        self.devices = tuple(devices)
        self.networks = [supernet, *(copy.deepcopy(supernet).to(device) for device in devices[1:])]
        self._parameters = [list(network.parameters()) for network in self.networks]
        self._buffers = [list(network.buffers()) for network in self.networks]
        owners: dict[torch.Tensor, torch.Tensor] = {}
        for copies in self._parameters[1:]:
            owners.update(zip(copies, self._parameters[0], strict=True))
        self.slices = SliceGradients(owners)

    @property
    def buffers(self) -> list[torch.Tensor]:
        """Running statistics and the like, of all networks."""
        return [buffer for buffers in self._buffers for buffer in buffers]

    def collect_gradients(self) -> None:
        """Add the gradients of the copies, in order, to those of the first network; they have none afterwards.

        Those of slices stay in `slices`.
        """
        self.slices.collect()
        for parameters in self._parameters[1:]:
            for parameter, copied in zip(self._parameters[0], parameters, strict=True):
                if copied.grad is None:
                    continue
                gradient = copied.grad.to(parameter.device)
                parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)
                copied.grad = None

    @torch.no_grad()
    def hand_out(self, changed: Iterable[torch.nn.Parameter]) -> None:
        """Give the copies the first network's buffers, and those of its weights that have changed."""
        changed = set(changed)
        for parameters, buffers in zip(self._parameters[1:], self._buffers[1:], strict=True):
            for parameter, copied in zip(self._parameters[0], parameters, strict=True):
                if parameter in changed:
                    copied.copy_(parameter, non_blocking=True)
            for buffer, copied_buffer in zip(self._buffers[0], buffers, strict=True):
                copied_buffer.copy_(buffer, non_blocking=True)


def listed(device: torch.device | str | Sequence[torch.device | str]) -> tuple[torch.device, ...]:
    """The devices of a search as a tuple.

    Raises:
        ValueError: none, or devices of several kinds.
    """
    given = [device] if isinstance(device, torch.device | str) else list(device)
    devices = tuple(torch.device(each) for each in given)
    if len({each.type for each in devices}) != 1:
        raise ValueError(f"the devices of a search must be of one kind and at least one, got {given!r}")
    return devices
