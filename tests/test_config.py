"""Configs: what is refused, with which words, before any training."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from ray_asng import OneOf, registry, tasks
from ray_asng.config import SearchConfig


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"method": "asgn"}, "unknown method 'asgn'; did you mean 'asng'"),
        ({"space": "nasbench-201"}, "unknown space .* did you mean 'nasbench201'"),
        ({"task": "digit"}, "unknown task 'digit'; did you mean 'digits'"),
        ({"epoch": 3}, "unknown config key 'epoch'; did you mean 'epochs'"),
        ({"method_options": {"initial_stp": 1}}, "unknown option 'initial_stp' in method_options; did you mean"),
        ({"space_options": {"widht": 8}}, "unknown option 'widht' in space_options; did you mean 'width'"),
        ({"task_options": {"sise": 8}}, "unknown option 'sise' in task_options"),
        ({"lr": -1.0}, "lr must be a finite number above 0, got -1.0"),
        ({"epochs": 0}, "epochs must be a whole number from 1, got 0"),
        ({"warmup_epochs": 99}, "warmup_epochs must be from 0 to epochs=50, got 99"),
        ({"precision": "float16"}, "unknown precision 'float16'; did you mean 'bfloat16'"),
        ({"gpus": 1.5}, "gpus must be a fraction below 1 or a whole number, got 1.5"),
        ({"memory_fraction": 1.2}, "memory_fraction must be at most 1, got 1.2"),
        ({"train_fraction": 1.0}, "train_fraction must be a finite number above 0 and below 1, got 1.0"),
        ({"train_fraction": "a"}, "train_fraction must be a finite number"),
        ({"momentum": 1.5}, "momentum must be a finite number from 0 and below 1, got 1.5"),
        ({"epochs": True}, "epochs must be a whole number from 1, got True"),
        ({"warmup_epochs": "a"}, "warmup_epochs must be a whole number from 0, got 'a'"),
        ({"cpus": 0}, "cpus must be a finite number above 0, got 0"),
        ({"method_options": None}, "method_options must be a dict"),
        ({7: 1}, "unknown config key 7"),
        ({"seed": -1}, "seed must be a whole number from 0, got -1"),
        ({"weight_optimizer": "sdg"}, "unknown weight_optimizer 'sdg'; did you mean 'sgd'"),
    ],
)
def test_bad_values_are_named_with_the_remedy(config, message):
    with pytest.raises(ValueError, match=message):
        SearchConfig.from_mapping({"seed": 0, **config})


def test_a_missing_seed_is_named():
    with pytest.raises(ValueError, match='needs a "seed"'):
        SearchConfig.from_mapping({"method": "asng"})


@pytest.mark.parametrize("value", [nn.Linear(2, 2), np.zeros(3), torch.zeros(3)])
def test_objects_in_a_config_are_refused_with_a_pointer_to_with_parameters(value):
    for config in ({"space": value}, {"task_options": {"data": value}}, {"task_options": {"data": [value]}}):
        with pytest.raises(TypeError, match=r"tune\.with_parameters"):
            SearchConfig.from_mapping({"seed": 0, **config})


def test_tunes_own_keys_are_ignored():
    assert SearchConfig.from_mapping({"seed": 3, "__trial_index__": 7}).seed == 3


def own_space(classes, hidden=4):
    return nn.Sequential(
        nn.Flatten(), OneOf({"a": nn.Linear(64, hidden), "b": nn.Linear(64, hidden)}), nn.Linear(hidden, classes)
    )


def test_classes_and_functions_stand_for_names():
    config = SearchConfig.from_mapping(
        {"seed": 0, "space": own_space, "space_options": {"hidden": 5}, "method": registry.methods["sng"], "epochs": 1}
    )
    search = config.build_search()
    assert search.space.names == ("1",)
    words = json.loads(config.to_json())
    assert words["space"].endswith("test_config:own_space")
    assert words["method"] == "ray_asng.optimizers.sng:SNG"


def test_objects_come_beside_the_config():
    task, module = tasks.digits(), own_space(10)
    with pytest.raises(TypeError, match=r"tune\.with_parameters\(SearchTrainable, task="):
        SearchConfig.from_mapping({"seed": 0, "task": task})
    config = SearchConfig.from_mapping({"seed": 0}, {"task": task, "space": module})
    search = config.build_search()
    assert search.task.name == "digits"
    assert search.supernet.module is not module
    assert torch.equal(search.supernet.module[1].candidates[0].weight, module[1].candidates[0].weight)


@pytest.mark.parametrize("asked", [{"split_seed": 3}, {"train_fraction": 0.3}, {"task_options": {"size": 8}}])
def test_what_a_built_task_cannot_be_told_any_more_is_refused(asked):
    with pytest.raises(ValueError, match="cannot be told"):
        SearchConfig.from_mapping({"seed": 0, **asked}, {"task": tasks.digits()})


def test_numbers_of_numpy_are_numbers():
    config = SearchConfig.from_mapping({"seed": np.int64(3), "epochs": np.int64(2), "lr": np.float64(0.1)})
    assert json.loads(config.to_json())["seed"] == 3


def test_a_builder_of_something_else_is_refused():
    config = SearchConfig.from_mapping({"seed": 0, "space": lambda: 3})
    with pytest.raises(TypeError, match=r"must build an nn\.Module, got <class 'int'>"):
        config.build_search()


def test_one_seed_builds_equal_weights_and_the_split_does_not_depend_on_it():
    one, same, other = (SearchConfig.from_mapping({"seed": seed}).build_search() for seed in (0, 0, 1))
    weights = [next(search.supernet.parameters()) for search in (one, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    batches = [search.task.batch("train", torch.arange(5))[0] for search in (one, other)]
    assert torch.equal(*batches)


def test_a_registered_name_cannot_be_taken_twice():
    with pytest.raises(ValueError, match="registered already"):
        registry.tasks["digits"] = tasks.digits


@pytest.mark.parametrize("space", ["enas_micro", "darts"])
def test_a_search_with_an_auxiliary_head_is_refused_with_where_it_belongs(space):
    options = {"width": 2, "cells": 3, "auxiliary": True}
    config = SearchConfig.from_mapping({"seed": 0, "space": space, "space_options": options})
    with pytest.raises(ValueError, match="leave auxiliary out of the search's space_options"):
        config.build_search()
