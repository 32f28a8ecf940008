"""Says which two modules disagree when widths that follow choices do not fit together.

torch's own message tells two sizes. The pass that failed is run again, with a note on every tensor of the module that
made it; nothing of this costs anything while all goes well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode


def explain_width_conflict(module: nn.Module, run: Callable[[], Any]) -> None:
    """Raise ValueError with the two modules that disagree, if that is why `run` fails.

    Args:
        module: what `run` runs, or holds it.
        run: the pass that failed.
    """
    makers = _Makers()
    with ExitStack() as stack:
        for path, part in module.named_modules():
            if next(part.children(), None) is None:
                before = part.register_forward_pre_hook(makers.entering(path))
                after = part.register_forward_hook(makers.leaving(path), always_call=False)
                stack.callback(before.remove)
                stack.callback(after.remove)
        try:
            with torch.no_grad(), makers:
                run()
        except RuntimeError as error:
            if makers.conflict is not None:
                raise ValueError(makers.conflict) from error


class _Makers(TorchFunctionMode):
    """Follows tensors from the module that made them through whatever is done with them."""

    def __init__(self) -> None:
        super().__init__()
        self.conflict: str | None = None
        self._inside: list[str] = []
        # With the tensor itself, so that its id is not given to another one.
        self._made: dict[int, tuple[torch.Tensor, str]] = {}

    def entering(self, path: str) -> Callable[..., None]:
        """A hook before the module at `path`."""

        def enter(part: nn.Module, arguments: Any) -> None:
            self._inside.append(path)

        return enter

    def leaving(self, path: str) -> Callable[..., None]:
        """A hook after it."""

        def leave(part: nn.Module, arguments: Any, output: Any) -> None:
            self._inside.pop()
            changes = next(part.parameters(), None) is not None
            for tensor in _tensors(output):
                if changes or id(tensor) not in self._made:
                    self._made[id(tensor)] = (tensor, path)

        return leave

    def __torch_function__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = list(_tensors([args, kwargs or {}]))
        try:
            result = function(*args, **(kwargs or {}))
        except RuntimeError:
            self.conflict = self.conflict or self._words(given)
            raise
        known = [self._made[id(tensor)][1] for tensor in given if id(tensor) in self._made]
        for tensor in _tensors(result):
            if known and id(tensor) not in self._made:
                self._made[id(tensor)] = (tensor, known[0])
        return result

    def _words(self, given: list[torch.Tensor]) -> str | None:
        made = {self._made[id(t)][1]: tuple(t.shape) for t in given if id(t) in self._made}
        remedy = "give them widths of one name, or put a layer between them that maps one width to the other"
        if self._inside and made:
            path, shape = next(iter(made.items()))
            return (
                f"the module {self._inside[-1]!r} cannot take what {path!r} made, which has the shape {shape}; {remedy}"
            )
        if len(made) < 2:
            return None
        (first, shape), (second, other) = list(made.items())[:2]
        return f"{first!r} made a tensor of shape {shape} and {second!r} one of {other}, and they meet; {remedy}"


def _tensors(nested: Any) -> Iterator[torch.Tensor]:
    if isinstance(nested, torch.Tensor):
        yield nested
    elif isinstance(nested, Mapping):
        for item in nested.values():
            yield from _tensors(item)
    elif isinstance(nested, (list, tuple)):
        for item in nested:
            yield from _tensors(item)
