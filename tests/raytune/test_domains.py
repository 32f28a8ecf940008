"""Every domain of Tune: values of it, exactly those, and back."""

import numpy as np
import pytest
from ray import tune

from ray_asng import Categorical, Integer, Real, SearchSpace
from ray_asng.raytune.domains import ParamSpace, to_param_space

THING = object()

# Domain, the least and the greatest value that may come, and all values where they are few.
DOMAINS = {
    "uniform": (tune.uniform(-2.0, 3.0), -2.0, 3.0, None),
    "loguniform": (tune.loguniform(1e-4, 1.0), 1e-4, 1.0, None),
    "quniform": (tune.quniform(0.0, 0.6, 0.2), 0.0, 0.6, [0.0, 0.2, 0.4, 0.6]),
    "qloguniform": (tune.qloguniform(0.5, 2.0, 0.5), 0.5, 2.0, [0.5, 1.0, 1.5, 2.0]),
    "randint": (tune.randint(2, 5), 2, 4, [2, 3, 4]),
    "qrandint": (tune.qrandint(2, 9, 3), 3, 9, [3, 6, 9]),
    "qrandint of 1": (tune.qrandint(2, 5, 1), 2, 4, [2, 3, 4]),
    "lograndint": (tune.lograndint(1, 5), 1, 4, [1, 2, 3, 4]),
    "qlograndint": (tune.qlograndint(8, 32, 8), 8, 32, [8, 16, 24, 32]),
    "randn": (tune.randn(10.0, 2.0), 3.0, 17.0, None),
    "qrandn": (tune.qrandn(0.0, 1.0, 0.5), -3.5, 3.5, None),
    "one integer": (tune.randint(3, 4), 3, 3, [3]),
}


def values(domain, count=400):
    space = ParamSpace.read({"p": domain})
    rng = np.random.default_rng(0)
    return [space.config(space.space.sample(rng))["p"] for _ in range(count)]


@pytest.mark.parametrize(("domain", "least", "greatest", "all_values"), DOMAINS.values(), ids=DOMAINS)
def test_values_are_those_of_the_domain_and_all_of_them(domain, least, greatest, all_values):
    found = values(domain)
    assert least <= min(found) <= max(found) <= greatest
    if all_values is not None:
        assert sorted(set(found)) == all_values
    is_integer = isinstance(domain, tune.search.sample.Integer)
    assert {type(value) for value in found} == {int if is_integer else float}


@pytest.mark.parametrize(("domain", "least", "greatest", "all_values"), DOMAINS.values(), ids=DOMAINS)
def test_a_config_is_read_back_as_what_was_decided(domain, least, greatest, all_values):
    space = ParamSpace.read({"p": domain})
    for value in values(domain, 50):
        assert space.config(space.architecture({"p": value}))["p"] == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize("name", ["loguniform", "qloguniform", "lograndint"])
def test_logarithmic_domains_are_searched_in_the_logarithm(name):
    assert ParamSpace.read({"p": DOMAINS[name][0]}).space["p"].log


def test_bounds_that_are_no_multiples_of_the_step_are_drawn_in():
    assert sorted(set(values(tune.qrandint(1, 10, 4)))) == [4, 8]


def test_options_are_given_as_they_are():
    options = ["a", ("b", [1]), [1, (2,)], None, 1, 1.0, True, THING, {"k": 1}]
    space = ParamSpace.read({"p": tune.choice(options)})
    decided = [space.architecture({"p": option}) for option in options]
    given = [space.config(architecture)["p"] for architecture in decided]
    assert all(one is other for one, other in zip(given, options, strict=True))


def test_nested_parameters_and_those_in_lists_are_put_where_they_belong():
    param_space = {
        "a": {"b": {"c": tune.choice([1])}, "constant": 5},
        "list": [7, tune.choice(["x"]), {"d": tune.choice(["y"])}],
        "tuple": (1, 2),
    }
    space = ParamSpace.read(param_space)
    (only,) = {space.space.sample(np.random.default_rng(seed)) for seed in range(3)}
    assert space.config(only) == {"a": {"b": {"c": 1}}, "list": [7, "x", {"d": "y"}]}
    assert space.space.names == ("a/b/c", "list/1", "list/2/d")


def test_a_space_of_constants_has_nothing_to_search():
    assert ParamSpace.read({"a": 1, "b": {"c": "d"}, "e": ("__ref_ph", "0123"), "f": [1, 2]}) is None


def test_the_state_of_a_space_makes_it_again():
    space = ParamSpace.read(
        {"p": {name: domain for name, (domain, *_) in DOMAINS.items()}, "l": [tune.choice([THING])]}
    )
    again = ParamSpace.from_state(space.state())
    architecture = space.space.sample(np.random.default_rng(0))
    assert again.config(architecture) == space.config(architecture)
    assert again.space.decisions == space.space.decisions


def test_a_search_space_becomes_a_param_space_and_back():
    space = SearchSpace(
        [
            Categorical("op", ("a", "b")),
            Integer("width", 2, 9),
            Integer("kernel", 1, 7, step=2),
            Real("lr", 1e-3, 1, log=True),
        ]
    )
    read = ParamSpace.read(to_param_space(space))
    rng = np.random.default_rng(0)
    for _ in range(50):
        architecture = space.sample(rng)
        assert read.config(read.architecture(architecture)) == pytest.approx(dict(architecture))


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        (tune.grid_search([1, 2]), r"'x/p' is a grid_search.*use\s+tune.choice"),
        (tune.sample_from(lambda config: 1), "'x/p' is .* draws as it likes and cannot be searched; use tune.choice"),
        (tune.choice([]), "'x/p' is a choice among nothing"),
        (tune.qrandint(4, 5, 3), "'x/p' has no multiple of 3.0 between 4 and 5"),
    ],
)
def test_what_cannot_be_searched_is_refused_by_name_with_the_remedy(domain, message):
    with pytest.raises(ValueError, match=message):
        ParamSpace.read({"x": {"p": domain}})


@pytest.mark.parametrize("value", [True, "a", None, float("nan"), 4.0])
def test_a_value_outside_a_domain_is_refused_by_name(value):
    with pytest.raises(ValueError, match="parameter 'p' takes a"):
        ParamSpace.read({"p": tune.uniform(0.0, 3.0)}).architecture({"p": value})


def test_a_config_without_a_parameter_is_refused_by_name():
    with pytest.raises(ValueError, match="'a/p' is missing"):
        ParamSpace.read({"a": {"p": tune.uniform(0.0, 3.0)}}).architecture({"a": {}})
