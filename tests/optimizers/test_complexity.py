"""Penalties and budgets: the gradient of the expected cost, its unit, the trade-off, and what is refused."""

import itertools
import json
import logging
import math
from functools import partial

import numpy as np
import pytest

from ray_asng import Categorical, Integer, Real, SearchSpace
from ray_asng.optimizers import ASNG, SNG
from ray_asng.optimizers.budget import weight_to_stay
from ray_asng.optimizers.complexity import Complexity, natural_gradient
from ray_asng.optimizers.distribution import Distribution
from ray_asng.optimizers.linear_cost import LinearCost
from ray_asng.supernets.nasbench201_space import nasbench201_space
from ray_asng.testing import check_optimizer

SEEDS = range(10)


def levels(*counts, unit=1000.0):
    """Decisions whose options cost 0, 1, 2, ... units."""
    decisions = [Categorical(f"c{place}", [str(level) for level in range(count)]) for place, count in enumerate(counts)]
    return SearchSpace(decisions, cost=lambda architecture: unit * sum(map(int, architecture.values())))


MIXED = SearchSpace(
    [
        Categorical("op", ("none", "conv", "pool")),
        Integer("width", 8, 64, step=8),
        Categorical("act", ("relu", "tanh")),
        Real("rate", 1e-3, 1.0, log=True),
        Categorical("fixed", ("only",)),
        Integer("depth", 1, 4),
    ],
    cost=lambda a: (
        7.0 + {"none": 0, "conv": 50, "pool": 3}[a["op"]] + 2 * a["width"] + 9 * a["depth"] - 4 * math.log(a["rate"])
    ),
)


def moved(space, seed):
    """A distribution away from its start, with unequal probabilities, means and deviations."""
    distribution, rng = Distribution(space, seed), np.random.default_rng(seed)
    raised = np.where(distribution.theta > 0.0, rng.uniform(0.2, 1.0, distribution.theta.shape), 0.0)
    distribution.theta = raised / raised.sum(axis=1, keepdims=True)
    low, high = distribution.bounds.T
    distribution.mean = rng.uniform(low, high)
    distribution.second_moment = distribution.mean**2 + (rng.uniform(0.1, 0.4, len(low)) * (high - low)) ** 2
    return distribution


def play(build, space, seed, steps, noise=1.0):
    """Losses prefer what is dear a little: by 0.3 to 0.4 of the noise for each level."""
    optimizer, rng = build(space, seed=seed), np.random.default_rng(1000 + seed)
    gains = np.linspace(0.3, 0.4, len(space))
    for _ in range(steps):
        proposals = optimizer.ask(2)
        optimizer.tell(proposals, [noise * rng.normal() - gains @ proposal.options for proposal in proposals])
    return optimizer


# The gradient


@pytest.mark.parametrize("seed", range(5))
def test_the_gradient_for_options_is_that_of_finite_differences_through_the_fisher_matrix(seed):
    """In the free probabilities the inverse Fisher matrix is the covariance of the one-hot options."""
    counts = (2, 4, 3)
    distribution = moved(levels(*counts), seed)
    costs = np.random.default_rng(seed).normal(size=(3, 4))

    def expected(free):
        rows = [np.append(row, 1.0 - row.sum()) for row in np.split(free, np.cumsum([1, 3]))]
        return sum(
            math.prod(row[option] for row, option in zip(rows, options, strict=True)) * costs[range(3), options].sum()
            for options in itertools.product(*map(range, counts))
        )

    free = np.concatenate([distribution.theta[d, : count - 1] for d, count in enumerate(counts)])
    slopes = [(expected(free + step) - expected(free - step)) / 2e-6 for step in 1e-6 * np.eye(len(free))]
    theta, _ = natural_gradient(costs, np.empty(0), distribution)
    for row, count, slope in zip(range(3), counts, np.split(np.array(slopes), np.cumsum([1, 3])), strict=True):
        probs = distribution.theta[row, : count - 1]
        np.testing.assert_allclose(
            theta[row, : count - 1], (np.diag(probs) - np.outer(probs, probs)) @ slope, atol=1e-7
        )
        assert theta[row].sum() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_the_gradient_is_that_of_samples(seed):
    """The natural gradient is the covariance of cost and statistic; 5 standard errors, 14 numbers: 1 in 100 000."""
    distribution = moved(MIXED, seed)
    rng = np.random.default_rng(seed)
    costs, slopes = rng.normal(size=distribution.theta.shape), rng.normal(size=3)
    options = (rng.random((200_000, 3, 1)) < distribution.theta.cumsum(axis=1)).argmax(axis=2)
    values = distribution.mean + distribution.sigma * rng.standard_normal((200_000, 3))
    cost = costs[range(3), options].sum(axis=1) + values @ slopes
    theta, moments = natural_gradient(costs, slopes, distribution)
    statistics = [options[:, d] == k for d, k in np.argwhere(distribution.theta > 0.0)]
    statistics += [values[:, j] ** power for j in range(3) for power in (1, 2)]
    for statistic, analytic in zip(statistics, [*theta[distribution.theta > 0.0], *moments.ravel()], strict=True):
        products = (cost - cost.mean()) * (statistic - np.mean(statistic))
        assert abs(products.mean() - analytic) <= 5.0 * products.std() / math.sqrt(len(products))


@pytest.mark.parametrize("space", [levels(2), levels(*[5] * 40), levels(3, 2, 7, unit=1e-9), MIXED])
def test_at_the_start_the_gradient_of_every_cost_has_fisher_length_one(space):
    optimizer = ASNG(space, penalty=0.1)
    assert optimizer.complexity.rise(optimizer.distribution).length == pytest.approx(1.0, rel=1e-9)


def test_the_unit_and_the_zero_of_the_cost_do_not_matter():
    space = levels(3, 4, 2, 3)
    other = SearchSpace(space.decisions, cost=lambda architecture: 5.0 - 3.0 + 1e-6 * space.cost(architecture))
    plain, scaled = (play(partial(ASNG, penalty=0.4), each, 0, 50) for each in (space, other))
    np.testing.assert_allclose(plain.theta, scaled.theta, rtol=1e-6)


def test_losses_that_know_only_the_cost_are_as_strong_as_a_weight_of_056():
    """Of two samples the cheaper wins; with 40 decisions costs are nearly normal; to 5 % by 8 000 pairs."""
    optimizer = ASNG(levels(*[3] * 40), penalty=1.0)
    rise = optimizer.complexity.rise(optimizer.distribution)
    options, _ = optimizer.distribution.arrays(optimizer.ask(16_000))
    costs = options.sum(axis=1).reshape(-1, 2)
    utility = np.sign(costs - costs[:, ::-1]).ravel().astype(float)
    direction = optimizer.distribution.direction(options, np.empty((16_000, 0)), utility)
    assert direction.length * direction.whitened @ rise.whitened == pytest.approx(1 / math.sqrt(math.pi), rel=0.05)


# The trade-off


@pytest.mark.parametrize("nothing", [{"penalty": 0}, {"penalty": 0.0}, {"penalty": None}, {"budget": 1e9}])
@pytest.mark.parametrize("method", [ASNG, SNG])
def test_without_a_penalty_or_far_below_the_budget_every_update_is_the_same(method, nothing):
    plain, other = (play(partial(method, **settings), levels(3, 4, 2), 5, 100) for settings in ({}, nothing))
    assert other.state_dict() == plain.state_dict()


def test_a_higher_price_finds_cheaper_architectures():
    """Over ten seeds each; the losses prefer the dear option of each of six decisions."""
    space = levels(*[2] * 6)
    costs = []
    for penalty in (0.0, 0.3, 0.6):
        found = [play(partial(ASNG, penalty=penalty), space, seed, 200).most_likely() for seed in SEEDS]
        costs.append(np.mean([space.cost(architecture) for architecture in found]))
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > 5000.0 > 1000.0 > costs[-1]


@pytest.mark.parametrize("method", [ASNG, SNG])
@pytest.mark.parametrize("budget", [3000.0, 6500.0])
def test_a_budget_is_met_from_ten_of_ten_seeds(method, budget):
    """What was found never exceeds it; its expectation does by the noise of a step, here under 5 % of the range."""
    space = levels(3, 3, 3, 3, 3)
    for seed in SEEDS:
        optimizer = play(partial(method, budget=budget), space, seed, 150, noise=0.2)
        assert 0.3 * budget < space.cost(optimizer.most_likely()) <= budget
        assert optimizer.metrics()["expected_cost"] <= budget + 500.0


def test_without_a_budget_the_losses_lead_above_it():
    space = levels(3, 3, 3, 3, 3)
    for seed in SEEDS:
        assert space.cost(play(ASNG, space, seed, 150, noise=0.2).most_likely()) > 6500.0


def test_a_budget_of_parameters_is_met_by_the_cells_that_are_found():
    """Losses prefer the largest cell; 400 000 parameters allow a 3x3 convolution and three of 1x1."""
    space = nasbench201_space()
    for seed in SEEDS:
        optimizer = ASNG(space, seed, budget=400_000)
        for _ in range(150):
            proposals = optimizer.ask(2)
            optimizer.tell(proposals, [-space.cost(proposal.architecture) for proposal in proposals])
        assert space.cost(optimizer.most_likely()) <= 400_000
        assert optimizer.metrics()["expected_cost"] <= 420_000
        assert optimizer.metrics()["expected_cost"] > 300_000


def test_a_penalty_bounds_the_weight_of_a_budget():
    space = levels(*[2] * 6)
    costs = [
        np.mean(
            [
                play(partial(ASNG, budget=1500.0, penalty=penalty), space, seed, 100).metrics()["expected_cost"]
                for seed in SEEDS
            ]
        )
        for penalty in (0.02, None)
    ]
    assert costs[0] > 3000.0 > 1600.0 > costs[1]


def test_a_penalty_moves_numbers_too():
    """Losses are noise; the width is searched in a coordinate from 8 to 15, in whose middle it begins."""
    means = []
    for seed in SEEDS:
        optimizer, rng = ASNG(MIXED, seed, penalty=1.0), np.random.default_rng(seed)
        for _ in range(50):
            optimizer.tell(optimizer.ask(2), rng.normal(size=2))
        means.append(optimizer.mean[0])
    assert max(means) < 11.5


def test_a_number_is_rounded_to_what_the_budget_allows():
    space = SearchSpace([Integer("width", 0, 20), Categorical("c", ("a", "b"))], cost=lambda a: float(a["width"]))
    optimizer = ASNG(space, budget=10.0)
    optimizer.distribution.mean = np.array([10.6])
    optimizer.distribution.second_moment = optimizer.mean**2 + 1.0
    assert optimizer.distribution.most_likely()["width"] == 11
    assert optimizer.most_likely()["width"] == 10


def test_of_a_mode_above_the_budget_the_option_that_was_least_sure_gives_way():
    optimizer = ASNG(levels(2, 2, 2), budget=2000.0)
    optimizer.distribution.theta = np.array([[0.1, 0.9], [0.4, 0.6], [0.2, 0.8]])
    assert list(optimizer.most_likely().values()) == ["1", "0", "1"]


def test_the_cost_of_the_space_has_the_last_word_where_it_is_no_sum():
    space = SearchSpace([Integer("width", 1, 9), Integer("depth", 1, 9)], cost=lambda a: float(a["width"] * a["depth"]))
    for seed in SEEDS:
        optimizer = ASNG(space, seed, budget=20.0)
        for _ in range(100):
            proposals = optimizer.ask(2)
            optimizer.tell(proposals, [-sum(proposal.architecture.values()) for proposal in proposals])
        assert space.cost(optimizer.most_likely()) <= 20.0


# At the boundary


def settled(theta, budget):
    """A distribution over cheap and dear in three decisions, with what its budget asks and a gradient of losses."""
    space = levels(*[2] * 10)
    distribution = Distribution(space, 0)
    complexity = Complexity(distribution, budget=budget)
    distribution.theta = np.tile([1.0 - theta, theta], (10, 1))
    options = np.array([[1] * 6 + [0] * 4, [0] * 5 + [1] * 3 + [0] * 2])
    return distribution, complexity, distribution.direction(options, np.empty((2, 0)), np.array([1.0, -1.0]))


@pytest.mark.parametrize("excess", [-20.0, 0.0, 20.0])
def test_near_the_budget_a_step_ends_at_it(excess):
    distribution, complexity, direction = settled(0.5, 5000.0)
    complexity.budget = complexity.expected(distribution) - excess
    step = 0.05
    distribution.move(complexity.penalised(direction, distribution, step), step)
    assert complexity.expected(distribution) == pytest.approx(complexity.budget, abs=1e-6)


def test_far_above_the_budget_a_step_goes_straight_to_lower_costs():
    distribution, complexity, direction = settled(0.5, 1000.0)
    before, rise = complexity.expected(distribution), complexity.rise(distribution)
    distribution.move(complexity.penalised(direction, distribution, 0.05), 0.05)
    assert complexity.expected(distribution) == pytest.approx(before - 0.05 * rise.length * complexity.unit)


def test_the_weight_grows_without_a_jump_as_the_budget_comes_near():
    distribution, complexity, direction = settled(0.5, 5000.0)
    rise = complexity.rise(distribution)
    slacks = np.linspace(0.06, -0.045, 2001)
    weights = np.array([weight_to_stay(direction, rise, slack, 0.05) for slack in slacks])
    assert weights[0] == 0.0
    assert (np.diff(weights) >= 0.0).all()
    assert np.diff(weights).max() < 0.02 * weights.max()
    assert weight_to_stay(direction, rise, -0.06, 0.05) == math.inf


@pytest.mark.parametrize(
    "cell", [("none",) * 6, ("nor_conv_3x3", "none", "skip_connect", "avg_pool_3x3", "none", "none")]
)
def test_at_convergence_the_expected_cost_is_that_of_what_was_found(cell):
    """Floors keep every option alive; their share of the cost is left out."""
    space = nasbench201_space()
    optimizer = ASNG(space, penalty=0.1)
    found = dict(zip(space.names, cell, strict=True))
    options, _ = space.encode(found)
    layout = optimizer.distribution.layout
    optimizer.distribution.theta = layout.floor + layout.room * np.eye(5)[options]
    assert optimizer.metrics()["expected_cost"] == pytest.approx(space.cost(found), abs=1e-3)


def test_losses_that_say_nothing_change_nothing_with_a_penalty_either():
    optimizer = play(partial(ASNG, penalty=0.5), levels(3, 4, 2), 0, 5)
    before = optimizer.state_dict()
    optimizer.update(np.array([(0, 1, 0), (1, 2, 1)]), np.empty((2, 0)), np.array([1.0, 1.0]))
    assert optimizer.state_dict() == before


# The sum


def test_a_cost_that_is_a_sum_is_found_exactly():
    cost = LinearCost.fit(MIXED, np.random.default_rng(3))
    assert cost.r_squared == pytest.approx(1.0, abs=1e-12)
    rng = np.random.default_rng(0)
    for architecture in [MIXED.sample(rng) for _ in range(50)]:
        assert cost.of(MIXED, architecture) == pytest.approx(MIXED.cost(architecture), rel=1e-9)


@pytest.mark.parametrize("unit", ["parameters", "flops"])
def test_the_cost_of_a_nasbench201_cell_is_a_sum(unit):
    space = nasbench201_space(cost=unit)
    cost, rng = LinearCost.fit(space, np.random.default_rng(0)), np.random.default_rng(1)
    assert cost.r_squared == pytest.approx(1.0, abs=1e-12)
    for architecture in [space.sample(rng) for _ in range(50)]:
        assert cost.of(space, architecture) == pytest.approx(space.cost(architecture), rel=1e-9)


def test_r_squared_is_the_share_of_the_variance_that_the_sum_explains(caplog):
    """Of x y with x, y uniform on -1, 0, 1 plus x: variances 4/9 and 2/3, so 0.6; by 20 000 architectures."""

    def cost(a):
        return a["x"] * a["y"] + a["x"]

    space = SearchSpace([Integer("x", -1, 1), Integer("y", -1, 1)], cost=cost)
    assert LinearCost.fit(space, np.random.default_rng(0), 20_000).r_squared == pytest.approx(0.6, abs=0.02)
    with caplog.at_level(logging.WARNING):
        ASNG(space, penalty=0.1)
    assert "explains only" in caplog.text


def test_rare_options_are_among_the_architectures_that_are_looked_at():
    """Of one decision with 60 options each must be seen, which independent draws would miss."""
    space = SearchSpace([Categorical("c", [str(k) for k in range(60)])], cost=lambda a: float(int(a["c"]) ** 2))
    cost = LinearCost.fit(space, np.random.default_rng(0))
    assert [cost.of(space, {"c": str(k)}) for k in range(60)] == pytest.approx([k**2 for k in range(60)], abs=1e-6)


def test_given_coefficients_stand_for_the_cost():
    coefficients = {"op": {"conv": 50, "pool": 3}, "width": 2, "depth": 9, "rate": -4}
    space = SearchSpace(MIXED.decisions)
    cost, rng = LinearCost.given(space, coefficients), np.random.default_rng(0)
    for architecture in [space.sample(rng) for _ in range(50)]:
        assert cost.of(space, architecture) + 7.0 == pytest.approx(MIXED.cost(architecture))
    optimizer = ASNG(space, budget=60.0, coefficients=coefficients)
    assert cost.of(space, optimizer.most_likely()) <= 60.0
    assert optimizer.complexity.cost.r_squared is None


def test_the_same_sum_is_fitted_for_every_seed():
    space = SearchSpace(MIXED.decisions, cost=lambda a: MIXED.cost(a) * a["depth"])
    one, other = (ASNG(space, seed, penalty=0.1).complexity.cost for seed in (1, 2))
    assert np.array_equal(one.options, other.options)
    assert np.array_equal(one.slopes, other.slopes)


# State, reports, and what is refused


@pytest.mark.parametrize("settings", [{"penalty": 0.3}, {"budget": 120.0}, {"penalty": 0.3, "budget": 120.0}])
@pytest.mark.parametrize("method", [ASNG, SNG])
def test_a_resumed_run_continues_as_if_never_stopped(method, settings):
    def advance(optimizer, steps):
        for _ in range(steps):
            proposals = optimizer.ask(2)
            optimizer.tell(proposals, [-MIXED.cost(proposal.architecture) for proposal in proposals])

    straight, stopped, resumed = (method(MIXED, seed, **settings) for seed in (7, 7, 99))
    advance(straight, 20)
    advance(stopped, 10)
    resumed.load_state_dict(json.loads(json.dumps(stopped.state_dict())))
    advance(resumed, 10)
    assert resumed.state_dict() == straight.state_dict()
    assert resumed.metrics() == straight.metrics()


@pytest.mark.parametrize("method", [ASNG, SNG])
def test_the_expected_cost_is_reported_where_there_is_a_penalty(method):
    space = levels(3, 3, 3)
    assert "expected_cost" not in method(space).metrics()
    assert "expected_cost" not in method(space, penalty=0).metrics()
    assert method(space, penalty=0.1).metrics()["expected_cost"] == pytest.approx(3000.0)
    assert method(space, budget=4000).metrics()["expected_cost"] == pytest.approx(3000.0)


@pytest.mark.parametrize(("settings", "space"), [({"penalty": 0.2}, MIXED), ({"budget": 4000.0}, levels(2, 3, 5))])
def test_the_methods_conform_with_a_penalty(settings, space):
    check_optimizer(partial(ASNG, **settings), space)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"penalty": -0.1}, "penalty must be at least 0, got -0.1"),
        ({"penalty": math.nan}, "penalty must be a finite number or None, got nan"),
        ({"penalty": "much"}, "penalty must be a finite number or None, got 'much'"),
        ({"budget": math.inf}, "budget must be a finite number or None, got inf"),
        ({"penalty": 0.0, "budget": 1000.0}, "with penalty=0 nothing holds the search to budget=1000.0"),
        ({"budget": -1.0}, "budget=-1 is below 0, the cost of the cheapest architecture.*allow at least that"),
        ({"penalty": 1, "coefficients": {"c9": {"0": 1.0}}}, "unknown decision 'c9'; did you mean"),
        ({"penalty": 1, "coefficients": {"c0": {"7": 1.0}}}, "decision 'c0' has no option '7'"),
        ({"penalty": 1, "coefficients": {"c0": 1.0}}, "decision 'c0' needs a dict from option to cost, got 1.0"),
        ({"penalty": 1, "coefficients": {"c0": {"0": "a"}}}, "decision 'c0' must be finite numbers, got 'a'"),
        ({"penalty": 1, "coefficients": {"c0": {"0": 1, "1": 1}}}, "all architectures cost the same"),
        ({"penalty": 1, "coefficients": {}}, "all architectures cost the same"),
    ],
)
def test_settings_without_meaning_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ASNG(levels(2, 2, 2), **settings)


@pytest.mark.parametrize("settings", [{"penalty": 0.1}, {"budget": 1.0}])
def test_a_space_without_a_cost_is_refused_with_the_remedy(settings):
    with pytest.raises(ValueError, match=r'knows no cost.*"cost": "parameters".*cost=.*coefficients='):
        ASNG(SearchSpace(levels(2, 2).decisions), **settings)


@pytest.mark.parametrize(
    ("cost", "message"),
    [
        (lambda a: 3.0, "cost is 3 for all of 100 architectures"),
        (lambda a: math.nan, "must be a finite number, got nan"),
    ],
)
def test_a_cost_without_meaning_is_refused(cost, message):
    with pytest.raises(ValueError, match=message):
        ASNG(SearchSpace(levels(2, 2).decisions, cost=cost), penalty=0.1)
