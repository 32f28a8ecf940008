"""A problem as a Tune trainable: what is reported is what the problem says of the config."""

import pytest
from ray import tune

from ray_asng.raytune.domains import to_param_space
from ray_asng.raytune.problem_trainable import problem_trainable
from ray_asng.tabular.mixed import SphereCOM
from ray_asng.tabular.pseudo_boolean import OneMax
from ray_asng.tabular.wrappers import Noisy

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]


def run(problem, folder, param_space, trials):
    tuner = tune.Tuner(
        tune.with_resources(problem_trainable(problem), {"cpu": 1}),
        param_space=param_space,
        tune_config=tune.TuneConfig(metric="loss", mode="min", num_samples=trials, max_concurrent_trials=2),
        run_config=tune.RunConfig(storage_path=str(folder), verbose=0),
    )
    return tuner.fit()


def test_trials_report_loss_and_seconds_of_their_config(tmp_path):
    problem = SphereCOM(categoricals=2, integers=2, reals=2, seed=1)
    results = run(problem, tmp_path, to_param_space(problem.space), trials=2)
    assert len(results) == 2
    assert results.num_errors == 0
    for result in results:
        assert set(result.config) == set(problem.space.names)
        assert result.metrics["loss"] == problem.loss(result.config)
        assert result.metrics["seconds"] == problem.seconds(result.config)
    assert results.get_best_result().metrics["loss"] == min(result.metrics["loss"] for result in results)


def test_trials_of_one_config_have_noise_of_their_own_and_leave_keys_of_tune_aside(tmp_path):
    problem = Noisy(OneMax(3), 0.1, seed=1)
    config = {**problem.optimum, "__trial_index__": 0}
    results = run(problem, tmp_path, config, trials=2)
    assert results.num_errors == 0
    losses = {result.metrics["loss"] for result in results}
    assert len(losses) == 2
    assert max(map(abs, losses)) < 0.6


def test_trainables_of_two_problems_keep_their_problems_apart():
    first, second = OneMax(4, seed=1), OneMax(4, seed=2)
    trainables = [problem_trainable(first), problem_trainable(second)]
    for problem, trainable in zip((first, second), trainables, strict=True):
        assert trainable(dict(first.optimum)) == {
            "loss": problem.loss(first.optimum),
            "seconds": problem.seconds(first.optimum),
        }
    assert first.optimum != second.optimum
