import json

import numpy as np
import pytest
import torch
from torch import nn

from ray_asng import OneOf, Supernet
from ray_asng.raytune.experiment import Job
from ray_asng.raytune.retrain_trainable import RetrainTrainable
from ray_asng.supernets.autoencoder import CategoricalAutoEncoder
from ray_asng.supernets.cost import count_parameters
from ray_asng.supernets.enas_micro import ENASMicro

SEARCH = {"space": "enas_micro", "space_options": {"width": 2, "cells": 3}, "task": "digits", "seed": 0}
FOUND = Supernet(ENASMicro(width=2, cells=3)).space.sample(np.random.default_rng(0))
CONFIG = {"search": SEARCH, "found": {"architecture": dict(FOUND)}, "seed": 0, "epochs": 1}


def parameters(width, cells=3):
    return count_parameters(Supernet(ENASMicro(width=width, cells=cells, in_channels=1, affine=True)).extract(FOUND))


def test_a_limit_on_parameters_gives_the_widest_network_that_keeps_it():
    trainable = RetrainTrainable({**CONFIG, "parameter_limit": 20_000})
    width = json.loads(trainable._constant["config_json"])["space_options"]["width"]
    assert width > 2
    assert trainable.retraining.parameters == parameters(width) <= 20_000 < parameters(width + 1)


def test_the_limit_holds_for_the_cells_of_the_retraining():
    trainable = RetrainTrainable({**CONFIG, "parameter_limit": 20_000, "space_options": {"cells": 6}})
    width = json.loads(trainable._constant["config_json"])["space_options"]["width"]
    assert trainable.retraining.parameters == parameters(width, cells=6) <= 20_000 < parameters(width + 1, cells=6)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"space_options": {"width": 4}}, "parameter_limit=20000 finds the width.* must not; they are .*'width': 4"),
        ({"parameter_limit": 0}, "parameter_limit must be a whole number from 1, got 0"),
        ({"parameter_limit": 3}, "width 1 has .* parameters already, got limit=3"),
    ],
)
def test_a_limit_that_cannot_be_kept_or_stands_beside_a_width_is_refused(changed, words):
    with pytest.raises(ValueError, match=words):
        RetrainTrainable({**CONFIG, "parameter_limit": 20_000, **changed})


def narrow():
    """A network that has no width to choose."""
    return nn.Sequential(nn.Flatten(), OneOf({"one": nn.Identity(), "other": nn.ReLU()}, name="a"), nn.Linear(64, 10))


def test_a_limit_is_refused_before_a_search_starts_where_the_space_has_no_width(tmp_path):
    job = Job(
        output=tmp_path,
        methods={"asng": 1},
        config={"space": narrow, "task": "digits", "epochs": 1},
        retraining={"epochs": 1, "parameter_limit": 1000},
    )
    with pytest.raises(ValueError, match="the space must have one"):
        job.rehearse()


def test_options_of_the_task_go_over_those_of_the_search():
    trainable = RetrainTrainable({**CONFIG, "task_options": {"size": 16}})
    assert trainable.retraining.task.batch("test", torch.arange(2))[0].shape == (2, 1, 16, 16)
    assert trainable.resolved.task_options == {"size": 16}


RESTORING = {
    "search": {"space": "cae_cat", "space_options": {"width": 4}, "task": "inpainting", "seed": 0},
    "seed": 0,
    "epochs": 1,
}


def test_a_retraining_reports_what_its_task_measures_besides_its_metric():
    search = {**RESTORING["search"], "task_options": {"size": 16, "train_images": 128, "test_images": 300}}
    network = CategoricalAutoEncoder(width=4, in_channels=1, size=16)
    found = {"architecture": dict(network.hand_made())}
    trainable = RetrainTrainable({**RESTORING, "search": search, "found": found})
    report = trainable.train()
    task, child = trainable.retraining.task, trainable.retraining.child.eval()
    inputs, targets = task.batch("test", torch.arange(300))
    with torch.no_grad():
        expected = float(task.test_measures["ssim"](child(inputs), targets))
    assert report["test_ssim"] == pytest.approx(expected, abs=1e-5)
    assert report["test_psnr"] > 0.0
