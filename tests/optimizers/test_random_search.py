"""Random search: what it draws, and that drawing many decisions at once draws the same."""

import math

import numpy as np
import pytest

from ray_asng import Categorical, Integer, Real, SearchSpace
from ray_asng.optimizers.random_search import RandomSearch

MIXED = [
    Categorical("one", ("only",)),
    Categorical("three", ("a", "b", "c")),
    Integer("signed", -3, 40),
    Real("rate", 1e-4, 1.0, log=True),
    Categorical("five", tuple("abcde")),
    Integer("wide", 0, 10_000),
    Real("share", -1.0, 2.0),
    Real("last", 0.0, 1.0),
]


@pytest.mark.parametrize("seed", range(10))
def test_proposals_are_the_samples_of_the_space_in_the_same_order(seed):
    rng = np.random.default_rng(seed)
    space = SearchSpace([MIXED[place] for place in rng.permutation(len(MIXED))[: rng.integers(1, len(MIXED) + 1)]])
    method, stream = RandomSearch(space, seed=seed), np.random.default_rng(seed)
    proposals = [*method.ask(3), *method.ask(1)]
    assert [proposal.architecture for proposal in proposals] == [space.sample(stream) for _ in range(4)]
    assert method.rng.bit_generator.state == stream.bit_generator.state


def test_a_proposal_stands_for_its_architecture():
    space = SearchSpace(MIXED)
    for proposal in RandomSearch(space, seed=1).ask(20):
        options, values = space.encode(proposal.architecture)
        assert np.array_equal(proposal.options, options)
        assert proposal.options.dtype == options.dtype
        np.testing.assert_allclose(proposal.values, values, rtol=1e-12)


def test_the_log_probability_is_that_of_a_uniform_draw():
    space = SearchSpace([Categorical("c", ("a", "b", "d")), Integer("i", 0, 4), Real("r", 0.0, 2.0)])
    assert RandomSearch(space).ask(1)[0].log_probability == pytest.approx(-math.log(3 * 5 * 2.0))
