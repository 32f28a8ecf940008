"""Every method finds what is plainly best: on a classifier that is given, and through the loop that trains it."""

from functools import partial

import pytest
import torch
from torch import nn

from ray_asng import Categorical, OneOf, SearchSpace, Supernet, registry, tasks
from ray_asng.optimizers import (
    ASNG,
    DARTS,
    DARTSPT,
    GAEA,
    GAEAGDAS,
    GDAS,
    PCDARTS,
    REINFORCE,
    RSPS,
    SNAS,
    SNG,
    SPOS,
    DrNAS,
    EarlyStoppedDARTS,
    FairNAS,
    NaturalAdam,
    ProgressiveDrNAS,
    RandomSearch,
    RegularizedEvolution,
    SamplingOptimizer,
    SDARTSAdversarial,
    SDARTSRandom,
    SecondOrderDARTS,
    WeightAdaptingASNG,
)
from ray_asng.search import Search
from ray_asng.settings import SearchSettings
from ray_asng.supernets.input_weights import InputWeights

DIGITS = tasks.digits(train_fraction=0.5)
# What a decision makes of its quarter of an image, for a classifier that was fitted to images as they are.
VIEWS = {"blank": torch.zeros_like, "as it is": lambda part: part, "negative": torch.neg}
PLACES = ("top left", "top right", "bottom left", "bottom right")
SPACE = SearchSpace([Categorical(name, tuple(VIEWS)) for name in PLACES], input_weights={"image": PLACES})
NUM_IMAGES = 200  # of each split
BEST = dict.fromkeys(PLACES, "as it is")


def images(split):
    """(N, 4, 4, 4) quarters of images, and (N,) labels."""
    pixels, labels = DIGITS.batch(split, torch.arange(NUM_IMAGES))
    return in_quarters(pixels), labels


def in_quarters(pixels):
    """(N, 4, 4, 4) quarters of (N, 1, 8, 8) images."""
    return pixels.reshape(-1, 2, 4, 2, 4).transpose(2, 3).reshape(-1, 4, 4, 4)


IMAGES = {split: images(split) for split in ("train", "valid")}


def fitted():
    """Weights (64, 10) and bias (10,) of a linear classifier of all images."""
    parts, labels = (torch.cat(both) for both in zip(*IMAGES.values(), strict=True))
    weight, bias = nn.Parameter(torch.zeros(64, 10)), nn.Parameter(torch.zeros(10))
    adam = torch.optim.Adam([weight, bias], lr=0.05, weight_decay=0.01)
    for _ in range(30):
        adam.zero_grad()
        nn.functional.cross_entropy(parts.flatten(1) @ weight + bias, labels).backward()
        adam.step()
    return weight, bias


CLASSIFIER = fitted()
VIEWED = {
    split: (torch.stack([view(parts) for view in VIEWS.values()]), labels) for split, (parts, labels) in IMAGES.items()
}


class PlantedDigits:
    """The classifier's loss on images whose quarters are mixed of their views."""

    learning_rate = 0.01

    def __init__(self):
        self.parameters = [nn.Parameter(tensor.detach().clone()) for tensor in CLASSIFIER]

    def loss(self, weights, split):
        views, labels = VIEWED[split]
        mixed = torch.einsum("pk,knphw->nphw", torch.stack([weights[name] for name in PLACES]), views)
        if "image" in weights:  # how much each quarter counts; 1 / 4 leaves it as it is
            mixed = len(PLACES) * weights["image"].view(-1, 1, 1) * mixed
        weight, bias = self.parameters
        return nn.functional.cross_entropy(mixed.flatten(1) @ weight + bias, labels)

    @torch.no_grad()
    def path_loss(self, architecture):
        """Of one architecture; each is looked at once."""
        if architecture not in SEEN:
            SEEN[architecture] = float(self.loss(one_hot(architecture), "valid"))
        return SEEN[architecture]


SEEN = {}


def one_hot(architecture):
    return {name: torch.tensor([float(option == architecture[name]) for option in VIEWS]) for name in PLACES}


@pytest.mark.parametrize("split", ["train", "valid"])
def test_the_planted_architecture_is_the_best(split):
    """The loss is convex in the weights: where no option's slope is below that of the chosen one, nothing is better."""
    weights = {name: row.requires_grad_() for name, row in one_hot(BEST).items()}
    slopes = torch.autograd.grad(PlantedDigits().loss(weights, split), list(weights.values()))
    assert [list(VIEWS)[int(slope.argmin())] for slope in slopes] == list(BEST.values())


LARGE = {"learning_rate": 0.05}
METHODS = {
    # Told of two paths at a time, its default, ASNG goes on jumping in so small a space: at the end of one search in
    # five the mode is off by a decision.
    "asng": (partial(ASNG, samples=16), 100),
    "wa_asng": (WeightAdaptingASNG, 60),
    "sng": (partial(SNG, samples=8), 200),
    "natural_adam": (partial(NaturalAdam, **LARGE, samples=4), 150),
    "reinforce": (partial(REINFORCE, **LARGE, samples=8), 150),
    "evolution": (RegularizedEvolution, 300),
    "random_search": (RandomSearch, 300),
    "rsps": (RSPS, 0),
    "spos": (partial(SPOS, population=10, generations=8, crossovers=5, mutations=5), 0),
    "fairnas": (partial(FairNAS, population=10, generations=8, crossovers=5, mutations=5), 0),
    "darts": (partial(DARTS, **LARGE), 12),
    "darts_2nd": (partial(SecondOrderDARTS, **LARGE), 12),
    "darts_es": (partial(EarlyStoppedDARTS, **LARGE), 12),
    "darts_pt": (partial(DARTSPT, **LARGE), 12),
    "pc_darts": (partial(PCDARTS, **LARGE), 12),
    "sdarts_rs": (partial(SDARTSRandom, **LARGE), 12),
    "sdarts_adv": (partial(SDARTSAdversarial, **LARGE), 12),
    "snas": (partial(SNAS, **LARGE), 15),
    "snas, single level": (partial(SNAS, **LARGE, split="train"), 15),
    "gdas": (partial(GDAS, **LARGE), 30),
    "gaea": (GAEA, 12),
    "gaea, single level": (partial(GAEA, split="train"), 12),
    "gaea_gdas": (partial(GAEAGDAS, **LARGE), 30),
    "drnas": (partial(DrNAS, **LARGE), 20),
    "drnas, kl": (partial(DrNAS, **LARGE, regulariser="kl"), 20),
    "drnas, free": (partial(DrNAS, **LARGE, regulariser=None), 20),
    # These networks have no channels that could be partial.
    "drnas_progressive": (partial(ProgressiveDrNAS, **LARGE, partial_channels=[1], kept=[]), 20),
}


def found(build, steps, seed):
    """What the method answers after so many updates."""
    method, problem = build(SPACE, seed=seed), PlantedDigits()
    for _ in range(steps):
        if isinstance(method, SamplingOptimizer):
            proposals = method.ask(method.samples)
            method.tell(proposals, [problem.path_loss(proposal.architecture) for proposal in proposals])
        else:
            method.architecture_step(problem)
    # A random search without a network answers with the best it was told of.
    return dict(method.most_likely() if type(method) is RandomSearch else method.finalize(problem.path_loss))


def test_every_registered_method_is_in_the_list():
    assert {name.split(",")[0] for name in METHODS} == set(registry.methods)


@pytest.mark.parametrize("name", METHODS)
def test_the_planted_architecture_is_found_from_ten_of_ten_seeds(name):
    assert [found(*METHODS[name], seed) for seed in range(10)] == [BEST] * 10


class Misleading(nn.Module):
    """A layer that never learns."""

    def __init__(self):
        super().__init__()
        self.register_buffer("weight", torch.randn(16, 10))

    def forward(self, inputs):
        return inputs @ self.weight


class Quarters(nn.Module):
    """Adds up what a choice makes of each quarter of an image."""

    def __init__(self):
        super().__init__()
        self.readers = nn.ModuleList(
            OneOf({"misleading": Misleading(), "linear": nn.Linear(16, 10)}, name=name) for name in PLACES
        )
        self.sum = InputWeights(PLACES, name="image")
        self.bias = nn.Parameter(torch.zeros(10))

    def forward(self, images):
        parts = zip(self.readers, in_quarters(images).unbind(1), strict=True)
        return self.bias + self.sum([reader(part.flatten(1)) for reader, part in parts])


SETTINGS = SearchSettings(epochs=2, steps_per_epoch=30, batch_size=64, lr=0.1, memory_format="contiguous")


@pytest.mark.parametrize("name", list(registry.methods))
def test_a_search_prefers_layers_that_learn(name):
    with torch.random.fork_rng():
        torch.manual_seed(0)  # of the initial weights
        supernet = Supernet(Quarters())
    search = Search(supernet, tasks.digits(), METHODS[name][0](supernet.space, seed=0), SETTINGS)
    while not search.is_done:
        search.run_epoch()
    assert set(search.architecture.values()) == {"linear"}
