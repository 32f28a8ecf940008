"""The Hessian's dominant eigenvalue against numpy's on the full matrix; when it is measured, and what follows."""

import numpy as np
import pytest
import torch
from torch import nn

from ray_asng import Categorical, SearchSpace, Supernet, registry, tasks
from ray_asng.optimizers import DARTS, DARTSPT, EarlyStoppedDARTS, SDARTSRandom, SecondOrderDARTS
from ray_asng.optimizers.darts_es import has_sharpened
from ray_asng.optimizers.hessian import HessianMonitor, dominant_eigenvalue
from ray_asng.search import Search
from ray_asng.settings import SearchSettings
from ray_asng.testing.mixing import PlantedProblem

SPACE = SearchSpace([Categorical("a", ("x", "y", "z")), Categorical("b", ("x", "y"))])


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def mixture_loss(rows):
    """Cross-entropy of a two-layer network whose hidden activations are mixed, by the softmax of (5,) and (3,)."""
    inputs, first, second = numbers(16, 4), numbers(4, 6, seed=1), 2.0 * numbers(6, 3, seed=2)
    targets = torch.arange(16) % 3
    hidden = inputs @ first
    kinds = torch.stack([hidden.tanh(), hidden, hidden.relu(), hidden**2, torch.zeros_like(hidden)], dim=-1)
    outputs = kinds @ rows[0].softmax(0) @ second
    return nn.functional.cross_entropy(outputs * (rows[1].softmax(0) @ torch.arange(1.0, 4.0).double()), targets)


def logits(*sizes, seed=5):
    return [numbers(size, seed=seed + place).requires_grad_() for place, size in enumerate(sizes)]


def eigenvalue(loss, rows):
    gradients = torch.autograd.grad(loss, rows, create_graph=True, allow_unused=True, materialize_grads=True)
    return dominant_eigenvalue(gradients, rows)


def numpys(function, rows):
    """The largest eigenvalue of the matrix that torch computes whole."""
    sizes = [len(row) for row in rows]
    flat = torch.cat([row.detach() for row in rows])
    matrix = torch.autograd.functional.hessian(lambda numbers: function(numbers.split(sizes)), flat)
    return float(np.linalg.eigvalsh(matrix.numpy())[-1])


@pytest.mark.parametrize("seed", range(5))
def test_the_eigenvalue_is_the_largest_of_the_full_hessian(seed):
    rows = logits(5, 3, seed=10 * seed)
    assert eigenvalue(mixture_loss(rows), rows) == pytest.approx(numpys(mixture_loss, rows), rel=1e-6)


def test_the_eigenvalue_is_exact_where_the_matrix_is_larger_than_the_krylov_space():
    matrix = numbers(80, 80)
    matrix = matrix + matrix.T
    (row,) = logits(80)
    expected = np.linalg.eigvalsh(matrix.numpy())[-1]
    assert eigenvalue(0.5 * row @ matrix @ row, [row]) == pytest.approx(expected, rel=1e-6)


def test_the_largest_eigenvalue_is_not_the_largest_in_magnitude():
    (row,) = logits(3)
    assert eigenvalue((torch.tensor([-9.0, 1.0, 2.0]).double() * row**2).sum(), [row]) == pytest.approx(4.0)


def test_a_loss_without_curvature_has_the_eigenvalue_zero():
    (row,) = rows = logits(4)
    assert eigenvalue(row.sum(), rows) == 0.0
    assert eigenvalue((row.prod() - row.prod()) + row.sum(), rows) == 0.0


def test_a_row_that_the_loss_does_not_reach_counts_as_flat():
    rows = logits(5, 3, 4)
    assert eigenvalue(mixture_loss(rows), rows) == pytest.approx(numpys(mixture_loss, rows[:2]), rel=1e-6)


def test_a_single_number_is_enough():
    (row,) = logits(1)
    assert eigenvalue(3.0 * (row**2).sum(), [row]) == pytest.approx(6.0)


def search(method, epochs=2, **options):
    torch_state = torch.random.get_rng_state()
    torch.manual_seed(0)  # of the initial weights
    supernet = Supernet(registry.spaces["nasbench201"](width=2, cells=1, in_channels=1))
    torch.random.set_rng_state(torch_state)
    settings = SearchSettings(epochs=epochs, steps_per_epoch=3, batch_size=16)
    return Search(supernet, tasks.digits(train_fraction=0.95), method(supernet.space, **options), settings)


def run(method, epochs=2, **options):
    running = search(method, epochs, **options)
    return running, [running.run_epoch() for _ in range(epochs)]


@pytest.mark.parametrize("method", [DARTS, SDARTSRandom, DARTSPT])
def test_measuring_changes_nothing_else(method):
    """Bit for bit: gradients, weights and the passes that are counted."""
    measured, reports = run(method, hessian_every=1)
    plain, expected = run(method)
    times = ("samples_per_second", "wall_seconds", "device_seconds", "peak_memory_bytes", "hessian_eigenvalue")
    assert [{k: v for k, v in report.items() if k not in times} for report in reports] == [
        {k: v for k, v in report.items() if k not in times} for report in expected
    ]
    ours, theirs = measured.supernet.state_dict(), plain.supernet.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert all("hessian_eigenvalue" not in report for report in expected)
    assert reports[0]["hessian_eigenvalue"] > 0.0
    assert reports[1]["hessian_eigenvalue"] > 0.0 or method is DARTSPT  # which has decided everything by then


def test_the_eigenvalue_of_a_supernet_is_that_of_its_full_hessian():
    running = search(DARTS)
    steps, rows = running._steps, list(running.optimizer.logits.values())
    loss = steps.loss(running.optimizer._mixture(), "valid")
    gradients = torch.autograd.grad(loss, rows, create_graph=True)
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    products = [torch.autograd.grad(flat, rows, one, retain_graph=True) for one in torch.eye(len(flat))]
    matrix = torch.stack([torch.cat(product) for product in products]).double().numpy()
    expected = np.linalg.eigvalsh((matrix + matrix.T) / 2.0)[-1]
    assert dominant_eigenvalue(gradients, rows) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("method", [DARTS, SecondOrderDARTS, SDARTSRandom, DARTSPT])
def test_the_eigenvalue_is_measured_once_in_so_many_epochs(method, monkeypatch):
    measured = []
    original = HessianMonitor.measure
    monkeypatch.setattr(HessianMonitor, "measure", lambda *given: measured.append(epoch) or original(*given))
    optimizer, problem = method(SPACE, hessian_every=3), PlantedProblem(SPACE)
    for epoch in range(1, 9):
        for _ in range(2):
            optimizer.architecture_step(problem)
        optimizer.on_epoch_end(epoch, 100)
        assert set(optimizer.metrics()) >= {"hessian_eigenvalue"}
    assert measured == [1, 4, 7]


def test_a_resumed_search_measures_when_the_other_would_have():
    optimizer, taker = DARTS(SPACE, hessian_every=2), DARTS(SPACE, seed=1, hessian_every=2)
    optimizer.architecture_step(PlantedProblem(SPACE))
    optimizer.on_epoch_end(1, 10)
    taker.load_state_dict(optimizer.state_dict())
    assert not taker.monitor.is_due
    assert taker.metrics() == optimizer.metrics()
    assert optimizer.metrics()["hessian_eigenvalue"] != 0.0


def test_a_negative_distance_between_measurements_is_refused():
    with pytest.raises(ValueError, match=r"hessian_every must be 0 .* got -1"):
        DARTS(SPACE, hessian_every=-1)


@pytest.mark.parametrize(
    ("eigenvalues", "expected"),
    [([1.0] * 8, False), ([1.0] * 9, False), ([1.0] * 4 + [1.29] * 5, False), ([1.0] * 5 + [1.4] * 4, True)],
)
def test_sharpened_means_a_mean_of_five_over_one_point_three_times_that_four_epochs_earlier(eigenvalues, expected):
    assert has_sharpened(eigenvalues) is expected


def follow(eigenvalues, epochs=40):
    """An early-stopped DARTS that is told these eigenvalues, and its probabilities after each epoch."""
    optimizer, problem = EarlyStoppedDARTS(SPACE, learning_rate=0.01), PlantedProblem(SPACE)
    history = []
    for epoch, value in enumerate(eigenvalues, start=1):
        optimizer.architecture_step(problem)
        optimizer.monitor.value = value
        optimizer.on_epoch_end(epoch, epochs)
        history.append(optimizer.probabilities["a"])
    return optimizer, history


def test_the_architecture_goes_back_to_the_middle_of_the_older_window_and_stays():
    """Curvature doubles from epoch 20 on: the mean over 18 ... 22 is 1.6 of that over 14 ... 18."""
    eigenvalues = [1.0] * 19 + [2.0] * 10
    optimizer, history = follow(eigenvalues)
    means = {epoch: np.mean(eigenvalues[epoch - 5 : epoch]) for epoch in range(5, 30)}  # of a window's last epoch
    first = min(epoch for epoch in range(17, 30) if means[epoch] > 1.3 * means[epoch - 4])
    assert optimizer.kept_epoch == first - 6
    assert all(np.array_equal(row, history[first - 7]) for row in history[first - 1 :])
    assert not np.array_equal(history[first - 2], history[first - 1])


def test_before_the_seventeenth_epoch_nothing_is_sharp_enough():
    """The epoch to go back to must be the eleventh or a later one."""
    grows = [1.5**epoch for epoch in range(17)]
    assert follow(grows[:16])[0].kept_epoch == 0
    assert follow(grows)[0].kept_epoch == 11


def test_a_constant_curvature_stops_nothing():
    optimizer, history = follow([1.0] * 30)
    assert optimizer.metrics()["kept_epoch"] == 0.0
    assert not np.array_equal(history[-1], history[-2])


def test_an_early_stopped_search_resumes_bit_for_bit_before_and_after_it_stopped():
    eigenvalues = [1.0] * 19 + [2.0] * 10
    for taken in (18, 25):
        whole, _ = follow(eigenvalues)
        part, _ = follow(eigenvalues[:taken])
        taker = EarlyStoppedDARTS(SPACE, seed=1, learning_rate=0.01)
        taker.load_state_dict(part.state_dict())
        problem = PlantedProblem(SPACE)
        for epoch, value in enumerate(eigenvalues[taken:], start=taken + 1):
            taker.architecture_step(problem)
            taker.monitor.value = value
            taker.on_epoch_end(epoch, 40)
        assert taker.kept_epoch == whole.kept_epoch > 0
        assert all(np.array_equal(taker.probabilities[name], whole.probabilities[name]) for name in SPACE.names)
