"""Problems to search with few evaluations: their optima, their values by other formulas, noise and shifts."""

import itertools
import json
import math
import os
import pickle
import subprocess
import sys
from statistics import NormalDist

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ray_asng.space import Categorical, Integer, Real, SearchSpace
from ray_asng.tabular.base import Problem
from ray_asng.tabular.formula import Formula
from ray_asng.tabular.hashed_normal import hashed_normal
from ray_asng.tabular.mixed import EllipsoidCLO, Proximity, RotatedEllipsoidCOM, SphereCOM
from ray_asng.tabular.nasbench201 import EDGES, NASBench201Table
from ray_asng.tabular.nasbench201_problem import NASBench201Problem
from ray_asng.tabular.planted import draw_place
from ray_asng.tabular.pseudo_boolean import LeadingOnes, OneMax
from ray_asng.tabular.selective_squared_error import SelectiveSquaredError
from ray_asng.tabular.wrappers import Noisy, Shifted

MIXED = [SphereCOM, EllipsoidCLO, RotatedEllipsoidCOM, Proximity]
SIZES = [{}, {"categoricals": 5, "options": 3, "integers": 1, "reals": 1}, {"integers": 6, "reals": 0, "seed": 7}]
FORMULAS = [
    SelectiveSquaredError(4, 3),
    OneMax(8),
    OneMax(5, options=4, seed=3),
    LeadingOnes(8),
    LeadingOnes(5, options=4, seed=3),
    *(function(**sizes) for function in MIXED for sizes in SIZES),
]
OPERATIONS = ["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"]


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """NAS-Bench-201 with made-up values: validation 50 + row / 1000, test 40, seconds 100 + row."""
    codes = np.array(list(itertools.product(range(5), repeat=6)))
    rows = np.arange(len(codes))
    columns = {f"op_{edge}": codes[:, place] for place, edge in enumerate(EDGES)}
    columns |= {"cifar10_valid_acc_200": 50 + rows / 1000, "cifar10_test_acc_200": 40 + rows / 2000}
    columns["cifar10_valid_train_time_200_s"] = 100.0 + rows
    path = tmp_path_factory.mktemp("table") / "cells.parquet"
    pq.write_table(pa.table(columns).replace_schema_metadata({"ops": json.dumps(OPERATIONS)}), path)
    return NASBench201Problem(NASBench201Table(path))


def samples(space, count, seed=0):
    rng = np.random.default_rng(seed)
    return [space.sample(rng) for _ in range(count)]


def shares(space, architecture):
    """Where numbers lie in their ranges, from their values alone."""
    found = []
    for decision in space.numeric:
        low, high, value = decision.low, decision.high, architecture[decision.name]
        if isinstance(decision, Real) and decision.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        found.append((value - low) / (high - low))
    return np.array(found)


@pytest.mark.parametrize("problem", [*FORMULAS, *(Shifted(problem, 5) for problem in FORMULAS[::3])], ids=repr)
class TestEveryFormula:
    def test_it_is_a_problem(self, problem):
        assert isinstance(problem, Problem)

    def test_the_optimum_has_the_least_loss_and_nothing_is_below(self, problem):
        assert problem.least_loss == 0.0
        assert problem.loss(problem.optimum) == pytest.approx(problem.least_loss, abs=1e-12)
        assert min(map(problem.loss, samples(problem.space, 1000))) >= problem.least_loss

    def test_no_step_away_from_the_optimum_is_better(self, problem):
        rng = np.random.default_rng(0)
        near = [problem.space.mutate(problem.optimum, rng) for _ in range(200)]
        assert min(map(problem.loss, near)) >= problem.least_loss - 1e-12

    def test_it_is_its_own_loss_when_called(self, problem):
        (architecture,) = samples(problem.space, 1)
        assert problem(dict(architecture)) == problem.loss(architecture)

    def test_a_pickled_copy_is_equal_and_has_the_same_values(self, problem):
        copy = pickle.loads(pickle.dumps(problem))
        assert copy == problem
        assert copy.optimum == problem.optimum
        for architecture in samples(problem.space, 5):
            assert copy.loss(architecture) == problem.loss(architecture)
            assert copy.seconds(architecture) == problem.seconds(architecture)

    def test_what_is_not_of_the_space_is_refused(self, problem):
        for method in (problem.loss, problem.seconds, problem):
            with pytest.raises(ValueError, match="missing"):
                method({})
            with pytest.raises(ValueError, match="unknown decision 'nonsense'"):
                method({**problem.optimum, "nonsense": 1})
            for name in problem.space.names:
                with pytest.raises(ValueError, match=name):
                    method({**problem.optimum, name: "nonsense"})


def test_the_selective_squared_error_counts_the_chosen_squares_alone():
    problem = SelectiveSquaredError(length=3, options=4)
    for architecture in samples(problem.space, 20):
        chosen = [int(architecture[f"c{place}"]) for place in range(3)]
        squares = [architecture[f"x{place}_{option}"] ** 2 for place, option in enumerate(chosen)]
        assert problem.loss(architecture) == pytest.approx(sum(chosen) / 4 + sum(squares))


def test_the_selective_squared_error_has_the_sizes_of_the_paper():
    space = SelectiveSquaredError().space
    assert [len(decision.options) for decision in space.categorical] == [5] * 30
    assert [decision.bounds for decision in space.numeric] == [(-3.0, 3.0)] * 150


def test_onemax_counts_wrong_decisions_and_leadingones_all_from_the_first_wrong_one():
    for kind in (OneMax, LeadingOnes):
        problem = kind(6, options=3, seed=2)
        for architecture in samples(problem.space, 50):
            wrong = [architecture[name] != problem.optimum[name] for name in problem.space.names]
            assert problem.loss(architecture) == (sum(wrong) if kind is OneMax else 6 - [*wrong, True].index(True))


def test_the_right_options_are_drawn_by_the_seed():
    rights = [OneMax(40, options=4, seed=seed).optimum for seed in range(20)]
    assert len(set(rights)) == 20
    assert OneMax(40, options=4, seed=3).optimum == rights[3]
    counts = np.bincount([int(option) for right in rights for option in right.values()], minlength=4)
    assert np.sum((counts - 200) ** 2 / 200) < 16.3  # chi-square, 3 degrees of freedom: one seed in 1000


def test_a_method_of_the_same_seed_does_not_draw_the_optimum_first():
    """By chance 10 of 40 decisions are right, and at least 24 in less than one of 100 000 cases."""
    for seed in range(20):
        problem = OneMax(40, options=4, seed=seed)
        assert problem.loss(problem.space.sample(np.random.default_rng(seed))) > 16


@pytest.mark.parametrize("function", MIXED)
@pytest.mark.parametrize("sizes", SIZES)
def test_chance_has_a_loss_of_one_in_the_mean(function, sizes):
    problem = function(**sizes)
    losses = [problem.loss(architecture) for architecture in samples(problem.space, 2000)]
    assert np.mean(losses) == pytest.approx(1.0, abs=4.5 * np.std(losses) / math.sqrt(2000))


@pytest.mark.parametrize("function", [*MIXED, *(lambda seed: Shifted(SelectiveSquaredError(3), seed),)])
def test_numbers_of_the_optimum_are_neither_central_nor_at_a_bound(function):
    for seed in range(30):
        problem = function(seed=seed)
        places = shares(problem.space, problem.optimum)
        assert np.all((places >= 0.09) & (places <= 0.91))
        assert np.all(np.abs(places - 0.5) >= 0.149)


def test_numbers_of_the_optimum_are_on_both_sides_of_the_centre():
    places = np.concatenate([shares(p.space, p.optimum) for p in (SphereCOM(seed=seed) for seed in range(40))])
    assert 70 <= np.count_nonzero(places > 0.5) <= 130  # of 200: one seed in 30 000 is outside


def test_numbers_of_all_kinds_and_scales_occur():
    space = SphereCOM().space
    assert {type(decision) for decision in space.decisions} == {Categorical, Integer, Real}
    assert {decision.log for decision in space.numeric if isinstance(decision, Real)} == {True, False}


def test_every_integer_of_at_least_four_values_has_a_place():
    rng = np.random.default_rng(0)
    for high in range(4, 40):
        drawn = {draw_place(Integer("z", 1, high), rng) for _ in range(50)}
        assert min(drawn) > 1
        assert max(drawn) < high
    with pytest.raises(ValueError, match="'z' has 3 values"):
        draw_place(Integer("z", 1, 3), rng)


def parts(problem, architecture):
    """Wrong categories, and (u - u*)."""
    wrong = np.array([architecture[d.name] != problem.optimum[d.name] for d in problem.space.categorical])
    return wrong, shares(problem.space, architecture) - shares(problem.space, problem.optimum)


def test_the_sphere_is_the_wrong_categories_and_the_squared_distance():
    problem = SphereCOM(seed=1)
    centre = 0.5 - shares(problem.space, problem.optimum)
    mean = 12 / 10 / 12 + 33 / 31 / 12 + 3 / 12 + centre @ centre  # integers of 11 and of 32 values, three reals
    for architecture in samples(problem.space, 50):
        wrong, away = parts(problem, architecture)
        expected = (wrong.sum() / (3 * 0.75) + away @ away / mean) / 2
        assert problem.loss(architecture) == pytest.approx(expected)


def test_the_ellipsoid_has_its_weights_along_the_axes_and_categories_in_order():
    problem = EllipsoidCLO(seed=1, condition=16.0)
    best = dict(problem.optimum)
    weights = []
    for decision in problem.space.numeric:
        low, high = decision.bounds
        other = decision.decode(low if best[decision.name] != low else high)
        _, away = parts(problem, {**best, decision.name: other})
        weights.append(problem.loss({**best, decision.name: other}) / (away @ away))
    assert np.sort(weights) / min(weights) == pytest.approx([1.0, 2.0, 4.0, 8.0, 16.0])
    for architecture in samples(problem.space, 50):
        wrong, away = parts(problem, architecture)
        leading = [*wrong, True].index(True)
        expected = (3 - leading) / (3 - 1 / 4 - 1 / 16 - 1 / 64) / 2 + weights @ away**2
        assert problem.loss(architecture) == pytest.approx(expected)


def test_the_rotated_ellipsoid_is_a_quadratic_form_with_its_condition_and_not_along_the_axes():
    """The form is found from values at the points u* + e_i and u* + e_i + e_j, through the function of arrays."""
    problem = RotatedEllipsoidCOM(seed=1, condition=100.0)
    options, _ = problem.space.encode(problem.optimum)
    lowest, basis = shares(problem.space, problem.optimum), np.eye(5)
    single = np.array([problem.number_part(options, lowest + e) for e in basis])
    form = np.array([[problem.number_part(options, lowest + e + f) for e in basis] for f in basis])
    form = (form - single[:, None] - single[None, :]) / 2
    np.fill_diagonal(form, single)
    spectrum = np.linalg.eigvalsh(form)
    assert spectrum / spectrum[0] == pytest.approx(100.0 ** (np.arange(5) / 4))
    assert np.abs(form - np.diag(single)).max() > 0.01
    for architecture in samples(problem.space, 20):
        wrong, away = parts(problem, architecture)
        assert problem.loss(architecture) == pytest.approx((wrong.sum() / (3 * 0.75) + away @ form @ away) / 2)


def best_number(problem, architecture, name):
    """The integer of `name` that is best where all else is as in `architecture`."""
    return min(problem.space[name].values, key=lambda value: problem.loss({**architecture, name: value}))


def test_in_proximity_the_best_number_depends_on_the_category_it_hangs_on_and_on_nothing_else():
    problem = Proximity(categoricals=2, options=4, integers=2, reals=2, seed=3)
    for architecture in samples(problem.space, 10):
        by_own = {best_number(problem, {**architecture, "c1": option}, "z1") for option in "0123"}
        by_other = {best_number(problem, {**architecture, "c0": option}, "z1") for option in "0123"}
        assert len(by_own) > 1
        assert len(by_other) == 1


def test_in_the_sphere_the_best_number_depends_on_no_category():
    problem = SphereCOM(seed=3)
    assert {best_number(problem, a, "z1") for a in samples(problem.space, 20)} == {problem.optimum["z1"]}


def test_in_proximity_every_category_has_a_bottom_and_the_bottoms_are_its_ranks():
    problem = Proximity(categoricals=1, options=4, integers=1, reals=0, seed=0)
    bottoms = [min(problem.loss({"c0": option, "z0": z}) for z in problem.space["z0"].values) for option in "0123"]
    assert sorted(bottoms) == pytest.approx([0.0, 1 / 3, 2 / 3, 1.0])
    assert bottoms[int(problem.optimum["c0"])] == 0.0


def test_another_seed_is_another_function():
    for function in MIXED:
        same, other = function(seed=1), function(seed=2)
        assert same == function(seed=1) != other
        architecture = samples(same.space, 1)[0]
        assert same.loss(architecture) == function(seed=1).loss(architecture) != other.loss(architecture)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: OneMax(0), "length must be a whole number of at least 1, got 0"),
        (lambda: LeadingOnes(3, options=1), "options must be a whole number of at least 2, got 1"),
        (lambda: OneMax(3.5), "length must be a whole number"),
        (lambda: OneMax(3, seed=-1), "seed must be a whole number of at least 0, got -1"),
        (lambda: SelectiveSquaredError(length=0), "length must be"),
        (lambda: SphereCOM(categoricals=0, integers=0, reals=0), r"categoricals \+ integers \+ reals must be"),
        (lambda: SphereCOM(reals=-1), "reals must be a whole number of at least 0"),
        (lambda: EllipsoidCLO(condition=0.5), "condition must be a number of at least 1, got 0.5"),
        (lambda: RotatedEllipsoidCOM(condition=math.nan), "condition must be"),
        (lambda: Proximity(categoricals=0), "categoricals must be a whole number of at least 1, got 0"),
        (lambda: Proximity(integers=0, reals=0), r"integers \+ reals must be a whole number of at least 1"),
        (lambda: Noisy(OneMax(3), 0.0, 1), "deviation must be positive and finite, got 0.0"),
        (lambda: Noisy(OneMax(3), 1.0, -1), "seed must be"),
        (lambda: Shifted(OneMax(3), -1), "seed must be"),
        (lambda: Shifted(Noisy(OneMax(3), 1.0, 0), 1), r"write Noisy\(Shifted\(problem"),
    ],
)
def test_impossible_arguments_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_parts_without_decisions_are_left_out():
    for function in (SphereCOM, EllipsoidCLO, RotatedEllipsoidCOM):
        numbers = function(categoricals=0)
        categories = function(integers=0, reals=0)
        for problem in (numbers, categories):
            assert problem.loss(problem.optimum) == 0.0
            losses = [problem.loss(architecture) for architecture in samples(problem.space, 2000)]
            assert np.mean(losses) == pytest.approx(1.0, abs=0.1)


def test_seconds_are_log_normal_and_have_nothing_to_do_with_losses():
    problem = OneMax(30)
    drawn = samples(problem.space, 2000)
    logs = np.log([problem.seconds(architecture) for architecture in drawn]) - math.log(100.0)
    assert np.mean(logs) == pytest.approx(0.0, abs=4 * 0.5 / math.sqrt(2000))
    assert np.std(logs) == pytest.approx(0.5, abs=0.04)
    correlation = np.corrcoef(logs, [problem.loss(architecture) for architecture in drawn])[0, 1]
    assert abs(correlation) < 4 / math.sqrt(2000)


def test_seconds_and_losses_are_the_same_in_another_process():
    code = (
        "from ray_asng.tabular.mixed import SphereCOM; from ray_asng.tabular.wrappers import Noisy;"
        "p = SphereCOM(seed=4); print(repr((p.seconds(p.optimum), Noisy(p, 1.0, 2).loss(p.optimum))))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "9"},
    ).stdout
    problem = SphereCOM(seed=4)
    assert printed.strip() == repr((problem.seconds(problem.optimum), Noisy(problem, 1.0, 2).loss(problem.optimum)))


def test_hashed_normals_follow_the_normal_distribution():
    """Chi-square over ten bins of equal chance, 9 degrees of freedom: 27.9 is exceeded once in 1000 hashes."""
    bins = [int(10 * NormalDist().cdf(hashed_normal(str(number)))) for number in range(4000)]
    counts = np.bincount(bins, minlength=10)
    assert np.sum((counts - 400) ** 2 / 400) < 27.9


class TestNoisy:
    def test_noise_has_mean_zero_and_its_deviation_at_one_architecture_and_over_many(self):
        problem = Noisy(SphereCOM(), 0.3, 1)
        for drawn in ([problem.optimum] * 2000, samples(problem.space, 2000)):
            noise = [problem.loss(architecture) - problem.noise_free(architecture) for architecture in drawn]
            assert np.mean(noise) == pytest.approx(0.0, abs=4 * 0.3 / math.sqrt(2000))
            assert np.std(noise) == pytest.approx(0.3, abs=4 * 0.3 / math.sqrt(4000))

    def test_the_same_seed_has_the_same_draws_and_another_seed_others(self):
        first, again, other = (Noisy(OneMax(5), 1.0, seed) for seed in (1, 1, 2))
        drawn = samples(first.space, 10)
        losses = [list(map(problem.loss, drawn)) for problem in (first, again, other)]
        assert losses[0] == losses[1]
        assert not set(losses[0]) & set(losses[2])

    def test_each_call_has_another_draw(self):
        problem = Noisy(OneMax(5), 1.0, 1)
        assert len({problem(problem.optimum) for _ in range(20)}) == 20

    def test_a_pickled_copy_goes_on_where_the_original_was(self):
        problem = Noisy(OneMax(5), 1.0, 1)
        drawn = samples(problem.space, 10)
        first = list(map(problem.loss, drawn[:4]))
        copy = pickle.loads(pickle.dumps(problem))
        assert copy.calls == 4
        rest = list(map(copy.loss, drawn[4:]))
        assert rest == list(map(problem.loss, drawn[4:]))
        assert first + rest == list(map(Noisy(OneMax(5), 1.0, 1).loss, drawn))

    def test_copies_in_many_processes_draw_apart_for_other_architectures_and_other_streams(self):
        problem = Noisy(OneMax(20), 1.0, 1)
        copies = [pickle.loads(pickle.dumps(problem)) for _ in range(20)]
        drawn = samples(problem.space, 20)
        noise = [c.loss(a) - c.noise_free(a) for c, a in zip(copies, drawn, strict=True)]
        assert len(set(noise)) == 20
        assert len({problem.in_stream(f"trial {number}").loss(drawn[0]) for number in range(20)}) == 20

    def test_what_is_not_noise_is_that_of_the_problem(self):
        inner = SphereCOM(seed=2)
        problem = Noisy(inner, 1.0, 1)
        assert isinstance(problem, Problem)
        (architecture,) = samples(inner.space, 1)
        assert problem.noise_free(architecture) == inner.loss(architecture)
        assert problem.seconds(architecture) == inner.seconds(architecture)
        assert (problem.space, problem.optimum, problem.least_loss) == (inner.space, inner.optimum, inner.least_loss)

    def test_a_refused_architecture_is_no_call(self):
        problem = Noisy(OneMax(5), 1.0, 1)
        with pytest.raises(ValueError, match="missing"):
            problem.loss({})
        assert problem.calls == 0


class WithoutOptimum(Formula):
    """|z - 1|, which does not tell its optimum."""

    space = SearchSpace([Integer("z", 1, 9), Real("x", 0.0, 1.0)])
    optimum = None
    least_loss = None

    def formula(self, options, coordinates):
        return float(coordinates[0] - 1)


class AtABound(WithoutOptimum):
    optimum = WithoutOptimum.space.architecture({"z": 1, "x": 0.4})
    least_loss = 0.0


class TestShifted:
    @pytest.mark.parametrize("inner", [SelectiveSquaredError(3, 4), *(function(seed=1) for function in MIXED)])
    def test_the_optimum_lies_elsewhere_and_is_as_good(self, inner):
        shifted = [Shifted(inner, seed) for seed in range(10)]
        assert len({problem.optimum for problem in shifted} | {inner.optimum}) == 11
        for problem in shifted:
            assert problem.loss(problem.optimum) == pytest.approx(inner.least_loss, abs=1e-12)
            assert problem.space.names == inner.space.names

    def test_categories_alone_have_the_same_losses_in_other_places(self):
        inner = LeadingOnes(4, options=3)
        problem = Shifted(inner, 1)
        every = [dict(zip(inner.space.names, options, strict=True)) for options in itertools.product("012", repeat=4)]
        assert sorted(map(problem.loss, every)) == sorted(map(inner.loss, every))
        assert list(map(problem.loss, every)) != list(map(inner.loss, every))

    def test_losses_and_seconds_are_those_of_the_original(self):
        inner = Proximity(seed=1)
        problem = Shifted(inner, 1)
        for architecture in samples(problem.space, 20):
            assert problem.loss(architecture) == inner.loss(problem.original(architecture))
            assert problem.seconds(architecture) == inner.seconds(problem.original(architecture))

    def test_order_and_bounds_of_numbers_are_kept(self):
        problem = Shifted(SphereCOM(seed=1), 1)
        for decision in problem.space.numeric:
            low, high = decision.bounds
            values = [decision.decode(value) for value in np.linspace(low, high, 200)]
            moved = [problem.original({**problem.optimum, decision.name: value})[decision.name] for value in values]
            assert moved == sorted(moved)
            assert (moved[0], moved[-1]) == pytest.approx((decision.low, decision.high))

    def test_the_centre_moves_where_no_optimum_is_known(self):
        inner = WithoutOptimum()
        problem = Shifted(inner, 1)
        assert problem.optimum is None
        assert problem.least_loss is None
        assert problem.original({"z": 5, "x": 0.5})["z"] != 5
        assert problem.original({"z": 9, "x": 0.0}) == {"z": 9, "x": 0.0}

    def test_an_optimum_at_a_bound_stays_there(self):
        problem = Shifted(AtABound(), 1)
        assert problem.optimum["z"] == 1
        assert problem.optimum["x"] != 0.4
        assert [problem.original({"z": z, "x": 0.5})["z"] for z in range(1, 10)] == list(range(1, 10))

    def test_shifts_follow_each_other(self):
        problem = Shifted(Shifted(SphereCOM(), 1), 2)
        assert problem.loss(problem.optimum) == pytest.approx(0.0, abs=1e-12)
        assert Noisy(problem, 0.1, 0).noise_free(problem.optimum) == problem.loss(problem.optimum)


class TestNASBench201:
    def test_the_loss_is_minus_the_validation_accuracy(self, cells):
        cell = cells.table.architecture(1234)
        assert cells.loss(cell) == cells(dict(cell)) == -51.234
        assert cells.value(cell) == 40.617
        assert cells.seconds(cell) == 1334.0

    def test_the_optimum_is_the_best_by_validation(self, cells):
        assert isinstance(cells, Problem)
        assert cells.optimum == cells.table.architecture(15_624)
        assert cells.loss(cells.optimum) == cells.least_loss == -(50 + 15.624)
        assert min(map(cells.loss, samples(cells.space, 1000))) >= cells.least_loss

    def test_its_space_holds_every_cell(self, cells):
        assert cells.space.size == 15_625
        assert cells.space.names == tuple(f"edge_{edge}" for edge in EDGES)

    def test_a_pickled_copy_has_the_same_values(self, cells):
        copy = pickle.loads(pickle.dumps(cells))
        assert (copy.space.names, copy.optimum, copy.least_loss) == (cells.space.names, cells.optimum, cells.least_loss)
        assert copy.loss(cells.table.architecture(7)) == -50.007

    def test_a_shift_renames_operations(self, cells):
        problem = Shifted(cells, 1)
        assert problem.optimum != cells.optimum
        assert problem.loss(problem.optimum) == cells.least_loss
        assert cells.value(problem.original(problem.optimum)) == cells.value(cells.optimum)

    def test_what_is_no_cell_is_refused(self, cells):
        cell = cells.optimum
        for method in (cells.loss, cells.value, cells.seconds):
            with pytest.raises(ValueError, match="edge_0_1"):
                method({**cell, "edge_0_1": "conv_5x5"})
            with pytest.raises(ValueError, match="unknown decision 'edge_9_9'"):
                method({**cell, "edge_9_9": "none"})

    def test_a_data_set_that_the_table_lacks_is_refused_at_once(self, cells):
        with pytest.raises(ValueError, match="unknown data set 'cifar'"):
            NASBench201Problem(cells.table, "cifar")
        with pytest.raises(ValueError, match="no column 'cifar100_valid_acc_200'"):
            NASBench201Problem(cells.table, "cifar100")

    def test_the_published_table_has_its_known_optimum(self):
        if not os.path.isfile(os.path.join(os.environ.get("RAY_ASNG_DATA", ""), "nasbench201.parquet")):
            pytest.skip("needs nasbench201.parquet in the folder that RAY_ASNG_DATA names")
        problem = NASBench201Problem()
        assert problem.least_loss == pytest.approx(-91.61, abs=0.005)
        assert problem.value(problem.optimum) == pytest.approx(94.37, abs=0.01)
        assert problem.seconds(problem.optimum) > 1000.0
