"""The networks and sizes that the benchmarks of a step have in common, and searches on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from depthwise_network import DepthwiseNetwork
from torch import nn

from ray_asng import Architecture, OneOf, Supernet
from ray_asng.registry import methods
from ray_asng.search import Search
from ray_asng.settings import SearchSettings
from ray_asng.supernets.darts import DARTSNetwork
from ray_asng.supernets.enas_micro import ENASMicro
from ray_asng.supernets.nasbench201 import NASBench201
from ray_asng.tasks.augmentation import Augmentation
from ray_asng.tasks.image_task import ImageTask

BATCH_SIZE = 64


@dataclass(frozen=True)
class Case:
    """A network at a size.

    Attributes:
        network: a builder.
        width, cells: of the network.
        image: side, in pixels.
        repeats: that give a narrow interval in a few minutes.
    """

    network: type[nn.Module]
    width: int
    cells: int
    image: int
    repeats: int

    def build(self) -> Supernet:
        """The supernet."""
        return Supernet(self.network(width=self.width, cells=self.cells))


# A space that is registered later is added here.
CASES = {
    "nasbench201 C=8 N=1 16x16": Case(NASBench201, 8, 1, 16, 200),
    "nasbench201 C=16 N=5 32x32": Case(NASBench201, 16, 5, 32, 20),
    "depth-wise C=16 N=2 32x32": Case(DepthwiseNetwork, 16, 2, 32, 20),
    "enas_micro C=16 8 cells 32x32": Case(ENASMicro, 16, 8, 32, 20),
    "darts C=16 8 cells 32x32": Case(DARTSNetwork, 16, 8, 32, 10),
}
SMOKE = {"nasbench201 C=8 N=1 16x16": Case(NASBench201, 8, 1, 16, 3)}


def make_search(
    case: Case, method: str = "asng", *, supernet: Supernet | None = None, device: str = "cpu", **settings: Any
) -> Search:
    """A search on random images, which cost what real ones cost; in training mode, at the place of its first step."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2048, 3, case.image, case.image), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 10, (2048,), generator=generator)
    task = ImageTask(
        name="random images",
        images=images,
        labels=labels,
        test_images=images[:10],
        test_labels=labels[:10],
        classes=10,
        augmentation=Augmentation(pad=case.image // 8, flip=True, cutout=case.image // 2),
    )
    supernet = supernet or case.build()
    optimizer = methods[method](supernet.space)
    chosen = SearchSettings(**{"epochs": 1, "batch_size": BATCH_SIZE, **settings})
    search = Search(supernet, task, optimizer, chosen, device=device)
    search.supernet.train()
    return search


def largest(supernet: Supernet) -> Architecture:
    """The architecture whose every decision takes the option with the most weights, and whose values are the first."""

    def weights(choice: OneOf, index: int) -> int:
        return sum(parameter.numel() for parameter in choice.candidates[index].parameters())

    decided = {decision.name: decision.options[0] for decision in supernet.space.categorical}
    for name, choices in supernet.choices.items():
        options = choices[0].options
        decided[name] = options[max(range(len(options)), key=lambda index: weights(choices[0], index))]
    return supernet.space.architecture(decided)


def plain_child(supernet: Supernet, architecture: Architecture) -> nn.Module:
    """The child as an ordinary module, holding the very weights of the supernet; slices of these are copied."""
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
