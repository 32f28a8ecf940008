"""Numbers that move along the exponential map."""

import numpy as np
import pytest

from ray_asng import Categorical, Integer, Real, SearchSpace
from ray_asng.optimizers import ASNG
from ray_asng.optimizers.gaussian import deviation, exponential_step

MEAN, SIGMA = np.array([0.3, -2.0, 5.0]), np.array([0.5, 1.0, 0.01])
MOMENT = MEAN**2 + SIGMA**2
SPACE = SearchSpace([Categorical("layer", ("a", "b", "c")), Integer("depth", 0, 9), Real("x", -1.0, 1.0)])


def test_a_step_of_the_mean_alone_leaves_the_deviation_as_it_is():
    moved = 0.9 * SIGMA
    mean, moment = exponential_step(MEAN, MOMENT, np.stack([moved, 2.0 * MEAN * moved], axis=1))
    np.testing.assert_allclose(mean, MEAN + moved)
    np.testing.assert_allclose(deviation(mean, moment), SIGMA, rtol=1e-8)
    narrowed = deviation(MEAN + moved, MOMENT + 2.0 * MEAN * moved)
    np.testing.assert_allclose(narrowed, SIGMA * np.sqrt(1.0 - 0.81), rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-2, 1e-3])
def test_a_small_step_is_the_published_one_but_for_its_square(scale):
    change = scale * np.stack([SIGMA, 2.0 * MEAN * SIGMA + 0.7 * SIGMA**2], axis=1)
    mean, moment = exponential_step(MEAN, MOMENT, change)
    np.testing.assert_array_equal(mean, MEAN + change[:, 0])
    apart = np.abs(moment - MOMENT - change[:, 1]) / SIGMA**2
    assert apart.max() < 2.0 * scale**2


def test_deviations_stay_above_zero_however_long_the_step():
    mean, moment = exponential_step(MEAN, MOMENT, np.stack([0.0 * SIGMA, -5.0 * SIGMA**2], axis=1))
    assert (moment - mean**2 > 0.0).all()


def test_categorical_decisions_move_as_published():
    losses = [0.3, 0.7]
    published, exponential = (ASNG(SPACE, seed=1, exponential=chosen) for chosen in (False, True))
    for optimizer in (published, exponential):
        optimizer.tell(optimizer.ask(2), losses)
    np.testing.assert_array_equal(published.theta, exponential.theta)
    assert not np.array_equal(published.second_moment, exponential.second_moment)


@pytest.mark.parametrize("exponential", [False, True])
def test_numbers_arrive_before_their_deviations_are_at_the_floor(exponential):
    """A sphere of three reals, 300 evaluations: the published steps narrow too early, the exponential ones do not."""
    space = SearchSpace([Real(f"x{i}", -1.0, 1.0) for i in range(3)])
    ends = []
    for seed in range(10):
        optimum = np.random.default_rng(seed).uniform(-0.6, 0.6, 3)
        asng = ASNG(space, seed, samples=4, reuse=32, snr_threshold=3.0, exponential=exponential)
        for _ in range(75):
            proposals = asng.ask(4)
            asng.tell(proposals, [float(((proposal.values - optimum) ** 2).sum()) for proposal in proposals])
        ends.append(float(np.abs(asng.mean - optimum).max()))
    assert bool(np.median(ends) < 0.005) is exponential


def test_a_restored_state_goes_on_bit_for_bit():
    first = ASNG(SPACE, seed=2, exponential=True)
    for step in range(5):
        first.tell(first.ask(2), [float(step), 0.5])
    second = ASNG(SPACE, seed=9, exponential=True)
    second.load_state_dict(first.state_dict())
    for optimizer in (first, second):
        optimizer.tell(optimizer.ask(2), [0.1, 0.2])
    assert first.state_dict() == second.state_dict()
