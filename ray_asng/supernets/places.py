"""Where the choices of a module are: those that are modules, and those that are values its modules hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from ray_asng.supernets.choice import OneOf
from ray_asng.supernets.value_choice import Choice, Derived

# What every module holds for torch itself.
_TORCH = frozenset(vars(nn.Module()))


def decided_inside(module: nn.Module) -> Iterator[tuple[str, OneOf | Choice | Derived]]:
    """Path and object of everything in `module` that follows the search, in the order of its modules.

    Values are looked for in the attributes of modules, and in lists, tuples and dicts there. One that is held in
    several places comes several times.
    """
    for path, part in module.named_modules():
        if isinstance(part, OneOf):
            yield path, part
        for name, held in vars(part).items():
            if name not in _TORCH:
                yield from _inside(f"{path}.{name}".removeprefix("."), held, ())


def _inside(path: str, held: Any, around: tuple[int, ...]) -> Iterator[tuple[str, Choice | Derived]]:
    if id(held) in around:  # a list that holds itself
        return
    if isinstance(held, Choice):
        yield path, held
    elif isinstance(held, Derived):
        yield path, held
        yield from _inside(path, held.first, around)
        yield from _inside(path, held.second, around)
    elif isinstance(held, Mapping):
        for key, item in held.items():
            yield from _inside(f"{path}.{key}", item, (*around, id(held)))
    elif isinstance(held, (list, tuple)):
        for number, item in enumerate(held):
            yield from _inside(f"{path}.{number}", item, (*around, id(held)))
