"""Steps that learn from earlier results again: ranks by weight, truncated importance weights, exact recovery."""

import numpy as np
import pytest

from ray_asng import Categorical, Integer, Real, SearchSpace
from ray_asng.optimizers.asng import ASNG
from ray_asng.optimizers.ranking import ranking_utility, weighted_ranking_utility
from ray_asng.testing.equality import difference

SPACE = SearchSpace(
    [Categorical("op", ("a", "b", "c")), Categorical("act", ("x", "y")), Integer("width", 1, 9), Real("rate", 0.0, 1.0)]
)


def loss(architecture):
    return (architecture["op"] != "b") + abs(architecture["width"] - 7) / 8 + abs(architecture["rate"] - 0.2)


def run(asng, steps):
    for _ in range(steps):
        proposals = asng.ask(4)
        asng.tell(proposals, [loss(proposal.architecture) for proposal in proposals])
    return asng


def test_equal_weights_give_the_published_utility():
    losses = np.array([3.0, 1.0, np.nan, 2.0, 1.0, 5.0, 4.0, np.inf])
    np.testing.assert_allclose(weighted_ranking_utility(losses, np.full(8, 0.3)), ranking_utility(losses))


@pytest.mark.parametrize("seed", range(5))
def test_a_result_of_twice_the_weight_is_worth_two_equal_results(seed):
    rng = np.random.default_rng(seed)
    losses, weights = rng.integers(6, size=9).astype(float), rng.integers(1, 3, size=9)
    utility = weighted_ranking_utility(losses, weights.astype(float))
    twice = np.repeat(np.arange(9), weights)
    split = weighted_ranking_utility(losses[twice], np.ones(len(twice)))
    np.testing.assert_allclose(utility, np.bincount(twice, split))
    assert utility.sum() == pytest.approx(0.0, abs=1e-12)


def test_the_worse_of_two_results_never_has_the_larger_utility_for_its_weight():
    rng = np.random.default_rng(0)
    losses, weights = rng.normal(size=50), rng.uniform(0.01, 1.0, size=50)
    order = np.argsort(losses)
    assert (np.diff((weighted_ranking_utility(losses, weights) / weights)[order]) <= 1e-12).all()


def test_weights_are_ratios_of_densities_truncated_at_one():
    asng = run(ASNG(SPACE, samples=4, reuse=40), 10)
    results, distribution = asng._reuse.results, asng.distribution
    weights = results.weights(distribution)
    for index in range(40):
        chosen = [distribution.theta[row, option] for row, option in enumerate(results.options[index])]
        normal = np.exp(-0.5 * ((results.values[index] - distribution.mean) / distribution.sigma) ** 2)
        density = np.prod(chosen) * np.prod(normal / (distribution.sigma * np.sqrt(2 * np.pi)))
        assert weights[index] == pytest.approx(min(1.0, density / np.exp(results.logs[index])))
    assert (weights < 0.9).any()
    assert (weights == 1.0).any()


def test_fresh_results_count_fully():
    asng = ASNG(SPACE, samples=4, reuse=8)
    seen = []
    weights_of = type(asng._reuse.results).weights

    def watch(results, distribution):
        seen.append(weights_of(results, distribution)[-4:])
        return weights_of(results, distribution)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(asng._reuse.results), "weights", watch)
        run(asng, 5)
    np.testing.assert_array_equal(seen, np.ones((5, 4)))


def test_no_more_results_are_kept_than_asked_for_and_the_newest_stay():
    asng = run(ASNG(SPACE, samples=4, reuse=10), 5)
    proposals = asng.ask(4)
    asng.tell(proposals, [1.0, 2.0, 3.0, 4.0])
    assert len(asng._reuse.results.losses) == 10
    assert asng._reuse.results.losses[-4:].tolist() == [1.0, 2.0, 3.0, 4.0]


def test_without_reuse_steps_are_those_published():
    plain, zero = run(ASNG(SPACE, seed=3), 20), run(ASNG(SPACE, seed=3, reuse=0), 20)
    assert not difference(plain.state_dict(), zero.state_dict())
    assert "reuse" not in plain.state_dict()


def test_a_restored_state_goes_on_bit_for_bit():
    straight = run(ASNG(SPACE, seed=1, reuse=16), 12)
    stopped = run(ASNG(SPACE, seed=1, reuse=16), 5)
    resumed = ASNG(SPACE, seed=9, reuse=16)
    resumed.load_state_dict(stopped.state_dict())
    assert not difference(run(resumed, 7).state_dict(), straight.state_dict())


def test_a_space_without_numbers_is_restored_too():
    space = SearchSpace([Categorical("op", ("a", "b"))])
    asng = ASNG(space, reuse=8)
    asng.tell(asng.ask(2), [1.0, 2.0])
    other = ASNG(space, reuse=8)
    other.load_state_dict(asng.state_dict())
    assert not difference(other.state_dict(), asng.state_dict())


def test_learning_again_from_earlier_results_needs_fewer_evaluations():
    space = SearchSpace([Categorical(f"c{index}", ("right", "wrong", "wrong too")) for index in range(20)])

    def wrong(reuse, seed):
        asng = ASNG(space, seed=seed, samples=4, reuse=reuse)
        for _ in range(15):
            proposals = asng.ask(4)
            asng.tell(proposals, [sum(v != "right" for v in proposal.architecture.values()) for proposal in proposals])
        return sum(option != "right" for option in asng.most_likely().values())

    plain, reusing = (np.mean([wrong(reuse, seed) for seed in range(20)]) for reuse in (0, 32))
    assert reusing < 0.6 * plain


@pytest.mark.parametrize(("options", "message"), [({"reuse": -1}, "reuse"), ({"initial_sigma": 0.7}, "initial_sigma")])
def test_settings_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ASNG(SPACE, **options)


def test_numbers_begin_with_the_deviation_asked_for():
    asng = ASNG(SPACE, initial_sigma=0.25)
    np.testing.assert_allclose(asng.distribution.sigma, [2.0, 0.25])
