"""Second-order DARTS against exact derivatives of an unrolled step, which small models allow."""

import pytest
import torch
from torch import nn

from ray_asng import Categorical, SearchSpace
from ray_asng.optimizers.darts_2nd import SecondOrderDARTS, unrolled_gradient

RATE, DECAY, MOMENTUM = 0.3, 0.01, 0.9
ACTIVATIONS = {"linear": lambda z: z, "tanh": torch.tanh}
SPACE = SearchSpace([Categorical("a", ("first", "second", "third")), Categorical("b", ("on", "off"))])


class Regression:
    """Squared error of a mixture of three layers (a), scaled by a mixture of 1 and 0.5 (b)."""

    learning_rate = RATE

    def __init__(self, activation):
        stream = torch.Generator().manual_seed(0)

        def numbers(*shape):
            return torch.randn(*shape, generator=stream, dtype=torch.float64)

        self.parameters = [nn.Parameter(numbers(4)) for _ in range(3)]
        self.data = {split: (numbers(8, 4), numbers(8)) for split in ("train", "valid")}
        self.activation = activation
        self.splits = []

    def loss(self, weights, split):
        self.splits.append(split)
        return self.loss_at(self.parameters, weights, split)

    def loss_at(self, parameters, weights, split):
        inputs, targets = self.data[split]
        layers = torch.stack([self.activation(inputs @ parameter) for parameter in parameters], dim=1)
        return ((layers @ weights["a"] * (weights["b"][0] + 0.5 * weights["b"][1]) - targets) ** 2).mean()


class WithMomentum(Regression):
    """A problem that tells the direction of a step of SGD with momentum and weight decay."""

    def __init__(self, activation):
        super().__init__(activation)
        self.buffers = [0.1 * torch.arange(4, dtype=torch.float64) + number for number in range(3)]

    def weight_direction(self, parameters, gradients):
        return [
            gradient + DECAY * parameter.detach() + MOMENTUM * buffer
            for parameter, gradient, buffer in zip(parameters, gradients, self.buffers, strict=True)
        ]


def new_logits():
    return {
        "a": torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64, requires_grad=True),
        "b": torch.tensor([-0.4, 0.2], dtype=torch.float64, requires_grad=True),
    }


def softmax(logits):
    return {name: row.softmax(0) for name, row in logits.items()}


def exact_gradient(problem, logits):
    """d/d alpha of L_valid(w - rate d(w, alpha), alpha) by differentiating through the step."""
    start = [parameter.detach().clone().requires_grad_() for parameter in problem.parameters]
    train = problem.loss_at(start, softmax(logits), "train")
    direction = torch.autograd.grad(train, start, create_graph=True)
    if isinstance(problem, WithMomentum):
        direction = problem.weight_direction(start, direction)
    moved = [value - RATE * towards for value, towards in zip(start, direction, strict=True)]
    loss = problem.loss_at(moved, softmax(logits), "valid")
    return float(loss.detach()), torch.autograd.grad(loss, list(logits.values()))


def assert_equals_exact(problem, tolerance):
    logits = new_logits()
    loss, gradients = unrolled_gradient(problem, logits)
    exact_loss, exact = exact_gradient(problem, logits)
    assert loss == pytest.approx(exact_loss, rel=1e-12)
    for gradient, expected in zip(gradients, exact, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("kind", [Regression, WithMomentum])
def test_the_gradient_is_exact_where_the_training_loss_is_quadratic_in_the_weights(kind):
    assert_equals_exact(kind(ACTIVATIONS["linear"]), tolerance=1e-12)


@pytest.mark.parametrize("kind", [Regression, WithMomentum])
def test_the_gradient_is_exact_up_to_the_central_difference_otherwise(kind):
    assert_equals_exact(kind(ACTIVATIONS["tanh"]), tolerance=1e-6)


def test_the_second_part_of_the_gradient_matters_in_these_tests():
    problem, logits = Regression(ACTIVATIONS["tanh"]), new_logits()
    _, gradients = unrolled_gradient(problem, logits)
    first_order = torch.autograd.grad(problem.loss(softmax(logits), "valid"), list(logits.values()))
    assert all(float((g - f).abs().max()) > 1e-3 for g, f in zip(gradients, first_order, strict=True))


def test_a_step_takes_the_passes_that_its_cost_declares():
    problem, method = Regression(ACTIVATIONS["tanh"]), SecondOrderDARTS(SPACE)
    method.architecture_step(InFloat32(problem))
    assert problem.splits == ["train", "valid", "train", "train"]
    weight_step = 1
    assert method.cost.forward == method.cost.backward == (weight_step + len(problem.splits)) * 2.5


class InFloat32:
    """Takes the float32 weights of a method to the float64 of the problem."""

    def __init__(self, problem):
        self.problem = problem
        self.parameters, self.learning_rate = problem.parameters, problem.learning_rate

    def loss(self, weights, split):
        return self.problem.loss({name: row.double() for name, row in weights.items()}, split)


def test_a_step_leaves_the_weights_as_they_were_bit_for_bit():
    problem = Regression(ACTIVATIONS["tanh"])
    before = [parameter.detach().clone() for parameter in problem.parameters]
    SecondOrderDARTS(SPACE).architecture_step(InFloat32(problem))
    assert all(torch.equal(parameter, value) for parameter, value in zip(problem.parameters, before, strict=True))
    assert all(parameter.grad is None for parameter in problem.parameters)


@pytest.mark.parametrize("call", [2, 3, 4])
def test_the_weights_are_put_back_after_an_error_too(call):
    problem = Regression(ACTIVATIONS["tanh"])
    before = [parameter.detach().clone() for parameter in problem.parameters]
    whole = problem.loss_at

    def failing(*arguments):
        if len(problem.splits) == call:
            raise MemoryError("in the middle of a step")
        return whole(*arguments)

    problem.loss_at = failing
    with pytest.raises(MemoryError, match="in the middle"):
        unrolled_gradient(problem, new_logits())
    assert all(torch.equal(parameter, value) for parameter, value in zip(problem.parameters, before, strict=True))


def test_the_gradient_is_of_first_order_where_the_validation_loss_ignores_the_weights():
    problem, logits = Regression(ACTIVATIONS["tanh"]), new_logits()
    slopes = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    whole = problem.loss_at
    problem.loss_at = lambda parameters, weights, split: (
        weights["a"] @ slopes if split == "valid" else whole(parameters, weights, split)
    )
    loss, (gradient, other) = unrolled_gradient(problem, logits)
    probs = logits["a"].detach().softmax(0)
    assert loss == pytest.approx(float(probs @ slopes))
    torch.testing.assert_close(gradient, probs * (slopes - probs @ slopes))
    assert not other.any()


def test_weights_that_do_not_learn_stay_out_of_the_unrolled_step():
    problem = Regression(ACTIVATIONS["linear"])
    problem.parameters[1].requires_grad_(False)
    unrolled_gradient(problem, new_logits())
    assert problem.splits == ["train", "valid", "train", "train"]
