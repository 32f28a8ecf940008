"""As many modules in a row as a choice says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from torch import nn

from ray_asng.supernets.value_choice import Width, largest


class Repeat(nn.Sequential):
    """The first `depth` of several modules, one after the other.

    A module may also go over them itself: `for block in self.blocks` gives those that are there now. Of a
    `torch.nn.ModuleList` that is cut by `self.blocks[: self.depth]`, a child would keep all.

    Args:
        blocks: all of them, as many as `depth` can be at most.
        depth: how many run: a choice, or arithmetic on choices.

    Raises:
        ValueError: more or fewer blocks than the largest depth.

    Example:
        >>> body = elastic.Repeat([nn.Linear(8, 8) for _ in range(4)], IntegerChoice(1, 4, name="depth"))
    """

    def __init__(self, blocks: Iterable[nn.Module], depth: Width) -> None:
        super().__init__(*blocks)
        if len(self._modules) != largest(depth):
            raise ValueError(
                f"Repeat needs as many blocks as its depth can be at most, {largest(depth)}; got {len(self._modules)}"
            )
        self.depth = depth

    def __iter__(self) -> Iterator[nn.Module]:
        blocks: list[nn.Module] = list(self._modules.values())
        return iter(blocks[: int(self.depth)])

    def __len__(self) -> int:
        return int(self.depth)
