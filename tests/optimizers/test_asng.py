"""ASNG: golden values, geometry, step-size adaptation, invariances, and the defects of the published code."""

import json
import math

import numpy as np
import pytest

from ray_asng import Categorical, Integer, Real, SearchSpace
from ray_asng.optimizers import categorical, gaussian
from ray_asng.optimizers.asng import ASNG
from ray_asng.optimizers.ranking import ranking_utility
from ray_asng.optimizers.sng import SNG


def ragged_space(*counts, numbers=()):
    decisions = [Categorical(f"c{i}", [str(k) for k in range(count)]) for i, count in enumerate(counts)]
    return SearchSpace([*decisions, *(Integer(f"i{i}", *bounds) for i, bounds in enumerate(numbers))])


def update(asng, rows, losses, values=None):
    options = np.array(rows)
    asng.update(options, np.empty((len(rows), 0)) if values is None else np.array(values), np.array(losses))


def test_golden_trajectory_of_the_official_categorical_class():
    """Four steps measured with the official CategoricalASNG, K = (3, 4, 2, 3), defaults."""
    asng = ASNG(ragged_space(3, 4, 2, 3))
    update(asng, [(0, 1, 0, 2), (1, 1, 1, 0)], [0.3, 0.7])
    quarters = [0.25] * 4
    expected = [[0.5546875, 0.125, 0.3203125, 0], quarters, [0.75, 0.25, 0, 0], [0.125, 0.3203125, 0.5546875, 0]]
    np.testing.assert_allclose(asng.theta, expected, atol=1e-9)
    np.testing.assert_allclose([asng.Delta, asng.gamma, asng.s @ asng.s], [1.0710098003, 0.5821067812, 0.5821067812])

    update(asng, [(0, 3, 0, 2), (0, 1, 1, 2)], [0.9, 0.1])
    second = [0.2303633082, 0.4559400503, 0.2303633082, 0.0833333333]
    np.testing.assert_allclose(asng.theta[1], second, atol=1e-9)
    np.testing.assert_allclose(asng.theta[2, :2], [0.4942961972, 0.5057038028], atol=1e-9)
    np.testing.assert_allclose(asng.theta[[0, 3]], np.array(expected)[[0, 3]], atol=1e-9)

    update(asng, [(0, 3, 0, 2), (0, 1, 1, 2)], [0.5, 0.5])
    np.testing.assert_allclose([asng.Delta, asng.gamma, asng.s @ asng.s], [1.2346920932, 0.8124705526, 0.5724724390])

    update(asng, [(0, 1, 1, 1), (2, 0, 0, 2)], [0.2, 0.4])
    expected = [
        [0.7340755325, 0.125, 0.1409244675, 0],
        [0.0833333333, 0.6097760854, 0.2235572479, 0.0833333333],
        [0.3149081647, 0.6850918353, 0, 0],
        [0.125, 0.4997005325, 0.3752994675, 0],
    ]
    np.testing.assert_allclose(asng.theta, expected, atol=1e-9)
    np.testing.assert_allclose([asng.Delta, asng.gamma, asng.s @ asng.s], [1.3161515459, 0.9044917924, 1.0220573025])
    s = [0.4966440928, -0.0960451185, -0.2265235815, 0.6167315899]
    s += [0.0967385138, -0.4630667741, -0.1735351393, 0.2839064529]
    np.testing.assert_allclose(asng.s, s, atol=1e-9)


def test_golden_trajectory_of_the_official_mixed_class():
    """Two steps measured with the official inpainting_int class, K = (2, 3, 4), integers [1, 3] and [64, 256]."""
    asng = ASNG(ragged_space(2, 3, 4, numbers=[(1, 3), (64, 256)]))
    assert len(asng.s) == 10
    update(asng, [(0, 1, 2), (1, 1, 0)], [0.2, 0.5], [(2.5, 100), (1.5, 220)])
    np.testing.assert_allclose(asng.theta[0, :2], [0.666666667, 0.333333333], atol=1e-9)
    np.testing.assert_allclose(asng.theta[1, :3], [1 / 3] * 3, atol=1e-9)
    np.testing.assert_allclose(asng.theta[2], [0.111111111, 0.224797195, 0.439294498, 0.224797195], atol=1e-9)
    np.testing.assert_allclose(asng.mean, [2.262048713, 128.554154477], rtol=1e-9)
    np.testing.assert_allclose(asng.distribution.sigma, [0.965054647, 90.703686801], rtol=1e-8)
    np.testing.assert_allclose([asng.Delta, asng.gamma, asng.s @ asng.s], [1.0577306756, 0.532455532, 0.532455532])

    update(asng, [(0, 2, 3), (0, 0, 3)], [0.4, 0.1], [(1.2, 180), (2.9, 90)])
    np.testing.assert_allclose(asng.theta[1, :3], [0.533660005, 0.299673328, 0.166666667], atol=1e-9)
    np.testing.assert_allclose(asng.mean, [2.760491608, 102.166001204], rtol=1e-9)
    np.testing.assert_allclose(asng.distribution.sigma, [0.686656249, 84.797619347], rtol=1e-8)
    np.testing.assert_allclose(
        [asng.Delta, asng.gamma, asng.s @ asng.s], [1.101846663, 0.7702272921, 0.9503267023], rtol=1e-8
    )


def plain_asng(counts, numbers, batches):
    """ALGORITHMS-style ASNG written with loops and an eigendecomposition, independent of the package."""
    theta = [np.full(k, 1 / k) for k in counts]
    valid = sum(k > 1 for k in counts)
    eta = [np.array([(a + b) / 2, ((a + b) / 2) ** 2 + ((b - a) / 2) ** 2]) for a, b in numbers]
    n = sum(k - 1 for k in counts) + 2 * len(numbers)
    s, gamma, big_delta = np.zeros(n), 0.0, 1.0
    for options, values, losses in batches:
        count = len(losses)
        mu = math.ceil(count / 4)
        places = [1 / mu] * mu + [0.0] * (count - 2 * mu) + [-1 / mu] * mu
        u = [np.mean([places[sorted(losses).index(x) + j] for j in range(list(losses).count(x))]) for x in losses]
        if max(u) == min(u):
            continue
        gradients, root = [], []
        for d, k in enumerate(counts):
            g = sum(u[i] * (np.eye(k)[options[i][d]] - theta[d]) for i in range(count)) / count
            gradients.append(g)
            last = theta[d][-1]
            root += [
                g[j] / math.sqrt(theta[d][j]) + math.sqrt(theta[d][j]) * g[:-1].sum() / (last + math.sqrt(last))
                for j in range(k - 1)
            ]
        for m, (mean, second) in enumerate(eta):
            g = sum(u[i] * np.array([values[i][m] - mean, values[i][m] ** 2 - second]) for i in range(count)) / count
            gradients.append(g)
            variance = second - mean**2
            covariance = variance * np.array([[1, 2 * mean], [2 * mean, 4 * mean**2 + 2 * variance]])
            eigenvalues, vectors = np.linalg.eigh(covariance)
            root += list(vectors @ np.diag(eigenvalues**-0.5) @ vectors.T @ g)
        v = np.array(root)
        norm = np.linalg.norm(v)
        if norm < 1e-12:
            continue
        delta = 1 / big_delta
        beta = delta / math.sqrt(n)
        for d, k in enumerate(counts):
            low = 1 / (valid * (k - 1)) if k > 1 else 0.0
            row = np.maximum(theta[d] + delta * gradients[d] / norm, low)
            if k > 1:
                row = row - (row.sum() - 1) * (row - low) / (row.sum() - k * low)
            theta[d] = row / row.sum()
        for m, (a, b) in enumerate(numbers):
            moved = eta[m] + delta * gradients[len(counts) + m] / norm
            mean = min(max(moved[0], a), b)
            eta[m] = np.array([mean, min(max(moved[1], mean**2 + 1 / 16), mean**2 + ((b - a) / 2) ** 2)])
        s = (1 - beta) * s + math.sqrt(beta * (2 - beta)) * v / norm
        gamma = (1 - beta) ** 2 * gamma + beta * (2 - beta)
        big_delta *= math.exp(beta * (gamma - s @ s / 1.5))
    return theta, eta, s, gamma, big_delta


@pytest.mark.parametrize("samples", [2, 3, 4, 6])
@pytest.mark.parametrize("numbers", [(), ((1, 3), (64, 256))])
def test_update_follows_a_plain_implementation_for_hundreds_of_steps(samples, numbers):
    counts = (3, 5, 2, 1, 4)
    asng = ASNG(ragged_space(*counts, numbers=numbers))
    rng = np.random.default_rng(samples)
    batches = []
    for _ in range(300):
        options, values = asng.distribution.arrays(asng.ask(samples))
        hidden = (options == np.array([1, 2, 0, 0, 3])).sum(axis=1) + 0.0
        losses = np.round(rng.normal(size=samples) - hidden, 1)
        batches.append((options.tolist(), values.tolist(), losses.tolist()))
        asng.update(options, values, losses)
    theta, eta, s, gamma, big_delta = plain_asng(counts, numbers, batches)
    tolerance = {"rtol": 1e-6} if numbers else {"rtol": 1e-10, "atol": 1e-12}
    for d, row in enumerate(theta):
        np.testing.assert_allclose(asng.theta[d, : len(row)], row, **tolerance)
    for m, moments in enumerate(eta):
        np.testing.assert_allclose([asng.mean[m], asng.second_moment[m]], moments, **tolerance)
    np.testing.assert_allclose(asng.s, s, rtol=1e-6, atol=1e-6 if numbers else 1e-10)
    np.testing.assert_allclose([asng.gamma, asng.Delta], [gamma, big_delta], **tolerance)


@pytest.mark.parametrize("seed", range(20))
def test_a_step_has_the_fisher_length_delta(seed):
    """Away from the floors; the Fisher norm of a categorical step is sum(step ** 2 / theta)."""
    rng = np.random.default_rng(seed)
    asng = ASNG(ragged_space(3, 4, 2, 3, 6), seed=seed, initial_step=0.05)
    before = asng.theta.copy()
    asng.tell(asng.ask(4), rng.normal(size=4))
    step = (asng.theta - before)[before > 0]
    if step.any():
        assert math.sqrt((step**2 / before[before > 0]).sum()) == pytest.approx(0.05, rel=1e-9)


@pytest.mark.parametrize("seed", range(10))
def test_the_fisher_root_keeps_the_fisher_norm(seed):
    rng = np.random.default_rng(seed)
    num_options = rng.integers(2, 7, size=5)
    exists = np.arange(num_options.max()) < num_options[:, None]
    probs = np.where(exists, rng.random(exists.shape) + 0.01, 0.0)
    probs /= probs.sum(axis=1, keepdims=True)
    gradient = np.where(exists, rng.normal(size=exists.shape), 0.0)
    gradient -= np.where(exists, gradient.sum(axis=1, keepdims=True) / num_options[:, None], 0.0)
    root = categorical.fisher_root(gradient, probs, categorical.Layout.of(num_options))
    assert root @ root == pytest.approx((gradient[exists] ** 2 / probs[exists]).sum())


@pytest.mark.parametrize(("mean", "sigma"), [(0.0, 1.0), (2.0, 0.3), (-5.0, 2.0), (200.0, 40.0)])
def test_the_gaussian_fisher_root_is_the_root_of_the_inverse_covariance(mean, sigma):
    covariance = sigma**2 * np.array([[1, 2 * mean], [2 * mean, 4 * mean**2 + 2 * sigma**2]])
    gradient = np.array([[0.7, -1.3]])
    root = gaussian.fisher_root(gradient, np.array([mean]), np.array([sigma]))
    assert root @ root == pytest.approx(float(gradient[0] @ np.linalg.solve(covariance, gradient[0])), rel=1e-6)


def advance(asng, steps, loss):
    for _ in range(steps):
        proposals = asng.ask(2)
        asng.tell(proposals, [loss(p) for p in proposals])


def agree(asng, steps):
    """The same winner over the same loser every time."""
    width = asng.theta.shape[0]
    for _ in range(steps):
        update(asng, [[0] * width, [1] * width], [0.0, 1.0])


def test_the_step_grows_while_gradients_agree():
    asng = ASNG(ragged_space(*[5] * 20), initial_step=0.01)
    agree(asng, 100)
    assert asng.step_size > 0.02
    assert asng.metrics()["signal_ratio"] > 1.5


def test_the_step_shrinks_under_noise():
    rng = np.random.default_rng(0)
    asng = ASNG(ragged_space(*[5] * 20), initial_step=1.0)
    advance(asng, 300, lambda p: rng.normal())
    assert asng.step_size < 0.3


def test_the_step_never_exceeds_its_bound():
    asng = ASNG(ragged_space(*[5] * 20), initial_step=0.01, max_step=0.02)
    agree(asng, 100)
    assert asng.step_size == pytest.approx(0.02)


@pytest.mark.parametrize("transform", [lambda x: x - 1e3, lambda x: 1e-6 * x, np.exp, lambda x: -np.exp(-x)])
def test_increasing_maps_of_the_loss_change_nothing(transform):
    plain, mapped = ASNG(ragged_space(3, 4, 2, numbers=[(0, 9)]), 5), ASNG(ragged_space(3, 4, 2, numbers=[(0, 9)]), 5)
    rng = np.random.default_rng(1)
    for _ in range(50):
        losses = rng.integers(0, 4, size=4).astype(float)
        plain.tell(plain.ask(4), losses)
        mapped.tell(mapped.ask(4), transform(losses))
    assert np.array_equal(plain.theta, mapped.theta)
    assert np.array_equal(plain.mean, mapped.mean)
    assert plain.Delta == mapped.Delta


@pytest.mark.parametrize("losses", [[1.0, 1.0], [0.0, 0.0], [-1.0, -1.0], [np.nan, np.nan], [np.inf, np.nan]])
def test_equal_losses_leave_every_field_as_it_was(losses):
    asng = ASNG(ragged_space(3, 4, 2), 0)
    advance(asng, 5, lambda p: float(p.options[0]))
    before = asng.state_dict()
    update(asng, [(0, 1, 0), (1, 2, 1)], losses)
    assert asng.state_dict() == before


def test_equal_samples_leave_the_distribution_as_it_was():
    asng = ASNG(ragged_space(3, 4, 2), 0)
    update(asng, [(0, 1, 0)] * 6, [6.0, 5.0, 4.0, 3.0, 2.0, 1.0])
    assert asng.distribution.version == 0


@pytest.mark.parametrize(
    ("losses", "utility"),
    [
        ((0.4, 0.1, 0.3, 0.2), (-1, 1, 0, 0)),
        ((0.1, 0.1, 0.3, 0.2), (0.5, 0.5, -1, 0)),
        ((1, 1, 2, 2), (0.5, 0.5, -0.5, -0.5)),
        ((5, 4, 3, 2, 1, 0.5), (-0.5, -0.5, 0, 0, 0.5, 0.5)),
        ((0, 0, 1, 2), (0.5, 0.5, 0, -1)),
        ((-3, -3, -1, -2), (0.5, 0.5, -1, 0)),
        ((np.nan, 1, np.inf, 2), (-0.5, 1, -0.5, 0)),
        ((-np.inf, 1, 3, 2), (-1, 1, 0, 0)),
        ((3, 1, 2), (-1, 1, 0)),
        ((7,), (0,)),
    ],
)
def test_utilities_depend_on_ranks_with_exact_ties_of_any_sign(losses, utility):
    np.testing.assert_allclose(ranking_utility(np.array(losses, dtype=float)), utility, atol=1e-15)


@pytest.mark.parametrize("counts", [(2,), (3,), (2, 2), (2, 3), (5, 1), (7, 7)])
def test_one_or_two_decisions_are_learned(counts):
    asng = ASNG(ragged_space(*counts), seed=3)
    for _ in range(300):
        proposals = asng.ask(2)
        asng.tell(proposals, [-float((p.options == np.array(counts) - 1).sum()) for p in proposals])
        assert np.isfinite(asng.theta).all()
    assert list(asng.most_likely().values()) == [str(k - 1) for k in counts]
    at_mode = math.prod(asng.theta[d, k - 1] for d, k in enumerate(counts))
    assert at_mode == pytest.approx(0.73, abs=0.02)


def test_with_three_decisions_or_more_the_floor_is_the_published_one():
    assert categorical.floors(np.array([3, 4, 2, 1])).tolist() == pytest.approx([1 / 6, 1 / 9, 1 / 3, 0.0])


@pytest.mark.parametrize("seed", range(5))
def test_rows_stay_probabilities_above_the_floor(seed):
    rng = np.random.default_rng(seed)
    counts = tuple(int(k) for k in rng.integers(1, 8, size=rng.integers(1, 9)))
    asng = ASNG(ragged_space(*counts), seed)
    for _ in range(100):
        proposals = asng.ask(int(rng.integers(1, 8)))
        asng.tell(proposals, rng.normal(size=len(proposals)))
        np.testing.assert_allclose(asng.theta.sum(axis=1), 1.0)
        exists = np.arange(asng.theta.shape[1]) < asng.distribution.num_options[:, None]
        assert (asng.theta - asng.distribution.floor[:, None] >= -1e-12)[exists].all()


@pytest.mark.parametrize("seed", range(10))
def test_a_planted_optimum_of_options_integers_and_reals_is_found_within_the_bounds(seed):
    space = SearchSpace([Categorical("c", ("a", "b", "x")), Integer("i", 0, 20), Real("r", 1e-4, 1.0, log=True)])
    asng = ASNG(space, seed=seed)
    for _ in range(600):
        proposals = asng.ask(4)
        found = [p.architecture for p in proposals]
        asng.tell(proposals, [(a["c"] != "b") + abs(a["i"] - 4) + abs(math.log(a["r"] / 1e-2)) for a in found])
        assert 0 <= asng.mean[0] <= 20
    best = asng.most_likely()
    assert best["c"] == "b"
    assert abs(best["i"] - 4) <= 1
    assert 3e-3 < best["r"] < 3e-2


def test_samples_follow_the_distribution():
    """Chi-square with 2 + 4 degrees of freedom: a correct sampler exceeds 22.5 once in 1000 seeds."""
    probs = np.array([[0.5, 0.2, 0.3, 0.0, 0.0], [0.1, 0.2, 0.3, 0.15, 0.25]])
    options = categorical.sample(probs, categorical.Layout.of(np.array([3, 5])), 10_000, np.random.default_rng(0))
    counts = np.stack([np.bincount(column, minlength=5) for column in options.T])
    used = probs > 0
    assert np.sum((counts - 10_000 * probs)[used] ** 2 / (10_000 * probs)[used]) < 22.5


def test_a_row_that_falls_short_of_one_yields_its_last_option_and_no_padding():
    """Rounding makes it short by 1e-16; here it is short by so much that every seed would show it."""
    probs = np.array([[0.2, 0.2, 0.0], [0.1, 0.1, 0.1], [0.5, 0.0, 0.0]])
    options = categorical.sample(probs, categorical.Layout.of(np.array([2, 3, 1])), 1000, np.random.default_rng(0))
    assert options.max(axis=0).tolist() == [1, 2, 0]
    np.testing.assert_allclose((options == [1, 2, 0]).mean(axis=0), [0.8, 0.8, 1.0], atol=0.05)


@pytest.mark.parametrize("seed", range(10))
def test_equal_losses_share_the_mean_of_their_places(seed):
    rng = np.random.default_rng(seed)
    losses = rng.integers(0, 5, size=rng.integers(2, 40)).astype(float)
    selected = math.ceil(len(losses) / 4)
    by_place = np.zeros(len(losses))
    by_place[:selected], by_place[-selected:] = 1.0 / selected, -1.0 / selected
    expected = [by_place[np.sort(losses) == loss].mean() for loss in losses]
    np.testing.assert_allclose(ranking_utility(losses), expected, atol=1e-15)


def test_gaussian_draws_come_in_mirrored_pairs():
    space = SearchSpace([Integer("i", 0, 10), Categorical("c", ("a", "b"))])
    values = np.stack([p.values for p in ASNG(space).ask(5)])
    np.testing.assert_allclose(values[0] + values[1], 10.0)
    np.testing.assert_allclose(values[2] + values[3], 10.0)


def test_the_log_probability_of_a_proposal_is_that_of_its_distribution():
    asng = ASNG(SearchSpace([Categorical("c", ("a", "b", "d")), Integer("i", 0, 10)]))
    proposal = asng.ask(1)[0]
    sigma = 5.0
    density = math.exp(-0.5 * ((proposal.values[0] - 5.0) / sigma) ** 2) / (sigma * math.sqrt(2 * math.pi))
    assert proposal.log_probability == pytest.approx(math.log(density / 3.0))


def test_probabilities_of_an_integer_are_those_of_its_rounded_and_clipped_draws():
    asng = ASNG(SearchSpace([Integer("i", 0, 4), Categorical("c", ("a", "b"))]))
    drawn = [p.architecture["i"] for p in asng.ask(20_000)]
    shares = np.bincount(drawn, minlength=5) / 20_000
    np.testing.assert_allclose(asng.probabilities["i"], shares, atol=0.015)
    assert asng.probabilities["i"].sum() == pytest.approx(1.0)


def test_a_bare_architecture_may_be_told():
    asng = ASNG(ragged_space(3, 3, 3))
    asng.tell([{"c0": "0", "c1": "1", "c2": "2"}, {"c0": "1", "c1": "1", "c2": "1"}], [0.0, 1.0])
    assert asng.theta[0, 0] > 1 / 3 > asng.theta[0, 1]


def test_a_resumed_run_continues_as_if_never_stopped():
    space = ragged_space(3, 4, 2, numbers=[(1, 9)])
    straight, stopped, resumed = ASNG(space, 7), ASNG(space, 7), ASNG(space, 99)
    advance(straight, 20, lambda p: float(p.options[0]) + p.values[0])
    advance(stopped, 10, lambda p: float(p.options[0]) + p.values[0])
    resumed.load_state_dict(json.loads(json.dumps(stopped.state_dict())))
    advance(resumed, 10, lambda p: float(p.options[0]) + p.values[0])
    assert resumed.state_dict() == straight.state_dict()


def test_a_state_of_another_space_is_refused():
    with pytest.raises(ValueError, match="another space"):
        ASNG(ragged_space(3, 3, 3)).load_state_dict(ASNG(ragged_space(3, 3)).state_dict())


@pytest.mark.parametrize(
    ("options", "losses", "message"),
    [
        (np.zeros((2, 3), int), np.zeros(3), r"options must have shape \(3, 3\)"),
        (np.zeros((2, 2), int), np.zeros(2), r"options must have shape \(2, 3\)"),
        (np.full((2, 3), 3), np.zeros(2), "option indices"),
        (np.full((2, 3), -1), np.zeros(2), "option indices"),
        (np.zeros((2, 3)), np.zeros(2), "option indices must be integers, got float64"),
    ],
)
def test_arrays_that_do_not_fit_the_space_are_refused(options, losses, message):
    with pytest.raises(ValueError, match=message):
        ASNG(ragged_space(3, 3, 3)).update(options, np.empty((len(options), 0)), losses)


def test_sng_refuses_what_does_not_fit_the_space_too():
    told = [{f"c{place}": "0" for place in range(3)}] * 2
    with pytest.raises(ValueError, match=r"options must have shape \(3, 3\) for 3 losses"):
        SNG(ragged_space(3, 3, 3)).tell(told, [0.0, 1.0, 2.0])


@pytest.mark.parametrize(
    "settings", [{"initial_step": 0.0}, {"initial_step": 1e3}, {"snr_threshold": 1.0}, {"samples": 1}]
)
def test_settings_without_meaning_are_refused(settings):
    with pytest.raises(ValueError, match=f"{next(iter(settings))}.*got"):
        ASNG(ragged_space(3, 3, 3), **settings)


def test_a_space_of_numbers_alone_is_resumed_too():
    space = SearchSpace([Integer("i", 0, 9), Real("r", 0.0, 1.0)])
    straight, resumed = ASNG(space, 1), ASNG(space, 2)
    advance(straight, 5, lambda p: p.values[0])
    resumed.load_state_dict(straight.state_dict())
    assert resumed.state_dict() == straight.state_dict()


def test_a_state_of_as_many_but_other_options_is_refused():
    with pytest.raises(ValueError, match="another space"):
        ASNG(ragged_space(3, 3)).load_state_dict(ASNG(ragged_space(2, 2, 2)).state_dict())


@pytest.mark.parametrize("max_step", [0.0, -1.0, 100.0])
def test_a_bound_where_the_update_is_not_defined_is_refused(max_step):
    with pytest.raises(ValueError, match="max_step must be above 0 and at most"):
        ASNG(ragged_space(3, 3), initial_step=1e-3, max_step=max_step)


def test_the_largest_step_can_be_taken():
    asng = ASNG(ragged_space(3, 3, 3))
    for first in (0.9, 1.7, 2.3, 2 * math.sqrt(6)):
        asng = ASNG(ragged_space(3, 3, 3), initial_step=first)
        asng.Delta = first / asng.max_step
        agree(asng, 3)
        assert np.isfinite(asng.s).all()
