"""A problem of `tabular` as a Tune trainable; one trial is one evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray import tune

from ray_asng.tabular.base import Problem
from ray_asng.tabular.wrappers import Noisy


def problem_trainable(problem: Problem) -> Callable[[dict[str, Any]], dict[str, float]]:
    """A function trainable that reports the `loss` and the simulated `seconds` of what its config decides.

    The problem, which may hold a large table, is put into Ray's object store once. Keys that Tune adds to a config,
    such as `__trial_index__`, are left aside. The noise of a `Noisy` problem is drawn from a stream for each trial,
    named by the trial's id: no two trials share a draw, and a trial that is run again gets the same one.

    Example:
        >>> problem = SphereCOM(seed=1)
        >>> tune.Tuner(problem_trainable(problem), param_space=to_param_space(problem.space))

    Raises (in the trial):
        ValueError: a config that is not an architecture of the problem's space.
    """

    # A function of its own for each problem, since Tune keeps what it was given with by the function.
    def evaluate(config: dict[str, Any], problem: Problem) -> dict[str, float]:
        decided = {name: value for name, value in config.items() if not name.startswith("__")}
        if isinstance(problem, Noisy):
            problem = problem.in_stream(str(tune.get_context().get_trial_id()))
        return {"loss": problem.loss(decided), "seconds": problem.seconds(decided)}

    trainable: Callable[[dict[str, Any]], dict[str, float]] = tune.with_parameters(evaluate, problem=problem)
    return trainable
