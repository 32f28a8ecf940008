"""`ray-asng export`: the child that a search or a retraining left, and what is refused with which words.

The folders hold what retrainings leave: a `RetrainTrainable` writes its own checkpoint, without a Ray session.
"""

import json
import shutil
import sys

import pytest
import torch
from click.testing import CliRunner

from ray_asng import tasks
from ray_asng.cli import main
from ray_asng.export import rebuild
from ray_asng.raytune.retrain_trainable import RetrainTrainable
from ray_asng.retrain import Retraining, measured_weights
from ray_asng.supernets.nasbench201_space import from_string

CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|none~1|avg_pool_3x3~2|"
SPACE_OPTIONS = {"width": 4, "cells": 1}
SEARCH = {"seed": 0, "space": "nasbench201", "task": "digits", "space_options": SPACE_OPTIONS, "split_seed": 3}
TRIAL = "given_seed0_b9df2_00000"
FORMATS = ("--format", "state_dict")


def invoke(*arguments):
    return CliRunner().invoke(main, ["export", *map(str, arguments)])


def assert_refused(result, *words):
    """A single line with all of `words`, and no traceback."""
    assert result.exit_code == 1, result.output
    assert result.output.startswith("Error: ") or "\nError: " in result.output
    error = result.output[result.output.index("Error: ") :]
    assert [word for word in words if word not in error] == [], result.output
    assert "Traceback" not in result.output


def report_of(trial, epochs, **config):
    """Run a retraining, write its checkpoint into the folder `trial`, and return its last report."""
    found = {"architecture": dict(from_string(CELL)), "method": "given", "seed": -1}
    trainable = RetrainTrainable({"search": SEARCH, "found": found, "seed": 0, "epochs": 2, **config})
    report = [trainable.train() for _ in range(epochs)][-1]
    trainable.save(str(trial / "checkpoint_000000"))
    return report


@pytest.fixture(scope="module")
def retrained(tmp_path_factory):
    """What `ray-asng retrain` leaves of one architecture, and the last report of its trial."""
    folder = tmp_path_factory.mktemp("retrained")
    report = report_of(folder / "tune" / "retraining" / TRIAL, 2, batch_size=32, ema=0.5)
    return folder, report


@pytest.fixture(scope="module")
def searched(retrained, tmp_path_factory):
    """What `ray-asng search` leaves: the best architecture and its retrained child."""
    folder, report = tmp_path_factory.mktemp("searched"), retrained[1]
    checkpoint = retrained[0] / "tune" / "retraining" / TRIAL / "checkpoint_000000" / "retraining.pt"
    best = {"architecture": json.loads(report["architecture"]), "text": CELL, "method": "asng", "seed": 0}
    best |= {"space": "nasbench201", "task": "digits"}
    (folder / "best_architecture.json").write_text(json.dumps(best))
    weights = measured_weights(torch.load(checkpoint, weights_only=True))
    torch.save({**best, "config": json.loads(report["config_json"]), "state_dict": weights}, folder / "best_child.pt")
    return folder


def test_all_formats_of_the_child_of_a_search_are_written_and_shown(searched, tmp_path):
    result = invoke(searched, "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0] == f"{searched / 'best_child.pt'}: {CELL}"
    assert lines[1] == "exported and compared with the child on 64 test examples of digits:"
    for line, name in zip(lines[2:], ("child_weights.pt", "child.pt2", "child.onnx", "recipe.json"), strict=True):
        path = tmp_path / "out" / name
        assert line.endswith(str(path))
        assert f"{path.stat().st_size / 1024:.1f} KiB" in line
        assert ("differs by at most" in line) == (name != "recipe.json")


def test_the_exported_child_is_as_good_on_the_test_data_as_the_retraining_reported(retrained, tmp_path):
    folder, report = retrained
    assert invoke(folder, "--output", tmp_path, *FORMATS).exit_code == 0
    loss, accuracy = Retraining(rebuild(tmp_path), tasks.digits(split_seed=3)).evaluate("test")
    assert loss == pytest.approx(report["test_loss"], abs=1e-5)
    assert accuracy == pytest.approx(report["test_accuracy"], abs=1e-6)
    assert accuracy > 0.3


def test_the_recipe_has_all_that_the_network_was_built_with_and_what_its_inputs_went_through(searched, tmp_path):
    assert invoke(searched, "--output", tmp_path, *FORMATS).exit_code == 0
    recipe = json.loads((tmp_path / "recipe.json").read_text())
    assert recipe["space"] == "nasbench201"
    alone = {"affine": True, "partial_channels": 1, "edge_weights": False}
    assert recipe["space_options"] == {**SPACE_OPTIONS, "classes": 10, "in_channels": 1, **alone}
    assert recipe["architecture"] == dict(from_string(CELL))
    assert (recipe["architecture_text"], recipe["task"]) == (CELL, "digits")
    task = tasks.digits(split_seed=3)
    assert recipe["preprocessing"]["mean"] == task.mean.tolist()
    assert recipe["preprocessing"]["std"] == task.std.tolist()


@pytest.mark.parametrize("given", ["best_child.pt", "best_architecture.json"])
def test_files_of_a_search_stand_for_its_child(searched, tmp_path, given):
    outputs = tmp_path / "folder", tmp_path / "file"
    for source, output in zip((searched, searched / given), outputs, strict=True):
        assert invoke(source, "--output", output, *FORMATS).exit_code == 0
    assert outputs[0].joinpath("recipe.json").read_bytes() == outputs[1].joinpath("recipe.json").read_bytes()


def test_an_architecture_and_plain_weights_need_the_options_of_the_space(searched, tmp_path):
    (tmp_path / "found.json").write_bytes((searched / "best_architecture.json").read_bytes())
    best = torch.load(searched / "best_child.pt", weights_only=True)
    torch.save(best["state_dict"], tmp_path / "weights.pt")
    arguments = (tmp_path / "found.json", "--weights", tmp_path / "weights.pt", "--output", tmp_path / "out", *FORMATS)
    result = invoke(*arguments)
    assert_refused(result, "weights.pt are of another network", "tensors differ", "--set space_options=JSON")
    assert not (tmp_path / "out").exists()
    assert invoke(*arguments, "--set", f"space_options={json.dumps(SPACE_OPTIONS)}").exit_code == 0
    rebuilt = rebuild(tmp_path / "out").state_dict()
    assert all(torch.equal(tensor, rebuilt[name]) for name, tensor in best["state_dict"].items())


@pytest.fixture
def without_weights(searched, tmp_path):
    (tmp_path / "searched").mkdir()
    shutil.copy(searched / "best_architecture.json", tmp_path / "searched")
    return tmp_path / "searched"


@pytest.mark.parametrize("name", ["", "best_architecture.json"])
def test_a_child_that_was_not_retrained_is_refused_with_the_command_that_does_it(without_weights, tmp_path, name):
    result = invoke(without_weights / name, "--output", tmp_path / "out")
    assert_refused(result, "without weights of its own", f"ray-asng retrain {without_weights}", "--task digits")
    assert not (tmp_path / "out").exists()


def test_another_architecture_than_that_of_the_weights_is_refused(searched, tmp_path):
    other = {**dict(from_string(CELL)), "edge_0_1": "none"}
    (tmp_path / "other.json").write_text(json.dumps(other))
    result = invoke(tmp_path / "other.json", "--weights", searched / "best_child.pt", "--output", tmp_path / "out")
    assert_refused(result, "holds another architecture than")


def test_of_several_retrainings_one_has_to_be_named(retrained, tmp_path):
    folder = tmp_path / "several"
    shutil.copytree(retrained[0], folder)
    trials = folder / "tune" / "retraining"
    shutil.copytree(trials / TRIAL, trials / "random_architecture_seed0_b9df2_00001")
    assert invoke(folder, "--output", tmp_path / "one", *FORMATS).exit_code == 0
    shutil.copytree(trials / TRIAL, trials / "given_seed1_b9df2_00002")
    result = invoke(folder, "--output", tmp_path / "out", *FORMATS)
    assert_refused(result, "2 retrainings; name the folder of one", TRIAL, "given_seed1_b9df2_00002")
    named = invoke(trials / "given_seed1_b9df2_00002", "--output", tmp_path / "out", *FORMATS)
    assert named.exit_code == 0, named.output


def test_a_retraining_that_has_not_ended_is_refused(tmp_path):
    report_of(tmp_path / "trial", 1)
    assert_refused(invoke(tmp_path / "trial", "--output", tmp_path / "out"), "epoch 1 of 2", "--resume")


def test_a_child_that_was_retrained_without_running_statistics_is_refused(tmp_path):
    report_of(tmp_path / "trial", 2, space_options={"affine": False})
    result = invoke(tmp_path / "trial", "--output", tmp_path / "out", *FORMATS)
    assert_refused(result, "no running statistics", "recalibrate(child, task)")


def test_a_folder_without_a_child_says_what_it_should_hold(tmp_path):
    assert_refused(invoke(tmp_path, "--output", tmp_path / "out"), "holds no best_child.pt", "ray-asng retrain")


def test_a_damaged_file_is_refused(searched, tmp_path):
    content = (searched / "best_child.pt").read_bytes()
    (tmp_path / "best_child.pt").write_bytes(content[: len(content) // 2])
    assert_refused(invoke(tmp_path, "--output", tmp_path / "out"), "best_child.pt", "truncated or damaged")


def test_an_export_that_is_there_is_neither_mixed_nor_removed_unasked(searched, tmp_path):
    (tmp_path / "child.onnx").write_bytes(b"deployed")
    assert_refused(invoke(searched, "--output", tmp_path, *FORMATS), "child.onnx", "--overwrite", "--output")
    assert [path.name for path in tmp_path.iterdir()] == ["child.onnx"]
    assert invoke(searched, "--output", tmp_path, "--overwrite", *FORMATS).exit_code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"child_weights.pt", "recipe.json"}


def test_without_the_packages_of_onnx_it_is_left_out_unless_it_was_asked_for(searched, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    result = invoke(searched, "--output", tmp_path / "all")
    assert result.exit_code == 0
    assert "onnx          left out: needs onnxruntime; pip install 'ray_asng[export]'" in result.output
    assert not (tmp_path / "all" / "child.onnx").exists()
    result = invoke(searched, "--output", tmp_path / "out", "--format", "onnx")
    assert_refused(result, "'onnx' needs onnxruntime", "pip install 'ray_asng[export]'")
    assert result.output.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--format", "onx"], ["unknown format 'onx'", "did you mean 'onnx'?"]),
        (["--set", "tsk=digits"], ["unknown config key 'tsk'", "did you mean 'task'?"]),
        (["--set", "task=cifar10", "--data-dir", "nowhere"], ["ray-asng prepare cifar10", "nowhere"]),
        (["--set", "task=mine:MyTask"], ["'mine:MyTask' cannot be imported here", "PYTHONPATH"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_bad_options_are_refused_before_anything_is_written(searched, tmp_path, options, words):
    assert_refused(invoke(searched, "--output", tmp_path / "out", *options), *words)
    assert list(tmp_path.iterdir()) == []


def test_a_space_of_the_users_own_is_built_where_its_module_can_be_imported(searched, tmp_path, monkeypatch):
    (tmp_path / "my_networks.py").write_text(
        "from ray_asng.supernets.nasbench201 import NASBench201\n\n\nclass Mine(NASBench201):\n    pass\n"
    )
    best = torch.load(searched / "best_child.pt", weights_only=True)
    best["config"]["search"]["space"] = "my_networks:Mine"
    torch.save(best, tmp_path / "mine.pt")
    assert_refused(
        invoke(tmp_path / "mine.pt", "--output", tmp_path / "out", *FORMATS),
        "'my_networks:Mine' cannot be imported here",
        "ray_asng.export.export(child, example_inputs, folder)",
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert invoke(tmp_path / "mine.pt", "--output", tmp_path / "out", *FORMATS).exit_code == 0
    assert type(rebuild(tmp_path / "out")).__name__ == "Mine"


def test_help_names_what_is_taken_and_what_is_written():
    text = invoke("--help").output
    assert [
        word for word in ("DIR_OR_FILE", "best_child.pt", "--output", "--overwrite", "--format") if word not in text
    ] == []
