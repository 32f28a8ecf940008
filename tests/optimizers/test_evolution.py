"""Regularised evolution: who is a parent, who dies, and what it answers."""

import math

import numpy as np
import pytest

from ray_asng import Categorical, Integer, Real, SearchSpace
from ray_asng.optimizers.evolution import RegularizedEvolution
from ray_asng.testing import check_optimizer

COUNTS = (3, 4, 2, 3)
SPACE = SearchSpace([Categorical(f"c{i}", [str(k) for k in range(count)]) for i, count in enumerate(COUNTS)])
GOAL = (2, 1, 0, 1)


def distance(architecture):
    """A loss that every decision lowers by itself."""
    return float(sum(abs(int(architecture[name]) - goal) for name, goal in zip(SPACE.names, GOAL, strict=True)))


def changes(one, other):
    return sum(one[name] != other[name] for name in one)


def filled(losses, **settings):
    """A method whose population has these losses, the oldest first, and distinct architectures."""
    method = RegularizedEvolution(SPACE, **{"population": len(losses), **settings})
    told = [SPACE.decode(np.array([i % 3, i % 4, 0, 0]), np.empty(0)) for i in range(len(losses))]
    method.tell(told, losses)
    return method, told


def test_the_first_architectures_are_the_random_ones_of_the_space():
    method, stream = RegularizedEvolution(SPACE, seed=3), np.random.default_rng(3)
    for _ in range(10):
        proposals = method.ask(1)
        assert proposals[0].architecture == SPACE.sample(stream)
        method.tell(proposals, [1.0])
    assert any(changes(method.ask(1)[0].architecture, member.architecture) == 1 for member in method.members)


def test_a_child_differs_from_the_best_of_a_large_tournament_in_one_decision():
    """With 200 draws from 8 members the best is missed once in 10 ** 11 tournaments."""
    method, told = filled([5.0, 4.0, 1.0, 3.0, 2.0, 6.0, 7.0, math.nan], tournament=200)
    assert all(changes(proposal.architecture, told[2]) == 1 for proposal in method.ask(100))


def test_a_member_wins_a_tournament_of_three_as_often_as_it_is_the_best_of_three_draws():
    """Chi-square, 3 degrees of freedom: a correct sampler exceeds 16.3 once in 1000 seeds."""
    method, _ = filled([1.0, 2.0, 3.0, 4.0])
    drawn = np.zeros(4)
    parents = [member.architecture for member in method.members]
    mutate = method.space.mutate

    def recorded(parent, rng):
        drawn[parents.index(parent)] += 1
        return mutate(parent, rng)

    method.space = SearchSpace(SPACE.decisions)
    method.space.mutate = recorded
    method.ask(4000)
    expected = 4000 * np.array([4**3 - 3**3, 3**3 - 2**3, 2**3 - 1, 1]) / 4**3
    assert ((drawn - expected) ** 2 / expected).sum() < 16.3


def test_the_oldest_member_dies_even_if_it_is_the_best_and_stays_the_answer():
    method, told = filled([0.5, 3.0, 4.0])
    child = SPACE.decode(np.array([2, 3, 1, 2]), np.empty(0))
    method.tell([child], [9.0])
    assert [member.architecture for member in method.members] == [told[1], told[2], child]
    assert method.most_likely() == told[0]


def test_the_population_and_the_best_are_compared_anew_at_the_end():
    method, told = filled([0.5, 3.0, 4.0])
    assert method.finalize(lambda architecture: 0.0 if architecture == told[2] else 1.0) == told[2]
    assert method.finalize(lambda architecture: math.nan if architecture == told[0] else 1.0) != told[0]


def test_probabilities_are_the_shares_of_the_options_among_the_members():
    space = SearchSpace([Categorical("c", ("a", "b", "d")), Integer("i", 2, 4), Real("r", 1e-4, 1.0, log=True)])
    method = RegularizedEvolution(space)
    cells = [{"c": "a", "i": 2, "r": 1e-1}, {"c": "a", "i": 4, "r": 1e-3}, {"c": "d", "i": 4, "r": 1e-2}]
    method.tell(cells, [1.0, 2.0, 3.0])
    rows = method.probabilities
    np.testing.assert_allclose(rows["c"], [2 / 3, 0, 1 / 3])
    np.testing.assert_allclose(rows["i"], [1 / 3, 0, 2 / 3])
    np.testing.assert_allclose(rows["r"], [1e-2, math.log(10) * math.sqrt(2 / 3)])


@pytest.mark.parametrize("seed", range(10))
def test_a_planted_architecture_is_found(seed):
    method = RegularizedEvolution(SPACE, seed=seed)
    for _ in range(300):
        proposals = method.ask(1)
        method.tell(proposals, [distance(proposal.architecture) for proposal in proposals])
    assert distance(method.most_likely()) == 0.0


def test_the_method_conforms():
    check_optimizer(RegularizedEvolution)


@pytest.mark.parametrize("setting", ["population", "tournament", "samples"])
def test_a_setting_below_one_is_refused(setting):
    with pytest.raises(ValueError, match=f"{setting} must be at least 1, got 0"):
        RegularizedEvolution(SPACE, **{setting: 0})
