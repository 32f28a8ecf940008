"""A state on its way through a file, as a checkpoint takes it."""

from __future__ import annotations

import io
from typing import Any

import torch

from ray_asng.testing.failure import fail, no_error

_PLAIN = (bool, int, float, str, bytes, type(None))


def through_file(state: Any, checked: str) -> Any:
    """What `torch.load(weights_only=True)` makes of `state` after `torch.save`; fails where that does not load."""
    found = _foreign(state, "state")
    if found:
        fail(
            checked,
            expected="tensors, numbers, strings, lists, tuples and dicts, which load with weights_only=True",
            got=found,
            mend="write arrays as tensors or by .tolist(), numbers of numpy by float(...) or int(...), and objects "
            "(generators, architectures) as the plain values that they are made from",
        )
    stream = io.BytesIO()
    with no_error(checked, mend="let state_dict hold tensors, numbers, strings, lists, tuples and dicts only"):
        torch.save(state, stream)
        stream.seek(0)
        return torch.load(stream, weights_only=True)


def file_size(state: Any) -> int:
    """Bytes that `state` takes in a file."""
    stream = io.BytesIO()
    torch.save(state, stream)
    return stream.tell()


def _foreign(value: Any, place: str) -> str:
    """Where in a state something stands that does not belong there; empty if nothing does."""
    if isinstance(value, dict):
        inner = [(f"{place}[{key!r}]", part) for key, part in value.items()]
        inner += [(f"the key {key!r} of {place}", key) for key in value]
    elif type(value) in (list, tuple):
        inner = [(f"{place}[{i}]", part) for i, part in enumerate(value)]
    elif isinstance(value, torch.Tensor) or type(value) in _PLAIN:
        return ""
    else:
        return f"{place} is a {type(value).__module__}.{type(value).__qualname__}"
    return next(filter(None, (_foreign(part, where) for where, part in inner)), "")
