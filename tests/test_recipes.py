import pytest

from ray_asng import recipes
from ray_asng.config import SearchConfig
from ray_asng.job_options import job_fields
from ray_asng.recipes import RECIPES

NOTHING_TYPED = {
    "methods": (),
    "seeds": None,
    "space": None,
    "task": None,
    "settings": (),
    "retrain_epochs": None,
    "retrain_settings": (),
    "random_architectures": 1,
    "hand_made": 1,
    "data_dir": None,
    "max_concurrent": None,
    "smoke": False,
}


def fields(recipe, **typed):
    return job_fields(**{**NOTHING_TYPED, "recipe_name": recipe, **typed})


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_a_plain_function_that_returns_the_checked_config_of_a_search(name):
    build = getattr(recipes, name)
    assert build() == build()
    assert SearchConfig.from_mapping({**build(), "seed": 0}).method == build()["method"]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_says_what_it_is_what_it_costs_and_what_it_aims_at(name):
    recipe = RECIPES[name]
    assert recipe.about.endswith(".")
    assert recipe.cost
    assert recipe.aim


def test_every_published_experiment_has_a_form_for_a_laptop():
    published = [name.removeprefix("paper_") for name in RECIPES if not name.startswith("laptop_")]
    assert {f"laptop_{name}" for name in published} == {name for name in RECIPES if name.startswith("laptop_")}


def test_what_is_typed_goes_over_a_recipe():
    given = fields("laptop_cifar10", task="digits", epochs=3, settings=("lr=0.5",), retrain_settings=("lr=0.7",))
    own = recipes.laptop_cifar10()
    assert given["methods"] == {"asng": 3}
    assert given["config"] == {
        **{key: own[key] for key in own if key != "method"},
        "task": "digits",
        "epochs": 3,
        "lr": 0.5,
    }
    assert given["retraining"]["lr"] == 0.7
    assert given["retraining"]["epochs"] == RECIPES["laptop_cifar10"].retraining["epochs"]


def test_methods_and_seeds_of_a_recipe_can_be_typed():
    assert fields("laptop_cifar10", seeds=5)["methods"] == {"asng": 5}
    assert fields("laptop_cifar10", methods=("sng:2", "rsps"), seeds=3)["methods"] == {"sng": 2, "rsps": 3}


def test_a_recipe_is_not_changed_by_what_is_typed():
    fields("laptop_cifar10", retrain_epochs=0, epochs=1, settings=("space_options={}",))
    assert fields("laptop_cifar10")["retraining"]["epochs"] == RECIPES["laptop_cifar10"].retraining["epochs"] > 0
    assert fields("laptop_cifar10")["config"]["epochs"] > 1


def test_an_unknown_recipe_is_refused_with_the_nearest_one():
    with pytest.raises(ValueError, match="unknown recipe 'laptop_cifar'; did you mean 'laptop_cifar10'"):
        fields("laptop_cifar")
