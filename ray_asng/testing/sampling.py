"""Conformance of a sampling optimizer: what it proposes, and what it makes of losses."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ray_asng.optimizers.base import Proposal, SamplingOptimizer
from ray_asng.space import SearchSpace, Value
from ray_asng.testing.equality import difference
from ray_asng.testing.failure import fail, no_error
from ray_asng.testing.global_state import global_randomness_untouched
from ray_asng.testing.optimizer_state import Subject
from ray_asng.testing.probabilities import check_probabilities

_EPOCHS = 100
_STEPS_PER_EPOCH = 3
_LEARNING_STEPS = 100

_LOSSES: dict[str, Callable[[int], list[float]]] = {
    "equal": lambda count: [1.0] * count,
    "one NaN": lambda count: [math.nan, *map(float, range(1, count))],
    "only NaN": lambda count: [math.nan] * count,
    "one infinite": lambda count: [math.inf, *map(float, range(1, count))],
    "one minus infinite": lambda count: [-math.inf, *map(float, range(1, count))],
    "only infinite": lambda count: [math.inf] * count,
    "huge": lambda count: [1e300 * (-1.0) ** i for i in range(count)],
}


def check_sampling(subject: Subject) -> None:
    """Check `ask`, `tell` and the direction of learning."""
    with global_randomness_untouched("ask, tell, finalize and reseed"):
        for count in (1, 2, 7):
            _check_proposals(subject, count)
        for words, losses in _LOSSES.items():
            _check_losses(subject, words, losses)
        _check_bare_architectures(subject)
        _check_late_and_unordered(subject)
        _check_direction(subject)


def advance(optimizer: SamplingOptimizer, steps: int) -> list[dict[str, Any]]:
    """Ask and tell `steps` times, with a loss that depends on the architecture alone."""
    record = []
    for step in range(1, steps + 1):
        proposals = optimizer.ask(_count(optimizer))
        optimizer.tell(proposals, [planted_loss(optimizer.space, proposal.architecture) for proposal in proposals])
        if step % _STEPS_PER_EPOCH == 0:
            optimizer.on_epoch_end(step // _STEPS_PER_EPOCH, _EPOCHS)
        record.append(
            {
                "drawn": [dict(proposal.architecture) for proposal in proposals],
                "probabilities": {name: np.asarray(row) for name, row in optimizer.probabilities.items()},
                "most_likely": dict(optimizer.most_likely()),
            }
        )
    return record


def draw(optimizer: SamplingOptimizer) -> list[dict[str, Value]]:
    """Architectures of 16 proposals."""
    return [dict(proposal.architecture) for proposal in optimizer.ask(16)]


def _count(optimizer: SamplingOptimizer) -> int:
    return max(optimizer.samples, optimizer.least_samples)


def planted_loss(space: SearchSpace, architecture: Mapping[str, Value]) -> float:
    """The later an option and the greater a number, the lower; every decision matters."""
    options, values = space.encode(architecture)
    shares = [index / max(len(d.options) - 1, 1) for index, d in zip(options, space.categorical, strict=True)]
    for value, decision in zip(values, space.numeric, strict=True):
        low, high = decision.bounds
        shares.append((value - low) / (high - low))
    return -float(sum(share * (1.0 + 0.1 * place) for place, share in enumerate(shares)))


def _check_proposals(subject: Subject, count: int) -> None:
    checked = f"ask({count})"
    optimizer, space = subject.new(), subject.space
    with no_error(checked, mend="let ask take any count of at least 1"):
        proposals = optimizer.ask(count)
    if not isinstance(proposals, list) or [type(p) for p in proposals] != [Proposal] * count:
        fail(
            checked,
            expected=f"a list of {count} Proposal",
            got=proposals,
            mend="return Proposal(architecture, *space.encode(architecture)) for each",
        )
    for proposal in proposals:
        mend = "make it by space.architecture, space.decode, space.sample or space.mutate"
        with no_error(f"a proposal of {checked}: {proposal.architecture!r}", mend=mend):
            given = space.architecture(proposal.architecture)
        options, values = space.encode(given)
        shapes = (np.shape(proposal.options), np.shape(proposal.values))
        if shapes != (options.shape, values.shape) or not np.array_equal(proposal.options, options):
            fail(
                f"a proposal of {checked}: {proposal!r}",
                expected=f"options {options.tolist()} and {len(values)} values, as of its architecture",
                got=f"options {proposal.options} and values {proposal.values}",
                mend="take options and values from space.encode(architecture), or the raw draws behind it",
            )


def _check_losses(subject: Subject, words: str, losses: Callable[[int], list[float]]) -> None:
    optimizer = subject.new()
    count = max(3, _count(optimizer))
    checked = f"tell with {words} losses"
    for kind in (list, np.array):
        for _ in range(5):
            proposals = optimizer.ask(count)
            kept, told = list(proposals), kind(losses(count))
            with no_error(checked, mend="rank losses that are not finite last: np.where(np.isfinite(l), l, np.inf)"):
                optimizer.tell(proposals, told)
            check_probabilities(optimizer, f"probabilities after {checked}")
            if difference(list(told), losses(count)) or any(a is not b for a, b in zip(kept, proposals, strict=True)):
                fail(
                    checked,
                    expected="the lists of proposals and losses as they were",
                    got="changed lists",
                    mend="sort and replace in copies of what is told",
                )
    with no_error(f"most_likely after {checked}", mend="fall back to space.derive(probabilities)"):
        optimizer.space.architecture(optimizer.most_likely())


def _check_bare_architectures(subject: Subject) -> None:
    optimizer = subject.new()
    count = max(2, _count(optimizer))
    rng = np.random.default_rng(subject.seed)
    drawn = [subject.space.sample(rng) for _ in range(count)]
    for told in (drawn, [dict(architecture) for architecture in drawn]):
        checked = f"tell with bare architectures ({type(told[0]).__name__})"
        with no_error(
            checked,
            mend="encode what is no Proposal: p.architecture if isinstance(p, Proposal) else space.architecture(p)",
        ):
            optimizer.tell(told, [planted_loss(subject.space, architecture) for architecture in told])
        check_probabilities(optimizer, f"probabilities after {checked}")


def _check_late_and_unordered(subject: Subject) -> None:
    """Proposals may come back late, in another order, and those of several questions together."""
    optimizer = subject.new()
    early, late = optimizer.ask(_count(optimizer)), optimizer.ask(_count(optimizer))
    checked = "tell with proposals of an earlier ask, in another order"
    mended: Sequence[list[Proposal]] = (late[::-1], early[::-1], [*late, *early])
    for told in mended:
        with no_error(checked, mend="take what tell needs from the proposals, not from memory of the last ask"):
            optimizer.tell(told, [planted_loss(subject.space, proposal.architecture) for proposal in told])
        check_probabilities(optimizer, f"probabilities after {checked}")


def _check_direction(subject: Subject) -> None:
    """A sanity check of the sign, not of the quality: the result is better than a random architecture."""
    space = subject.space
    optimizer = subject.new()
    advance(optimizer, _LEARNING_STEPS)
    rng = np.random.default_rng(subject.seed)
    usual = float(np.mean([planted_loss(space, space.sample(rng)) for _ in range(1000)]))
    with no_error("finalize(evaluate)", mend="let finalize return an architecture of the space"):
        found = planted_loss(space, optimizer.finalize(lambda architecture: planted_loss(space, architecture)))
    if found > usual:
        fail(
            f"the loss of what finalize returns after {_LEARNING_STEPS} steps on a loss that every decision lowers",
            expected=f"below that of a random architecture, {usual:.3f} (lower is better, always)",
            got=f"{found:.3f}",
            mend="turn the sign of what is learnt from losses",
        )
