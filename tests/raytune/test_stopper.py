"""When `SearchStopper` ends a search, and what is said of it."""

import json

import pytest
import torch
from ray import tune
from torch import nn

from ray_asng import OneOf, SearchTrainable, Supernet, registry, tasks
from ray_asng.raytune.stopper import SearchStopper
from ray_asng.results.collect import collect
from ray_asng.search import Search
from ray_asng.settings import SearchSettings
from ray_asng.supernets.input_weights import InputWeights

# So that the mixing methods decide within some seconds.
DARTS_LIKE = ("darts", "darts_2nd", "darts_es", "darts_pt", "pc_darts", "sdarts_rs", "sdarts_adv")
DARTS_LIKE += ("snas", "gdas", "drnas")
OPTIONS = {name: {"learning_rate": 0.3} for name in DARTS_LIKE}
OPTIONS |= {"drnas_progressive": {"learning_rate": 0.3, "partial_channels": [1], "kept": []}}
OPTIONS |= {"gaea": {"learning_rate": 1.0}, "gaea_gdas": {"learning_rate": 0.3, "first_temperature": 1.0}}
UNIFORM = ("random_search", "rsps", "spos", "fairnas")  # whose distribution stands still
OPTIONS |= {name: {"candidates": 2} for name in ("random_search", "rsps")}
OPTIONS |= {name: {"population": 2, "generations": 1, "crossovers": 0, "mutations": 0} for name in ("spos", "fairnas")}

LEARNING = [name for name in registry.methods if name not in UNIFORM]


def planted(good):
    """A function that builds a module in which the option `good` is the best of each decision; local, for Ray."""

    class Noise(nn.Linear):
        """Has weights, and drowns its input."""

        def forward(self, x):
            return super().forward(x) + 5.0 * torch.randn_like(x)

    class Planted(nn.Module):
        def __init__(self):
            super().__init__()
            self.choices = nn.ModuleList(
                OneOf({"bad": Noise(64, 64), "good": good(), "worse": Noise(64, 64)}) for _ in range(3)
            )
            self.node = InputWeights([f"choices.{number}" for number in range(3)], name="node")
            self.head = nn.Linear(64, 10)

        def forward(self, x):
            x = x.flatten(1)
            return self.head(self.node([choice(x) for choice in self.choices]))

    return Planted


@pytest.fixture(autouse=True)
def own_initial_weights():
    """Whether a search converges in time depends on them, and they must not depend on the tests before."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def reports(method, module, epochs=40):
    """The reports of a search until `stopper` would end it, with what it says."""
    supernet = Supernet(module)
    optimizer = registry.methods[method](supernet.space, seed=0, **OPTIONS.get(method, {}))
    settings = SearchSettings(epochs=epochs, steps_per_epoch=10, batch_size=32)
    search = Search(supernet, tasks.digits(), optimizer, settings)
    while not search.is_done:
        yield {**search.run_epoch(), "kind": "search", "ended": ""}


def ended(method, module, stopper):
    for report in reports(method, module):
        if stopper("trial", report):
            return report["ended"], report
    return "", report


@pytest.mark.parametrize(
    "method", [name for name in LEARNING if name != "evolution"]
)  # whose population goes on mutating
def test_a_search_by_any_method_that_learns_ends_once_it_has_converged(method):
    reason, report = ended(method, planted(lambda: nn.Linear(64, 64))(), SearchStopper(patience=3, convergence=0.8))
    assert reason == "converged"
    assert set(json.loads(report["architecture"]).values()) == {"good"}
    assert report["stable_epochs"] >= 3
    assert report["convergence"] >= 0.8 * report["convergence_limit"]
    assert report["epoch"] < 40


@pytest.mark.parametrize("method", LEARNING)
def test_a_search_by_any_method_that_learns_ends_once_it_has_collapsed(method):
    reason, report = ended(method, planted(nn.Identity)(), SearchStopper(patience=3))
    assert reason == "collapsed"
    assert report["parameter_free_share"] == 1.0
    assert report["epoch"] < 40


@pytest.mark.parametrize("method", UNIFORM)
def test_random_search_which_learns_no_distribution_is_never_ended(method):
    assert ended(method, planted(nn.Identity)(), SearchStopper(patience=1, convergence=0.01))[0] == ""


def test_a_collapse_can_be_left_alone():
    stopper = SearchStopper(patience=3, convergence=0.8, collapse=None)
    assert ended("gaea", planted(nn.Identity)(), stopper)[0] == "converged"


def test_a_search_that_wavers_is_not_ended():
    report = {"kind": "search", "ended": "", "convergence": 1.0, "convergence_limit": 1.0, "parameter_free_share": 1.0}
    stopper = SearchStopper(patience=3)
    assert [stopper("trial", {**report, "stable_epochs": stable}) for stable in (0, 2, 3)] == [False, False, True]


def test_the_last_epoch_and_a_retraining_are_left_as_they_are():
    stopper = SearchStopper(patience=1)
    last = {"kind": "search", "ended": "finished", "stable_epochs": 9, "parameter_free_share": 1.0}
    retraining = {"kind": "retraining", "ended": ""}
    assert [stopper("trial", report) for report in (last, retraining)] == [False, False]
    assert (last["ended"], retraining["ended"]) == ("finished", "")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"patience": 0}, "patience must be a whole number from 1, got 0"),
        ({"convergence": 1.5}, "convergence is a share and must be at most 1, got 1.5"),
        ({"collapse": 0.0}, "collapse must be a finite number above 0, got 0.0"),
    ],
)
def test_a_setting_out_of_range_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        SearchStopper(**settings)


@pytest.mark.ray
def test_tune_ends_the_searches_one_by_one_and_the_results_say_why(ray_session, tmp_path):
    config = {
        "space": tune.grid_search([planted(nn.Identity), planted(lambda: nn.Linear(64, 64))]),
        "seed": 0,
        "epochs": 40,
        "steps_per_epoch": 10,
        "batch_size": 32,
    }
    grid = tune.Tuner(
        SearchTrainable,
        param_space=config,
        run_config=tune.RunConfig(
            storage_path=str(tmp_path), verbose=0, stop=SearchStopper(patience=3, convergence=0.8)
        ),
    ).fit()
    assert not grid.errors
    last = {row["trial"]: row for row in collect(tmp_path / grid.experiment_path).to_pylist()}
    assert sorted(row["ended"] for row in last.values()) == ["collapsed", "converged"]
    assert all(row["epoch"] < 40 and row["stable_epochs"] >= 3 for row in last.values())
