"""The child as it is exported: checked, on the CPU, in evaluation mode, and made of layers that torch knows.

Our own layers take short ways through a CPU that only training needs. What they compute are ordinary operations, and
as these they are exported.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn
from torch.nn.utils import skip_init

from ray_asng.supernets.depthwise import AveragePooling, DepthwiseConv2d
from ray_asng.supernets.places import decided_inside


def on_cpu(child: nn.Module) -> nn.Module:
    """A copy on the CPU in evaluation mode; in memory its weights lie row after row.

    Raises:
        TypeError: no module.
        ValueError: choices are left in it, or it has batch norms without running statistics.
    """
    if not isinstance(child, nn.Module):
        raise TypeError(f"an nn.Module can be exported, got {type(child).__name__}")
    _refuse_choices(child)
    refuse_batch_statistics(child)
    copied: Any = copy.deepcopy(child)
    network: nn.Module = copied.to("cpu", memory_format=torch.contiguous_format).eval()
    return network


def ordinary(network: nn.Module) -> nn.Module:
    """A copy with layers of torch in place of ours; its output is the same but for rounding."""
    replaced: dict[int, Any] = {}
    for part in network.modules():
        # Of a user's subclass it is not known what it computes.
        if type(part) is AveragePooling:
            replaced[id(part)] = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False).train(part.training)
        elif type(part) is DepthwiseConv2d:
            replaced[id(part)] = _plain_convolution(part)
    copied: nn.Module = copy.deepcopy(network, replaced)
    return copied


def _plain_convolution(layer: DepthwiseConv2d) -> nn.Module:
    settings = {name: getattr(layer, name) for name in ("padding", "dilation", "groups")}
    plain: nn.Module = skip_init(  # type: ignore[no-untyped-call]
        nn.Conv2d, layer.in_channels, layer.out_channels, layer.kernel_size, bias=False, **settings
    )
    plain.weight = copy.deepcopy(layer.weight)
    return plain.train(layer.training)


def _refuse_choices(child: nn.Module) -> None:
    found = next(decided_inside(child), None)
    if found is not None:
        path, choice = found
        raise ValueError(
            f"{type(child).__name__} holds choices ({type(choice).__name__} at {path!r}); export the child that "
            "supernet.extract(architecture) gives, retrained"
        )


def refuse_batch_statistics(child: nn.Module) -> None:
    """Raise ValueError if batch norms have no running statistics: their output would depend on the other examples."""
    without = [path or "the module itself" for path, part in child.named_modules() if has_batch_statistics(part)]
    if without:
        raise ValueError(
            f"{len(without)} batch norm(s) of {type(child).__name__} have no running statistics (the first: "
            f"{without[0]!r}), so that the output for one example would depend on the others of its batch; retrain the "
            "architecture (`ray-asng retrain`), or fill them from training data with "
            "ray_asng.export.recalibrate(child, task)"
        )


def has_batch_statistics(part: nn.Module) -> bool:
    """Whether it is a batch norm that knows the statistics of the present batch alone."""
    return isinstance(part, nn.modules.batchnorm._BatchNorm) and part.running_mean is None
