"""SPOS: uniform paths, the evolution at the end, bounds on the cost."""

import math
from functools import partial

import numpy as np
import pytest

from ray_asng import Categorical, Integer, Real, SearchSpace
from ray_asng.optimizers.path_evolution import PathEvolution, by_loss, crossed
from ray_asng.optimizers.spos import SPOS
from ray_asng.testing import check_optimizer

NAMES = [f"c{place}" for place in range(10)]
OPTIONS = ("0", "1", "2", "3")


def total(architecture):
    """Sum of the options' numbers; also a cost."""
    return float(sum(int(value) for value in architecture.values()))


SPACE = SearchSpace([Categorical(name, OPTIONS) for name in NAMES], cost=total)


def distance(architecture):
    """A loss that every decision lowers by itself; 0 for one of a million architectures."""
    return float(sum(int(architecture[name]) != place % 4 for place, name in enumerate(NAMES)))


@pytest.mark.parametrize("seed", range(5))
def test_the_best_of_a_million_architectures_is_found(seed):
    assert distance(SPOS(SPACE, seed=seed).finalize(distance)) == 0.0


def test_the_published_number_of_architectures_is_looked_at_each_once():
    seen = []
    SPOS(SPACE).finalize(lambda architecture: seen.append(architecture) or distance(architecture))
    assert len(seen) == len(set(seen)) == 50 * 20


def test_a_small_space_is_looked_at_as_a_whole_and_no_longer():
    small = SearchSpace([Categorical("a", ("x", "y")), Categorical("b", ("u", "v", "w"))])
    seen = []
    SPOS(small).finalize(lambda architecture: seen.append(architecture) or 1.0)
    assert len(seen) == small.size


def test_parents_are_the_best_of_all_generations():
    losses = {}

    def evaluate(architecture):
        return losses.setdefault(architecture, distance(architecture))

    best = PathEvolution(SPACE, generations=5).run(evaluate, np.random.default_rng(0), by_loss)
    assert [candidate.loss for candidate in best] == sorted(losses.values())[:10]


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_does_not_win(broken):
    best = SPOS(SPACE, generations=2).finalize(lambda architecture: broken if architecture["c0"] == "0" else 1.0)
    assert best["c0"] != "0"


def test_a_crossover_has_every_value_from_one_of_its_parents_as_likely():
    space = SearchSpace([*SPACE.decisions, Integer("i", 8, 32, step=8), Real("r", 1e-4, 1e-1, log=True)])
    rng = np.random.default_rng(0)
    one, other = space.sample(rng), space.sample(rng)
    children = [crossed(space, one, other, rng) for _ in range(400)]
    for name in space.names:
        assert {child[name] for child in children} == {one[name], other[name]}
        if one[name] != other[name]:
            from_one = sum(child[name] == one[name] for child in children)
            assert 140 < from_one < 260  # six standard deviations


def two_of_three(probabilities):
    """Keeps the two edges that are likeliest not to be `none`."""
    weakest = min(probabilities, key=lambda name: probabilities[name][1:].sum())
    kept = {name: ("skip", "conv")[int(row[1:].argmax())] for name, row in probabilities.items() if name != weakest}
    return {**kept, weakest: "none"}


def test_a_crossover_keeps_the_rule_by_which_the_space_derives_architectures():
    edges = [Categorical(name, ("none", "skip", "conv")) for name in ("e0", "e1", "e2")]
    space = SearchSpace(edges, derive=two_of_three)
    rng = np.random.default_rng(0)
    one = space.architecture({"e0": "skip", "e1": "conv", "e2": "none"})
    other = space.architecture({"e0": "none", "e1": "skip", "e2": "conv"})
    children = {crossed(space, one, other, rng) for _ in range(200)}
    assert all(list(child.values()).count("none") == 1 for child in children)
    assert len(children) > 2


def test_mutations_change_the_given_share_of_decisions():
    changed = []
    for rate in (0.1, 0.5):
        evolution, rng = PathEvolution(SPACE, mutation_rate=rate), np.random.default_rng(0)
        parent = SPACE.sample(rng)
        children = [evolution._mutated(parent, rng) for _ in range(300)]
        changed.append(np.mean([sum(child[name] != parent[name] for name in NAMES) for child in children]))
    assert 1.1 < changed[0] < 1.6  # at least one, and 1 of 10 on the average
    assert 3.5 < changed[1] < 4.5  # 5 draws of 10 decisions, some of them twice


def test_the_evolution_keeps_within_the_bound_on_the_cost():
    seen = []
    method = SPOS(SPACE, generations=6, most_cost=9.0)
    best = method.finalize(lambda architecture: seen.append(architecture) or -total(architecture))
    assert max(map(total, seen)) == total(best) == 9.0


def test_a_bound_that_nothing_keeps_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match="none of 500 random architectures costs at most most_cost=-1; allow more"):
        SPOS(SPACE, most_cost=-1.0).finalize(distance)


def test_proposals_are_drawn_from_the_ranges_of_cost_alike():
    method = SPOS(SPACE, cost_bins=(10.0, 11.9, 13.9))
    costs = [total(proposal.architecture) for proposal in method.ask(200)]
    assert set(costs) == {10.0, 11.0, 12.0, 13.0}
    assert 60 < sum(cost < 12.0 for cost in costs) < 140  # of uniform paths these are 1 in 3


def test_where_no_random_path_falls_in_a_range_one_is_taken_as_it_comes():
    assert len({proposal.architecture for proposal in SPOS(SPACE, cost_bins=(40.0, 50.0)).ask(3)}) == 3


@pytest.mark.parametrize("bounds", [(1.0,), (2.0, 1.0), (0.0, math.inf), (math.nan, 1.0)])
def test_ranges_that_are_none_are_refused(bounds):
    with pytest.raises(ValueError, match="cost_bins are at least two ascending bounds"):
        SPOS(SPACE, cost_bins=bounds)


@pytest.mark.parametrize("option", [{"most_cost": 1.0}, {"cost_bins": (1.0, 2.0)}])
def test_bounds_where_no_cost_is_known_are_refused_with_the_remedy(option):
    with pytest.raises(ValueError, match=f'{next(iter(option))} bounds the cost .* "cost": "parameters"'):
        SPOS(SearchSpace([Categorical("a", ("x", "y"))]), **option)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"population": 0}, "population must be at least 1, got 0"),
        ({"generations": 0}, "generations must be at least 1, got 0"),
        ({"population": 10}, "together at most the population; got crossovers=25, mutations=25, population=10"),
        ({"mutation_rate": 0.0}, "mutation_rate must be above 0 and at most 1, got 0.0"),
        ({"recalibration_batches": -1}, "recalibration_batches must be at least 0, got -1"),
    ],
)
def test_numbers_out_of_range_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        SPOS(SPACE, **options)


def test_the_method_conforms():
    check_optimizer(partial(SPOS, population=10, generations=3, crossovers=5, mutations=3))


def test_a_space_without_a_choice_has_its_only_architecture():
    assert dict(SPOS(SearchSpace([Categorical("a", ("x",))])).finalize(lambda _: 0.0)) == {"a": "x"}
