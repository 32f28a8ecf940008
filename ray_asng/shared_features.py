"""What all paths of a step compute first, computed once: forward before the paths, backward after them.

Each path starts from a copy that is cut off from the graph; the gradients that reach the copies are added in the order
of the paths and sent through the shared layers in one backward pass.
"""

from __future__ import annotations

from typing import Any

import torch

from ray_asng.nested import map_tensors


class SharedFeatures:
    """Features with their graph, and the copies that paths start from.

    Args:
        features: a tensor, or tuples and dicts of them; those that need no gradient are handed out as they are.
    """

    def __init__(self, features: Any) -> None:
        self._features = features
        self._ends: list[torch.Tensor] = []
        map_tensors(self._note, features)
        self._totals: list[torch.Tensor | None] = [None] * len(self._ends)
        self._starts: list[list[torch.Tensor]] = []

    def _note(self, part: torch.Tensor) -> torch.Tensor:
        if part.requires_grad:
            self._ends.append(part)
        return part

    def start(self, device: torch.device) -> Any:
        """The features as a path on `device` takes them, without their graph."""
        starts: list[torch.Tensor] = []

        def cut(part: torch.Tensor) -> torch.Tensor:
            copy = part.detach().to(device, non_blocking=True)
            if part.requires_grad:
                starts.append(copy.requires_grad_())
            return copy

        features = map_tensors(cut, self._features)
        self._starts.append(starts)
        return features

    def collect_gradients(self) -> None:
        """Add the gradients at the starts handed out since the last call, in their order."""
        for starts in self._starts:
            for place, (start, end) in enumerate(zip(starts, self._ends, strict=True)):
                if start.grad is None:
                    continue
                gradient, total = start.grad.to(end.device), self._totals[place]
                self._totals[place] = gradient if total is None else total.add_(gradient)
        self._starts = []

    def backward(self) -> None:
        """Send the collected gradients on to the weights of the shared layers."""
        reached = [(end, total) for end, total in zip(self._ends, self._totals, strict=True) if total is not None]
        if reached:
            ends, totals = zip(*reached, strict=True)
            torch.autograd.backward(ends, totals)
