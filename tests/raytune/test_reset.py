"""An actor that is used again gives what a fresh one gives, whatever it did before."""

import itertools
import weakref

import pytest
import torch
from undisturbed import CHANGING

from ray_asng import SearchTrainable
from ray_asng.raytune.retrain_trainable import RetrainTrainable
from ray_asng.supernets.nasbench201 import NASBench201
from ray_asng.testing.equality import difference

SMALL = {"space_options": {"width": 4, "cells": 1}, "steps_per_epoch": 1, "batch_size": 8, "epochs": 1}
SMALL["train_fraction"] = 0.9  # every epoch ends with a pass over the validation data
CONFIGS = {
    "asng": {"method": "asng", "seed": 0},
    "another seed and rate": {"method": "asng", "seed": 1, "lr": 0.1, "method_options": {"snr_threshold": 2.0}},
    "random search": {"method": "random_search", "seed": 0, "method_options": {"candidates": 2}},
    "darts, adamw": {"method": "darts", "seed": 0, "weight_optimizer": "adamw"},
    "bfloat16, other layout": {"method": "gaea", "seed": 0, "precision": "bfloat16", "memory_format": "contiguous"},
    "deterministic": {"method": "sng", "seed": 0, "deterministic": True},
    "another split": {"method": "asng", "seed": 0, "split_seed": 3, "train_fraction": 0.4, "samples": 3},
    "another width": {"method": "asng", "seed": 0, "space_options": {"width": 6, "cells": 1}},
}
FROM_TUNE = {"time_this_iter_s", "time_total_s", "time_since_restore", "timestamp", "date", "trial_id", "config"}
FROM_TUNE |= {"iterations_since_restore", "training_iteration", "pid"}


def first_epoch(trainable):
    """Metrics of the first epoch, and the weights after it."""
    metrics = {name: value for name, value in trainable.train().items() if name not in CHANGING | FROM_TUNE}
    network = trainable.search.supernet if isinstance(trainable, SearchTrainable) else trainable.retraining.child
    return metrics, {name: value.clone() for name, value in network.state_dict().items()}


def every_ordered_pair(names):
    """A closed walk on which every name follows every other one: an Eulerian circuit of the complete digraph."""
    left = {name: [other for other in names if other != name] for name in names}
    walk, path = [], [names[0]]
    while path:
        if left[path[-1]]:
            path.append(left[path[-1]].pop())
        else:
            walk.append(path.pop())
    return walk[::-1]


def test_the_walk_has_every_pair_once():
    walk = every_ordered_pair(list(CONFIGS))
    assert sorted(itertools.pairwise(walk)) == sorted(itertools.permutations(CONFIGS, 2))


def test_a_search_after_any_other_in_one_process_is_as_in_a_fresh_one():
    configs = {name: {**SMALL, **config} for name, config in CONFIGS.items()}
    fresh = {name: first_epoch(SearchTrainable(config)) for name, config in configs.items()}
    assert len({row["train_loss"] for row, _ in fresh.values()}) > len(fresh) // 2  # they do differ
    walk = every_ordered_pair(list(configs))
    used = SearchTrainable(configs[walk[0]])
    used.train()
    for before, name in itertools.pairwise(walk):
        assert used.reset(configs[name])
        assert not difference(first_epoch(used), fresh[name]), f"{name} after {before}"
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_search_before_is_gone_when_the_next_one_is_built():
    used = SearchTrainable({**SMALL, "seed": 0})
    used.train()
    before = weakref.ref(used.search.supernet)
    seen = []

    def build(classes):
        seen.append(before())
        return NASBench201(width=4, cells=1, classes=classes, in_channels=1)

    assert used.reset({**SMALL, "space": build, "space_options": {}, "seed": 1})
    assert seen == [None]


def test_a_refused_config_leaves_an_actor_that_can_be_used_again():
    used = SearchTrainable({**SMALL, "seed": 0})
    with pytest.raises(ValueError, match="lr must be"):
        used.reset({**SMALL, "seed": 0, "lr": -1.0})
    assert used.reset({**SMALL, "seed": 1})
    assert not difference(first_epoch(used), first_epoch(SearchTrainable({**SMALL, "seed": 1})))


def test_a_retraining_after_another_in_one_process_is_as_in_a_fresh_one():
    names = [f"edge_{source}_{target}" for target in (1, 2, 3) for source in range(target)]
    common = {"search": {**SMALL, "seed": 0, "task_options": {}}, "epochs": 1, "batch_size": 512}
    configs = [
        {**common, "seed": 0, "found": {"architecture": dict.fromkeys(names, "nor_conv_3x3")}},
        {**common, "seed": 1, "found": {"architecture": dict.fromkeys(names, "skip_connect")}, "ema": 0.5},
    ]
    fresh = [first_epoch(RetrainTrainable(config)) for config in configs]
    used = RetrainTrainable(configs[0])
    for index in (1, 0):
        used.train()
        assert used.reset(configs[index])
        assert not difference(first_epoch(used), fresh[index])
