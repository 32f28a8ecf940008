"""What mixing methods draw: Gumbel-softmax, straight-through one-hot and Dirichlet samples, and their temperature."""

import numpy as np
import pytest
import torch

from ray_asng import Categorical, SearchSpace
from ray_asng.optimizers.dirichlet import dirichlet_sample
from ray_asng.optimizers.gumbel import gumbel_softmax
from ray_asng.optimizers.one_hot import straight_through
from ray_asng.optimizers.temperature import Temperature

SPACE = SearchSpace([Categorical("a", ("x", "y", "z")), Categorical("b", ("x", "y"))])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


# Gumbel-softmax


@pytest.mark.parametrize("temperature", [0.1, 10.0])
def test_the_largest_element_falls_on_options_by_their_probabilities(temperature):
    """Chi-square, 2 degrees of freedom: a correct sampler exceeds 13.8 once in 1000 seeds."""
    probs, stream = torch.tensor([0.1, 0.6, 0.3]), generator()
    drawn = [int(gumbel_softmax(probs.log(), temperature, stream).argmax()) for _ in range(3000)]
    counts, expected = np.bincount(drawn, minlength=3), 3000 * probs.numpy()
    assert np.sum((counts - expected) ** 2 / expected) < 13.8


def test_a_cold_sample_is_nearly_one_hot_and_a_hot_one_nearly_uniform():
    log_probs = torch.tensor([0.2, 0.5, 0.3]).log()
    assert float(gumbel_softmax(log_probs, 1e-3, generator()).max()) == pytest.approx(1.0)
    assert gumbel_softmax(log_probs, 1e4, generator()).tolist() == pytest.approx([1 / 3] * 3, abs=1e-3)


def test_the_gradient_of_a_relaxed_sample_is_that_of_a_softmax_at_its_temperature():
    """By dz_j / d log p_k = z_j (1[j = k] - z_k) / tau."""
    log_probs = torch.tensor([0.2, 0.5, 0.3]).log().requires_grad_()
    z = gumbel_softmax(log_probs, 2.0, generator())
    slopes = torch.tensor([1.0, -3.0, 2.0])
    (gradient,) = torch.autograd.grad(z @ slopes, log_probs)
    z = z.detach()
    torch.testing.assert_close(gradient, z * (slopes - z @ slopes) / 2.0)


# Straight-through


def test_straight_through_weights_are_one_hot_exactly_where_the_soft_ones_are_largest():
    soft = {"a": torch.tensor([0.3, 0.1, 0.6]), "b": torch.tensor([0.7, 0.3])}
    hard = straight_through(SPACE, soft)
    assert dict(hard.architecture) == {"a": "z", "b": "x"}
    assert {name: row.tolist() for name, row in hard.items()} == {"a": [0.0, 0.0, 1.0], "b": [1.0, 0.0]}


def test_the_derivatives_of_straight_through_weights_are_those_by_the_soft_ones():
    soft = {"a": torch.tensor([0.3, 0.1, 0.6], requires_grad=True), "b": torch.tensor([0.7, 0.3], requires_grad=True)}
    hard = straight_through(SPACE, soft)
    slopes = torch.tensor([1.0, 2.0, 3.0])
    gradients = torch.autograd.grad(hard["a"] @ slopes + hard["b"].sum(), list(soft.values()))
    assert [gradient.tolist() for gradient in gradients] == [[1.0, 2.0, 3.0], [1.0, 1.0]]


# Dirichlet


def test_dirichlet_samples_have_the_mean_and_the_variance_of_the_distribution():
    """Each of the six sums lies within 4.5 standard errors, but for once in 20 000 seeds."""
    c = torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64)
    drawn = dirichlet_sample(c.expand(20_000, 3), generator())
    mean = c / c.sum()
    variance = mean * (1 - mean) / (c.sum() + 1)
    error = drawn.std(0) / 20_000**0.5
    assert ((drawn.mean(0) - mean).abs() < 4.5 * error).all()
    squares = (drawn - mean) ** 2
    assert ((squares.mean(0) - variance).abs() < 4.5 * squares.std(0) / 20_000**0.5).all()
    torch.testing.assert_close(drawn.sum(1), torch.ones_like(drawn[:, 0]))


def expected_squares(c, slopes):
    """E[sum_k slope_k theta_k^2] in closed form."""
    return float((slopes * c * (c + 1)).sum() / (c.sum() * (c.sum() + 1)))


@pytest.mark.parametrize("concentrations", [[1.0, 1.0, 1.0], [0.3, 0.8, 2.5]])
def test_the_pathwise_gradient_is_on_average_the_finite_difference_of_the_expectation(concentrations):
    """Mean of 20 000; each of the three lies within 4.5 standard errors, but for once in 50 000 seeds."""
    c, slopes = torch.tensor(concentrations, dtype=torch.float64), torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    rows = c.repeat(20_000, 1).requires_grad_()
    theta = dirichlet_sample(rows, generator())
    (gradients,) = torch.autograd.grad((theta**2 @ slopes).sum(), rows)
    steps = 1e-5 * torch.eye(3, dtype=torch.float64)
    differences = [(expected_squares(c + h, slopes) - expected_squares(c - h, slopes)) / 2e-5 for h in steps]
    error = gradients.std(0) / 20_000**0.5
    assert ((gradients.mean(0) - torch.tensor(differences)).abs() < 4.5 * error).all()
    # The test has teeth: the derivatives are many standard errors from zero.
    assert float((gradients.mean(0) / error).abs().max()) > 20


@pytest.mark.parametrize("smallest", [5e-5, 1e-2, 1e4])
def test_extreme_concentrations_give_finite_samples_and_gradients(smallest):
    c = torch.tensor([smallest, smallest, 1.0]).repeat(1000, 1).requires_grad_()
    theta = dirichlet_sample(c, generator())
    (gradient,) = torch.autograd.grad((theta @ torch.tensor([1.0, 2.0, 3.0])).sum(), c)
    assert torch.isfinite(theta).all()
    assert torch.isfinite(gradient).all()
    torch.testing.assert_close(theta.sum(1), torch.ones(1000))


@pytest.mark.parametrize("draw", [dirichlet_sample, lambda row, stream: gumbel_softmax(row, 1.0, stream)])
def test_equal_seeds_give_equal_samples_and_leave_the_global_generator_alone(draw):
    row = torch.tensor([0.5, 1.0, 2.0])
    before = torch.get_rng_state()
    assert torch.equal(draw(row, generator(1)), draw(row, generator(1)))
    assert not torch.equal(draw(row, generator(1)), draw(row, generator(2)))
    assert torch.equal(torch.get_rng_state(), before)


# Temperature


def temperatures(epochs, warmup=0):
    temperature = Temperature(10.0, 1.0)
    values = []
    for epoch in range(1, epochs + 1):
        if epoch > warmup:
            temperature.begin()
        values.append(temperature.value)
        temperature.end_epoch(epoch, epochs)
    return values


def test_the_temperature_falls_in_equal_steps_to_its_last_value_in_the_last_epoch():
    assert temperatures(10) == pytest.approx([10, 9, 8, 7, 6, 5, 4, 3, 2, 1])


def test_the_temperature_stands_still_during_warm_up():
    assert temperatures(7, warmup=3) == pytest.approx([10, 10, 10, 10, 7, 4, 1])


@pytest.mark.parametrize(("epochs", "warmup"), [(1, 0), (1, 1), (3, 2), (3, 3)])
def test_short_searches_have_a_temperature_throughout(epochs, warmup):
    assert temperatures(epochs, warmup) == [10.0] * epochs


def test_temperatures_must_be_positive():
    with pytest.raises(ValueError, match=r"temperatures must be positive, got 1\.0 at first and 0\.0 at last"):
        Temperature(1.0, 0.0)
