"""The one-shot step as the published code of ASNG-NAS arranges it, to be timed beside ours.

Contiguous float32, torch's own layers, gradients of all weights kept (as zeros where no sampled path used them), and
norm clipping and SGD over all of them, parameter by parameter; slices have gradients of the whole weights' size, and
every path runs the whole network. Data, losses and ASNG are the same as ours, so what is compared is the arrangement
and not the age of the code.
"""

from __future__ import annotations

from contextlib import nullcontext

import torch
from measured_networks import Case, make_search
from torch import nn

from ray_asng.search import Search
from ray_asng.supernets.depthwise import AveragePooling, DepthwiseConv2d


def with_torch_layers(module: nn.Module) -> nn.Module:
    """`module` with the layers that ours replace put back, in place; they hold the same weights."""
    for owner in list(module.modules()):
        for name, part in list(owner.named_children()):
            if isinstance(part, DepthwiseConv2d):
                plain = nn.Conv2d(
                    part.in_channels,
                    part.out_channels,
                    part.kernel_size,  # type: ignore[arg-type]  # a pair of equal numbers
                    padding=part.padding,
                    dilation=part.dilation,  # type: ignore[arg-type]
                    groups=part.groups,
                    bias=False,
                )
                plain.weight = part.weight
                setattr(owner, name, plain)
            elif isinstance(part, AveragePooling):
                setattr(owner, name, nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False))
    return module


def whole_paths(search: Search) -> Search:
    """`search` whose paths share no layers: each runs the network from its inputs."""
    supernet = search.supernet
    search.features = lambda inputs: inputs  # type: ignore[method-assign]
    supernet.with_choices = lambda features, way: supernet(features, way)  # type: ignore[method-assign]
    return search


def whole_gradients(search: Search) -> Search:
    """`search` in which slices of weights have gradients of the whole weights' size."""
    search.replicas.slices.collecting = nullcontext  # type: ignore[assignment,method-assign]
    return search


def stepping_all_weights(search: Search, *, foreach: bool) -> Search:
    """`search` whose clipping and weight optimizer take all weights, with zeros where no path gave a gradient."""
    for parameter in search.parameters:
        parameter.grad = torch.zeros_like(parameter)

    def step_all_weights() -> None:
        nn.utils.clip_grad_norm_(search.parameters, search.settings.grad_clip, foreach=foreach)
        search.weight_optimizer.step()
        search.weight_optimizer.zero_grad(set_to_none=False)

    search.step_weights = step_all_weights  # type: ignore[method-assign]
    return search


def published_search(case: Case, memory_format: str, device: str = "cpu") -> Search:
    """A search whose steps are the published ones."""
    supernet = case.build()
    with_torch_layers(supernet)
    search = make_search(case, supernet=supernet, device=device, memory_format=memory_format)
    search.weight_optimizer = torch.optim.SGD(
        search.parameters, lr=search.settings.lr, momentum=0.9, weight_decay=3e-4, foreach=False, fused=False
    )
    return whole_gradients(whole_paths(stepping_all_weights(search, foreach=False)))
