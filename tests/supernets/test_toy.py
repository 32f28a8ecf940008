"""The toy of the paper: its losses, its noise, its weight steps, and that a search solves it."""

import numpy as np
import pytest
import torch

from ray_asng.optimizers import ASNG
from ray_asng.supernets.toy import Toy, cosine
from ray_asng.tabular.selective_squared_error import SelectiveSquaredError

OPTIONS = np.array([[0, 1, 2], [2, 1, 0], [0, 0, 0], [1, 1, 2]])


def make_toy(seed=0, length=3, options=4):
    return Toy(SelectiveSquaredError(length, options), seed)


def paper_loss(options, x, noise):
    """(N,) losses with one-hot masks, in torch."""
    mask = torch.nn.functional.one_hot(torch.tensor(options), x.shape[1])
    return (mask * (torch.arange(x.shape[1]) / x.shape[1] + (x - noise) ** 2)).sum(dim=(1, 2))


def test_noise_free_losses_are_those_of_the_formula_and_of_the_tabular_problem():
    toy = make_toy()
    found = toy.evaluate(OPTIONS).noise_free
    np.testing.assert_allclose(found, paper_loss(OPTIONS, torch.tensor(toy.x), torch.zeros(3, 1)).numpy())
    np.testing.assert_allclose(found, [toy.error.formula(options, toy.x.ravel()) for options in OPTIONS])


def test_the_optimum_has_the_first_options_and_weights_of_zero():
    toy = make_toy()
    toy.x = np.zeros_like(toy.x)
    assert toy.evaluate(np.zeros((1, 3), dtype=int)).noise_free == 0.0
    assert (toy.evaluate(OPTIONS[[0, 1, 3]]).noise_free >= toy.target).all()


def test_samples_of_one_evaluation_share_the_noise_and_evaluations_do_not():
    toy = make_toy()
    first, second = toy.evaluate(OPTIONS[[0, 0]]), toy.evaluate(OPTIONS[[0, 0]])
    assert first.losses[0] == first.losses[1]
    assert first.losses[0] != second.losses[0]
    assert np.array_equal(first.noise_free, second.noise_free)


def test_the_noise_has_a_deviation_of_one_over_the_number_of_options():
    """Of 20 000 normal draws, the mean of squares is off by 4 % in one of 10 000 seeds."""
    toy = make_toy(length=20_000, options=5)
    toy.x = np.zeros_like(toy.x)
    assert toy.evaluate(np.zeros((1, 20_000), dtype=int)).losses[0] / 20_000 == pytest.approx(1 / 25, rel=0.04)


def test_weight_steps_are_those_of_sgd_with_momentum_in_torch():
    toy, noisy = make_toy(), np.random.default_rng(0)
    noisy.standard_normal((3, 4))
    x = torch.nn.Parameter(torch.tensor(toy.x))
    steps = torch.optim.SGD([x], lr=0.05, momentum=0.9)
    for options in (OPTIONS[:2], OPTIONS[2:], OPTIONS):
        steps.zero_grad()
        losses = paper_loss(options, x, torch.tensor(noisy.normal(0.0, 1 / 4, (3, 1))))
        losses.mean().backward()
        steps.step()
        np.testing.assert_allclose(toy.train(options, 0.05).losses, losses.detach().numpy())
        np.testing.assert_allclose(toy.x, x.detach().numpy())


def test_the_loss_of_a_weight_step_is_that_before_it():
    toy = make_toy()
    before = toy.evaluate(OPTIONS).noise_free
    assert np.array_equal(toy.train(OPTIONS, 0.05).noise_free, before)
    assert not np.array_equal(toy.evaluate(OPTIONS).noise_free, before)


def test_toys_of_one_seed_are_equal_and_of_others_are_not():
    assert np.array_equal(make_toy(3).evaluate(OPTIONS).losses, make_toy(3).evaluate(OPTIONS).losses)
    assert not np.array_equal(make_toy(3).x, make_toy(4).x)


def test_the_toy_decides_categories_alone_and_has_the_parameters_of_the_paper():
    toy = Toy(SelectiveSquaredError())
    assert not toy.space.numeric
    assert ASNG(toy.space).distribution.num_parameters == 120


def test_the_learning_rate_falls_from_the_first_to_zero_along_a_cosine():
    rates = [cosine(0.05, iteration, 100) for iteration in (0, 25, 50, 100)]
    assert rates == pytest.approx([0.05, 0.05 * (2 + 2**0.5) / 4, 0.025, 0.0])
