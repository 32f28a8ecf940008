"""Conformance of a method: the entry for both kinds, and what they share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NoReturn

from ray_asng import registry
from ray_asng.concentration import convergence
from ray_asng.optimizers.base import MixingOptimizer, Optimizer, SamplingOptimizer
from ray_asng.space import Categorical, Decision, Integer, Real, SearchSpace
from ray_asng.testing import mixing, sampling
from ray_asng.testing.failure import fail, no_error
from ray_asng.testing.global_state import global_randomness_untouched
from ray_asng.testing.optimizer_state import Subject, check_state_and_seeds
from ray_asng.testing.probabilities import check_copies, check_probabilities

_ROUNDING = 1e-6

Build = Callable[..., Any]


def check_optimizer(build: Build, space: SearchSpace | None = None, *, seed: int = 0) -> None:
    """Check a method: proposals or mixing weights, learning, probabilities, state, determinism.

    Args:
        build: called as build(space, seed=...), such as the class; makes the optimizer, new each time.
        space: to run the checks on. By default one of categorical decisions with 2, 3 and 5 options, and one with an
            integer and two reals besides, which a method may refuse with a `ValueError` that names methods which take
            it.
        seed: of the optimizers.

    Raises:
        AssertionError: says what was checked, expected and found, and what to mend.

    Example:
        >>> check_optimizer(MyMethod)
        >>> check_optimizer(functools.partial(MyMethod, learning_rate=0.1), my_space)
    """
    options = (("a", "b"), ("conv 3x3", "pool", "skip"), ("0", "1", "2", "3", "4"))
    categorical = [Categorical(f"decision_{len(names)}", names) for names in options]
    if space is not None:
        _check_on(build, space, seed)
        return
    _check_on(build, SearchSpace(categorical), seed)
    integers: list[Decision] = [Integer("whole", 1, 6), Integer("width", 8, 32, step=8)]
    numeric = [*integers, Real("real", -1.0, 1.0), Real("rate", 1e-4, 1e-1, log=True)]
    with_numbers = SearchSpace([*categorical[:2], *numeric])
    if not _is_refused(build, with_numbers, seed):
        _check_on(build, with_numbers, seed)


def _check_on(build: Build, space: SearchSpace, seed: int) -> None:
    with (
        no_error("build(space, seed=...)", mend="let the builder take a space and a seed; the rest has defaults"),
        global_randomness_untouched("building the optimizer"),
    ):
        optimizer = build(space, seed=seed)
    if isinstance(optimizer, SamplingOptimizer):
        subject = Subject(build, space, seed, advance=sampling.advance, draw=sampling.draw)
        sampling.check_sampling(subject)
    elif isinstance(optimizer, MixingOptimizer):
        subject = Subject(build, space, seed, advance=mixing.advance, draw=mixing.draw)
        mixing.check_mixing(subject)
    else:
        fail(
            "build(space, seed=...)",
            expected="a SamplingOptimizer or a MixingOptimizer",
            got=type(optimizer),
            mend="subclass one of the two in ray_asng.optimizers.base",
        )
    _check_results(subject)
    with global_randomness_untouched("learning, saving and loading the state"):
        check_state_and_seeds(subject)


def _is_refused(build: Build, space: SearchSpace, seed: int) -> bool:
    """Whether the method says properly that it takes no integers and reals."""
    try:
        build(space, seed=seed)
    except ValueError as error:
        if any(name in str(error) for name in registry.methods):
            return True
        _fail_to_refuse(error)
    except Exception as error:  # whatever it is, it is reported
        _fail_to_refuse(error)
    return False


def _fail_to_refuse(error: Exception) -> NoReturn:
    fail(
        "a space with an integer and reals",
        expected="to be taken, or refused by a ValueError that names methods which take it",
        got=f"{type(error).__name__}: {error}",
        mend="call ray_asng.optimizers.base.categorical_only(space, name) first in __init__, or raise likewise",
    )


def _check_results(subject: Subject) -> None:
    """Probabilities, metrics and final architecture, at the start and later."""
    optimizer = subject.new()
    keys = list(optimizer.metrics())
    for steps in (0, 1, 30):
        subject.advance(optimizer, steps)
        check_probabilities(optimizer, f"probabilities after {steps} steps")
        check_copies(optimizer)
        _check_members(optimizer)
        _check_convergence_limit(optimizer)
        metrics = optimizer.metrics()
        plain = all(type(value) in (int, float) and math.isfinite(value) for value in metrics.values())
        if list(metrics) != keys or not plain:
            fail(
                f"metrics() after {steps} steps",
                expected=f"finite floats under the same keys at every call: {keys}",
                got=metrics,
                mend="return all keys from the start (0.0 where there is nothing yet), as float(...)",
            )


def _check_convergence_limit(optimizer: Optimizer) -> None:
    """Reports and stoppers compare the convergence with its limit."""
    limit, reached = optimizer.convergence_limit, convergence(optimizer.space, optimizer.probabilities)
    if not 0.0 < limit <= 1.0 or reached > limit + _ROUNDING:
        fail(
            "convergence_limit",
            expected=f"at most 1, and at least the convergence of the probabilities, now {reached:.6g}",
            got=limit,
            mend="leave it at 1.0 unless the method keeps probabilities within bounds; then compute it from these",
        )


def _check_members(optimizer: Optimizer) -> None:
    """What `most_likely` and `finalize` answer is in the space."""
    for name, answer in (
        ("most_likely()", optimizer.most_likely),
        ("finalize(evaluate)", lambda: optimizer.finalize(lambda architecture: 0.0)),
    ):
        with no_error(name, mend="return an architecture of the space: space.architecture({decision: option, ...})"):
            optimizer.space.architecture(answer())
