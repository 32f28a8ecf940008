"""The networks and sizes that the benchmarks of a step have in common, and searches on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from depthwise_network import DepthwiseNetwork
from torch import nn

from ray_asng import Architecture, Categorical, OneOf, Supernet
from ray_asng.registry import methods
from ray_asng.search import Search
from ray_asng.settings import SearchSettings
from ray_asng.supernets.autoencoder import CategoricalAutoEncoder, IntegerAutoEncoder
from ray_asng.supernets.darts import DARTSNetwork
from ray_asng.supernets.enas_micro import ENASMicro
from ray_asng.supernets.nasbench201 import NASBench201
from ray_asng.tasks.augmentation import Augmentation
from ray_asng.tasks.base import Task
from ray_asng.tasks.image_task import ImageTask
from ray_asng.tasks.inpainting_task import InpaintingTask
from ray_asng.tasks.masks import make_masks

BATCH_SIZE = 64


def classification(side: int) -> Task:
    """Classification of random images, which cost what real ones cost."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2048, 3, side, side), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 10, (2048,), generator=generator)
    return ImageTask(
        name="random images",
        images=images,
        labels=labels,
        test_images=images[:10],
        test_labels=labels[:10],
        classes=10,
        augmentation=Augmentation(pad=side // 8, flip=True, cutout=side // 2),
    )


def restoration(side: int) -> Task:
    """Inpainting of random images."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (512, 3, side, side), dtype=torch.uint8, generator=generator)
    return InpaintingTask(
        name="random images", images=images, test_images=images[:10], masks=make_masks("centre", None)
    )


@dataclass(frozen=True)
class Case:
    """A network at a size.

    Attributes:
        network: a builder.
        image: side, in pixels.
        repeats: that give a narrow interval in a few minutes.
        options: of the network.
        batch: images of a step.
        task: gives the task on images of a side.
    """

    network: type[nn.Module]
    image: int
    repeats: int
    options: Mapping[str, int] = field(default_factory=dict)
    batch: int = BATCH_SIZE
    task: Callable[[int], Task] = classification

    def build(self) -> Supernet:
        """The supernet."""
        return Supernet(self.network(**self.options))


_RESTORED: dict[str, Any] = {"options": {"width": 64, "size": 64}, "batch": 16, "task": restoration}

# A space that is registered later is added here.
CASES = {
    "nasbench201 C=8 N=1 16x16": Case(NASBench201, 16, 200, {"width": 8, "cells": 1}),
    "nasbench201 C=16 N=5 32x32": Case(NASBench201, 32, 20, {"width": 16, "cells": 5}),
    "depth-wise C=16 N=2 32x32": Case(DepthwiseNetwork, 32, 20, {"width": 16, "cells": 2}),
    "enas_micro C=16 8 cells 32x32": Case(ENASMicro, 32, 20, {"width": 16, "cells": 8}),
    "darts C=16 8 cells 32x32": Case(DARTSNetwork, 32, 20, {"width": 16, "cells": 8}),
    "cae_cat C=64 64x64": Case(CategoricalAutoEncoder, 64, 20, **_RESTORED),
    "cae_int C=64 64x64": Case(IntegerAutoEncoder, 64, 20, **_RESTORED),
}
SMOKE = {
    "nasbench201 C=8 N=1 16x16": Case(NASBench201, 16, 3, {"width": 8, "cells": 1}),
    "cae_int C=4 16x16": Case(IntegerAutoEncoder, 16, 3, {"width": 4, "size": 16}, 16, restoration),
}


def make_search(
    case: Case, method: str = "asng", *, supernet: Supernet | None = None, device: str = "cpu", **settings: Any
) -> Search:
    """A search on random images; in training mode, at the place of its first step."""
    supernet = supernet or case.build()
    optimizer = methods[method](supernet.space)
    chosen = SearchSettings(**{"epochs": 1, "batch_size": case.batch, **settings})
    search = Search(supernet, case.task(case.image), optimizer, chosen, device=device)
    search.supernet.train()
    return search


def largest(supernet: Supernet) -> Architecture:
    """The architecture with the most weights.

    Every choice of a layer takes the option with the most weights, every other decision its last option or highest
    number: of the measured networks, the longest way through them and the most channels.
    """

    def weights(choice: OneOf, index: int) -> int:
        return sum(parameter.numel() for parameter in choice.candidates[index].parameters())

    decided = {
        decision.name: decision.options[-1] if isinstance(decision, Categorical) else decision.high
        for decision in supernet.space.decisions
    }
    for name, choices in supernet.choices.items():
        options = choices[0].options
        decided[name] = options[max(range(len(options)), key=lambda index: weights(choices[0], index))]
    return supernet.space.architecture(decided)


def plain_child(supernet: Supernet, architecture: Architecture) -> nn.Module:
    """The child as an ordinary module, holding the very weights of the supernet.

    Of weights that are slices of the supernet's it holds copies.
    """
    child = supernet.extract(architecture)
    chosen = {path: choice for path, choice in supernet.module.named_modules() if isinstance(choice, OneOf)}
    known = dict(supernet.module.named_parameters(remove_duplicate=False))
    for name, _ in list(child.named_parameters()):
        path = next((path for path in chosen if name.startswith(f"{path}.")), None)
        source = name
        if path is not None:
            choice = chosen[path]
            index = choice.options.index(str(architecture[choice.name or path]))
            source = f"{path}.candidates.{index}{name[len(path) :]}"
        if source in known:
            owner, _, leaf = name.rpartition(".")
            setattr(child.get_submodule(owner), leaf, known[source])
    return child.train()
