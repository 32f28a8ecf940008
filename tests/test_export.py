"""Exports: what is written computes what the child computes, also where this package is not installed."""

import copy
import json
import subprocess
import sys
from functools import cache

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from ray_asng import OneOf, Supernet, tasks
from ray_asng.export import FORMATS, export, rebuild
from ray_asng.export.portable import ordinary
from ray_asng.randomness import drawing_from
from ray_asng.retrain import Retraining, RetrainSettings
from ray_asng.supernets.cells import ReductionBlock
from ray_asng.supernets.depthwise import AveragePooling, DepthwiseConv2d
from ray_asng.supernets.nasbench201 import NASBench201

CELL = {
    "edge_0_1": "nor_conv_3x3",
    "edge_0_2": "none",
    "edge_1_2": "avg_pool_3x3",
    "edge_0_3": "skip_connect",
    "edge_1_3": "nor_conv_1x1",
    "edge_2_3": "avg_pool_3x3",
}
OPTIONS = {"width": 4, "cells": 1, "in_channels": 1, "classes": 10, "affine": True}
# Load the files of folders in a process where this package cannot be imported, and torch neither where it is ONNX.
WITH_TORCH = """
import sys
sys.modules["ray_asng"] = None
import torch
for folder in sys.argv[1:]:
    weights = torch.load(f"{folder}/child_weights.pt", weights_only=True)
    assert weights and all(isinstance(tensor, torch.Tensor) for tensor in weights.values()), folder
    program = torch.export.load(f"{folder}/child.pt2").module()
    example = torch.load(f"{folder}/example.pt")
    for count, expected in example["outputs"].items():
        inputs = {name: tensor[:count] for name, tensor in example["inputs"].items()}
        got = program(**inputs) if example["by_name"] else program(*inputs.values())
        assert (got["score"] if isinstance(got, dict) else got).sub(expected).abs().max() < 1e-5, (folder, count)
"""
WITHOUT_TORCH = """
import sys
sys.modules["ray_asng"] = sys.modules["torch"] = None
import numpy, onnxruntime
for folder in sys.argv[1:]:
    session = onnxruntime.InferenceSession(f"{folder}/child.onnx", providers=["CPUExecutionProvider"])
    arrays = numpy.load(f"{folder}/example.npz")
    for count in (1, 7):
        got = session.run(None, {entry.name: arrays[entry.name][:count] for entry in session.get_inputs()})[0]
        assert abs(got - arrays[f"expected_{count}"]).max() < 1e-5, (folder, count)
"""


class TwoInputs(nn.Module):
    """(B, 5) tokens and (B, 3) numbers to scores and features."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(10, 4)
        self.norm = nn.BatchNorm1d(7)
        self.linear = nn.Linear(7, 2)

    def forward(self, tokens, numbers):
        features = self.norm(torch.cat([self.embedding(tokens).mean(1), numbers], 1))
        return {"score": self.linear(features), "features": (features, features.sum(1))}


class Depthwise(nn.Module):
    """Every kind of depth-wise convolution, and pooling, at widths where our layers take different ways."""

    def __init__(self):
        super().__init__()
        narrow = [DepthwiseConv2d(8, 3), DepthwiseConv2d(8, 5), DepthwiseConv2d(8, 3, 2), AveragePooling()]
        wide = [DepthwiseConv2d(64, 5, 2), AveragePooling(), nn.BatchNorm2d(64), nn.ReLU(), AveragePooling()]
        self.layers = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), *narrow, ReductionBlock(8, 64, affine=True), *wide, nn.Flatten(1)
        )
        self.classifier = nn.Linear(1024, 10)

    def forward(self, images):
        return self.classifier(self.layers(images))


def drawn(build, *arguments, **options):
    with drawing_from(torch.Generator().manual_seed(0)):
        return build(*arguments, **options)


def images(count=7):
    return tasks.digits().batch("test", torch.arange(count))[0]


def nasbench201_child():
    """A child with running statistics that it got from data."""
    return copy.deepcopy(_trained_child())


@cache
def _trained_child():
    child = drawn(lambda: Supernet(NASBench201(**OPTIONS)).extract(CELL))
    settings = RetrainSettings(epochs=1, batch_size=64)
    retraining = Retraining(child, tasks.digits(), settings)
    retraining.run_epoch()
    return retraining.network


def two_inputs(by_name):
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(10, (7, 5), generator=generator)
    numbers = torch.randn(7, 3, generator=generator)
    # The dict is in another order than the parameters of forward.
    return {"numbers": numbers, "tokens": tokens} if by_name else (tokens, numbers)


CASES = {
    "nasbench201": lambda: (nasbench201_child(), images()),
    "depthwise": lambda: (drawn(Depthwise), images()),
    "two_inputs_tuple": lambda: (drawn(TwoInputs), two_inputs(by_name=False)),
    "two_inputs_dict": lambda: (drawn(TwoInputs), two_inputs(by_name=True)),
}


def call(network, inputs, count):
    """The first output for the first examples."""
    network.eval()
    with torch.no_grad():
        if isinstance(inputs, dict):
            outputs = network(**{name: tensor[:count] for name, tensor in inputs.items()})
        else:
            outputs = network(*(tensor[:count] for tensor in (inputs if isinstance(inputs, tuple) else (inputs,))))
    return outputs["score"] if isinstance(outputs, dict) else outputs


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """Case -> folder of an export, the export, the child and the inputs."""
    folders = {case: tmp_path_factory.mktemp(case) for case in CASES}
    built = {case: build() for case, build in CASES.items()}
    return {case: (folders[case], export(*built[case], folders[case]), *built[case]) for case in CASES}


@pytest.fixture(params=CASES)
def exported(request, exports):
    """One of them."""
    return exports[request.param]


def test_every_format_agrees_with_the_child_to_the_fifth_digit(exported):
    folder, done, _, _ = exported
    assert [written.format for written in done.written] == list(FORMATS)
    assert {"recipe.json", *(found.file for found in FORMATS.values())} <= {path.name for path in folder.iterdir()}
    for written in done.written:
        assert written.difference <= 1e-5
        assert written.bytes == written.path.stat().st_size


@pytest.mark.parametrize("code", [WITH_TORCH, WITHOUT_TORCH], ids=["weights_and_program", "onnx"])
def test_the_files_load_and_agree_where_this_package_is_not_installed(exports, code):
    for folder, done, child, inputs in exports.values():
        names = json.loads(done.recipe.read_text())["inputs"]
        tensors = inputs.values() if isinstance(inputs, dict) else inputs if isinstance(inputs, tuple) else [inputs]
        given = dict(zip(names, tensors, strict=True))
        expected = {count: call(child, inputs, count) for count in (1, 7)}
        torch.save({"inputs": given, "by_name": isinstance(inputs, dict), "outputs": expected}, folder / "example.pt")
        arrays = {**given, **{f"expected_{count}": tensor for count, tensor in expected.items()}}
        np.savez(folder / "example.npz", **{name: tensor.numpy() for name, tensor in arrays.items()})
    folders = [str(folder) for folder, *_ in exports.values()]
    done = subprocess.run([sys.executable, "-c", code, *folders], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_inputs_and_outputs_of_the_onnx_file_have_the_names_of_the_recipe_and_any_batch_size(exported):
    folder, _, _, _ = exported
    recipe = json.loads((folder / "recipe.json").read_text())
    graph = onnx.load(folder / "child.onnx").graph
    for entries, described in ((graph.input, recipe["inputs"]), (graph.output, recipe["outputs"])):
        assert [entry.name for entry in entries] == list(described)
        for entry in entries:
            sizes = [dim.dim_param or dim.dim_value for dim in entry.type.tensor_type.shape.dim]
            assert sizes == described[entry.name]["shape"]
            assert sizes[0] == "batch"


def test_no_path_of_the_machine_that_wrote_them_is_in_the_files(exported):
    folder, done, _, _ = exported
    for written in done.written:
        content = written.path.read_bytes()
        assert b"site-packages" not in content
        assert str(folder).encode() not in content


def test_exporting_leaves_the_child_and_the_global_generator_as_they_were(tmp_path):
    child = nasbench201_child().train()
    before = {name: (tensor.clone(), tensor.stride()) for name, tensor in child.state_dict().items()}
    kinds, state = [type(part) for part in child.modules()], torch.get_rng_state()
    export(child, images(), tmp_path, ["torch_export"], recipe=space_recipe())
    assert torch.equal(state, torch.get_rng_state())
    assert all(part.training for part in child.modules())
    assert [type(part) for part in child.modules()] == kinds
    for name, tensor in child.state_dict().items():
        assert torch.equal(tensor, before[name][0])
        assert tensor.stride() == before[name][1]


def test_layers_of_ours_become_layers_of_torch_with_the_same_weights_and_output():
    network = drawn(Depthwise).eval()
    plain = ordinary(network)
    assert {type(part).__module__ for part in plain.layers[1:5]} <= {
        "torch.nn.modules.conv",
        "torch.nn.modules.pooling",
    }
    assert not any(isinstance(part, (AveragePooling, DepthwiseConv2d)) for part in plain.modules())
    assert plain.state_dict().keys() == network.state_dict().keys()
    with torch.no_grad():
        assert torch.allclose(plain(images()), network(images()), atol=1e-5)


def space_recipe(**changed):
    return {"space": "nasbench201", "space_options": OPTIONS, "architecture": CELL, **changed}


def test_a_child_of_a_space_is_rebuilt_from_its_recipe(tmp_path):
    child = nasbench201_child()
    export(child, images(), tmp_path, ["state_dict"], recipe=space_recipe())
    assert torch.allclose(call(rebuild(tmp_path), images(), 7), call(child, images(), 7), atol=1e-6)


def test_the_python_in_the_recipe_makes_the_child_again(tmp_path, monkeypatch):
    child = nasbench201_child()
    export(child, images(), tmp_path, ["state_dict"], recipe=space_recipe())
    monkeypatch.chdir(tmp_path)
    made: dict[str, object] = {}
    exec("\n".join(json.loads((tmp_path / "recipe.json").read_text())["python"]), made)
    assert torch.allclose(call(made["child"], images(), 7), call(child, images(), 7), atol=1e-6)


def test_the_recipe_says_what_the_child_is(tmp_path):
    child = nasbench201_child()
    export(child, images(), tmp_path, ["state_dict"], recipe=space_recipe())
    recipe = json.loads((tmp_path / "recipe.json").read_text())
    assert recipe["parameters"] == sum(parameter.numel() for parameter in child.parameters())
    assert recipe["inputs"] == {"images": {"shape": ["batch", 1, 8, 8], "dtype": "float32"}}
    assert recipe["outputs"] == {"output": {"shape": ["batch", 10], "dtype": "float32"}}
    assert {"ray_asng", "torch", "python"} <= set(recipe["versions"])
    assert (recipe["architecture"], recipe["space_options"]) == (CELL, OPTIONS)


def test_a_recipe_that_makes_another_network_is_refused_and_nothing_is_written(tmp_path):
    other = {**CELL, "edge_0_3": "avg_pool_3x3"}
    with pytest.raises(RuntimeError, match="network of the recipe differs"):
        export(nasbench201_child(), images(), tmp_path, ["state_dict"], recipe=space_recipe(architecture=other))
    assert list(tmp_path.iterdir()) == []


def test_a_users_own_module_is_rebuilt_by_its_owner(tmp_path):
    network = drawn(TwoInputs)
    export(network, two_inputs(by_name=True), tmp_path, ["state_dict"])
    with pytest.raises(ValueError, match=r"of no space; build it yourself and load child_weights\.pt"):
        rebuild(tmp_path)
    own = TwoInputs()
    own.load_state_dict(torch.load(tmp_path / "child_weights.pt", weights_only=True))
    assert torch.equal(*(call(module, two_inputs(by_name=True), 7) for module in (own, network)))


def test_a_missing_export_is_said_by_rebuild(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"recipe.json is missing"):
        rebuild(tmp_path)


class Noisy(nn.Module):
    def forward(self, images):
        return images + torch.rand_like(images)


class Branching(nn.Module):
    def forward(self, images):
        return images * 2 if images.sum() > 0 else images


class FixedBatch(nn.Module):
    def forward(self, images):
        return images.reshape(7, -1)


class Words(nn.Module):
    def forward(self, images):
        return {"loss": images.mean(), "kind": "mean"}


@pytest.mark.parametrize(
    ("network", "inputs", "kind", "words"),
    [
        (Noisy(), images(), RuntimeError, "differs from the network by .* draw at random"),
        (Branching(), images(), RuntimeError, "Branching cannot be written as torch_export .* leave this format out"),
        (FixedBatch(), images(), RuntimeError, "FixedBatch cannot be written as torch_export for batches of any size"),
        (Words(), images(), TypeError, "returns tensors, .* got a str"),
        (drawn(TwoInputs), images(), TypeError, r"do not fit forward\(tokens, numbers\) of TwoInputs: missing"),
        (nn.Flatten(), [images()], TypeError, "a tensor, or a tuple or dict of tensors, batch first; got a list"),
        (nn.Flatten(), torch.tensor(1.0), ValueError, "first dimension of one size"),
        (drawn(TwoInputs), (torch.zeros(2, 5).long(), torch.zeros(3, 3)), ValueError, "one size, .* got {'tokens': "),
        ("child.pt", images(), TypeError, "nn.Module can be exported, got str"),
        (Supernet(OneOf({"a": nn.Identity(), "b": nn.ReLU()})), images(), ValueError, "holds choices .*extract"),
    ],
    ids=[
        "random",
        "branch_on_values",
        "fixed_batch_size",
        "output_that_is_no_tensor",
        "missing_input",
        "list_of_inputs",
        "no_batch_dimension",
        "batches_of_several_sizes",
        "no_module",
        "choices",
    ],
)
def test_what_cannot_be_exported_is_refused_with_the_reason(network, inputs, kind, words, tmp_path):
    with pytest.raises(kind, match=words):
        export(network, inputs, tmp_path, ["torch_export"])
    assert list(tmp_path.iterdir()) == []


def test_an_export_is_replaced_only_when_asked_and_then_whole(tmp_path):
    flat = nn.Flatten()
    export(flat, images(), tmp_path, ["state_dict", "torch_export"])
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"already holds recipe.json, child_weights.pt, child.pt2; .*--overwrite"):
        export(flat, images(), tmp_path, ["state_dict"])
    export(flat, images(), tmp_path, ["state_dict"], overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {"recipe.json", "child_weights.pt", "notes.txt"}


def test_an_export_that_fails_leaves_the_former_one(tmp_path):
    export(nn.Flatten(), images(), tmp_path, ["state_dict"])
    before = (tmp_path / "recipe.json").read_bytes()
    with pytest.raises(RuntimeError):
        export(Noisy(), images(), tmp_path, ["state_dict"], overwrite=True)
    assert (tmp_path / "recipe.json").read_bytes() == before


def test_a_single_example_is_enough(tmp_path):
    (written,) = export(drawn(Depthwise), images(1), tmp_path, ["torch_export"]).written
    assert torch.export.load(written.path).module()(images(5)).shape == (5, 10)


@pytest.mark.parametrize("name", ["onnxs", ""])
def test_unknown_formats_are_named(name, tmp_path):
    with pytest.raises(ValueError, match=f"unknown format '{name}'"):
        export(nn.Flatten(), images(), tmp_path, [name])


def test_a_missing_package_is_said_with_the_extra_that_brings_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModuleNotFoundError, match=r"'onnx' needs onnxruntime: pip install 'ray_asng\[export\]'"):
        export(nn.Flatten(), images(), tmp_path, ["onnx"])
    done = export(nn.Flatten(), images(), tmp_path)
    assert [written.format for written in done.written] == ["state_dict", "torch_export"]


def test_an_output_may_have_the_name_of_an_input_or_of_an_operation(tmp_path):
    class Named(nn.Module):
        def forward(self, images, relu):
            return {"images": images.flatten(1) * 2, "relu": torch.relu(relu), "add": images + 1}

    generator = torch.Generator().manual_seed(0)
    inputs = {"relu": torch.randn(3, 4, generator=generator), "images": images(3)}
    done = export(Named(), inputs, tmp_path, ["onnx"])
    outputs = json.loads(done.recipe.read_text())["outputs"]
    assert list(outputs) == ["output_images", "output_relu", "add"]
