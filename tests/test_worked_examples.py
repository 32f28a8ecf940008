"""The networks of the worked examples: what is extracted from them, and how large it is.

That the scripts run is tested in `test_examples`; how well they search is measured by `benchmarks/worked_examples.py`.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ray_asng import Integer, OneOf, Real, Supernet
from ray_asng.supernets.elastic import Elastic
from ray_asng.supernets.value_choice import Choice

EXAMPLES = ("tabular_network", "character_transformer", "sequence_network", "regression")


def load(name):
    path = Path(__file__).parents[1] / "examples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module", params=EXAMPLES)
def example(request):
    module = load(request.param)
    torch.manual_seed(0)
    supernet = Supernet(module.CONFIG["space"]())
    inputs, _ = module.CONFIG["task"]().batch("train", torch.arange(8))
    return request.param, supernet, inputs


@pytest.mark.parametrize("training", [True, False])
def test_the_child_equals_the_path_for_50_architectures(example, training):
    _, supernet, inputs = example
    supernet.train(training)
    rng = np.random.default_rng(0)
    for _ in range(50):
        architecture = supernet.space.sample(rng)
        child = supernet.extract(architecture)
        torch.manual_seed(1)
        expected = supernet(inputs, architecture)
        torch.manual_seed(1)
        torch.testing.assert_close(child(inputs), expected, rtol=0.0, atol=1e-6)


def test_the_child_holds_no_choice(example):
    _, supernet, _ = example
    child = supernet.extract(supernet.space.sample(np.random.default_rng(0)))
    assert not [part for part in child.modules() if isinstance(part, (OneOf, Elastic))]
    assert not [value for part in child.modules() for value in vars(part).values() if isinstance(value, Choice)]


def tabular_network(found):
    width = found["width"]
    norm = {"batch": lambda: nn.BatchNorm1d(width), "layer": lambda: nn.LayerNorm(width), "none": nn.Identity}
    layers = [nn.Linear(30, width), nn.Linear(width, 2)]
    for place in range(found["depth"]):
        hidden = found[f"hidden_{place}"]
        layers += [norm[found["norm"]](), nn.Linear(width, hidden), nn.Linear(hidden, width)]
    return layers


def character_transformer(found):
    width = found["width"]
    layers = [nn.Embedding(128, width), nn.Embedding(64, width), nn.LayerNorm(width), nn.Linear(width, 128)]
    for place in range(found["depth"]):
        hidden = found[f"hidden_{place}"]
        layers += [nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)]
        layers += [nn.LayerNorm(width), nn.Linear(width, hidden), nn.Linear(hidden, width)]
    return layers


def sequence_network(found):
    width = found["width"]
    layers = [nn.Linear(width, 3)]
    for place in range(found["depth"]):
        kernel = int(found[f"kernel_{place}"])
        layers += [nn.Conv1d(width if place else 1, width, kernel), nn.BatchNorm1d(width)]
    return layers


def regression(found):
    width = found["width"]
    return [nn.Linear(10, 1), nn.Linear(10, width), nn.Linear(10, width), nn.Linear(width, 1)]


def count(layers):
    return sum(parameter.numel() for layer in layers for parameter in layer.parameters())


def test_the_child_has_the_parameters_of_a_network_built_by_hand(example):
    name, supernet, _ = example
    by_hand = globals()[name]
    rng = np.random.default_rng(1)
    for _ in range(10):
        found = supernet.space.sample(rng)
        assert count([supernet.extract(found)]) == count(by_hand(found))


def test_the_space_mixes_kinds_of_decisions(example):
    _, supernet, _ = example
    assert any(isinstance(decision, Integer) for decision in supernet.space.decisions)
    assert supernet.space.categorical
    assert sum(isinstance(decision, Real) for decision in supernet.space.decisions) <= 1
