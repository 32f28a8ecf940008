"""FairNAS: options are trained equally often, and paths are ranked at the end by loss, or by loss and cost."""

import math
from collections import Counter
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from ray_asng import Categorical, Integer, OneOf, SearchSpace, Supernet, tasks
from ray_asng.optimizers.fairnas import FairNAS
from ray_asng.optimizers.pareto import by_fronts, crowding, first_front, front_numbers
from ray_asng.optimizers.path_evolution import Candidate
from ray_asng.search import Search
from ray_asng.settings import SearchSettings
from ray_asng.tally import Tally
from ray_asng.testing import check_optimizer

EVEN = SearchSpace([Categorical(f"c{place}", ("a", "b", "c", "d")) for place in range(6)])
UNEVEN = SearchSpace([Categorical(f"c{count}", [str(k) for k in range(count)]) for count in (1, 2, 3, 6, 4)])


def counts(space, proposals):
    """Decision name -> how often each of its options is there."""
    drawn = {decision.name: Counter(dict.fromkeys(decision.options, 0)) for decision in space.decisions}
    for proposal in proposals:
        for name, value in proposal.architecture.items():
            drawn[name][value] += 1
    return drawn


def test_a_round_has_every_option_of_every_decision_once():
    method = FairNAS(EVEN, seed=1)
    assert method.samples == method.round_size == 4
    for _ in range(20):
        assert all(set(seen.values()) == {1} for seen in counts(EVEN, method.ask(4)).values())


def test_options_are_dealt_independently_and_in_every_order():
    method = FairNAS(EVEN, seed=0)
    orders = Counter(tuple(p.architecture["c2"] for p in method.ask(4)) for _ in range(600))
    assert len(orders) == 24
    pairs = Counter((p.architecture["c0"], p.architecture["c1"]) for _ in range(100) for p in method.ask(4))
    assert len(pairs) == 16


def test_several_rounds_at_a_time_are_as_fair():
    assert all(set(seen.values()) == {5} for seen in counts(EVEN, FairNAS(EVEN).ask(20)).values())


def test_shorter_decisions_deal_again_and_no_option_leads_by_more_than_one():
    method = FairNAS(UNEVEN, seed=3)
    assert method.samples == 6
    often = Counter()
    for _ in range(200):
        seen = counts(UNEVEN, method.ask(6))
        assert [set(seen[name].values()) for name in ("c1", "c2", "c3", "c6")] == [{6}, {3}, {2}, {1}]
        assert sorted(seen["c4"].values()) == [1, 1, 2, 2]
        often.update(seen["c4"])
    assert all(abs(count - 300) < 45 for count in often.values())  # six standard deviations


class Counting(nn.Linear):
    """Counts the passes in which it learns."""

    def __init__(self):
        super().__init__(64, 10)
        self.calls = 0

    def forward(self, inputs):
        self.calls += torch.is_grad_enabled()
        return super().forward(inputs)


class Sum(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(
            OneOf({option: Counting() for option in ("a", "b", "c")}, name=name) for name in ("first", "second")
        )

    def forward(self, images):
        return sum(layer(images.flatten(1)) for layer in self.layers)


def search(**settings):
    supernet = Supernet(Sum())
    return Search(
        supernet, tasks.digits(), FairNAS(supernet.space), SearchSettings(epochs=2, batch_size=16, **settings)
    )


def test_the_weight_steps_of_a_search_train_all_options_equally_often():
    running = search()
    layers = [part for part in running.supernet.modules() if isinstance(part, Counting)]
    for steps in range(1, 8):
        running._steps.weight_step(Tally())
        assert [layer.calls for layer in layers] == [steps] * 6


@pytest.mark.parametrize("settings", [{"samples": 2}, {"weight_samples": 4}, {"samples": 6, "weight_samples": 1}])
def test_steps_that_could_not_be_fair_are_refused(settings):
    with pytest.raises(ValueError, match=r"rounds of 3 paths.* set weight_samples to a multiple of 3"):
        search(**settings)


@pytest.mark.parametrize("settings", [{"samples": 6}, {"samples": 1, "weight_samples": 3}])
def test_steps_of_whole_rounds_are_taken(settings):
    search(**settings)._steps.weight_step(Tally())


LETTERS = "abcd"


def distance(architecture):
    return float(sum(value != LETTERS[place % 4] for place, value in enumerate(architecture.values())))


@pytest.mark.parametrize("seed", range(5))
def test_the_best_architecture_is_found(seed):
    assert distance(FairNAS(EVEN, seed=seed).finalize(distance)) == 0.0


def price(architecture):
    """Least where the distance is greatest, by and large."""
    return float(sum(LETTERS.index(value) != (place + 1) % 4 for place, value in enumerate(architecture.values())))


PRICED = SearchSpace(EVEN.decisions, cost=price)


def test_with_a_cost_the_whole_front_is_found_and_its_best_loss_is_the_answer():
    """Every decision lowers the loss or the cost, so the front has a member for every loss from 0 to 6."""
    method = FairNAS(PRICED, seed=0)
    answer = method.finalize(distance)
    assert distance(answer) == 0.0
    assert method.front[0].architecture == answer
    assert {(member.loss, member.cost) for member in method.front} == {(float(k), 6.0 - k) for k in range(7)}


def test_the_answer_keeps_within_the_bound_on_the_cost():
    answer = FairNAS(PRICED, seed=0, most_cost=2.0).finalize(distance)
    assert (price(answer), distance(answer)) == (2.0, 4.0)


def test_without_a_cost_there_is_no_front():
    method = FairNAS(EVEN, population=4, generations=1, crossovers=0, mutations=0)
    method.finalize(distance)
    assert method.front == []


def test_fronts_are_those_of_the_definition():
    points = np.random.default_rng(0).integers(0, 6, (40, 2)).astype(float)
    fronts = front_numbers(points)

    def dominates(one, other):
        return all(one <= other) and any(one < other)

    for place, point in enumerate(points):
        above = [fronts[other] for other in range(40) if dominates(points[other], point)]
        assert fronts[place] == (max(above) + 1 if above else 0)


def test_crowding_is_the_extent_of_the_neighbours():
    front = np.array([[0.0, 10.0], [1.0, 6.0], [3.0, 5.0], [4.0, 0.0]])
    assert crowding(front).tolist() == [math.inf, 3 / 4 + 5 / 10, 3 / 4 + 6 / 10, math.inf]
    assert crowding(np.array([[1.0, 2.0]])).tolist() == [math.inf]
    assert crowding(np.ones((3, 2)))[1] == 0.0


def test_candidates_are_ordered_by_front_and_loneliness_and_broken_ones_come_last():
    architectures = [EVEN.sample(np.random.default_rng(seed)) for seed in range(6)]
    pairs = [(math.inf, 0.0), (4.0, 4.0), (1.0, 6.0), (3.0, 5.0), (0.0, 10.0), (4.0, 0.0)]
    given = [Candidate(each, *pair) for each, pair in zip(architectures, pairs, strict=True)]
    assert [given.index(each) for each in by_fronts(given)] == [4, 5, 3, 2, 1, 0]
    assert [given.index(each) for each in first_front(given)] == [4, 2, 3, 5]
    assert by_fronts(given[:1]) == given[:1]
    assert first_front(given[:1]) == []


def test_numbers_are_refused():
    with pytest.raises(ValueError, match=r"fairnas takes categorical decisions only; \['n'\] are numeric"):
        FairNAS(SearchSpace([Integer("n", 1, 4)]))


def test_the_method_conforms():
    check_optimizer(partial(FairNAS, population=10, generations=3, crossovers=5, mutations=3))
