"""SDARTS: where its perturbations lie, what they do to the loss, and that the logits move as those of DARTS."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import nn

from ray_asng import OneOf, Supernet, registry, tasks
from ray_asng.optimizers import DARTS, SDARTSAdversarial, SDARTSRandom
from ray_asng.optimizers.perturbation import adversarial_perturbation, onto_box_and_simplex, random_perturbation
from ray_asng.search import Search
from ray_asng.settings import SearchSettings
from ray_asng.space import Categorical, SearchSpace

SPACE = SearchSpace([Categorical("a", tuple("uvwxyz")), Categorical("b", ("x", "y"))])
METHODS = [SDARTSRandom, SDARTSAdversarial]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def on_simplex(size, seed):
    return torch.rand(size, generator=generator(seed), dtype=torch.float64).pow(3).add(1e-3).softmax(0)


class Curved:
    """A loss that is curved in the mixing weights and differs between the splits."""

    learning_rate = 0.1

    def __init__(self):
        self.parameters = [nn.Parameter(torch.tensor(1.0))]
        self.splits = []

    def loss(self, weights, split):
        self.splits.append(split)
        sign = 1.0 if split == "train" else -1.0
        slopes = {name: torch.linspace(-1.0, 2.0, len(row)) for name, row in weights.items()}
        total = sum((row * slopes[name]).sum() + (row**2).sum() for name, row in weights.items())
        return sign * total * self.parameters[0]


@pytest.mark.parametrize("size", [1, 2, 3, 8])
@pytest.mark.parametrize("radius", [0.0, 0.03, 0.3, 1.0])
def test_the_projection_is_the_nearest_point_of_box_and_simplex(size, radius):
    for seed in range(5):
        centre = on_simplex(size, seed)
        point = centre + torch.randn(size, generator=generator(seed), dtype=torch.float64)
        projected = onto_box_and_simplex(point, centre, radius).numpy()
        bounds = [(max(0.0, c - radius), min(1.0, c + radius)) for c in centre.tolist()]
        expected = minimize(
            lambda x, point=point: ((x - point.numpy()) ** 2).sum(),
            centre.numpy(),
            jac=lambda x, point=point: 2.0 * (x - point.numpy()),
            bounds=bounds,
            constraints={"type": "eq", "fun": lambda x: x.sum() - 1.0, "jac": np.ones_like},
            method="SLSQP",
            options={"ftol": 1e-12},
        ).x
        np.testing.assert_allclose(projected, expected, atol=1e-5)
        assert projected.sum() == pytest.approx(1.0)


def test_a_point_of_box_and_simplex_is_its_own_projection():
    centre, point = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.4, 0.35, 0.25])
    torch.testing.assert_close(onto_box_and_simplex(point, centre, 0.11), point)


@pytest.mark.parametrize("radius", [0.03, 0.3])
def test_the_adversarial_perturbation_raises_the_loss_and_stays_in_box_and_simplex(radius):
    for seed in range(10):
        weights = {name: on_simplex(size, seed).float() for name, size in (("a", 6), ("b", 2))}
        problem = Curved()
        moved = adversarial_perturbation(
            lambda mixed, of=problem: of.loss(mixed, "train"), weights, radius, generator()
        )
        with torch.no_grad():
            assert problem.loss(moved, "train") > problem.loss(weights, "train") + 0.1 * radius
        for name, row in moved.items():
            assert float((row - weights[name]).abs().max()) <= radius + 1e-6
            assert float(row.min()) >= 0.0
            assert float(row.sum()) == pytest.approx(1.0, abs=1e-5)
            assert not row.requires_grad


def test_the_ascent_reaches_the_worst_corner_of_a_linear_loss():
    """Half of the options are worth 1: as much weight as the box allows goes there."""
    weights, slopes = {"a": torch.full((6,), 1.0 / 6.0)}, torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0, 0.0])
    moved = adversarial_perturbation(lambda mixed: mixed["a"] @ slopes, weights, 0.1, generator())
    torch.testing.assert_close(moved["a"], 1.0 / 6.0 + 0.1 * (2.0 * slopes - 1.0))


def test_a_perturbation_that_lowers_the_loss_is_dropped():
    """The loss has its highest value where the ascent starts, and a slope there that leads astray."""
    weights = {"a": torch.tensor([0.5, 0.5])}

    def astray(mixed):
        distance = (mixed["a"] - weights["a"]).abs().sum()
        return mixed["a"][0] - 100.0 * distance.detach()

    moved = adversarial_perturbation(astray, weights, 0.2, generator())
    assert torch.equal(moved["a"], weights["a"])


def test_random_perturbations_are_on_the_simplex_and_fill_the_box():
    row = torch.tensor([0.25, 0.25, 0.25, 0.25])
    draws = torch.stack([random_perturbation(row, 0.1, stream) for stream in [generator()] for _ in range(500)])
    torch.testing.assert_close(draws.sum(1), torch.ones(500))
    assert float(draws.min()) >= 0.0
    # Before the division by the sum, 1 give or take 0.4, they are uniform from 0.15 to 0.35.
    assert 0.1 < float(draws.min()) < 0.18
    assert 0.32 < float(draws.max()) < 0.5
    torch.testing.assert_close(draws.mean(0), row, atol=0.01, rtol=0)


def test_random_perturbation_is_noise_clipped_and_divided_by_its_sum():
    row = torch.tensor([0.7, 0.2, 0.1])
    noise = 0.3 * (2.0 * torch.rand(3, generator=generator(3)) - 1.0)
    expected = (row + noise).clamp(0.0, 1.0)
    torch.testing.assert_close(random_perturbation(row, 0.3, generator(3)), expected / expected.sum())


@pytest.mark.parametrize("method", METHODS)
def test_the_radius_grows_linearly_from_epoch_to_epoch(method):
    optimizer, radii = method(SPACE), []
    for epoch in range(1, 11):
        radii.append(optimizer.metrics()["radius"])
        optimizer.on_epoch_end(epoch, 10)
    np.testing.assert_allclose(radii, [0.03 + 0.027 * epoch for epoch in range(10)])


@pytest.mark.parametrize("method", METHODS)
def test_the_weights_for_training_are_perturbed_for_the_weight_step_alone(method):
    optimizer, plain = method(SPACE, seed=3), DARTS(SPACE, seed=3)
    stepped, problem = optimizer.weights_for_step(Curved()), Curved()
    for name, row in plain.weights_for_training().items():
        assert torch.equal(optimizer.weights_for_training()[name], row)
        assert not torch.equal(stepped[name], row)
    optimizer.weights_for_step(problem)
    assert set(problem.splits) <= {"train"}


@pytest.mark.parametrize("method", METHODS)
def test_the_architecture_step_is_that_of_darts_to_the_bit(method):
    optimizer, plain, problem = method(SPACE, seed=3), DARTS(SPACE, seed=3), Curved()
    for epoch in range(1, 6):
        optimizer.weights_for_step(problem)
        assert optimizer.architecture_step(problem) == plain.architecture_step(problem)
        optimizer.on_epoch_end(epoch, 5)
        assert all(torch.equal(optimizer.logits[name], plain.logits[name]) for name in SPACE.names)


def test_without_a_radius_the_whole_search_is_that_of_darts():
    def final(method, **options):
        with torch.random.fork_rng():
            torch.manual_seed(0)  # of the initial weights
            supernet = Supernet(registry.spaces["nasbench201"](width=2, cells=1, in_channels=1))
        settings = SearchSettings(epochs=2, steps_per_epoch=2, batch_size=16)
        search = Search(supernet, tasks.digits(train_fraction=0.95), method(supernet.space, **options), settings)
        for _ in range(2):
            search.run_epoch()
        return search

    plain, none = final(DARTS), {"first_radius": 0.0, "last_radius": 0.0}
    adversarial, random = final(SDARTSAdversarial, **none), final(SDARTSRandom, **none)
    for name, value in plain.supernet.state_dict().items():
        # The sums of rows are 1 up to rounding only, and both kinds bring them there.
        torch.testing.assert_close(adversarial.supernet.state_dict()[name], value, rtol=1e-2, atol=1e-4)
        torch.testing.assert_close(random.supernet.state_dict()[name], value, rtol=1e-2, atol=1e-4)


def test_finding_the_worst_weights_takes_nine_losses_on_the_training_batch():
    problem = Curved()
    SDARTSAdversarial(SPACE).weights_for_step(problem)
    assert problem.splits == ["train"] * 9


class Normed(nn.Module):
    """A batch norm with running statistics behind a choice."""

    def __init__(self):
        super().__init__()
        self.choice = OneOf({"thin": nn.Linear(64, 10, bias=False), "wide": nn.Linear(64, 10)}, name="layer")
        self.norm = nn.BatchNorm1d(10, momentum=0.5)

    def forward(self, images):
        return self.norm(self.choice(images.flatten(1)))


def test_the_search_for_the_worst_weights_leaves_running_statistics_alone():
    """One step moves them once, whatever the method tries before."""
    supernet = Supernet(Normed())
    settings = SearchSettings(epochs=1, steps_per_epoch=1, batch_size=16)
    search = Search(supernet, tasks.digits(train_fraction=0.95), SDARTSAdversarial(supernet.space), settings)
    before = int(supernet.module.norm.num_batches_tracked)
    search.run_epoch()
    assert int(supernet.module.norm.num_batches_tracked) == before + 1


@pytest.mark.parametrize("radii", [(-0.1, 0.3), (0.4, 0.3), (0.1, 1.5)])
def test_radii_that_fall_or_leave_the_simplex_are_refused(radii):
    with pytest.raises(ValueError, match=r"radii of a perturbation .* from 0 to 1"):
        SDARTSRandom(SPACE, first_radius=radii[0], last_radius=radii[1])
