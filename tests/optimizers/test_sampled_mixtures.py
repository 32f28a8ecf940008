"""SNAS, GDAS, GAEA-GDAS and DrNAS: one step of each against its formula, on losses with known slopes."""

import functools
import math

import numpy as np
import pytest
import torch
from torch import nn

from ray_asng import Categorical, OneOf, SearchSpace, Supernet
from ray_asng.optimizers.drnas import DrNAS, concentration, divergence_from_flat
from ray_asng.optimizers.gaea_gdas import GAEAGDAS, divergence_from_uniform, divided_then_clamped_step
from ray_asng.optimizers.gdas import GDAS
from ray_asng.optimizers.one_hot import OneHot
from ray_asng.optimizers.snas import SNAS
from ray_asng.supernets.ways import StraightThrough

SPACE = SearchSpace([Categorical("a", ("x", "y", "z")), Categorical("b", ("x", "y"))])
SLOPES = {"a": torch.tensor([1.0, 0.0, 2.0]), "b": torch.tensor([0.0, 1.0])}


class Recorder:
    """A loss that is linear in the mixing weights; keeps the weights that it is given."""

    parameters = ()
    learning_rate = 0.1

    def __init__(self):
        self.given = []
        self.splits = []

    def loss(self, weights, split):
        self.given.append(weights)
        self.splits.append(split)
        return sum((weights[name] * slope).sum() for name, slope in SLOPES.items())


def rows_of(optimizer):
    """What the method learns: its logits, beta or simplex weights."""
    rows = next(getattr(optimizer, name) for name in ("logits", "beta", "theta") if hasattr(optimizer, name))
    return {name: row.detach().clone() for name, row in rows.items()}


# What several of them have in common


@pytest.mark.parametrize("method", [SNAS, GDAS, GAEAGDAS, DrNAS])
def test_every_step_draws_fresh_weights_on_the_simplex(method):
    optimizer, problem = method(SPACE), Recorder()
    for _ in range(8):
        optimizer.architecture_step(problem)
    given = [weights["a"].detach() for weights in problem.given]
    given += [optimizer.weights_for_training()["a"] for _ in range(8)]
    assert all(float(row.sum()) == pytest.approx(1.0, abs=1e-5) and (row >= 0).all() for row in given)
    distinct = 3 if method in (GDAS, GAEAGDAS) else 16
    assert len({tuple(row.tolist()) for row in given}) == distinct


@pytest.mark.parametrize(("method", "last"), [(SNAS, 1.0), (GDAS, 0.1), (GAEAGDAS, 0.1)])
def test_the_temperature_falls_from_10_to_that_of_the_published_code(method, last):
    optimizer = method(SPACE)
    assert optimizer.metrics() == {"temperature": 10.0}
    for epoch in range(1, 100):
        optimizer.architecture_step(Recorder())
        optimizer.on_epoch_end(epoch, 100)
    assert optimizer.metrics() == {"temperature": pytest.approx(last)}


@pytest.mark.parametrize("method", [GDAS, GAEAGDAS])
def test_one_path_is_declared_for_the_methods_that_run_one(method):
    cost = method(SPACE).cost
    assert (cost.forward, cost.backward, cost.memory) == (2.0, 2.0, "one path")


@pytest.mark.parametrize("method", [SNAS, DrNAS])
def test_all_options_are_declared_for_the_methods_that_mix_them(method):
    cost = method(SPACE).cost
    assert (cost.forward, cost.backward, cost.memory) == (5.0, 5.0, "all options")


# SNAS


def test_snas_follows_the_gradient_of_its_relaxed_sample():
    """Adam's first step has the length of its rate and the sign of the gradient z (slope - z slope) / tau, up to K."""
    optimizer, problem = SNAS(SPACE, learning_rate=0.01, weight_decay=0.0), Recorder()
    before = rows_of(optimizer)
    optimizer.architecture_step(problem)
    for name, slope in SLOPES.items():
        z = problem.given[0][name].detach()
        gradient = z * (slope - z @ slope) / 10.0
        expected = before[name] - 0.01 * gradient / (gradient.abs() + 1e-8)
        torch.testing.assert_close(optimizer.logits[name].detach(), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("options", "split"), [({}, "valid"), ({"split": "train"}, "train")])
def test_snas_learns_on_the_split_that_it_is_told(options, split):
    problem = Recorder()
    SNAS(SPACE, **options).architecture_step(problem)
    assert problem.splits == [split]


# GDAS


class Counted(nn.Module):
    """Multiplies, and counts how often."""

    def __init__(self, factor):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(float(factor)))
        self.runs = 0

    def forward(self, inputs):
        self.runs += 1
        return self.factor * inputs


def network():
    return nn.Sequential(
        OneOf({"x": Counted(2), "y": Counted(3), "z": Counted(5)}, name="a"),
        OneOf({"x": Counted(7), "y": Counted(11)}, name="b"),
    )


class Pass:
    """The loss of a network, run straight-through where the weights say which path they are."""

    def __init__(self, supernet):
        self.supernet = supernet
        self.parameters, self.learning_rate = list(supernet.parameters()), 0.1
        self.outputs = []

    def loss(self, weights, split):
        way = StraightThrough(weights.architecture, weights) if isinstance(weights, OneHot) else weights
        self.outputs.append((weights, self.supernet(torch.ones(2, 3), way)))
        return self.outputs[-1][1].sum()


def runs_of(supernet):
    return sum(module.runs for module in supernet.modules() if isinstance(module, Counted))


@pytest.mark.parametrize("method", [GDAS, GAEAGDAS])
def test_the_forward_pass_equals_the_selected_path_and_runs_nothing_else(method):
    supernet = Supernet(network())
    optimizer, problem = method(supernet.space), Pass(supernet)
    for step in range(1, 9):
        optimizer.architecture_step(problem)
        assert runs_of(supernet) == 2 * step
    for weights, output in problem.outputs:
        assert torch.equal(output, supernet(torch.ones(2, 3), weights.architecture))


@pytest.mark.parametrize("method", [GDAS, GAEAGDAS])
def test_the_weight_step_runs_one_path_too(method):
    supernet = Supernet(network())
    weights = method(supernet.space).weights_for_training()
    output = supernet(torch.ones(2, 3), weights)
    assert runs_of(supernet) == 2
    options = {d.name: d.options[int(weights[d.name].argmax())] for d in supernet.space.categorical}
    assert torch.equal(output, supernet(torch.ones(2, 3), options))


def test_the_gradient_of_one_path_reaches_the_logits_of_all_options():
    """With a gradient of zero and without decay, Adam would leave a logit where it is."""
    supernet = Supernet(network())
    optimizer = GDAS(supernet.space, weight_decay=0.0)
    before = rows_of(optimizer)
    optimizer.architecture_step(Pass(supernet))
    assert all((row != before[name]).all() for name, row in rows_of(optimizer).items())


def softmax_of_the_next_noise(optimizer, log_probs):
    """The relaxed sample [p] that the method will draw next, by an independent formula of Gumbel noise."""
    stream = torch.Generator()
    stream.set_state(optimizer.generator.get_state())
    soft = {}
    for name, row in log_probs.items():
        noise = [-math.log(e) for e in torch.empty(len(row)).exponential_(generator=stream).tolist()]
        powers = [math.exp((float(value) + g) / 10.0) for value, g in zip(row, noise, strict=True)]
        soft[name] = torch.tensor([power / sum(powers) for power in powers])
    return soft


def test_gdas_follows_the_straight_through_gradient():
    """The gradient is p (slope - p slope) / tau, with the soft p of the sample; Adam's first step has its sign."""
    optimizer, problem = GDAS(SPACE, learning_rate=0.01, weight_decay=0.0), Recorder()
    before = rows_of(optimizer)
    soft = softmax_of_the_next_noise(optimizer, before)
    optimizer.architecture_step(problem)
    for name, slope in SLOPES.items():
        p = soft[name]
        assert int(problem.given[0][name].argmax()) == int(p.argmax())
        gradient = p * (slope - p @ slope) / 10.0
        expected = before[name] - 0.01 * gradient / (gradient.abs() + 1e-8)
        torch.testing.assert_close(optimizer.logits[name].detach(), expected, atol=1e-6, rtol=0)


def test_gdas_draws_paths_by_the_softmax_of_its_logits():
    """Chi-square, 2 degrees of freedom: a correct sampler exceeds 13.8 once in 1000 seeds."""
    optimizer = GDAS(SPACE)
    with torch.no_grad():
        optimizer.logits["a"].copy_(torch.tensor([0.0, 1.0, -1.0]))
    counts = sum(optimizer.weights_for_training()["a"].numpy() for _ in range(2000))
    expected = 2000 * optimizer.probabilities["a"]
    assert np.sum((counts - expected) ** 2 / expected) < 13.8


# GAEA-GDAS


def test_gaea_gdas_takes_an_exponentiated_step_of_the_straight_through_gradient():
    """d loss / d theta is p (slope - p slope) / (tau theta); the penalty adds 0.01 (log theta + log K + 1)."""
    optimizer, problem = GAEAGDAS(SPACE, learning_rate=0.3, entropy_weight=0.01), Recorder()
    optimizer.theta["a"] = torch.tensor([0.5, 0.3, 0.2])
    before = rows_of(optimizer)
    soft = softmax_of_the_next_noise(optimizer, {name: row.log() for name, row in before.items()})
    optimizer.architecture_step(problem)
    for name, slope in SLOPES.items():
        p, theta = soft[name], before[name]
        gradient = p * (slope - p @ slope) / (10.0 * theta)
        gradient = gradient + 0.01 * (theta.log() + math.log(len(theta)) + 1.0)
        expected = torch.softmax(theta.log() - 0.3 * gradient, dim=0)
        torch.testing.assert_close(optimizer.theta[name], expected, rtol=1e-5, atol=1e-7)


def test_gaea_gdas_divides_before_it_clamps():
    moved = divided_then_clamped_step(torch.tensor([0.5, 0.5]), torch.tensor([100.0, -100.0]), 0.1)
    assert moved.tolist() == pytest.approx([1e-5, 1.0], rel=1e-6)


def test_the_divergence_from_uniform_is_that_of_torch():
    theta = torch.tensor([0.5, 0.3, 0.2])
    expected = torch.nn.functional.kl_div(torch.full((3,), 1 / 3).log(), theta, reduction="sum")
    torch.testing.assert_close(divergence_from_uniform(theta), expected)


def test_the_penalty_pulls_gaea_gdas_to_the_uniform_distribution():
    flat, free = (GAEAGDAS(SPACE, learning_rate=0.5, entropy_weight=weight) for weight in (1.0, 0.0))
    for optimizer in (flat, free):
        optimizer.theta["a"] = torch.tensor([0.8, 0.1, 0.1])
    for _ in range(50):
        flat.architecture_step(OnlyB())
        free.architecture_step(OnlyB())
    np.testing.assert_allclose(flat.probabilities["a"], 1 / 3, atol=1e-3)
    np.testing.assert_allclose(free.probabilities["a"], [0.8, 0.1, 0.1], rtol=1e-5)


class OnlyB(Recorder):
    """A loss that decision a has no influence on."""

    def loss(self, weights, split):
        return weights["b"] @ SLOPES["b"]


# DrNAS


def test_the_concentration_is_elu_plus_one_also_where_floats_round_that_to_zero():
    beta = torch.tensor([-8.0, -1.0, 0.0, 0.5, 30.0], dtype=torch.float64)
    torch.testing.assert_close(concentration(beta), torch.nn.functional.elu(beta) + 1.0)
    assert float(concentration(torch.tensor(-100.0))) > 0.0


def test_the_probabilities_of_drnas_are_the_mean_of_its_samples():
    """Each of the three lies within 4.5 standard errors, but for once in 50 000 seeds."""
    optimizer = DrNAS(SPACE)
    with torch.no_grad():
        optimizer.beta["a"].copy_(torch.tensor([0.5, -1.0, 2.0]))
    drawn = torch.stack([optimizer.weights_for_training()["a"] for _ in range(2000)]).double()
    error = drawn.std(0) / 2000**0.5
    assert ((drawn.mean(0) - torch.tensor(optimizer.probabilities["a"])).abs() < 4.5 * error).all()


def test_the_gradient_of_drnas_is_on_average_the_finite_difference_of_the_expected_loss():
    """Of E[slopes theta^2] by beta; each of the three lies within 4.5 standard errors, but for once in 50 000 seeds."""
    optimizer = DrNAS(SPACE, learning_rate=1e-12, regulariser=None)
    with torch.no_grad():
        optimizer.beta["a"].copy_(torch.tensor([0.5, -1.0, 1.5]))
    beta, problem = optimizer.beta["a"].detach().double(), Squares(optimizer.beta["a"])
    for _ in range(1000):
        optimizer.architecture_step(problem)
    gradients = torch.stack(problem.gradients).double()
    steps = 1e-5 * torch.eye(3, dtype=torch.float64)
    differences = [(expected_squares(beta + h) - expected_squares(beta - h)) / 2e-5 for h in steps]
    error = gradients.std(0) / 1000**0.5
    assert ((gradients.mean(0) - torch.tensor(differences)).abs() < 4.5 * error).all()
    # The test has teeth: all derivatives are many standard errors from zero.
    assert float((gradients.mean(0) / error).abs().min()) > 8


class Squares:
    """A loss with curvature; keeps its derivatives by `row`."""

    parameters, learning_rate = (), 0.1

    def __init__(self, row):
        self.row = row
        self.gradients = []

    def loss(self, weights, split):
        loss = weights["a"] ** 2 @ SQUARES.float()
        self.gradients += torch.autograd.grad(loss, self.row, retain_graph=True)
        return loss


SQUARES = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)


def expected_squares(beta):
    """E[SQUARES theta^2] for theta of the Dirichlet distribution of elu(beta) + 1, in closed form."""
    c = torch.nn.functional.elu(beta) + 1.0
    return float((SQUARES * c * (c + 1)).sum() / (c.sum() * (c.sum() + 1)))


def test_the_divergence_of_drnas_is_that_of_the_closed_form():
    """log Gamma(sum c) - sum log Gamma(c) - log Gamma(K) + sum (c - 1) (digamma(c) - digamma(sum c))."""
    beta = {"a": torch.tensor([0.7, -0.5, 2.0], dtype=torch.float64), "b": torch.zeros(2, dtype=torch.float64)}
    c = torch.nn.functional.elu(beta["a"]) + 1.0
    expected = torch.lgamma(c.sum()) - torch.lgamma(c).sum() - math.lgamma(3)
    expected = expected + ((c - 1.0) * (torch.digamma(c) - torch.digamma(c.sum()))).sum()
    torch.testing.assert_close(divergence_from_flat(beta), expected)


def pulled(regulariser):
    """beta of the decision that the loss ignores, after some steps from 1."""
    optimizer = DrNAS(SPACE, learning_rate=0.05, regulariser=regulariser)
    with torch.no_grad():
        optimizer.beta["a"].fill_(1.0)
    for _ in range(5):
        optimizer.architecture_step(OnlyB())
    return optimizer.beta["a"].detach()


@pytest.mark.parametrize("regulariser", ["l2", "kl"])
def test_both_regularisers_of_drnas_pull_the_concentration_to_one(regulariser):
    assert (pulled(regulariser) < 0.9).all()


def test_without_regulariser_drnas_leaves_what_the_loss_ignores():
    torch.testing.assert_close(pulled(None), torch.ones(3))


def test_the_loss_that_drnas_returns_has_no_penalty():
    problem = Recorder()
    loss = DrNAS(SPACE, regulariser="kl", regulariser_weight=10.0).architecture_step(problem)
    weights = problem.given[0]
    assert loss == pytest.approx(sum(float(weights[name].detach() @ slope) for name, slope in SLOPES.items()))


# Bad settings


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (functools.partial(SNAS, split="test"), r"split must be 'valid' \(bilevel\) or 'train' .* got 'test'"),
        (functools.partial(SNAS, learning_rate=0.0), "learning_rate must be positive, got 0.0"),
        (functools.partial(SNAS, first_temperature=-1.0), "temperatures must be positive, got -1.0"),
        (functools.partial(GDAS, weight_decay=-1e-3), "weight_decay must be 0 or more, got -0.001"),
        (functools.partial(GAEAGDAS, learning_rate=-1.0), "learning_rate must be positive, got -1.0"),
        (functools.partial(GAEAGDAS, entropy_weight=-1.0), "entropy_weight must be 0 or more, got -1.0"),
        (functools.partial(DrNAS, regulariser="L2"), "regulariser must be 'l2', 'kl' or None, got 'L2'"),
        (functools.partial(DrNAS, regulariser_weight=-1.0), "regulariser_weight must be 0 or more, got -1.0"),
    ],
)
def test_bad_settings_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build(SPACE)
