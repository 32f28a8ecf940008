"""`SearchTrainable` as an object: checkpoints, reset, resources, errors. No Ray session is needed for these."""

import json
import math

import pytest
import torch
from ray import tune

from ray_asng import ASNGTrainable, SearchTrainable, registry, tasks
from ray_asng.checkpoints import read_reports
from ray_asng.raytune.state_file import load_state, save_state
from ray_asng.search import STATE_FORMAT

SMALL = {"space_options": {"width": 4, "cells": 1}, "steps_per_epoch": 3, "batch_size": 16, "epochs": 4, "seed": 0}
TIMES = {"samples_per_second", "wall_seconds", "device_seconds", "peak_memory_bytes"}
FROM_TUNE = {"time_this_iter_s", "time_total_s", "time_since_restore", "timestamp", "date", "trial_id", "pid"}
FROM_TUNE |= {"iterations_since_restore", "training_iteration", "hostname", "node_ip", "config"}
FEW = {name: {"candidates": 2} for name in ("random_search", "rsps")}
FEW |= {name: {"population": 2, "generations": 1, "crossovers": 0, "mutations": 0} for name in ("spos", "fairnas")}
# What a method asks of the network.
NETWORKS = {"pc_darts": {"edge_weights": True, "partial_channels": 2}, "drnas_progressive": {"partial_channels": 4}}


def small(method):
    """The config of a small search by a method."""
    space_options = {**SMALL["space_options"], **NETWORKS.get(method, {})}
    return {**SMALL, "method": method, "method_options": FEW.get(method, {}), "space_options": space_options}


def rows(trainable, epochs):
    reports = [trainable.train() for _ in range(epochs)]
    return [{k: v for k, v in row.items() if k not in TIMES | FROM_TUNE} for row in reports]


def test_results_are_plain_finite_and_have_the_same_keys():
    reports = rows(SearchTrainable(SMALL), 4)
    assert all(row.keys() == reports[0].keys() for row in reports)
    assert json.loads(json.dumps(reports, allow_nan=False)) == reports
    assert [row["done"] for row in reports] == [False, False, False, True]


@pytest.mark.parametrize("method", ["asng", "darts"])
def test_a_trial_restored_from_its_checkpoint_goes_on_bit_for_bit(method, tmp_path):
    config = {**SMALL, "method": method}
    straight, stopped = SearchTrainable(config), SearchTrainable(config)
    expected = rows(straight, 4)
    rows(stopped, 2)
    stopped.save(str(tmp_path / "checkpoint"))
    resumed = SearchTrainable(config)
    resumed.restore(str(tmp_path / "checkpoint"))
    assert rows(resumed, 2) == expected[2:]
    weights = zip(straight.search.parameters, resumed.search.parameters, strict=True)
    assert all(torch.equal(one, other) for one, other in weights)


def test_a_checkpoint_is_two_files_of_fixed_names_that_load_without_running_code(tmp_path):
    trainable = SearchTrainable(SMALL)
    trainable.train()
    trainable.save_checkpoint(str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reports.jsonl.gz", "search.pt"]
    assert load_state(tmp_path / "search.pt")["format"] == STATE_FORMAT
    assert [report["epoch"] for report in read_reports(tmp_path)] == [1]


@pytest.mark.parametrize(
    ("method", "weight_optimizer", "moments"),
    [*((method, "sgd", 1) for method in registry.methods), ("asng", "adamw", 2), ("drnas", "adamw", 2)],
)
def test_the_state_in_a_checkpoint_does_not_grow_and_keeps_to_its_bound(tmp_path, method, weight_optimizer, moments):
    """Weights and their moments in 4 bytes each, 4 bytes an example, 2 KiB a tensor, and 64 KiB."""
    config = {**small(method), "steps_per_epoch": 8, "train_fraction": 0.9, "weight_optimizer": weight_optimizer}
    trainable = SearchTrainable(config)
    sizes = []
    for _ in range(4):
        trainable.train()
        trainable.save_checkpoint(str(tmp_path))
        sizes.append((tmp_path / "search.pt").stat().st_size)
    search = trainable.search
    weights = sum(parameter.numel() for parameter in search.parameters)
    examples = search.task.size("train") + search.task.size("valid")
    bound = 4 * weights * (1 + moments) + 4 * examples + 2048 * len(search.parameters) + 2**16
    assert max(sizes) <= bound
    assert sizes[-1] <= sizes[1] + 4 * weights * moments  # AdamW keeps nothing of weights that no path has used yet


@pytest.mark.parametrize("method", list(registry.methods))
def test_the_reports_in_a_checkpoint_keep_to_their_bound(tmp_path, method):
    """2 KiB and 8 bytes for each option an epoch."""
    trainable = SearchTrainable({**small(method), "epochs": 4})
    num_options = sum(len(decision.options) for decision in trainable.search.space.categorical)
    for epoch in range(1, 5):
        trainable.train()
        trainable.save_checkpoint(str(tmp_path))
        assert (tmp_path / "reports.jsonl.gz").stat().st_size <= epoch * (2048 + 8 * num_options)


def test_a_folder_without_a_checkpoint_is_refused_with_what_it_holds(tmp_path):
    (tmp_path / "other.txt").touch()
    with pytest.raises(FileNotFoundError, match=r"expected the checkpoint file search\.pt .* found \['other\.txt'\]"):
        SearchTrainable(SMALL).load_checkpoint(str(tmp_path))


def test_reset_config_gives_what_a_fresh_trial_gives():
    used = SearchTrainable({**SMALL, "method": "darts", "seed": 3})
    rows(used, 2)
    for config in (SMALL, {**SMALL, "method": "gaea", "seed": 7}, {**SMALL, "space_options": {"width": 6, "cells": 1}}):
        assert used.reset_config(config) is True
        assert rows(used, 2) == rows(SearchTrainable(config), 2)


def test_the_receiving_trial_keeps_its_config_when_it_takes_over_a_checkpoint(tmp_path):
    donor = SearchTrainable({**SMALL, "lr": 0.1})
    donor.train()
    donor.save_checkpoint(str(tmp_path))
    receiver = SearchTrainable({**SMALL, "lr": 0.2})
    receiver.load_checkpoint(str(tmp_path))
    factor = 0.5 * (1 + math.cos(math.pi * 5 / 12))
    assert receiver.train()["learning_rate"] == pytest.approx(0.2 * factor)


def test_a_checkpoint_of_another_split_is_refused(tmp_path):
    SearchTrainable(SMALL).save_checkpoint(str(tmp_path))
    with pytest.raises(ValueError, match="split_seed=0, this trial has split_seed=1: examples it has trained on"):
        SearchTrainable({**SMALL, "split_seed": 1}).load_checkpoint(str(tmp_path))


def test_a_checkpoint_of_an_older_format_is_refused_with_the_remedy(tmp_path):
    save_state({"format": 1}, tmp_path / "search.pt")
    with pytest.raises(ValueError, match="has format 1, this version reads 3; go on with the version of ray_asng that"):
        SearchTrainable(SMALL).load_checkpoint(str(tmp_path))


def test_without_devices_in_the_config_tune_decides():
    assert SearchTrainable.default_resource_request(SMALL) is None
    request = SearchTrainable.default_resource_request({**SMALL, "cpus": 2, "gpus": 0.25})
    assert request.required_resources == {"CPU": 2, "GPU": 0.25}


def test_a_bad_config_is_refused_where_tune_asks_for_resources():
    with pytest.raises(ValueError, match="did you mean 'epochs'"):
        SearchTrainable.default_resource_request({**SMALL, "epoch": 3})


def test_asng_trainable_runs_asng_only():
    assert rows(ASNGTrainable(SMALL), 1) == rows(SearchTrainable(SMALL), 1)
    with pytest.raises(ValueError, match="use SearchTrainable"):
        ASNGTrainable({**SMALL, "method": "darts"})


def test_the_config_is_reported_as_it_was_resolved():
    row = SearchTrainable(SMALL).train()
    config = json.loads(row["config_json"])
    assert (config["method"], config["lr"], config["epochs"]) == ("asng", 0.025, 4)
    assert row["architecture_text"].startswith("|")
    assert json.loads(row["decisions"])[0]["name"] == "edge_0_1"


@pytest.mark.ray
def test_an_object_comes_by_with_parameters(ray_session, tmp_path):
    trainable = tune.with_parameters(SearchTrainable, task=tasks.digits(train_fraction=0.25))
    grid = tune.Tuner(
        trainable, param_space={**SMALL, "epochs": 1}, run_config=tune.RunConfig(storage_path=str(tmp_path), verbose=0)
    ).fit()
    assert not grid.errors
    assert grid[0].metrics["epoch"] == 1
