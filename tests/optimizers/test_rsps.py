"""Random search with parameter sharing: its ranking at the end."""

import math
import subprocess
import sys

import numpy as np
import pytest

from ray_asng import Categorical, SearchSpace
from ray_asng.optimizers.rsps import RSPS
from ray_asng.testing import check_optimizer

COUNTS = (3, 4, 2, 3)
SPACE = SearchSpace([Categorical(f"c{i}", [str(k) for k in range(count)]) for i, count in enumerate(COUNTS)])
GOAL = (2, 1, 0, 1)


def distance(architecture):
    """A loss that every decision lowers by itself."""
    return float(sum(abs(int(architecture[name]) - goal) for name, goal in zip(SPACE.names, GOAL, strict=True)))


@pytest.mark.parametrize("seed", range(10))
def test_a_planted_architecture_is_found(seed):
    """Of 72 architectures, 1000 draws miss one in 10 ** 6 searches."""
    assert distance(RSPS(SPACE, seed=seed).finalize(distance)) == 0.0


def test_the_random_architectures_of_the_space_are_ranked_each_once():
    method, stream, seen = RSPS(SPACE, seed=4, candidates=50), np.random.default_rng(4), []
    method.finalize(lambda architecture: seen.append(architecture) or 0.0)
    expected = [SPACE.sample(stream) for _ in range(50)]
    assert seen == list(dict.fromkeys(expected))
    assert len(seen) < 50


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_does_not_win(broken):
    best = RSPS(SPACE).finalize(lambda architecture: broken if architecture["c2"] == "0" else 1.0)
    assert best["c2"] == "1"


def test_what_was_told_does_not_decide():
    method = RSPS(SPACE)
    method.tell([SPACE.decode(np.zeros(4, dtype=np.int64), np.empty(0))], [-100.0])
    assert distance(method.finalize(distance)) == 0.0
    assert all(np.ptp(row) == 0.0 for row in method.probabilities.values())


def test_the_best_ten_are_finalists_the_best_first():
    seen = {}
    finalists = RSPS(SPACE, seed=1, candidates=60).finalists(
        lambda architecture: seen.setdefault(architecture, distance(architecture))
    )
    assert [distance(finalist) for finalist in finalists] == sorted(seen.values())[:10]
    assert len(set(finalists)) == 10


def test_every_round_draws_anew_and_sends_its_best():
    method, stream, seen = RSPS(SPACE, seed=2, candidates=20, rounds=3, rescored=2), np.random.default_rng(2), []
    finalists = method.finalists(lambda architecture: seen.append(architecture) or distance(architecture))
    rounds = [dict.fromkeys(SPACE.sample(stream) for _ in range(20)) for _ in range(3)]
    assert seen == list(dict.fromkeys(architecture for drawn in rounds for architecture in drawn))
    assert set(finalists) == {best for drawn in rounds for best in sorted(drawn, key=distance)[:2]}


@pytest.mark.parametrize("option", ["rounds", "batches", "rescored", "candidates"])
def test_numbers_below_one_are_refused(option):
    with pytest.raises(ValueError, match=option):
        RSPS(SPACE, **{option: 0})


def test_the_method_conforms():
    check_optimizer(RSPS)


def test_the_sampling_methods_work_without_torch():
    modules = [f"ray_asng.optimizers.{name}" for name in ("rsps", "spos", "fairnas", "evolution", "reinforce")]
    code = f"import sys, {', '.join(modules)}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
