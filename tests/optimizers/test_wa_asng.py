"""WA-ASNG: rank weights that climb the signal, and what they keep while they do."""

import numpy as np
import pytest

from ray_asng import Categorical, Integer, Real, SearchSpace
from ray_asng.optimizers import ASNG, WeightAdaptingASNG
from ray_asng.optimizers.wa_asng import adapted, shared, signal_gradient
from ray_asng.tabular.pseudo_boolean import OneMax
from ray_asng.testing.equality import difference

SPACE = SearchSpace(
    [*(Categorical(f"c{index}", tuple("abcd")) for index in range(8)), Integer("width", 1, 9), Real("rate", 0.0, 1.0)]
)


def loss(architecture):
    return sum(architecture[f"c{index}"] != "b" for index in range(8)) + abs(architecture["rate"] - 0.2)


def run(method, steps, count=32):
    for _ in range(steps):
        proposals = method.ask(count)
        method.tell(proposals, [loss(proposal.architecture) for proposal in proposals])
    return method


def signal(weights, gradients, s, beta):
    for rows in gradients:
        summed = rows.T @ weights
        s = (1 - beta) * s + np.sqrt(beta * (2 - beta)) * summed / np.linalg.norm(summed)
    return s @ s


def test_the_gradient_of_the_signal_is_that_of_finite_differences():
    rng = np.random.default_rng(0)
    weights, s, beta = rng.normal(size=10), rng.normal(size=7), 0.3
    gradients = [rng.normal(size=(10, 7)) for _ in range(3)]
    for place, slope in enumerate(signal_gradient(weights, gradients, s, beta)):
        step = 1e-6 * np.eye(10)[place]
        ends = [signal(weights + sign * step, gradients, s, beta) for sign in (1, -1)]
        assert slope == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-5, abs=1e-8)


def test_adapted_weights_descend_sum_to_zero_and_keep_their_total():
    method = run(WeightAdaptingASNG(SPACE, samples=32), 10)
    start = WeightAdaptingASNG(SPACE, samples=32).rank_weights
    assert not np.array_equal(method.rank_weights, start)
    assert (np.diff(method.rank_weights) <= 0.0).all()
    assert method.rank_weights.sum() == pytest.approx(0.0, abs=1e-9)
    assert np.abs(method.rank_weights).sum() == pytest.approx(np.abs(start).sum())


def test_where_the_middle_ranks_carry_the_signal_their_weights_grow():
    rng = np.random.default_rng(0)
    rows = np.zeros((8, 3))
    rows[2], rows[5] = [1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]
    rows[0], rows[7] = rng.normal(size=3), rng.normal(size=3)
    start = np.array([1.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0, -1.0])
    found = adapted(start, [rows], np.array([2.0, 0.0, 0.0]), 0.5, 4.0)
    assert found[2] - found[5] > 0.1


def test_until_the_weights_adapt_the_steps_are_those_of_asng():
    ours, published = WeightAdaptingASNG(SPACE, seed=1, samples=8), ASNG(SPACE, seed=1, samples=8)
    assert ours.adapt_every > 1
    run(ours, ours.adapt_every - 1, 8), run(published, ours.adapt_every - 1, 8)
    np.testing.assert_allclose(ours.theta, published.theta, rtol=1e-12)
    assert ours.step_size == pytest.approx(published.step_size)


def test_equal_losses_share_the_weights_of_their_places():
    shares = shared(np.array([3.0, 1.0, 0.0, -4.0]), np.array([0.5, 0.5, 1.0, np.inf]))
    np.testing.assert_allclose(shares, [2.0, 2.0, 0.0, -4.0])


def test_equal_losses_change_nothing():
    method = run(WeightAdaptingASNG(SPACE, samples=8), 7, 8)
    before = method.state_dict()
    method.tell(method.ask(8), [1.0] * 8)
    after = method.state_dict()
    assert difference({**before["distribution"], "rng": 0}, {**after["distribution"], "rng": 0}) == ""
    assert difference(before["batches"], after["batches"]) == ""


def test_a_batch_of_another_size_moves_the_distribution_and_not_the_weights():
    method = WeightAdaptingASNG(SPACE, samples=32)
    theta, weights = method.theta.copy(), method.rank_weights.copy()
    run(method, 5, 6)
    assert not np.array_equal(method.theta, theta)
    np.testing.assert_array_equal(method.rank_weights, weights)


def test_a_loaded_state_has_the_same_future():
    straight = run(WeightAdaptingASNG(SPACE, samples=8), 6, 8)
    loaded = WeightAdaptingASNG(SPACE, seed=9, samples=8)
    loaded.load_state_dict(straight.state_dict())
    run(straight, 20, 8), run(loaded, 20, 8)
    assert difference(straight.state_dict(), loaded.state_dict()) == ""


@pytest.mark.parametrize("seed", range(5))
def test_most_of_one_max_is_right_after_noise_of_a_third_of_its_range(seed):
    problem, rng = OneMax(20), np.random.default_rng(seed)
    method = WeightAdaptingASNG(problem.space, seed, samples=32)
    for _ in range(60):
        proposals = method.ask(32)
        method.tell(proposals, [problem.loss(p.architecture) + 6.0 * rng.normal() for p in proposals])
    assert problem.loss(method.most_likely()) <= 3


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="samples must be at least 4"):
        WeightAdaptingASNG(SPACE, samples=3)
    with pytest.raises(ValueError, match="leave reuse out"):
        WeightAdaptingASNG(SPACE, reuse=8)
    with pytest.raises(ValueError, match="weights for 8 samples, this method takes 16"):
        WeightAdaptingASNG(SPACE, samples=16).load_state_dict(WeightAdaptingASNG(SPACE, samples=8).state_dict())
