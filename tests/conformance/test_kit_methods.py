"""The conformance kit finds what is broken in methods and whole searches, and says what to mend."""

import numpy as np
import pytest
import torch
from torch import nn

from ray_asng import OneOf, SearchSpace, tasks
from ray_asng.optimizers import ASNG, DARTS, GAEA, Proposal, RandomSearch
from ray_asng.testing import check_optimizer, check_search

DIGITS = tasks.digits()


class ForgetsItsGenerator(RandomSearch):
    def state_dict(self):
        return {key: value for key, value in super().state_dict().items() if key != "rng"}

    def load_state_dict(self, state):
        super().load_state_dict({**state, "rng": self.rng.bit_generator.state})


class ForgetsItsStepSize(ASNG):
    def load_state_dict(self, state):
        super().load_state_dict({**state, "Delta": 1.0})


class ForgetsItsDistribution(GAEA):
    def load_state_dict(self, state):
        pass


class DrawsGlobally(RandomSearch):
    def ask(self, count):
        np.random.rand()  # noqa: NPY002  # the fault
        return super().ask(count)


class IgnoresItsSeed(RandomSearch):
    def __init__(self, space, seed=0):
        super().__init__(space, seed=0)


class DrawsFromNowhere(RandomSearch):
    def __init__(self, space, seed=0):
        super().__init__(space)
        self.rng = np.random.default_rng()


class IgnoresReseed(RandomSearch):
    def reseed(self, seed):
        pass


class ReseedsFromNowhere(RandomSearch):
    def reseed(self, seed):
        super().reseed(None)


class SavesArrays(ASNG):
    def state_dict(self):
        return {**super().state_dict(), "s": self.s.copy()}


class SavesReferences(DARTS):
    def state_dict(self):
        return {**super().state_dict(), "logits": {name: row.detach() for name, row in self.logits.items()}}


class LoadsReferences(GAEA):
    def load_state_dict(self, state):
        self.theta = state["theta"]

    def architecture_step(self, problem):
        before = self.theta
        loss = super().architecture_step(problem)
        for name, row in before.items():
            self.theta[name] = row.copy_(self.theta[name])
        return loss


class KeepsHistory(ASNG):
    def __init__(self, space, seed=0):
        super().__init__(space, seed)
        self.history = []

    def tell(self, proposals, losses):
        super().tell(proposals, losses)
        self.history += list(map(float, losses))

    def state_dict(self):
        return {**super().state_dict(), "history": list(self.history)}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.history = list(state["history"])


class Maximises(ASNG):
    def tell(self, proposals, losses):
        super().tell(proposals, -np.asarray(losses))


class Climbs(GAEA):
    def __init__(self, space, seed=0):
        super().__init__(space, seed)
        self.learning_rate = -0.1


class SpreadsNaN(ASNG):
    def tell(self, proposals, losses):
        super().tell(proposals, losses)
        self.distribution.theta = self.distribution.theta + 0.0 * np.sum(losses)


class SortsWhatItIsTold(ASNG):
    def tell(self, proposals, losses):
        super().tell(proposals, losses)
        if isinstance(proposals, list):
            proposals.reverse()


class KnowsOnlyItsOwnProposals(ASNG):
    def tell(self, proposals, losses):
        super().tell([proposal.architecture for proposal in proposals], losses)


class ProposesDicts(RandomSearch):
    def ask(self, count):
        return [dict(proposal.architecture) for proposal in super().ask(count)]


class MixesUpItsOptions(ASNG):
    def ask(self, count):
        return [Proposal(proposal.architecture, proposal.options[::-1]) for proposal in super().ask(count)]


class ReportsLate(ASNG):
    def metrics(self):
        return super().metrics() if self.distribution.version else {}


class GivesItselfAway(GAEA):
    def __init__(self, space, seed=0):
        super().__init__(space, seed)
        self.theta = {name: row.double() for name, row in self.theta.items()}

    @property
    def probabilities(self):
        return {name: row.numpy() for name, row in self.theta.items()}


class AnswersWithAnIndex(ASNG):
    def finalize(self, evaluate):
        return dict.fromkeys(self.space.names, 0)


class PromisesTooLittle(GAEA):
    convergence_limit = 0.21


class RefusesWithoutAdvice(RandomSearch):
    def __init__(self, space, seed=0):
        if space.numeric:
            raise ValueError("no numbers")
        super().__init__(space, seed)


class TakesNumbersUnseen(GAEA):
    def __init__(self, space, seed=0):
        super().__init__(SearchSpace(space.categorical), seed)
        self.space = space


class LeavesTheGraph(DARTS):
    def weights_for_training(self):
        return {name: torch.softmax(row, dim=0) for name, row in self.logits.items()}

    @property
    def probabilities(self):
        return {name: row.detach().double().numpy() for name, row in self.weights_for_training().items()}


class LeavesGradients(GAEA):
    def architecture_step(self, problem):
        problem.loss(self.weights_for_training(), "train").backward()
        return super().architecture_step(problem)


class MovesTheNetwork(GAEA):
    def architecture_step(self, problem):
        with torch.no_grad():
            problem.parameters[0].sub_(problem.learning_rate)
        return super().architecture_step(problem)


class LearnsFromTestData(GAEA):
    def architecture_step(self, problem):
        problem.loss(self.weights_for_training(), "test")
        return super().architecture_step(problem)


class LeavesADecisionOut(GAEA):
    def weights_for_training(self):
        return dict(list(super().weights_for_training().items())[1:])


class MixesWithNaN(GAEA):
    def weights_for_training(self):
        return {name: row * torch.nan for name, row in super().weights_for_training().items()}


class HandsOutItsOwnWeights(GAEA):
    def weights_for_training(self):
        return self.theta


class ReturnsATensor(GAEA):
    def architecture_step(self, problem):
        return torch.tensor(super().architecture_step(problem))


@pytest.mark.parametrize(
    ("method", "words"),
    [
        (ForgetsItsGenerator, r"does not hold the random generator: save `rng\.bit_generator\.state`"),
        (ForgetsItsStepSize, r"(?s)another seed.*moments, counters, step sizes"),
        (ForgetsItsDistribution, r"does not hold the whole distribution"),
        (DrawsGlobally, r"(?s)global random state of numpy.*a generator of your own"),
        (DrawsFromNowhere, r"(?s)with one seed.*one generator made from the seed"),
        (IgnoresItsSeed, r"make the generator from the seed that the builder is given"),
        (IgnoresReseed, r"let reseed\(seed\) make a new generator"),
        (ReseedsFromNowhere, r"(?s)after reseed.*from the seed alone"),
        (SavesArrays, r"(?s)state\['s'\] is a numpy\.ndarray.*write arrays as tensors or by \.tolist\(\)"),
        (SavesReferences, r"let state_dict return copies"),
        (LoadsReferences, r"let load_state_dict copy"),
        (KeepsHistory, r"keep no history in the state"),
        (Maximises, r"(?s)lower is better, always.*turn the sign"),
        (Climbs, r"go down the gradient"),
        (SpreadsNaN, r"(?s)one NaN losses.*keep the distribution on the simplex"),
        (SortsWhatItIsTold, r"in copies of what is told"),
        (KnowsOnlyItsOwnProposals, r"(?s)bare architectures.*encode what is no Proposal"),
        (ProposesDicts, r"return Proposal\(architecture"),
        (MixesUpItsOptions, r"(?s)as of its architecture.*from space\.encode"),
        (ReportsLate, r"return all keys from the start"),
        (GivesItselfAway, r"(?s)a caller changed the arrays.*return copies"),
        (AnswersWithAnIndex, r"(?s)finalize.*return an architecture of the space"),
        (PromisesTooLittle, r"(?s)convergence_limit.*within bounds"),
        (RefusesWithoutAdvice, r"(?s)an integer and reals.*names methods which take it"),
        (TakesNumbersUnseen, r"refuse a space with decisions that the method cannot take"),
        (LearnsFromTestData, r"(?s)the split 'train' or 'valid'.*'test'"),
        (LeavesADecisionOut, r"give each decision a \(K,\) tensor"),
        (MixesWithNaN, r"keep logits and exponents bounded"),
        (HandsOutItsOwnWeights, r"(?s)copies that a caller may change.*clone\(\)"),
        (LeavesTheGraph, r"detach them"),
        (LeavesGradients, r"torch\.autograd\.grad instead of backward"),
        (MovesTheNetwork, r"put back what an unrolled step changes"),
        (ReturnsATensor, r"return float\(loss\)"),
        (lambda space, seed: object(), r"subclass one of the two"),
        (lambda space: RandomSearch(space), r"take a space and a seed"),
    ],
)
def test_a_broken_method_is_found(method, words):
    with pytest.raises(AssertionError, match=words):
        check_optimizer(method)


# Searches


# Nearly all data for training: every epoch ends with a pass over the validation data.
SHORT = {"steps_per_epoch": 2, "batch_size": 16, "train_fraction": 0.95, "space_options": {"width": 4, "cells": 1}}


class Reports(RandomSearch):
    def metrics(self):
        return {"mine": self.reported}

    def finalize(self, evaluate):
        return self.most_likely()


class ReportsNaN(Reports):
    reported = float("nan")


class ReportsAnArrayElement(Reports):
    reported = np.float64(1.0)


class ForgetsItsGeneratorAtOnce(ForgetsItsGenerator, Reports):
    """Resumed with the seed of the construction, it repeats its first proposals."""

    reported = 0.0


class DrawsFromNowhereAtOnce(DrawsFromNowhere, Reports):
    reported = 0.0


class ReportsMoreLater(Reports):
    reported = 0.0
    epochs = 0

    def on_epoch_end(self, epoch, epochs):
        self.epochs = epoch

    def metrics(self):
        return super().metrics() if self.epochs < 2 else {**super().metrics(), "late": 1.0}


class Decided(Reports):
    reported = 0.0

    def most_likely(self):
        return self.space.derive(self.probabilities)


class Silent(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = OneOf({"a": nn.Linear(64, 10), "b": nn.Linear(64, 10)})

    def forward(self, x):
        return 0.0 * self.layer(x.flatten(1))


class OneExample:
    """The digits, all of them the same one."""

    def __getattr__(self, name):
        return getattr(DIGITS, name)

    def to(self, device):
        return self

    def batch(self, split, indices, generator=None):
        return DIGITS.batch(split, 0 * indices)


class HidesTheCount(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = OneOf({"a": nn.Linear(64, 10), "b": nn.Linear(64, 10)})
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.layer(x.flatten(1)) * (1.0 + 0.01 * self.calls)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"method": ReportsNaN}, r"(?s)the report of epoch 1.*'mine': nan"),
        ({"method": ReportsMoreLater}, r"(?s)report of epoch 2.*the same keys at every call"),
        ({"method": ReportsAnArrayElement}, r"(?s)'mine'.*convert with float"),
        ({"method": ForgetsItsGeneratorAtOnce}, r"(?s)stopped after epoch 1 of 2.*in state_dict; check_optimizer"),
        ({"method": DrawsGlobally}, r"(?s)epoch 1.*global random state of numpy"),
        ({"method": DrawsFromNowhereAtOnce, "samples": 8}, r"(?s)two searches with one seed"),
        ({"space": HidesTheCount, "space_options": {}}, r"(?s)stopped after epoch 1 of 2"),
    ],
)
def test_a_broken_search_is_found(config, words):
    with pytest.raises(AssertionError, match=words):
        check_search({**SHORT, **config})


def test_a_search_that_its_seed_does_not_change_is_found():
    config = {"method": Decided, "space": Silent, "steps_per_epoch": 2}
    with pytest.raises(AssertionError, match="use the seed that the builders are given"):
        check_search(config, objects={"task": OneExample()})


def test_a_failure_says_what_was_checked_expected_found_and_what_to_mend():
    with pytest.raises(AssertionError) as caught:
        check_optimizer(ReturnsATensor)
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0].strip() for line in lines] == [
        "architecture_step(problem)",
        "expected",
        "got",
        "to mend",
    ]


def test_an_error_of_the_checked_code_is_the_cause_of_the_failure():
    class Raises(RandomSearch):
        def tell(self, proposals, losses):
            raise KeyError("lost")

    with pytest.raises(AssertionError, match="KeyError: 'lost'") as caught:
        check_optimizer(Raises)
    assert isinstance(caught.value.__cause__, KeyError)
