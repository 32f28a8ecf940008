"""Convolutional auto-encoders as words: their decisions in two encodings, what of them is active, their picture.

An encoder has columns 1, 2, ..., each a convolution that reads one of the few columns before it (0 is the image). The
output reads one of the last columns, and what it does not depend on is not there. A convolution with a skip connection
keeps the size, one without halves it, until height or width is 1: from there on those that would halve are left out.
The decoder is the mirror image, so it has no decisions.

References:
    Suganuma, Ozay & Okatani, "Exploiting the Potential of Standard Convolutional Autoencoders for Image Restoration by
    Evolutionary Search", ICML 2018.
    Akimoto et al., "Adaptive Stochastic Natural Gradient Method for One-Shot Neural Architecture Search", ICML 2019.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from ray_asng.space import Architecture, Categorical, Decision, Integer, SearchSpace, Value

KERNELS = (1, 3, 5)
LAYERS = tuple(f"{kind}_{side}x{side}" for kind in ("conv", "skip_conv") for side in KERNELS)
"""Options of a column in the categorical encoding; "skip_conv" keeps the size and has a skip connection."""


@dataclass(frozen=True, slots=True)
class Layer:
    """An active column.

    Attributes:
        column: its number, from 1.
        kernel: side, in pixels.
        has_skip: whether it keeps the size, and its mirror image adds its outputs; otherwise it halves the size.
        width: channels of its outputs.
    """

    column: int
    kernel: int
    has_skip: bool
    width: int

    def __str__(self) -> str:
        return f"{self.kernel}x{self.kernel}, {self.width}" + ("" if self.has_skip else ", halves")


@dataclass(frozen=True, slots=True)
class Grid:
    """What an encoder is cut out of.

    Attributes:
        width: most channels of a column, a multiple of 4.
        size: height or width of the images, the smaller one, in pixels.
        columns: number of them.
        level_back: how many columns back one can read, and how many the output can.

    Raises:
        ValueError: a number that is too small, or a width that is no multiple of 4.
    """

    width: int
    size: int
    columns: int
    level_back: int

    def __post_init__(self) -> None:
        if self.width < 4 or self.width % 4:
            raise ValueError(
                f"the columns have a quarter, half or all of width channels, or a number between the first and the "
                f"last, so width must be a multiple of 4; got {self.width}"
            )
        if self.size < 2:
            raise ValueError(f"size must be at least 2 pixels, got {self.size}")
        if self.level_back < 2 or self.columns < self.level_back:
            raise ValueError(
                "an encoder needs columns >= level_back >= 2, so that there is something to choose; got "
                f"columns={self.columns} and level_back={self.level_back}"
            )

    def sources(self, column: int) -> range:
        """The columns that `column` can read; 0 is the image. The output is the column after the last."""
        return range(max(0 if column <= self.columns else 1, column - self.level_back), column)


Read = Callable[[Mapping[str, Value], int], Layer]
"""The layer that an architecture has in a column."""


def categorical_space(grid: Grid) -> SearchSpace:
    """The encoding "Cat": of each column one of six layers, one of three widths, and its input."""
    widths = tuple(str(grid.width // part) for part in (4, 2, 1))
    own = [[Categorical(f"node_{n}_layer", LAYERS), Categorical(f"node_{n}_channels", widths)] for n in _columns(grid)]
    return _space(grid, own, _read_categorical)


def integer_space(grid: Grid) -> SearchSpace:
    """The encoding "Int": of each column whether it has a skip connection, its input, and as integers the rest."""
    own: list[list[Decision]] = [
        [
            Categorical(f"node_{n}_skip", ("no", "yes")),
            Integer(f"node_{n}_kernel", 1, len(KERNELS)),
            Integer(f"node_{n}_channels", grid.width // 4, grid.width),
        ]
        for n in _columns(grid)
    ]
    return _space(grid, own, _read_integers)


def _columns(grid: Grid) -> range:
    return range(1, grid.columns + 1)


def _space(grid: Grid, own: list[list[Any]], read: Read) -> SearchSpace:
    decisions: list[Decision] = []
    for column, of_column in zip(_columns(grid), own, strict=True):
        decisions += of_column
        if len(grid.sources(column)) > 1:
            decisions.append(Categorical(f"node_{column}_input", [str(source) for source in grid.sources(column)]))
    decisions.append(Categorical("output", [str(source) for source in grid.sources(grid.columns + 1)]))
    return SearchSpace(
        decisions,
        canonical=partial(_canonical, grid=grid, decisions=tuple(decisions), read=read),
        graph=partial(_graph, grid=grid, read=read),
    )


def _read_categorical(architecture: Mapping[str, Value], column: int) -> Layer:
    place = LAYERS.index(str(architecture[f"node_{column}_layer"]))
    kernel, has_skip = KERNELS[place % len(KERNELS)], place >= len(KERNELS)
    return Layer(column, kernel, has_skip, int(architecture[f"node_{column}_channels"]))


def _read_integers(architecture: Mapping[str, Value], column: int) -> Layer:
    kernel = KERNELS[int(architecture[f"node_{column}_kernel"]) - 1]
    has_skip = architecture[f"node_{column}_skip"] == "yes"
    return Layer(column, kernel, has_skip, int(architecture[f"node_{column}_channels"]))


def active_layers(architecture: Mapping[str, Value], grid: Grid) -> list[Layer]:
    """The encoder from the image to its output, in either encoding."""
    read = _read_categorical if "node_1_layer" in architecture else _read_integers
    return list(_active(architecture, grid, read))


def _active(architecture: Mapping[str, Value], grid: Grid, read: Read) -> Iterator[Layer]:
    size = grid.size
    for column in _chain(architecture):
        layer = read(architecture, column)
        if layer.has_skip:
            yield layer
        elif size > 1:
            size = -(-size // 2)
            yield layer


def _chain(architecture: Mapping[str, Value]) -> list[int]:
    """The columns that the output depends on, ascending."""
    column, chain = int(architecture["output"]), []
    while column > 0:
        chain.append(column)
        column = int(architecture.get(f"node_{column}_input", 0))
    return chain[::-1]


def _canonical(
    architecture: Mapping[str, Value], *, grid: Grid, decisions: tuple[Decision, ...], read: Read
) -> dict[str, Value]:
    """Columns that are not there have the first option or lowest number of each of their decisions.

    Of columns that are left out for the size of their input, the input stays, as it says where the chain goes on; they
    are left out with the first options too, as the first layer is one that halves.
    """
    there = {layer.column for layer in _active(architecture, grid, read)}
    passed = set(_chain(architecture))
    canonical = dict(architecture)
    for decision in decisions:
        if decision.name == "output":
            continue
        column, what = decision.name.removeprefix("node_").split("_")
        if int(column) in (passed if what == "input" else there):
            continue
        canonical[decision.name] = decision.options[0] if isinstance(decision, Categorical) else decision.low
    return canonical


def _graph(architecture: Architecture, *, grid: Grid, read: Read) -> dict[str, Any]:
    """The encoder for drawing."""
    layers = list(_active(architecture, grid, read))
    names = ["image", *(str(layer.column) for layer in layers)]
    edges = [[names[place], names[place + 1], str(layer)] for place, layer in enumerate(layers)]
    return {"nodes": names, "edges": edges}


def hand_made(space: SearchSpace, grid: Grid) -> Architecture:
    """The usual auto-encoder, made by hand: 3x3 convolutions, in turns one that halves and one with a skip connection.

    As many halve as leave 4 pixels or more; all have all channels. It is as long as the shortest chain, or longer.
    """
    halvings = max(1, (grid.size // 4).bit_length() - 1)
    length = min(grid.columns, max(2 * halvings, -(-grid.columns // grid.level_back)))
    # Evenly spaced, so that each reaches the one before.
    places = [grid.columns * (turn + 1) // length for turn in range(length)]
    decided = {decision.name: _first(decision) for decision in space.decisions}
    previous = 0
    for turn, column in enumerate(places):
        has_skip = turn % 2 == 1 or turn // 2 >= halvings
        decided |= _as_decided(space, column, has_skip, grid.width)
        if f"node_{column}_input" in space.names:
            decided[f"node_{column}_input"] = str(previous)
        previous = column
    decided["output"] = str(previous)
    return space.canonical(decided)


def _as_decided(space: SearchSpace, column: int, has_skip: bool, width: int) -> dict[str, Value]:
    """A 3x3 convolution in either encoding."""
    if f"node_{column}_layer" in space.names:
        return {
            f"node_{column}_layer": "skip_conv_3x3" if has_skip else "conv_3x3",
            f"node_{column}_channels": str(width),
        }
    return {
        f"node_{column}_skip": "yes" if has_skip else "no",
        f"node_{column}_kernel": KERNELS.index(3) + 1,
        f"node_{column}_channels": width,
    }


def _first(decision: Decision) -> Value:
    return decision.options[0] if isinstance(decision, Categorical) else decision.low
