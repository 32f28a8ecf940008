"""What Tune is asked for and what is made of it: fractions and whole GPUs, and requests that are refused early."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ray import tune
from undisturbed import SMALL

from ray_asng import ASNGTrainable, SearchTrainable, tasks
from ray_asng.config import SearchConfig
from ray_asng.raytune.allocation import claim_devices
from ray_asng.raytune.retrain_trainable import RetrainTrainable

# Four searches ask for a quarter of the one GPU that this session declares; each waits until all four have begun, so
# they end only if they share it.
PACKED = """
import logging, os, sys, time
from pathlib import Path
import ray
from ray import tune
from ray_asng import SearchTrainable

def packed(folder):
    class Packed(SearchTrainable):
        def setup(self, config):
            name = f"{config['seed']}_{os.environ['CUDA_VISIBLE_DEVICES']}_{ray.get_gpu_ids()}"
            (folder / name).touch()

        def step(self):
            deadline = time.monotonic() + 900
            while len(list(folder.iterdir())) < 4:
                if time.monotonic() > deadline:
                    raise RuntimeError("the others did not begin")
                time.sleep(0.1)
            return {"begun": len(list(folder.iterdir())), "done": True}

        def log_result(self, result):
            pass

        def save_checkpoint(self, checkpoint_dir):
            pass
    return Packed

folder = Path(sys.argv[1])
(folder / "begun").mkdir()
ray.init(include_dashboard=False, num_cpus=4, num_gpus=1, log_to_driver=False, logging_level=logging.ERROR)
config = {"seed": tune.grid_search([0, 1, 2, 3]), "cpus": 1, "gpus": 0.25, "memory_fraction": 0.25}
grid = tune.Tuner(
    packed(folder / "begun"), param_space=config, run_config=tune.RunConfig(storage_path=str(folder), verbose=0)
).fit()
assert not grid.errors, grid.errors
assert [result.metrics["begun"] for result in grid] == [4, 4, 4, 4]
ray.shutdown()
"""


@pytest.mark.ray
@pytest.mark.slow
def test_searches_that_ask_for_a_fraction_of_a_gpu_share_one(tmp_path):
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    command = [sys.executable, "-c", PACKED, str(tmp_path)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert sorted(path.name for path in (tmp_path / "begun").iterdir()) == [f"{seed}_0_[0]" for seed in range(4)]


def test_a_gpu_that_torch_does_not_find_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    config = SearchConfig.from_mapping({"seed": 0})
    with pytest.raises(RuntimeError, match="allocated 1 GPU but torch finds no CUDA device; install a CUDA build"):
        claim_devices(config, tune.PlacementGroupFactory([{"CPU": 1, "GPU": 1}]))


@pytest.mark.gpu
def test_the_devices_are_those_that_were_allocated_each_with_its_limit():
    config = SearchConfig.from_mapping({"seed": 0, "memory_fraction": 0.5})
    (device,) = claim_devices(config, tune.PlacementGroupFactory([{"CPU": 1, "GPU": 0.5}]))
    assert device == torch.device("cuda", 0)
    assert torch.cuda.get_per_process_memory_fraction(device) == 0.5
    claim_devices(SearchConfig.from_mapping({"seed": 0}), tune.PlacementGroupFactory([{"CPU": 1, "GPU": 1}]))
    assert torch.cuda.get_per_process_memory_fraction(device) == 1.0


def test_a_trial_has_a_thread_for_each_of_its_cores():
    threads = torch.get_num_threads()
    try:
        claim_devices(SearchConfig.from_mapping({"seed": 0}), tune.PlacementGroupFactory([{"CPU": 2}]))
        assert torch.get_num_threads() == 2
        claim_devices(SearchConfig.from_mapping({"seed": 0}), None)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)


def test_a_retraining_asks_for_one_gpu_where_its_search_had_several():
    request = RetrainTrainable.default_resource_request({"search": {"seed": 0, "gpus": 2, "cpus": 3}})
    assert request.required_resources == {"CPU": 3, "GPU": 1}


def test_with_resources_a_bad_config_is_refused_all_the_same():
    trainable = tune.with_resources(SearchTrainable, {"cpu": 1})
    assert trainable.default_resource_request({**SMALL, "seed": 0}).required_resources == {"CPU": 1}
    with pytest.raises(ValueError, match="unknown method 'agns'"):
        trainable.default_resource_request({**SMALL, "seed": 0, "method": "agns"})
    asng_only = tune.with_resources(ASNGTrainable, {"cpu": 1})
    with pytest.raises(ValueError, match="use SearchTrainable"):
        asng_only.default_resource_request({**SMALL, "seed": 0, "method": "darts"})


def test_with_resources_and_parameters_the_config_is_checked_as_far_as_it_goes():
    trainable = tune.with_resources(
        tune.with_parameters(SearchTrainable, task=tasks.digits()), lambda config: {"cpu": 1}
    )
    with pytest.raises(ValueError, match="epochs must be"):
        trainable.default_resource_request({**SMALL, "seed": 0, "epochs": 0})


# What is refused before any trial starts: trainable, config -> words of the error.
REFUSED = {
    "GPU 1.5": (SearchTrainable, {"gpus": 1.5}, "gpus must be a fraction below 1 or a whole number, got 1.5"),
    "GPU 1.5 by with_resources": (
        tune.with_resources(SearchTrainable, {"gpu": 1.5}),
        {},
        "gpus must be a fraction below 1 or a whole number, got 1.5",
    ),
    "devices asked for twice": (
        tune.with_resources(SearchTrainable, {"cpu": 2}),
        {"cpus": 1},
        "the config asks for devices .* and so does tune.with_resources",
    ),
    "memory fraction above 1": (
        SearchTrainable,
        {"memory_fraction": 1.2},
        "memory_fraction must be at most 1, got 1.2",
    ),
    "a module": (SearchTrainable, {"space": torch.nn.Linear(2, 2)}, "'space' holds a Linear; .*tune.with_parameters"),
    "an array": (SearchTrainable, {"task_options": {"x": np.ones(3)}}, "'task_options.x' holds a ndarray"),
    "more GPUs than a mixture can use": (SearchTrainable, {"method": "darts", "gpus": 2}, "occupies one GPU"),
}


@pytest.mark.ray
@pytest.mark.parametrize("name", REFUSED)
def test_refused_before_any_trial_starts(ray_session, tmp_path, name):
    trainable, config, words = REFUSED[name]
    tuner = tune.Tuner(
        trainable,
        param_space={**SMALL, "seed": tune.grid_search([0, 1]), **config},
        run_config=tune.RunConfig(storage_path=str(tmp_path), verbose=0),
    )
    with pytest.raises((ValueError, TypeError), match=words):
        tuner.fit()
    assert not list(tmp_path.rglob("result.json"))


@pytest.mark.ray
def test_a_storage_that_cannot_be_written_is_an_error_before_any_trial(ray_session):
    with pytest.raises(OSError, match="/proc/nowhere"):
        tune.Tuner(
            SearchTrainable,
            param_space={**SMALL, "seed": 0},
            run_config=tune.RunConfig(storage_path="/proc/nowhere", verbose=0),
        ).fit()
    assert not Path("/proc/nowhere").exists()
