"""The formats of an export: how each is written, and how it is read for the comparison with the child."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ray_asng.export.example import Example
from ray_asng.export.portable import ordinary
from ray_asng.space import nearest
from ray_asng.state import load_weights

BATCH = "batch"
"""Name of the dimension that may have any size."""

# Two examples, since a batch of one is taken for a size that never changes; zeros, since a program holds what it was
# traced with.
_TRACED = 2

Run = Callable[[Example], dict[str, Tensor]]


class Subject:
    """What is exported.

    Args:
        network: on the CPU, in evaluation mode.
        example: inputs that it takes.
    """

    def __init__(self, network: nn.Module, example: Example) -> None:
        self.network = network
        self.example = example
        self._traced = example.mapped(lambda tensor: tensor.new_zeros(_TRACED, *tensor.shape[1:]))

    @cached_property
    def _ordinary(self) -> nn.Module:
        return ordinary(self.network)

    @cached_property
    def _dynamic(self) -> Any:
        """Which dimensions may have any size, as torch takes it."""
        shapes: Any = torch.export.ShapesCollection()  # type: ignore[no-untyped-call]
        for tensor in self._traced.tensors.values():
            shapes[tensor] = {0: torch.export.Dim(BATCH, min=1)}
        return shapes.dynamic_shapes(self._ordinary, self._traced.args, self._traced.kwargs)

    @cached_property
    def program(self) -> torch.export.ExportedProgram:
        """The network as torch traced it; of any batch size."""
        with torch.no_grad():
            program = torch.export.export(
                self._ordinary, self._traced.args, self._traced.kwargs, dynamic_shapes=self._dynamic
            )
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)  # paths of this machine, and more of a file than the program itself
        return program

    def onnx(self) -> torch.onnx.ONNXProgram:
        """The program in ONNX, its inputs and outputs with their names."""
        with warnings.catch_warnings():
            # Of several inputs each has the dimension, and all but the first are said to share its name, as they shall.
            warnings.filterwarnings("ignore", message="# The axis name: batch will not be used")
            converted = torch.onnx.export(
                self.program,
                self._traced.args,
                kwargs=self._traced.kwargs,
                input_names=self.example.names,
                output_names=tuple(self.example.run(self.network)),
                dynamic_shapes=self._dynamic,
                dynamo=True,
                verbose=False,
            )
        if converted is None:
            raise RuntimeError("torch.onnx.export gave no program")
        return converted


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write a network.

    Attributes:
        name: for the user.
        file: what is written.
        packages: what it needs beside torch.
        write: to a path.
        load: what is on disk, to be run on an example; the network is for the format that holds weights alone.
    """

    name: str
    file: str
    packages: tuple[str, ...]
    write: Callable[[Subject, Path], None]
    load: Callable[[Path, nn.Module], Run]

    def missing(self) -> list[str]:
        """Packages that are not installed."""
        return [package for package in self.packages if find_spec(package) is None]


def _write_weights(subject: Subject, path: Path) -> None:
    torch.save(dict(subject.network.state_dict()), path)


def _load_weights(path: Path, network: nn.Module) -> Run:
    copied = copy.deepcopy(network)
    load_weights(copied, torch.load(path, weights_only=True))
    return lambda example: example.run(copied)


def _write_program(subject: Subject, path: Path) -> None:
    torch.export.save(subject.program, path)


def _load_program(path: Path, network: nn.Module) -> Run:
    program = torch.export.load(path).module()
    return lambda example: example.run(program)


def _write_onnx(subject: Subject, path: Path) -> None:
    subject.onnx().save(path, external_data=False)


def _load_onnx(path: Path, network: nn.Module) -> Run:
    onnx: Any = import_module("onnx")
    onnxruntime: Any = import_module("onnxruntime")
    onnx.checker.check_model(str(path), full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def run(example: Example) -> dict[str, Tensor]:
        given = example.tensors
        outputs = session.run(None, {entry.name: given[entry.name].numpy() for entry in session.get_inputs()})
        return {name: torch.from_numpy(output) for name, output in zip(names, outputs, strict=True)}

    return run


FORMATS = {
    found.name: found
    for found in (
        Format("state_dict", "child_weights.pt", (), _write_weights, _load_weights),
        Format("torch_export", "child.pt2", (), _write_program, _load_program),
        Format("onnx", "child.onnx", ("onnx", "onnxruntime", "onnxscript"), _write_onnx, _load_onnx),
    )
}
"""Name -> format."""


def chosen_formats(names: Sequence[str] | None) -> list[Format]:
    """The formats of these names; all that are installed if None.

    Raises:
        ValueError: an unknown name, or none.
        ModuleNotFoundError: a package is missing; names the extra that brings it.
    """
    if names is None:
        return [found for found in FORMATS.values() if not found.missing()]
    if not names or isinstance(names, str):
        raise ValueError(f"name the formats in a tuple, of {tuple(FORMATS)}; got {names!r}")
    for name in names:
        if name not in FORMATS:
            raise ValueError(f"unknown format {name!r}{nearest(name, tuple(FORMATS))}")
        if FORMATS[name].missing():
            raise ModuleNotFoundError(
                f"the format {name!r} needs {' and '.join(FORMATS[name].missing())}: pip install 'ray_asng[export]'"
            )
    return [FORMATS[name] for name in dict.fromkeys(names)]
