"""The recipe beside an export: what the child is, what it takes and gives, and how it is built again.

For a child of a space, `rebuild` needs the recipe, the weights and this package; a user's own module is described,
and its weights are loaded into it by its owner.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ray_asng import registry
from ray_asng.export.example import Example
from ray_asng.export.formats import BATCH, FORMATS
from ray_asng.export.portable import ordinary
from ray_asng.randomness import drawing_from
from ray_asng.state import load_weights
from ray_asng.supernets.supernet import Supernet
from ray_asng.version import __version__

RECIPE_FILE = "recipe.json"
RECIPE_FORMAT = 1

_WEIGHTS_FILE = FORMATS["state_dict"].file
_OF_A_SPACE = ("space", "space_options", "architecture")


def describe(network: nn.Module, example: Example, files: Sequence[str], entries: Mapping[str, Any]) -> dict[str, Any]:
    """The content of the recipe; `entries` has space, space_options and architecture where the child is of a space."""
    content = {
        "format": RECIPE_FORMAT,
        **dict.fromkeys(_OF_A_SPACE),
        **entries,
        "inputs": _shapes(example.tensors),
        "passed": "in order" if example.args else "by name",
        "outputs": _shapes(example.run(network)),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "files": list(files),
        "versions": _versions(),
        "network": str(ordinary(network)).splitlines(),
    }
    return {**content, "python": _python(content)}


def _shapes(tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    return {
        name: {"shape": [BATCH, *tensor.shape[1:]], "dtype": str(tensor.dtype).removeprefix("torch.")}
        for name, tensor in tensors.items()
    }


def _versions() -> dict[str, str]:
    packages = [package for package in FORMATS["onnx"].packages if find_spec(package) is not None]
    return {
        "ray_asng": __version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }


def _python(content: Mapping[str, Any]) -> list[str]:
    """Python that builds the child again, to be run in the folder of the export."""
    if content["space"] is None:
        building = ["# child = ...: your own module, as it was built for the export"]
    else:
        building = [
            "from ray_asng import Supernet",
            "from ray_asng.export.recipe import space_builder",
            f"module = space_builder({content['space']!r})(**{content['space_options']!r})",
            f"child = Supernet(module).extract({content['architecture']!r})",
        ]
    return [
        "import torch",
        *building,
        f"child.load_state_dict(torch.load({_WEIGHTS_FILE!r}, weights_only=True))",
        "child.eval()",
    ]


def rebuild(folder: str | Path) -> nn.Module:
    """The child of an export, from its recipe and its weights; on the CPU, in evaluation mode.

    Raises:
        FileNotFoundError: the recipe or the weights are missing.
        ValueError: a recipe of a newer format, of a child that is of no space, or that does not fit the weights.
    """
    recipe_file, weights_file = (Path(folder) / name for name in (RECIPE_FILE, _WEIGHTS_FILE))
    for path in (recipe_file, weights_file):
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing; export the child with the format 'state_dict'")
    recipe = json.loads(recipe_file.read_text())
    if recipe["format"] > RECIPE_FORMAT:
        raise ValueError(
            f"{recipe_file} has format {recipe['format']}, this version reads {RECIPE_FORMAT}; upgrade ray_asng"
        )
    if recipe["space"] is None:
        raise ValueError(
            f"{recipe_file} describes a module that is of no space; build it yourself and load {weights_file.name} "
            "into it: child.load_state_dict(torch.load(..., weights_only=True))"
        )
    child = build_child(recipe["space"], recipe["space_options"], recipe["architecture"])
    load_weights(child, torch.load(weights_file, map_location="cpu", weights_only=True))
    return child.eval()


def build_child(space: str, space_options: Mapping[str, Any], architecture: Mapping[str, Any]) -> nn.Module:
    """The network of an architecture, its weights yet to be loaded."""
    with drawing_from(torch.Generator()):
        return Supernet(space_builder(space)(**space_options)).extract(architecture)


def space_builder(space: str) -> registry.Builder:
    """What builds the module with choices.

    Args:
        space: a built-in name, or "module:qualname" of a class or function that can be imported here.
    """
    return registry.spaces.resolve(space if ":" not in space else imported(space))


def imported(place: str) -> Any:
    """The object at "module:qualname".

    Raises:
        ValueError: it cannot be imported here.
    """
    module, _, qualname = place.partition(":")
    try:
        found = import_module(module)
        for name in qualname.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"{place!r} cannot be imported here ({error}); run this where the module is importable (PYTHONPATH), or "
            "build the child yourself and use ray_asng.export.export(child, example_inputs, folder)"
        ) from error
    return found
