"""Integers with a step, values that are not searched, and spaces with rules of their own for what is drawn."""

import json

import numpy as np
import pytest

from ray_asng import Categorical, Integer, SearchSpace
from ray_asng.optimizers.asng import ASNG
from ray_asng.optimizers.evolution import RegularizedEvolution
from ray_asng.optimizers.random_search import RandomSearch
from ray_asng.testing.space import check_space

WIDTH = Integer("width", 16, 64, step=8)
SPACE = SearchSpace([Categorical("activation", ("relu", "gelu")), WIDTH, Integer("depth", 1, 4)])


def test_an_integer_with_a_step_takes_these_values_and_no_others():
    assert list(WIDTH.values) == [16, 24, 32, 40, 48, 56, 64]
    assert all(type(WIDTH.check(value)) is int for value in (16, 24.0, np.int64(64)))
    for wrong in (20, 8, 72, 24.5, "24", True):
        with pytest.raises(ValueError, match="takes an integer from 16 to 64 in steps of 8, got"):
            WIDTH.check(wrong)


def test_coordinates_count_the_steps():
    assert [WIDTH.encode(value) for value in WIDTH.values] == [16, 17, 18, 19, 20, 21, 22]
    assert [WIDTH.decode(coordinate) for coordinate in (-1.0, 16.4, 16.6, 19.0, 99.0)] == [16, 16, 24, 40, 64]


def test_with_a_step_of_one_the_coordinate_is_the_integer():
    plain = Integer("i", -3, 5)
    assert plain.bounds == (-3.0, 5.0)
    assert [plain.decode(plain.encode(value)) for value in range(-3, 6)] == list(range(-3, 6))
    assert [plain.decode(half) for half in (1.5, 2.5)] == [2, 2]


@pytest.mark.parametrize("make", [ASNG, RandomSearch])
def test_every_value_of_an_integer_with_a_step_is_proposed(make):
    drawn = {proposal.architecture["width"] for proposal in make(SPACE, seed=0).ask(500)}
    assert drawn == set(WIDTH.values)


def test_random_search_draws_the_values_equally_often():
    widths = [proposal.architecture["width"] for proposal in RandomSearch(SPACE, seed=0).ask(7000)]
    counts = [widths.count(value) for value in WIDTH.values]
    assert sum((count - 1000) ** 2 / 1000 for count in counts) < 22.5  # chi-squared with 6 degrees: p = 0.001


def test_the_size_counts_the_values():
    assert SPACE.size == 2 * 7 * 4


def test_a_space_with_steps_keeps_its_contract():
    check_space(SPACE)


def test_probabilities_have_an_entry_for_each_value():
    row = ASNG(SPACE).probabilities["width"]
    assert row.shape == (7,)
    assert SPACE.derive({"activation": [1.0, 0.0], "width": np.eye(7)[2], "depth": np.eye(4)[0]})["width"] == 32


def test_an_architecture_with_a_step_survives_json():
    architecture = SPACE.sample(np.random.default_rng(0))
    assert SPACE.parse(architecture.to_json()) == architecture
    assert json.loads(architecture.to_json())["width"] in WIDTH.values


@pytest.mark.parametrize(
    ("low", "high", "step", "message"),
    [
        (4, 4, 1, "needs low < high"),
        (8, 4, 1, "needs low < high"),
        (16, 60, 8, "divides high - low.*high=56 with step=8 would do"),
        (1, 3, 5, "divides high - low.*high=6 with step=5 would do"),
        (1, 3, 0, "divides high - low.*high=3 with step=1 would do"),
    ],
)
def test_bounds_and_steps_that_do_not_fit_are_refused(low, high, step, message):
    with pytest.raises(ValueError, match=message):
        Integer("width", low, high, step)


def test_bounds_that_are_not_whole_are_refused():
    with pytest.raises(TypeError, match="needs whole numbers"):
        Integer("width", 1.0, 4, 1)


# Values that are not searched

EDGE = Categorical("edge", ("skip", "conv"), unsearched=("none",))
WITH_UNSEARCHED = SearchSpace([EDGE, Categorical("activation", ("relu", "gelu"))])
CUT = {"edge": "none", "activation": "relu"}


def test_an_architecture_may_have_a_value_that_is_not_searched():
    cut = WITH_UNSEARCHED.architecture(CUT)
    assert cut["edge"] == "none"
    assert WITH_UNSEARCHED.parse(cut.to_json()) == cut
    with pytest.raises(ValueError, match=r"has the options .'skip', 'conv', 'none'., got 'zero'"):
        WITH_UNSEARCHED.architecture({**CUT, "edge": "zero"})


def test_a_value_that_is_not_searched_has_no_index_and_no_probability():
    assert ASNG(WITH_UNSEARCHED).probabilities["edge"].shape == (2,)
    assert WITH_UNSEARCHED.size == 4
    assert not WITH_UNSEARCHED.is_searched(CUT)
    assert WITH_UNSEARCHED.is_searched({**CUT, "edge": "skip"})
    with pytest.raises(ValueError, match=r"'edge' is 'none', which is not searched.* the options are .'skip', 'conv'."):
        WITH_UNSEARCHED.encode(CUT)


def test_what_is_not_searched_is_never_drawn_and_can_be_mutated_away():
    rng = np.random.default_rng(0)
    assert {WITH_UNSEARCHED.sample(rng)["edge"] for _ in range(50)} == {"skip", "conv"}
    mutated = [WITH_UNSEARCHED.mutate(CUT, rng) for _ in range(50)]
    assert {each["edge"] for each in mutated} == {"none", "skip", "conv"}
    assert all(sum(each[name] != CUT[name] for name in CUT) == 1 for each in mutated)


def test_decisions_differ_in_what_is_not_searched():
    assert Categorical("edge", ("skip", "conv")) != EDGE
    assert repr(EDGE) == "Categorical(name='edge', options=('skip', 'conv'), unsearched=('none',))"


@pytest.mark.parametrize(
    ("unsearched", "error", "message"),
    [
        (("conv",), ValueError, "'edge' repeats an option"),
        ("none", TypeError, "a sequence of strings, got the string 'none'"),
        ((0,), TypeError, "options must be strings"),
    ],
)
def test_wrong_values_that_are_not_searched_are_refused(unsearched, error, message):
    with pytest.raises(error, match=message):
        Categorical("edge", ("skip", "conv"), unsearched)


# Rules of a space for what is drawn


def same_everywhere(rng):
    value = ("a", "b")[int(rng.integers(2))]
    return {"x": value, "y": value}


def swapped(architecture, rng):
    return {name: "b" if value == "a" else "a" for name, value in architecture.items()}


BOUND = SearchSpace([Categorical(name, ("a", "b")) for name in "xy"], sample=same_everywhere, mutate=swapped)


def test_the_rule_of_a_space_draws_its_architectures():
    rng = np.random.default_rng(0)
    drawn = [BOUND.sample(rng) for _ in range(20)]
    assert {tuple(each.values()) for each in drawn} == {("a", "a"), ("b", "b")}
    assert BOUND.mutate(drawn[0], rng) == swapped(drawn[0], rng)
    assert (BOUND.draws_independently, SPACE.draws_independently) == (False, True)


@pytest.mark.parametrize("make", [RandomSearch, RegularizedEvolution])
def test_methods_that_draw_whole_architectures_keep_to_the_rule(make):
    method = make(BOUND, seed=0)
    for _ in range(40):
        proposals = method.ask(4)
        assert all(proposal.architecture["x"] == proposal.architecture["y"] for proposal in proposals)
        assert all(proposal.options.tolist() in ([0, 0], [1, 1]) for proposal in proposals)
        method.tell(proposals, [0.0, 1.0, 2.0, 3.0])


def test_the_rule_must_give_architectures_of_the_space():
    wrong = SearchSpace(BOUND.decisions, sample=lambda rng: {"x": "a"}, mutate=lambda architecture, rng: {"x": "c"})
    with pytest.raises(ValueError, match=r"missing: .'y'"):
        wrong.sample(np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"missing: .'y'"):
        wrong.mutate({"x": "a", "y": "a"}, np.random.default_rng(0))


def test_a_space_keeps_its_rules_with_another_cost():
    other = BOUND.with_cost(lambda architecture: 3.0)
    assert other.cost({"x": "a", "y": "b"}) == 3.0
    assert BOUND.cost({"x": "a", "y": "b"}) is None
    assert not other.draws_independently
