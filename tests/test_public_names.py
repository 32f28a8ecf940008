"""The names that users' scripts import: fixed, whatever moves inside the package."""

import configparser
import dataclasses
import inspect
from importlib import import_module, resources
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import ray_asng
from ray_asng import registry, tasks
from ray_asng.config import SearchConfig
from ray_asng.settings import SearchSettings
from ray_asng.space import Architecture, Categorical, Integer, Real, SearchSpace

TOP = (
    *("ASNGTrainable", "SearchTrainable", "ASNGSearch", "SearchStopper"),
    *("OneOf", "Supernet", "SearchSpace", "Categorical", "Integer", "Real", "Architecture"),
    *("registry", "tasks"),
)
OPTIMIZERS = (
    *("ASNG", "SNG", "NaturalAdam", "REINFORCE", "RegularizedEvolution", "RandomSearch", "RSPS", "SPOS", "FairNAS"),
    *("DARTS", "SecondOrderDARTS", "SNAS", "GDAS", "GAEA", "GAEAGDAS", "DrNAS"),
)
CONFIG_KEYS = {
    *("method", "method_options", "space", "space_options", "task", "task_options", "seed", "split_seed", "epochs"),
    *("steps_per_epoch", "batch_size", "weight_optimizer", "lr", "momentum", "weight_decay", "grad_clip"),
    *("warmup_epochs", "samples", "train_fraction", "precision", "memory_format", "deterministic", "gpus", "cpus"),
    *("memory_fraction", "data_dir", "passes_per_epoch", "table", "table_options", "ranked_cells", "label", "setting"),
    *("weight_samples", "schedule", "cost"),
}


@pytest.mark.parametrize("name", TOP)
def test_the_package_offers(name):
    assert getattr(ray_asng, name) is not None
    assert name in dir(ray_asng)
    assert name in ray_asng.__all__


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_optimizers_offer(name):
    module = import_module("ray_asng.optimizers")
    assert inspect.isclass(getattr(module, name, None))
    assert name in dir(module)


def test_everything_that_is_listed_exists():
    assert [name for name in dir(ray_asng) if not hasattr(ray_asng, name)] == []


def test_an_unknown_name_is_an_attribute_error_and_names_it():
    with pytest.raises(AttributeError, match=r"module 'ray_asng' has no attribute 'ASGN'"):
        ray_asng.ASGN  # noqa: B018
    with pytest.raises(ImportError):
        from ray_asng import ASGN  # noqa: F401


def test_search_is_at_its_place():
    from ray_asng.search import Search

    assert {"run_epoch", "state_dict", "load_state_dict"} <= set(dir(Search))


def test_the_registries_map_names_to_builders():
    assert {"asng", "sng", "random_search", "darts", "gaea"} <= set(registry.methods)
    assert "nasbench201" in registry.spaces
    assert {"digits", "cifar10", "cifar100", "images"} <= set(registry.tasks)
    for names in (registry.methods, registry.spaces, registry.tasks):
        assert all(callable(names[name]) and names[name].__doc__ for name in names)


def test_a_task_of_the_name_of_its_module_stays_a_function():
    """`ray_asng.tasks.digits` is also a module, whose import must not take the function's place."""
    import_module("ray_asng.tasks.digits")
    assert inspect.isfunction(tasks.digits)


def test_a_config_has_exactly_the_documented_keys():
    known = {field.name for cls in (SearchConfig, SearchSettings) for field in dataclasses.fields(cls)}
    assert known - {"settings"} == CONFIG_KEYS


def test_asng_is_built_and_updated_as_documented():
    asng_class = registry.methods["asng"]
    parameters = inspect.signature(asng_class).parameters
    documented = {"seed": 0, "initial_step": 1.0, "snr_threshold": 1.5, "samples": 2}
    assert {name: parameters[name].default for name in documented} == documented
    space = SearchSpace([Categorical("a", ("x", "y", "z")), Categorical("b", ("u", "v")), Integer("n", 1, 4)])
    asng = asng_class(space)
    asng.update(options=np.array([[0, 1], [2, 0]]), values=np.array([[2.0], [3.0]]), losses=np.array([1.0, 2.0]))
    assert asng.theta.shape == (2, 3)
    assert asng.theta[1, 2] == 0.0
    assert asng.mean.shape == asng.second_moment.shape == (1,)
    assert asng.s.shape == (2 + 1 + 2,)
    assert isinstance(asng.Delta, float)
    assert isinstance(asng.gamma, float)


def test_a_space_has_the_documented_members():
    space = SearchSpace([Categorical("a", ("x", "y")), Integer("n", 1, 4), Categorical("b", ("u", "v", "w"))])
    drawn = space.sample(np.random.default_rng(0))
    assert isinstance(drawn, Architecture)
    assert (space.names, space.size, len(space)) == (("a", "n", "b"), 24, 3)
    assert SearchSpace([Real("r", 0.1, 1.0, log=True)]).size == float("inf")


def test_a_supernet_runs_paths_and_mixtures_and_gives_the_child():
    choice = ray_asng.OneOf({"wide": nn.Linear(3, 2), "thin": nn.Linear(3, 2, bias=False)}, name="layer")
    supernet = ray_asng.Supernet(nn.Sequential(choice, nn.Tanh()))
    inputs = torch.ones(4, 3)
    architecture = supernet.space.architecture({"layer": "thin"})
    path = supernet(inputs, architecture)
    assert torch.equal(path, supernet(inputs, {"layer": "thin"}))
    assert torch.equal(path, supernet.extract(architecture)(inputs))
    assert supernet(inputs, {"layer": torch.tensor([0.5, 0.5])}).shape == path.shape


def test_type_checkers_of_users_see_the_annotations():
    """PEP 561: the marker stands in the package and is installed with it."""
    assert resources.files("ray_asng").joinpath("py.typed").is_file()
    root = Path(ray_asng.__file__).parents[1]
    if not (root / "setup.cfg").is_file():
        pytest.skip("the package is installed without its sources, so the marker above came with it")
    setup = configparser.ConfigParser()
    setup.read(root / "setup.cfg")
    assert "py.typed" in setup["options.package_data"]["ray_asng"].replace(",", " ").split()
