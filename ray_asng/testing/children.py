"""Conformance of the networks inside a supernet: extracted children, one-hot mixtures, gradients of a path."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn

from ray_asng.randomness import drawing_from
from ray_asng.space import Architecture, SearchSpace, Value
from ray_asng.supernets.choice import OneOf
from ray_asng.supernets.elastic import Elastic
from ray_asng.supernets.evaluation import buffers_kept
from ray_asng.supernets.places import decided_inside
from ray_asng.supernets.supernet import Supernet, call
from ray_asng.testing.equality import difference, tensors
from ray_asng.testing.failure import fail, no_error
from ray_asng.testing.space import one_hot

# The operations are the same, but sliced or multiplied by one: room for rounding only.
_RELATIVE, _ABSOLUTE = 1e-4, 1e-5

# Fresh architectures that hold an option, before it is said that no gradient ever reaches it.
_ATTEMPTS = 16

_Option: TypeAlias = tuple[str, Value]


def check_child(supernet: Supernet, inputs: Any, architecture: Architecture, *, training: bool, seed: int) -> None:
    """The extracted child computes what the path computes, and has nothing in common with the supernet.

    Args:
        supernet: its mode is set, its buffers are kept.
        inputs: a batch as the module takes it.
        architecture: of the path.
        training: the mode in which both run.
        seed: of dropout and other noise inside, the same for both.
    """
    supernet.train(training)
    checked = f"the child of {architecture!r} in {'training' if training else 'evaluation'} mode"
    before = copy.deepcopy(supernet.state_dict())
    layers = [type(part) for part in supernet.modules()]
    with no_error(checked, mend="let the module be one that copy.deepcopy can copy, choices at registered places"):
        child = supernet.extract(architecture)
    _check_separate(supernet, child, checked)
    changed = difference(before, supernet.state_dict(), "state_dict")
    if changed or layers != [type(part) for part in supernet.modules()]:
        fail(
            checked,
            expected="extraction leaves the supernet as it is",
            got=changed or "other layers",
            mend="do not override __deepcopy__ so that it changes the module it copies",
        )
    with torch.no_grad():
        with drawing_from(torch.Generator().manual_seed(seed)), buffers_kept(list(supernet.buffers())):
            path = supernet(inputs, architecture)
        mend = (
            "let forward call its choices and nothing inside them (not `choice.candidates`), ask nothing about their "
            "class, do the same in both modes but for dropout and normalisation, and keep no state outside buffers"
        )
        with no_error(checked, mend=mend), drawing_from(torch.Generator().manual_seed(seed)):
            own = call(child.train(training), inputs)
    _check_close(path, own, checked, "the output of the path", mend)


def _check_separate(supernet: Supernet, child: nn.Module, checked: str) -> None:
    left = [path or "itself" for path, _ in decided_inside(child)]
    left += [path or "itself" for path, part in child.named_modules() if isinstance(part, Elastic)]
    if left:
        fail(
            checked,
            expected="no choice is left in it",
            got=f"choices at {left}",
            mend="make choices only where the supernet finds them: in its registered modules and their attributes",
        )
    shared = {tensor.data_ptr() for tensor in [*supernet.parameters(), *supernet.buffers()] if tensor.numel()}
    named = [*child.named_parameters(), *child.named_buffers()]
    common = [name for name, tensor in named if tensor.numel() and tensor.data_ptr() in shared]
    if common:
        fail(
            checked,
            expected="copies of the weights",
            got=f"shared with the supernet: {common}",
            mend="do not override __deepcopy__ so that tensors are shared",
        )


def check_one_hot_mixture(supernet: Supernet, inputs: Any, tried: Sequence[Architecture], seed: int) -> None:
    """A mixture that is sure of an architecture gives the output of its path, where options return tensors.

    Paths that draw random numbers are left out: a mixture runs more and draws others.
    """
    supernet.eval()
    if supernet.values or not _options_return_tensors(supernet, inputs, tried, seed):
        return
    mend = (
        "let all options of a decision return tensors of one shape, none of them change its input in place, and each "
        "be finite where another is chosen (0 times infinity is NaN)"
    )
    for architecture in tried:
        checked = f"the mixture with all weight on {architecture!r}"
        rows = one_hot(supernet.space, architecture)
        # With a gradient asked for, every option runs, those of weight zero too.
        weights = {name: torch.tensor(row, dtype=torch.float32).requires_grad_() for name, row in rows.items()}
        path, again = (_path_drawing_from(seed + more, supernet, inputs, architecture) for more in (0, 1))
        if difference(path, again, "output"):
            continue
        with drawing_from(torch.Generator().manual_seed(seed)), no_error(checked, mend=mend), torch.enable_grad():
            mixed = supernet(inputs, weights)
        _check_close(path, mixed, checked, "the output of the path", mend)


def _path_drawing_from(seed: int, supernet: Supernet, inputs: Any, architecture: Architecture) -> Any:
    with drawing_from(torch.Generator().manual_seed(seed)), torch.no_grad():
        return supernet(inputs, architecture)


def _options_return_tensors(supernet: Supernet, inputs: Any, tried: Sequence[Architecture], seed: int) -> bool:
    returned: list[bool] = []
    candidates = [candidate for choices in supernet.choices.values() for c in choices for candidate in c.candidates]

    def record(module: nn.Module, arguments: Any, output: Any) -> None:
        returned.append(isinstance(output, torch.Tensor))

    hooks = [candidate.register_forward_hook(record) for candidate in candidates]
    try:
        for architecture in tried:
            with torch.no_grad(), drawing_from(torch.Generator().manual_seed(seed)):
                supernet(inputs, architecture)
    finally:
        for hook in hooks:
            hook.remove()
    return all(returned)


def _check_close(one: Any, other: Any, checked: str, expected: str, mend: str) -> None:
    try:
        torch.testing.assert_close(other, one, rtol=_RELATIVE, atol=_ABSOLUTE, equal_nan=True)
    except (AssertionError, TypeError) as error:
        fail(checked, expected=f"{expected}, but for rounding", got=error, mend=mend)


def check_gradients(supernet: Supernet, inputs: Any, tried: Sequence[Architecture], seed: int) -> None:
    """A path's gradient reaches the operations that it chose, and no others.

    An operation may be cut off from the output by the others of a path; one that no path at all gives a gradient
    can never learn.
    """
    homes = _options_around_parameters(supernet)
    learning: set[_Option] = set()
    for architecture in tried:
        learning |= _options_with_gradient(supernet, inputs, architecture, homes, seed)
    rng = np.random.default_rng(seed)
    can_learn = {option for home in homes.values() for place in home for option in place}
    for option in sorted(can_learn - learning, key=repr):
        for architecture in _with_option(supernet.space, option, rng):
            learning |= _options_with_gradient(supernet, inputs, architecture, homes, seed)
        if option not in learning:
            fail(
                f"the gradient of the weights of option {option[1]!r} of decision {option[0]!r}",
                expected="to exist in a path that chose the option",
                got=f"none in {_ATTEMPTS} such paths",
                mend="do not detach the output of the option or run it under no_grad, and use it in forward",
            )
    supernet.zero_grad(set_to_none=True)


def _with_option(space: SearchSpace, option: _Option, rng: np.random.Generator) -> list[Architecture]:
    name, value = option
    return [space.architecture({**space.sample(rng), name: value}) for _ in range(_ATTEMPTS)]


def _options_around_parameters(supernet: Supernet) -> dict[str, list[tuple[_Option, ...]]]:
    """Path of each trainable parameter -> for each place where it is used, the options that the place lies in."""
    names = {id(choice): name for name, choices in supernet.choices.items() for choice in choices}
    places = [(path, names[id(part)], part) for path, part in supernet.named_modules() if isinstance(part, OneOf)]
    first: dict[int, str] = {}
    homes: dict[str, list[tuple[_Option, ...]]] = {}
    for path, parameter in supernet.named_parameters(remove_duplicate=False):
        if not parameter.requires_grad:
            continue
        around = []
        for outer, name, choice in places:
            prefix = f"{outer}.candidates."
            if path.startswith(prefix):
                values = choice.options + choice.unsearched
                around.append((name, values[int(path[len(prefix) :].split(".")[0])]))
        homes.setdefault(first.setdefault(id(parameter), path), []).append(tuple(around))
    return homes


def _options_with_gradient(
    supernet: Supernet,
    inputs: Any,
    architecture: Mapping[str, Value],
    homes: Mapping[str, list[tuple[_Option, ...]]],
    seed: int,
) -> set[_Option]:
    """Options whose weights get a gradient from the path; fails if one that was not chosen is among them."""
    supernet.train()
    supernet.zero_grad(set_to_none=True)
    with drawing_from(torch.Generator().manual_seed(seed)), buffers_kept(list(supernet.buffers())):
        outputs = [part for part in tensors(supernet(inputs, architecture)) if part.requires_grad]
        # Each number of the output with a weight of its own: the plain sum of a softmax, say, has no gradient.
        total = sum((part * torch.arange(1.0, part.numel() + 1).view_as(part)).sum() for part in outputs)
        if isinstance(total, torch.Tensor):
            total.backward()  # type: ignore[no-untyped-call]
    reached: set[_Option] = set()
    for path, parameter in supernet.named_parameters():
        if parameter.grad is None:
            continue
        chosen = [home for home in homes[path] if all(architecture[name] == option for name, option in home)]
        if not chosen:
            fail(
                f"the gradient of a path that chose {dict(architecture)!r}",
                expected=f"none for {path!r}, which belongs to the options {homes[path]}",
                got="a gradient: the operation ran although it was not chosen",
                mend="run the options of a choice only by calling the choice",
            )
        reached |= {option for home in chosen for option in home}
    return reached
