"""Conformance of a method's state and randomness: resume, copies, size, seeds. The same for both kinds."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ray_asng.optimizers.base import Optimizer
from ray_asng.space import SearchSpace
from ray_asng.testing.equality import difference
from ray_asng.testing.failure import fail, no_error
from ray_asng.testing.state_file import file_size, through_file

_STEPS = 6
_MANY_STEPS = 100
# Growth of the state between 100 and 200 steps that counters and the like may cause: a share and some bytes.
_GROWTH_SHARE, _GROWTH_BYTES = 1.1, 512


@dataclass(frozen=True, slots=True)
class Subject:
    """A method under test.

    Attributes:
        build: called as build(space, seed=...).
        space: on which it runs.
        seed: of the optimizer.
        advance: runs an optimizer for some steps; returns what each step drew (under "drawn") and led to.
        draw: asks an optimizer once, without letting it learn.
    """

    build: Callable[..., Any]
    space: SearchSpace
    seed: int
    advance: Callable[[Any, int], list[dict[str, Any]]]
    draw: Callable[[Any], Any]

    def new(self, seed_offset: int = 0) -> Any:
        """A fresh optimizer."""
        return self.build(self.space, seed=self.seed + seed_offset)


def check_state_and_seeds(subject: Subject) -> None:
    """All of this file."""
    _check_same_seed(subject)
    _check_round_trip(subject)
    _check_copies(subject)
    _check_size(subject)
    _check_reseed(subject)


def _check_same_seed(subject: Subject) -> None:
    where = difference(subject.advance(subject.new(), _STEPS), subject.advance(subject.new(), _STEPS), "steps")
    if where:
        fail(
            "two optimizers with one seed",
            expected="the same steps",
            got=where,
            mend="draw everything from one generator made from the seed, and iterate over no sets",
        )


def _loaded(subject: Subject, state: Any, seed_offset: int = 0) -> Any:
    optimizer = subject.new(seed_offset)
    with no_error("load_state_dict", mend="let load_state_dict take what state_dict returned, after a file too"):
        optimizer.load_state_dict(state)
    return optimizer


def _check_round_trip(subject: Subject) -> None:
    straight = subject.new()
    subject.advance(straight, _STEPS)
    state = through_file(straight.state_dict(), "the state of the optimizer")
    # Another seed, so that a generator that is not in the state shows.
    resumed = _loaded(subject, state, seed_offset=1)
    moved = difference(_rows(straight), _rows(resumed), "probabilities")
    expected, got = subject.advance(straight, _STEPS), subject.advance(resumed, _STEPS)
    where = moved or difference(expected, got, "steps")
    where = where or difference(straight.state_dict(), resumed.state_dict(), "state")
    if not where:
        return
    if moved:
        mend = "the state does not hold the whole distribution: save all that `probabilities` is computed from"
    elif difference(expected[0]["drawn"], got[0]["drawn"]):
        mend = (
            "the state does not hold the random generator: save `rng.bit_generator.state` (numpy) or "
            "`generator.get_state()` (torch) in state_dict and set it in load_state_dict"
        )
    else:
        mend = "the state lacks something that learning depends on: moments, counters, step sizes, schedules, the best"
    fail(
        "an optimizer of another seed that has loaded the state",
        expected="the future of the optimizer that the state is of, bit for bit",
        got=where,
        mend=mend,
    )


def _rows(optimizer: Optimizer) -> dict[str, Any]:
    return {name: np.asarray(row) for name, row in optimizer.probabilities.items()}


def _check_copies(subject: Subject) -> None:
    """Neither the one that gave a state nor the one that took it changes it later."""
    giver = subject.new()
    subject.advance(giver, _STEPS)
    state = giver.state_dict()
    kept = copy.deepcopy(state)
    subject.advance(giver, _STEPS)
    where = difference(kept, state, "state")
    if where:
        fail(
            "a state while the optimizer goes on",
            expected="to stay as it was taken",
            got=where,
            mend="let state_dict return copies (clone(), .copy(), copy.deepcopy)",
        )
    taker = _loaded(subject, state)
    subject.advance(taker, _STEPS)
    where = difference(kept, state, "state")
    if where:
        fail(
            "a state that was loaded, while the optimizer goes on",
            expected="to stay as it was",
            got=where,
            mend="let load_state_dict copy what it takes over (clone(), .copy(), copy.deepcopy)",
        )


def _check_size(subject: Subject) -> None:
    optimizer = subject.new()
    subject.advance(optimizer, _MANY_STEPS)
    size = file_size(optimizer.state_dict())
    subject.advance(optimizer, _MANY_STEPS)
    later = file_size(optimizer.state_dict())
    if later > _GROWTH_SHARE * size + _GROWTH_BYTES:
        fail(
            f"the size of the state after {2 * _MANY_STEPS} steps",
            expected=f"about that after {_MANY_STEPS} steps: {size} bytes",
            got=f"{later} bytes",
            mend="keep no history in the state, or bound it (the best, the last so many)",
        )


def _check_reseed(subject: Subject) -> None:
    """A search that takes over the state of another one gets its own random stream by `reseed`."""
    state = subject.new().state_dict()

    def future(seed: int | None) -> list[dict[str, Any]]:
        optimizer = _loaded(subject, state)
        if seed is not None:
            optimizer.reseed(seed)
        return subject.advance(optimizer, _STEPS)

    where = difference(future(11), future(11), "steps")
    if where:
        fail(
            "two optimizers after reseed with one seed",
            expected="the same steps",
            got=where,
            mend="let reseed set every generator of the method, from the seed alone",
        )
    if not _draws(subject):
        return
    if not difference(future(None), future(11)) or not difference(future(11), future(12)):
        fail(
            "an optimizer after reseed",
            expected="other steps than before, other ones for each seed",
            got="the same steps",
            mend="let reseed(seed) make a new generator from the seed",
        )
    futures = [subject.advance(subject.new(offset), _STEPS) for offset in range(3)]
    if not any(difference(futures[0], other) for other in futures[1:]):
        fail(
            "optimizers with different seeds",
            expected="different steps",
            got="the same steps",
            mend="make the generator from the seed that the builder is given",
        )


def _draws(subject: Subject) -> bool:
    """Whether the method draws: does it answer differently when it is asked again, without having learnt?"""
    optimizer = subject.new()
    first, *others = [subject.draw(optimizer) for _ in range(4)]
    return any(difference(first, other) for other in others)
