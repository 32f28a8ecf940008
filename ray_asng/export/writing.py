"""Writing an export: every format is compared with the child before anything takes its place in the folder."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ray_asng.export.example import Example, make_example
from ray_asng.export.formats import FORMATS, Format, Subject, chosen_formats
from ray_asng.export.portable import on_cpu
from ray_asng.export.recipe import RECIPE_FILE, describe, rebuild
from ray_asng.output_folder import remove, require_writable

TOLERANCE = 1e-5
"""Largest difference from the child's outputs, as a share of the largest of them where that exceeds 1."""


@dataclass(frozen=True, slots=True)
class Written:
    """One file of an export.

    Attributes:
        format: its name.
        path: of the file.
        bytes: its size.
        difference: the largest absolute one between its outputs and the child's.
    """

    format: str
    path: Path
    bytes: int
    difference: float

    def __str__(self) -> str:
        difference = f"differs by at most {self.difference:.1e}"
        return f"{self.format:<14}{self.bytes / 1024:10.1f} KiB   {difference}   {self.path}"


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export has written.

    Attributes:
        recipe: path of the JSON file.
        written: the other files.
    """

    recipe: Path
    written: tuple[Written, ...]


def export(
    child: nn.Module,
    example_inputs: Any,
    folder: str | Path,
    formats: Sequence[str] | None = None,
    *,
    recipe: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    on_written: Callable[[Written], None] | None = None,
) -> Exported:
    """Write a trained network in several formats, each compared with the network on the example inputs.

    The child may be on any device and in any mode; what is written is for the CPU and in evaluation mode. The batch
    may have any size, all other dimensions those of the example.

    Args:
        child: any `nn.Module` without choices, such as what `Supernet.extract` gave, retrained. It stays as it is.
        example_inputs: real ones: a tensor, a tuple (arguments in order) or a dict (arguments by name) of tensors,
            the examples of a batch along the first dimension.
        folder: of all that is written; made if need be.
        formats: "state_dict" (`child_weights.pt`), "torch_export" (`child.pt2`), "onnx" (`child.onnx`); all that are
            installed by default. A `recipe.json` is always written.
        recipe: entries for recipe.json besides those that are found here.
        overwrite: replace an export that is there.
        on_written: told of each file, as soon as it agrees with the child.

    Raises:
        TypeError: no module, inputs or outputs that are not tensors, or inputs that `forward` does not take.
        ValueError: an unknown format, choices, batch norms without running statistics, or batches of several sizes.
        ModuleNotFoundError: a format whose packages are missing.
        FileExistsError: an export is there, and `overwrite` is not given.
        RuntimeError: torch cannot write the network in a format, or what was written computes something else.
    """
    folder = Path(folder)
    chosen = chosen_formats(formats)
    network = on_cpu(child)
    example = make_example(network, example_inputs)
    _refuse_other(folder, overwrite)
    subject = Subject(network, example)
    content = describe(network, example, [found.file for found in chosen], recipe or {})
    require_writable(folder)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".export_") as name:
        place = Path(name)
        (place / RECIPE_FILE).write_text(json.dumps(content, indent=2) + "\n")
        written = []
        for found in chosen:
            file = _written(found, subject, place)
            written.append(Written(found.name, folder / found.file, file.bytes, file.difference))
            if on_written is not None:
                on_written(written[-1])
        if content["space"] is not None and (place / FORMATS["state_dict"].file).exists():
            _check_recipe(place, subject)
        for path in _ours(folder):
            remove(path)
        for path in place.iterdir():
            os.replace(path, folder / path.name)
    return Exported(folder / RECIPE_FILE, tuple(written))


def _ours(folder: Path) -> list[Path]:
    names = [RECIPE_FILE, *(found.file for found in FORMATS.values())]
    return [folder / name for name in names if (folder / name).exists()]


def _refuse_other(folder: Path, overwrite: bool) -> None:
    present = _ours(folder)
    if present and not overwrite:
        raise FileExistsError(
            f"{folder} already holds {', '.join(path.name for path in present)}; replace the export by overwriting it "
            "(--overwrite), or choose another folder (--output)"
        )


def _check_recipe(place: Path, subject: Subject) -> None:
    """Raise unless the recipe and the weights in a folder make the network again."""
    again = rebuild(place)
    _difference("the network of the recipe", subject.network, lambda example: example.run(again), subject.example)


def _written(found: Format, subject: Subject, place: Path) -> Written:
    """Write one format to a folder, and compare it."""
    path = place / found.file
    others = tuple(name for name in FORMATS if name != found.name)
    try:
        found.write(subject, path)
        run = found.load(path, subject.network)
        difference = max(_difference(found.name, subject.network, run, part) for part in _batches(subject.example))
    except _Differs:
        raise
    except Exception as error:  # torch raises many kinds for a network that it cannot follow
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        raise RuntimeError(
            f"{type(subject.network).__name__} cannot be written as {found.name} for batches of any size "
            f"({type(error).__name__}: {reason}); write its forward without branches on values and without a fixed "
            f"batch size, or leave this format out and name others: {', '.join(others)}"
        ) from error
    return Written(found.name, path, path.stat().st_size, difference)


class _Differs(RuntimeError):
    """What was written computes something else."""


def _batches(example: Example) -> tuple[Example, Example]:
    """A single example, and all; the only one twice."""
    return example.mapped(lambda tensor: tensor[:1]), example.mapped(
        lambda tensor: tensor if len(tensor) > 1 else torch.cat([tensor, tensor])
    )


def _difference(
    written: str, network: nn.Module, run: Callable[[Example], dict[str, torch.Tensor]], example: Example
) -> float:
    """The largest one between the outputs of a network and of what was `written`.

    Raises:
        RuntimeError: it exceeds the tolerance, or the outputs are not the same ones.
    """
    expected, got = example.run(network), run(example)
    shapes = [{name: tuple(tensor.shape) for name, tensor in outputs.items()} for outputs in (expected, got)]
    if shapes[0] != shapes[1]:
        raise _Differs(f"{written} gives outputs of other shapes than the network: {shapes[1]} for {shapes[0]}")
    worst = 0.0
    for name, tensor in expected.items():
        difference = _largest(got[name].double() - tensor.double())
        bound = TOLERANCE * max(1.0, _largest(tensor.double()))
        if not difference <= bound:  # also if it is no number
            raise _Differs(
                f"{written} differs from the network by {difference:.2g} in {name!r}, more than {bound:.2g}; does its "
                "forward draw at random, keep something from call to call, or return what is not finite?"
            )
        worst = max(worst, difference)
    return worst


def _largest(tensor: torch.Tensor) -> float:
    return float(tensor.abs().max()) if tensor.numel() else 0.0
