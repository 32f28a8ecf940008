"""Integers with a step: what they can be, how they are searched, and what is refused."""

import json

import numpy as np
import pytest

from ray_asng import Categorical, Integer, SearchSpace
from ray_asng.optimizers.asng import ASNG
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
