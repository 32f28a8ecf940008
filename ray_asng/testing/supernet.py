"""Conformance of a supernet: a user's module with choices, its paths, and the state that it keeps.

What belongs to the children (extraction, mixtures, gradients) is checked in `children`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from ray_asng.randomness import drawing_from
from ray_asng.space import Architecture
from ray_asng.supernets.evaluation import buffers_kept, scoring
from ray_asng.supernets.supernet import Supernet
from ray_asng.testing.children import check_child, check_gradients, check_one_hot_mixture
from ray_asng.testing.equality import difference
from ray_asng.testing.failure import fail, no_error
from ray_asng.testing.global_state import global_randomness_untouched
from ray_asng.testing.space import check_space, covering
from ray_asng.testing.state_file import through_file


def check_supernet(build: Callable[[], nn.Module], inputs: Any, *, architectures: int = 5, seed: int = 0) -> None:
    """Check a module with choices: its space, its paths, the children extracted from it, its state.

    Args:
        build: makes the module, new each time; its layers may draw initial weights from torch's global generator,
            which is lent to it.
        inputs: a batch on the CPU as the module takes it: a tensor, a tuple or a dict. Batch norm needs at least two
            examples.
        architectures: how many are drawn, besides those that are needed to see every option.
        seed: of weights and architectures.

    Raises:
        AssertionError: says what was checked, expected and found, and what to mend.

    Example:
        >>> check_supernet(lambda: MyNetwork(width=8), torch.randn(4, 3, 32, 32))
    """
    supernet = _built(build, seed)
    check_space(supernet.space, seed=seed)
    _check_equal_builds(build, supernet, seed)
    rng = np.random.default_rng(seed)
    tried = covering(supernet.space) + [supernet.space.sample(rng) for _ in range(architectures)]
    _check_forms(supernet, inputs, tried, seed)
    _check_parts(supernet, inputs, tried, seed)
    _check_no_trace(supernet, inputs, tried, seed)
    for architecture in tried:
        for training in (True, False):
            check_child(supernet, inputs, architecture, training=training, seed=seed)
    check_one_hot_mixture(supernet, inputs, tried, seed)
    check_gradients(supernet, inputs, tried, seed)
    _check_state(build, supernet, inputs, tried, seed)


def _built(build: Callable[[], nn.Module], seed: int) -> Supernet:
    with (
        no_error("building the supernet", mend="let the builder return an nn.Module that holds at least one choice"),
        global_randomness_untouched("building the supernet"),
        drawing_from(torch.Generator().manual_seed(seed)),
    ):
        return Supernet(build())


def _check_equal_builds(build: Callable[[], nn.Module], supernet: Supernet, seed: int) -> None:
    again = _built(build, seed)
    where = difference(supernet.state_dict(), again.state_dict(), "state_dict")
    if where or again.space.decisions != supernet.space.decisions:
        fail(
            "two supernets built from one seed",
            expected="the same decisions and equal initial weights",
            got=where or f"{supernet.space!r} and {again.space!r}",
            mend="draw initial weights from torch's global generator only (as layers and torch.nn.init do), share no "
            "module between two builds, and keep options in a fixed order",
        )


def _run(supernet: Supernet, inputs: Any, architecture: Mapping[str, Any], seed: int) -> Any:
    """A path in evaluation, buffers kept."""
    with scoring(supernet), drawing_from(torch.Generator().manual_seed(seed)):
        return supernet(inputs, architecture)


def _check_forms(supernet: Supernet, inputs: Any, tried: Sequence[Architecture], seed: int) -> None:
    """All paths run, return one form, and leave the inputs as they are."""
    first, *others = tried
    given = copy.deepcopy(inputs)
    mend = "let all options of a decision take the same inputs, and give what the layers behind them take"
    with no_error(f"the path of {first!r}", mend=mend):
        expected = form(_run(supernet, inputs, first, seed))

    def form_of(architecture: Mapping[str, Any]) -> str:
        try:
            return form(_run(supernet, inputs, architecture, seed))
        except Exception as error:  # whatever an option raises, it is named below
            return f"{type(error).__name__}: {error}"

    for architecture in others:
        got = form_of(architecture)
        if got != expected:
            alone = [name for name in supernet.space.names if architecture[name] != first[name]]
            guilty = [n for n in alone if form_of({**first, n: architecture[n]}) != expected]
            named = ", ".join(f"{name}={architecture[name]!r}" for name in guilty or alone)
            fail(
                f"the output of the path of {architecture!r}",
                expected=f"the form that the path of {first!r} returns: {expected}",
                got=got,
                mend=f"{mend}; it is {named} that changes the form",
            )
    changed = difference(given, inputs, "inputs")
    if changed:
        fail(
            "the inputs after all paths were run",
            expected="to be as they were, since all paths of a step run on one batch",
            got=changed,
            mend="use no in-place operation on the inputs, such as ReLU(inplace=True)",
        )


def _check_parts(supernet: Supernet, inputs: Any, tried: Sequence[Architecture], seed: int) -> None:
    """`before_choices` and `with_choices`, where the module has them, are `forward` in two parts."""
    if not supernet.has_parts:
        return
    mend = "let forward(x) be with_choices(before_choices(x)), with no choice in before_choices"
    for architecture in tried:
        checked = f"before_choices and with_choices on the path of {architecture!r}"
        with (
            no_error(checked, mend=mend),
            scoring(supernet),
            drawing_from(torch.Generator().manual_seed(seed)),
        ):
            features = supernet.before_choices(inputs)
            given = copy.deepcopy(features)
            outputs = supernet.with_choices(features, architecture)
        where = difference(_run(supernet, inputs, architecture, seed), outputs, "output")
        if where:
            fail(checked, expected="the output of forward, bit for bit", got=where, mend=mend)
        changed = difference(given, features, "features")
        if changed:
            fail(
                "what before_choices returned, after with_choices has run on it",
                expected="to be as it was, since all paths of a step start from it",
                got=changed,
                mend="use no in-place operation on the features, such as ReLU(inplace=True)",
            )


def form(output: Any) -> str:
    """Shapes and types of what a network returns."""
    if isinstance(output, torch.Tensor):
        return f"{output.dtype} {tuple(output.shape)}"
    if isinstance(output, Mapping):
        return "{" + ", ".join(f"{name!r}: {form(part)}" for name, part in output.items()) + "}"
    if isinstance(output, (list, tuple)):
        return f"{type(output).__name__}({', '.join(map(form, output))})"
    return type(output).__name__


def _check_no_trace(supernet: Supernet, inputs: Any, tried: Sequence[Architecture], seed: int) -> None:
    """Evaluating paths changes nothing that a later pass depends on."""
    before = copy.deepcopy(supernet.state_dict())
    fresh = _run(supernet, inputs, tried[0], seed)
    for architecture in tried[1:]:
        _run(supernet, inputs, architecture, seed)
    # A training pass on other data: what it leaves behind outside buffers would show below.
    with torch.no_grad(), buffers_kept(list(supernet.buffers())), drawing_from(torch.Generator().manual_seed(seed + 1)):
        supernet.train()(inputs, tried[-1])
    changed = difference(before, supernet.state_dict(), "state_dict")
    changed = changed or difference(fresh, _run(supernet, inputs, tried[0], seed), "output")
    if changed:
        fail(
            f"the path of {tried[0]!r} before and after other paths were run",
            expected="the same weights, buffers and output: a pass leaves no trace but in registered buffers",
            got=changed,
            mend="let forward depend on nothing but inputs, weights, buffers and mode: keep no counters or caches in "
            "attributes, register tensors that it changes with register_buffer and change them in place (copy_), draw "
            "from torch's global generator",
        )


def _check_state(
    build: Callable[[], nn.Module], supernet: Supernet, inputs: Any, tried: Sequence[Architecture], seed: int
) -> None:
    checked = "a supernet of another seed that has loaded the state"
    other = _built(build, seed + 1)
    with no_error(checked, mend="let every build have the same layers, and load_state_dict take what state_dict gives"):
        other.load_state_dict(through_file(supernet.state_dict(), "the state of the supernet"))
    for architecture in tried:
        outputs = [_run(network, inputs, architecture, seed) for network in (supernet, other)]
        where = difference(outputs[0], outputs[1], "output")
        if where:
            fail(
                f"{checked}: the path of {architecture!r}",
                expected="the output of the supernet that the state is of, bit for bit",
                got=where,
                mend="register every weight (nn.Parameter), tensor (register_buffer) and layer (an attribute, "
                "nn.ModuleList or nn.ModuleDict, not a plain list or dict), so that state_dict holds it",
            )
