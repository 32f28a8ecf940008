"""The conformance kit finds what is broken in supernets, spaces and tasks, and says what to mend.

Broken methods and searches are in `test_kit_methods`, what conforms in `test_conformance`.
"""

import random

import numpy as np
import pytest
import torch
from torch import nn

from ray_asng import Categorical, Integer, OneOf, SearchSpace, tasks
from ray_asng.optimizers import ASNG
from ray_asng.testing import check_optimizer, check_search, check_space, check_supernet, check_task
from ray_asng.testing.equality import difference

SPACE = SearchSpace([Categorical("two", ("a", "b")), Categorical("three", ("x", "y", "z"))])
DIGITS = tasks.digits()
INPUTS = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))


# Supernets


class Network(nn.Module):
    """A sound one; the broken ones below replace a part."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(8, 8)
        self.first = OneOf({"wide": nn.Linear(8, 8), "skip": nn.Identity()}, name="first")
        self.norm = nn.Sequential(nn.BatchNorm1d(8), nn.Dropout(0.2))
        self.second = OneOf({"tanh": nn.Sequential(nn.Linear(8, 8), nn.Tanh()), "relu": nn.ReLU()}, name="second")
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.second(self.norm(self.first(self.stem(x)))))


class ShapedByItsLastChoice(Network):
    def __init__(self):
        super().__init__()
        self.head = OneOf({"three": nn.Linear(8, 3), "four": nn.Linear(8, 4)}, name="head")


class MisfitsInside(Network):
    def __init__(self):
        super().__init__()
        self.second = OneOf({"fits": nn.ReLU(), "thin": nn.Linear(8, 6)}, name="second")


class ReachesIntoItsChoiceInEvaluation(Network):
    def forward(self, x):
        if not self.training:
            return self.head(self.first.candidates[0](self.stem(x)))
        return super().forward(x)


class AsksForTheClassInEvaluation(Network):
    def forward(self, x):
        scale = 2.0 if not self.training and isinstance(self.second, OneOf) else 1.0
        return scale * super().forward(x)


class CountsCalls(Network):
    calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x) * self.calls


class DrawsWeightsFromNumpy(Network):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.from_numpy(np.random.rand(8)))  # noqa: NPY002  # the fault


class DrawsWeightsFromNowhere(Network):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.from_numpy(np.random.default_rng().random(8)))


class HidesWeights(Network):
    def __init__(self):
        super().__init__()
        self.hidden = [nn.Linear(8, 8)]

    def forward(self, x):
        return super().forward(self.hidden[0](x))


class Detached(nn.Linear):
    def forward(self, x):
        return super().forward(x).detach()


class DetachesAnOption(Network):
    def __init__(self):
        super().__init__()
        self.first = OneOf({"learns": nn.Linear(8, 8), "stands": Detached(8, 8)}, name="first")


class RunsMoreThanWasChosen(Network):
    def __init__(self):
        super().__init__()
        self.behind = [self.first.candidates[0]]

    def forward(self, x):
        return super().forward(x) + self.behind[0](x).mean()


class ChangesItsInputs(Network):
    def forward(self, x):
        return super().forward(x.mul_(2.0))


class HasAnOptionThatWorksInPlace(Network):
    def __init__(self):
        super().__init__()
        self.second = OneOf({"relu": nn.ReLU(inplace=True), "skip": nn.Identity()}, name="second")
        self.norm = nn.Identity()


class InParts(Network):
    """A sound one whose first layer all paths share."""

    def before_choices(self, x):
        return self.stem(x)

    def with_choices(self, features):
        return self.head(self.second(self.norm(self.first(features))))


class ForgetsALayerInItsParts(InParts):
    def with_choices(self, features):
        return self.head(self.second(self.first(features)))


class ChoosesBeforeTheChoices(InParts):
    def before_choices(self, x):
        return self.first(self.stem(x))

    def with_choices(self, features):
        return self.head(self.second(self.norm(features)))


class ChangesItsFeatures(InParts):
    def with_choices(self, features):
        return super().with_choices(features.mul_(1.5).div_(1.5).add_(1.0).sub_(1.0))

    def forward(self, x):
        return self.with_choices(self.before_choices(x))


class CopiesItselfWrongly(Network):
    def __deepcopy__(self, memo):
        return self


class Shared(nn.Linear):
    def __deepcopy__(self, memo):
        return self


class SharesWeightsWithItsCopies(Network):
    def __init__(self):
        super().__init__()
        self.stem = Shared(8, 8)


class MovedAway(nn.Linear):
    """A copy that takes the weights with it."""

    def __deepcopy__(self, memo):
        copied = nn.Linear(8, 8)
        copied.load_state_dict(self.state_dict())
        nn.init.zeros_(self.weight)
        return copied


class LosesWeightsToItsCopies(Network):
    def __init__(self):
        super().__init__()
        self.stem = MovedAway(8, 8)


def test_a_network_in_two_parts_conforms():
    check_supernet(InParts, INPUTS)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (ShapedByItsLastChoice, r"(?s)\(4, 3\).*\(4, 4\).*it is head='four' that changes the form"),
        (MisfitsInside, r"(?s)RuntimeError.*it is second='thin' that changes the form"),
        (ReachesIntoItsChoiceInEvaluation, r"(?s)in evaluation mode.*to mend: .*not `choice\.candidates`"),
        (AsksForTheClassInEvaluation, r"(?s)in evaluation mode.*to mend: .*ask nothing about their class"),
        (CountsCalls, r"(?s)leaves no trace.*keep no counters or caches in attributes"),
        (DrawsWeightsFromNumpy, r"(?s)global random state of numpy.*a generator of your own"),
        (DrawsWeightsFromNowhere, r"(?s)one seed.*draw initial weights from torch's global generator only"),
        (HidesWeights, r"(?s)loaded the state.*not a plain list or dict\), so that state_dict holds it"),
        (DetachesAnOption, r"(?s)'stands' of decision 'first'.*do not detach the output"),
        (RunsMoreThanWasChosen, r"(?s)although it was not chosen.*only by calling the choice"),
        (ChangesItsInputs, r"(?s)inputs after all paths.*no in-place operation on the inputs"),
        (ForgetsALayerInItsParts, r"(?s)before_choices and with_choices.*output of forward, bit for bit"),
        (ChoosesBeforeTheChoices, r"(?s)before anything was chosen.*no choice in before_choices"),
        (ChangesItsFeatures, r"(?s)after with_choices has run on it.*no in-place operation on the features"),
        (HasAnOptionThatWorksInPlace, r"(?s)all weight on.*none of them change its input in place"),
        (CopiesItselfWrongly, r"(?s)no choice is left in it.*choices at \["),
        (SharesWeightsWithItsCopies, r"(?s)copies of the weights.*stem\.weight.*__deepcopy__"),
        (LosesWeightsToItsCopies, r"(?s)extraction leaves the supernet as it is.*__deepcopy__"),
        (lambda: nn.Linear(8, 3), r"(?s)no choice found in Linear.*holds at least one choice"),
    ],
)
def test_a_broken_supernet_is_found(network, words):
    with pytest.raises(AssertionError, match=words):
        check_supernet(network, INPUTS)


def test_a_sound_supernet_passes_whatever_it_takes_and_returns():
    class Several(Network):
        def forward(self, left, right):
            return {"sum": super().forward(left + right), "pair": (left, super().forward(right))}

    check_supernet(Network, INPUTS)
    check_supernet(Several, (INPUTS, INPUTS))
    check_supernet(Several, {"left": INPUTS, "right": INPUTS})


def test_a_sound_supernet_passes_with_choices_in_choices_and_shared_weights():
    class Nested(Network):
        def __init__(self):
            super().__init__()
            inner = OneOf({"linear": nn.Linear(8, 8), "skip": nn.Identity()}, name="inner")
            shared = nn.Linear(8, 8)
            self.first = OneOf({"nested": inner, "shared": shared, "skip": nn.Identity()}, name="first")
            self.second = OneOf({"shared": nn.Sequential(nn.ReLU(), shared), "relu": nn.ReLU()}, name="second")

    check_supernet(Nested, INPUTS)


# Spaces


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"canonical": lambda a: {**a, "two": "b" if a["two"] == "a" else "a"}}, "one representative of its class"),
        ({"canonical": lambda a: {**a, "two": "c"}}, "give an option of the space"),
        ({"derive": lambda rows: {name: int(np.argmax(row)) for name, row in rows.items()}}, "its name, not its index"),
        ({"text": lambda a: f"<{a['two']}>"}, "pass `parse` beside `text`"),
        (
            {"text": lambda a: str(a["two"]), "parse": lambda text: {"two": text, "three": "x"}},
            "write every decision that matters",
        ),
        ({"cost": lambda a: float("nan")}, "return a finite number"),
        ({"graph": lambda a: {"nodes": ["0"], "edges": [["0", "1", a["two"]]]}}, "edges between these nodes"),
    ],
)
def test_a_broken_space_is_found(rules, words):
    with pytest.raises(AssertionError, match=words):
        check_space(SearchSpace(SPACE.decisions, **rules))


def test_a_space_that_reads_json_wrongly_is_found():
    class Forgetful(SearchSpace):
        def parse(self, text):
            return self.architecture({decision.name: decision.options[0] for decision in self.categorical})

    with pytest.raises(AssertionError, match="to be read as the architecture that wrote it"):
        check_space(Forgetful(SPACE.decisions))


def test_a_sound_space_passes():
    check_space(SPACE)
    check_space(SearchSpace([*SPACE.decisions, Integer("whole", -2, 2)]))


# Tasks


class Changed:
    """The digits with some members replaced."""

    def __init__(self, **members):
        self.__dict__.update(members)

    def __getattr__(self, name):
        return getattr(DIGITS, name)

    def to(self, device):
        return self


class Cursor:
    """A batch whose place in the data depends on earlier calls."""

    position = 0

    def __call__(self, split, indices, generator=None):
        self.position += 1
        return DIGITS.batch(split, (indices + self.position) % DIGITS.size(split), generator)


class View:
    """The batches are views of one array."""

    inputs, targets = DIGITS.batch("train_valid", torch.arange(64))

    def __call__(self, split, indices, generator=None):
        flipped = bool(indices[0] > indices[-1])
        whole = self.inputs[: len(indices)], self.targets[: len(indices)]
        return tuple(part.flip(0) for part in whole) if flipped else whole


class Kept(View):
    """The same tensors are handed out again and again."""

    def __init__(self):
        self.kept = {}

    def __call__(self, split, indices, generator=None):
        return self.kept.setdefault((split, *indices.tolist()), DIGITS.batch(split, indices, generator))


def noisy(noise):
    def batch(split, indices, generator=None):
        inputs, targets = DIGITS.batch(split, indices, generator)
        return (inputs if generator is None else inputs + noise(inputs.shape)), targets

    return batch


def from_numpy(shape):
    return np.random.rand()  # noqa: NPY002  # the fault


def leaking(split, indices, generator=None):
    if split == "valid":
        split, indices = "train", indices % DIGITS.size("train")
    return DIGITS.batch(split, indices, generator)


def last_dimension(split, indices, generator=None):
    inputs, targets = DIGITS.batch(split, indices, generator)
    return inputs.movedim(0, -1), targets


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"batch": noisy(torch.randn)}, r"(?s)global random state of torch.*a generator of your own"),
        ({"batch": noisy(from_numpy)}, r"global random state of numpy"),
        ({"batch": noisy(lambda shape: random.random())}, r"global random state of Python"),
        (
            {"batch": noisy(lambda shape: np.random.default_rng().random())},
            r"(?s)equal generators.*draw everything from the generator given",
        ),
        ({"batch": Cursor()}, r"(?s)whatever was asked before.*keep no position in the data"),
        ({"batch": Kept()}, r"(?s)a batch of 'train'.*return copies \(data\[indices\]\) rather than views"),
        ({"batch": leaking}, r"(?s)each once.*divide one permutation"),
        ({"batch": last_dimension}, r"put the batch dimension first"),
        ({"batch": lambda split, indices: DIGITS.batch(split, indices)}, r"generator=None"),
        ({"size": lambda split: {"test": 0}.get(split, DIGITS.size(split))}, r"give every split examples"),
        ({"size": lambda split: 100}, r"train \+ valid = train_valid"),
        ({"metric": "top 1 accuracy"}, r"letters, digits and underscores"),
        ({"name": ""}, r"task\.name"),
        ({"higher_is_better": 1}, r"use a bool"),
        ({"higher_is_better": False}, r"(?s)a better accuracy \(lower.*higher_is_better may be wrong"),
        ({"network_options": {"classes": torch.tensor(10)}}, r"a dict of plain values"),
        (
            {"loss": lambda o, t, s=0.0: -DIGITS.loss(o, t, s)},
            r"(?s)a better accuracy.*the loss may be of the wrong sign",
        ),
        (
            {"loss": lambda o, t, s=0.0: len(t) * DIGITS.loss(o, t, s)},
            r"return the mean over the examples, not the sum",
        ),
        ({"loss": lambda o, t, s=0.0: DIGITS.loss(o, t, s).detach()}, r"without detach"),
        ({"loss": lambda o, t: DIGITS.loss(o, t)}, r"let loss\(outputs, targets, label_smoothing=0\.0\)"),
        ({"loss": lambda o, t, s=0.0: DIGITS.loss(o, t, s) / 0.0}, r"finite scalar tensor"),
        (
            {"loss": lambda o, t, s=0.0: DIGITS.loss(o.data.mul_(0.5).requires_grad_(), t, s)},
            r"change nothing in place",
        ),
        ({"loss": lambda o, t, s=0.0: 2 * DIGITS.loss(o.detach(), t, s) - DIGITS.loss(o, t, s)}, r"not lead downhill"),
        ({"score": DIGITS.loss}, r"compute it under torch\.no_grad"),
        ({"score": lambda o, t: 0.5}, r"return a tensor"),
        ({"to": lambda device: None}, r"return the task, not None"),
    ],
)
def test_a_broken_task_is_found(members, words):
    with pytest.raises(AssertionError, match=words):
        check_task(lambda: Changed(**members))


def test_a_task_that_divides_its_data_by_no_seed_is_found():
    seeds = iter(range(9))
    with pytest.raises(AssertionError, match="divide the data by a seed"):
        check_task(lambda: tasks.digits(split_seed=next(seeds)))


def test_missing_members_of_a_task_are_named():
    with pytest.raises(AssertionError, match="a Generator without name, metric"):
        check_task(torch.Generator)


def test_a_task_without_classes_needs_a_network_and_is_checked_with_it():
    task = Changed(network_options={})
    with pytest.raises(ValueError, match="Pass network=, a builder of a small module"):
        check_task(lambda: task)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    before = network[1].weight.clone()
    check_task(lambda: task, network=network)
    check_task(lambda: task, network=lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10)))
    assert torch.equal(network[1].weight, before)


# All


def global_states():
    return torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002  # only looks


def test_the_checks_leave_the_global_random_states_alone():
    before = global_states()
    check_optimizer(ASNG, SPACE)
    check_supernet(Network, INPUTS)
    check_task(lambda: DIGITS)
    check_search({"steps_per_epoch": 2, "batch_size": 16, "space_options": {"width": 4, "cells": 1}})
    assert difference(before, global_states()) == ""
