"""Running a supernet: paths, mixtures, straight-through, nested choices, kinds of input, and errors."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from ray_asng import Architecture, Categorical, OneOf, SearchSpace, Supernet
from ray_asng.supernets.ways import StraightThrough


class Counted(nn.Module):
    """Multiplies by a weight and counts how often it ran."""

    def __init__(self, factor):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(float(factor)))
        self.runs = 0

    def forward(self, inputs):
        self.runs += 1
        return self.weight * inputs


def counted_choice(*factors, name=None):
    return OneOf({f"times {factor}": Counted(factor) for factor in factors}, name=name)


def runs_of(choice):
    return [candidate.runs for candidate in choice.candidates]


X = torch.tensor([1.0, -2.0])


# Paths


def test_a_path_runs_the_chosen_operations_only():
    first, second = counted_choice(2, 3, 5, name="a"), counted_choice(7, 11, name="b")
    supernet = Supernet(nn.Sequential(first, second))
    assert torch.equal(supernet(X, {"a": "times 3", "b": "times 11"}), 33 * X)
    assert runs_of(first) == [0, 1, 0]
    assert runs_of(second) == [0, 1]


def test_an_architecture_of_the_space_is_a_path():
    supernet = Supernet(nn.Sequential(counted_choice(2, 3), counted_choice(5, 7)))
    architecture = supernet.space.architecture({"1": "times 7", "0": "times 2"})
    assert isinstance(architecture, Architecture)
    assert torch.equal(supernet(X, architecture), 14 * X)


def test_the_weights_of_other_paths_get_no_gradient():
    choice = counted_choice(2, 3)
    Supernet(nn.Sequential(choice))(X, {"0": "times 3"}).sum().backward()
    assert choice.candidates[0].weight.grad is None
    assert choice.candidates[1].weight.grad == X.sum()


def test_a_choice_without_a_name_is_called_by_its_path():
    module = nn.ModuleDict({"stem": counted_choice(1, 2), "head": nn.Sequential(counted_choice(1, 2))})
    assert Supernet(module).space.names == ("stem", "head.0")


def test_choices_of_one_name_are_one_decision_with_separate_weights():
    supernet = Supernet(nn.Sequential(counted_choice(2, 3, name="a"), counted_choice(2, 3, name="a")))
    assert supernet.space.size == 2
    assert torch.equal(supernet(X, {"a": "times 3"}), 9 * X)
    assert sum(1 for _ in supernet.parameters()) == 4


def test_option_names_are_free_text():
    supernet = Supernet(nn.Sequential(OneOf({"3×3, wide. (new)": nn.Identity(), "": Counted(2)}, name="a b.c")))
    assert torch.equal(supernet(X, {"a b.c": "3×3, wide. (new)"}), X)
    assert torch.equal(supernet(X, {"a b.c": ""}), 2 * X)


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.choice = OneOf({"sum": nn.Identity(), "double": Counted(2)}, name="a")

    def forward(self, left, right):
        return self.choice(left) - right


@pytest.mark.parametrize("inputs", [(X, torch.ones(2)), {"right": torch.ones(2), "left": X}])
def test_tuples_and_dicts_are_spread_over_the_arguments(inputs):
    assert torch.equal(Supernet(TwoInputs())(inputs, {"a": "double"}), 2 * X - 1)


class Add(nn.Module):
    def forward(self, left, right):
        return left + right


class First(nn.Module):
    def forward(self, left, right):
        return left


class Joined(nn.Module):
    def __init__(self):
        super().__init__()
        self.join = OneOf({"add": Add(), "first": First()})

    def forward(self, inputs):
        return self.join(inputs, 10 * inputs)


def test_an_operation_may_take_several_inputs():
    supernet = Supernet(Joined())
    assert torch.equal(supernet(X, {"join": "add"}), 11 * X)
    assert torch.equal(supernet(X, {"join": "first"}), X)
    assert torch.equal(supernet(X, {"join": torch.tensor([0.5, 0.5])}), 6 * X)


def test_the_last_selection_stands_until_the_next():
    module = nn.Sequential(counted_choice(2, 3))
    supernet = Supernet(module)
    supernet.select({"0": "times 3"})
    assert torch.equal(module(X), 3 * X)
    supernet(X, {"0": "times 2"})
    assert torch.equal(module(X), 2 * X)


# Mixtures


def test_a_mixture_is_the_weighted_sum_of_all_operations():
    supernet = Supernet(nn.Sequential(counted_choice(2, 3, 5, name="a"), counted_choice(7, 11, name="b")))
    weights = {"a": torch.tensor([0.2, 0.3, 0.5]), "b": torch.tensor([0.4, 0.6])}
    torch.testing.assert_close(supernet(X, weights), (0.4 + 0.9 + 2.5) * (2.8 + 6.6) * X)


def test_the_gradient_of_a_mixture_reaches_every_mixing_weight():
    supernet = Supernet(nn.Sequential(counted_choice(2, 3, 5, name="a")))
    weights = torch.tensor([0.2, 0.0, 0.8], requires_grad=True)
    supernet(X, {"a": weights}).sum().backward()
    assert torch.equal(weights.grad, torch.tensor([2.0, 3.0, 5.0]) * X.sum())


def test_an_operation_whose_weight_is_a_constant_zero_does_not_run():
    choices = [counted_choice(2, 3, 5, name=name) for name in "abc"]
    supernet = Supernet(nn.Sequential(*choices))
    weights = {
        "a": torch.tensor([0.0, 0.5, 0.5]),
        "b": torch.tensor([0.0, 1.0, 0.0], requires_grad=True),
        "c": torch.tensor([0.0, 0.0, 2.0]),
    }
    torch.testing.assert_close(supernet(X, weights), 4 * 3 * 10 * X)
    assert [runs_of(choice) for choice in choices] == [[0, 1, 1], [1, 1, 1], [0, 0, 1]]


def test_a_mixture_of_nothing_but_zeros_is_zero():
    choice = counted_choice(2, 3, name="a")
    assert torch.equal(Supernet(nn.Sequential(choice))(X, {"a": torch.zeros(2)}), 0 * X)


def test_a_one_hot_mixture_equals_the_path():
    supernet = Supernet(nn.Sequential(counted_choice(2, 3, name="a"), counted_choice(5, 7, name="b")))
    mixed = supernet(X, {"a": torch.tensor([0.0, 1.0]), "b": torch.tensor([1.0, 0.0])})
    assert torch.equal(mixed, supernet(X, {"a": "times 3", "b": "times 5"}))


# Straight-through


def straight_through(supernet, architecture):
    """One-hot weights with the gradient of a softmax, and the logits behind them."""
    logits, weights = {}, {}
    for decision in supernet.space.categorical:
        index = decision.options.index(architecture[decision.name])
        logits[decision.name] = torch.linspace(-1, 1, len(decision.options), requires_grad=True)
        soft = logits[decision.name].softmax(0)
        weights[decision.name] = torch.eye(len(soft))[index] + (soft - soft.detach())
    return logits, StraightThrough(architecture, weights)


def test_straight_through_runs_and_equals_the_selected_path():
    choices = [counted_choice(2, 3, 5, name="a"), counted_choice(7, 11, name="b")]
    supernet = Supernet(nn.Sequential(*choices))
    architecture = {"a": "times 5", "b": "times 7"}
    _, way = straight_through(supernet, architecture)
    output = supernet(X, way)
    assert [runs_of(choice) for choice in choices] == [[0, 0, 1], [1, 0]]
    assert torch.equal(output, supernet(X, architecture))


def test_the_straight_through_gradient_reaches_the_weights_of_all_options():
    supernet = Supernet(nn.Sequential(counted_choice(2, 3, 5, name="a"), counted_choice(7, 11, name="b")))
    logits, way = straight_through(supernet, {"a": "times 5", "b": "times 7"})
    for weights in way.weights.values():
        weights.retain_grad()
    supernet(X, way).sum().backward()
    # The chosen weight multiplies the output of its operation; the others stand for a scalar added to every element.
    assert way.weights["a"].grad.tolist() == [14.0, 14.0, 35.0 * X.sum()]
    assert way.weights["b"].grad.tolist() == [35.0 * X.sum(), 2.0]
    assert all(logit.grad.count_nonzero() == len(logit) for logit in logits.values())


# Nested choices


def nested():
    inner = nn.Sequential(counted_choice(3, 5, name="inner"))
    deep = nn.Sequential(OneOf({"plain": Counted(7), "deeper": OneOf({"x": Counted(11), "y": Counted(13)}, name="d")}))
    return nn.Sequential(OneOf({"skip": nn.Identity(), "block": inner, "deep": deep}, name="outer"))


NESTED = {"inner": "times 5", "outer": "block", "0.candidates.2.0": "deeper", "d": "y"}


def test_a_choice_inside_an_option_runs_when_the_option_is_chosen():
    supernet = Supernet(nested())
    assert set(supernet.space.names) == set(NESTED)
    assert torch.equal(supernet(X, NESTED), 5 * X)
    assert torch.equal(supernet(X, {**NESTED, "outer": "deep"}), 13 * X)
    assert torch.equal(supernet(X, {**NESTED, "outer": "skip"}), X)


@pytest.mark.parametrize(
    ("outer", "middle", "kept"),
    [
        ("skip", "deeper", {}),
        ("block", "deeper", {"inner": "times 5"}),
        ("deep", "plain", {"0.candidates.2.0": "plain"}),
        ("deep", "deeper", {"0.candidates.2.0": "deeper", "d": "y"}),
    ],
)
def test_choices_that_the_path_does_not_reach_take_their_first_option_in_the_canonical_form(outer, middle, kept):
    supernet = Supernet(nested())
    architecture = {**NESTED, "outer": outer, "0.candidates.2.0": middle}
    first = {"inner": "times 3", "0.candidates.2.0": "plain", "d": "x"}
    canonical = supernet.space.canonical(architecture)
    assert canonical == {**first, **kept, "outer": outer}
    assert torch.equal(supernet(X, canonical), supernet(X, architecture))


def test_a_decision_that_is_reached_anywhere_is_kept_by_the_canonical_form():
    module = nn.Sequential(
        OneOf({"skip": nn.Identity(), "block": counted_choice(2, 3, name="shared")}, name="outer"),
        counted_choice(2, 3, name="shared"),
    )
    architecture = {"outer": "skip", "shared": "times 3"}
    assert Supernet(module).space.canonical(architecture) == architecture


def test_the_parameter_free_share_counts_operations_without_weights():
    choices = [OneOf({"skip": nn.Identity(), "conv": Counted(2)}, name=name) for name in "abcd"]
    supernet = Supernet(nn.Sequential(*choices))
    assert supernet.parameter_free_share({"a": "skip", "b": "conv", "c": "skip", "d": "skip"}) == 0.75


# Errors


def test_one_option_is_an_error():
    with pytest.raises(ValueError, match=r"'a' needs at least two options, got \['only'\]"):
        OneOf({"only": nn.Identity()}, name="a")


@pytest.mark.parametrize("other", [("times 2", "times 5"), ("times 3", "times 2"), ("times 2", "times 3", "times 5")])
def test_one_name_with_other_options_or_another_order_is_an_error(other):
    second = OneOf({name: nn.Identity() for name in other}, name="a")
    with pytest.raises(
        ValueError, match=r"'a' is a OneOf of \['times 2', 'times 3'\] at '0' .* at '1'; give one .* another name"
    ):
        Supernet(nn.Sequential(counted_choice(2, 3, name="a"), second))


def test_a_module_without_a_choice_is_an_error():
    with pytest.raises(ValueError, match=r"no choice found in Linear; put OneOf"):
        Supernet(nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ({"a": "times 4", "b": "times 2"}, r"'a' has the options \['times 2', 'times 3'\], got 'times 4'"),
        ({"a": "times 2"}, r"missing: \['b'\]"),
        ({}, r"missing: \['a', 'b'\]"),
        ({"a": "times 2", "b": "times 2", "c": "times 2"}, "unknown decision 'c'"),
        ({"a": "times 2", "bb": "times 2"}, "unknown decision 'bb'; did you mean 'b'"),
    ],
)
def test_a_wrong_architecture_is_an_error(architecture, message):
    supernet = Supernet(nn.Sequential(counted_choice(2, 3, name="a"), counted_choice(2, 3, name="b")))
    for use in (lambda: supernet(X, architecture), lambda: supernet.extract(architecture)):
        with pytest.raises(ValueError, match=message):
            use()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"a": torch.ones(3), "b": torch.ones(2)}, r"'a' needs mixing weights of shape \(2,\), got \(3,\)"),
        ({"a": torch.ones(2), "b": torch.ones(1, 2)}, r"'b' needs mixing weights of shape \(2,\), got \(1, 2\)"),
        ({"a": torch.ones(2)}, r"'b' needs mixing weights of shape \(2,\), got none"),
    ],
)
def test_mixing_weights_of_a_wrong_shape_are_an_error(weights, message):
    supernet = Supernet(nn.Sequential(counted_choice(2, 3, name="a"), counted_choice(2, 3, name="b")))
    with pytest.raises(ValueError, match=message):
        supernet(X, weights)


def test_running_before_anything_is_selected_is_an_error():
    module = nn.Sequential(counted_choice(2, 3, name="a"))
    Supernet(module)
    with pytest.raises(RuntimeError, match="'a' was run before anything was chosen"):
        module(X)


def test_a_search_space_of_other_decisions_is_an_error():
    module = nn.Sequential(counted_choice(2, 3, name="a"))
    module.search_space = SearchSpace([Categorical("a", ["times 2", "times 5"])])
    with pytest.raises(ValueError, match="search_space of Sequential must be a SearchSpace with the decisions"):
        Supernet(module)


def test_a_search_space_of_the_module_itself_is_used():
    module = nn.Sequential(counted_choice(2, 3, name="a"))
    module.search_space = SearchSpace([Categorical("a", ["times 2", "times 3"])], cost=lambda architecture: 7.0)
    assert Supernet(module).space.cost({"a": "times 2"}) == 7.0


def test_sampled_architectures_run():
    supernet = Supernet(nested())
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert supernet(X, supernet.space.sample(rng)).shape == X.shape


def test_a_supernet_can_be_copied_after_a_mixture():
    supernet = Supernet(nn.Sequential(OneOf({"a": nn.Linear(2, 2), "b": nn.Identity()}, name="c")))
    weights = {"c": torch.softmax(torch.zeros(2, requires_grad=True), dim=0)}
    expected = supernet(torch.ones(1, 2), weights)
    assert torch.equal(copy.deepcopy(supernet)(torch.ones(1, 2), weights), expected)


def test_mixing_weights_of_an_unknown_decision_are_refused():
    supernet = Supernet(nn.Sequential(OneOf({"a": nn.Linear(2, 2), "b": nn.Identity()}, name="edge")))
    with pytest.raises(ValueError, match="unknown decision 'egde'; did you mean 'edge'"):
        supernet(torch.ones(1, 2), {"edge": torch.ones(2), "egde": torch.ones(2)})


@pytest.mark.parametrize("way", [{"c": torch.ones(2), "d": "a"}, {"c": "a", "d": ["a"]}])
def test_a_way_of_mixed_or_odd_values_is_refused(way):
    supernet = Supernet(nn.Sequential(*(OneOf({"a": nn.Linear(2, 2), "b": nn.Identity()}, name=n) for n in "cd")))
    with pytest.raises(ValueError, match="decision 'd'"):
        supernet(torch.ones(1, 2), way)


def gated():
    options = {"same": nn.Identity(), "linear": nn.Linear(4, 4)}
    return OneOf(options, name="gate", unsearched={"cut": nn.Linear(4, 4)})


def test_an_operation_that_is_not_searched_runs_as_a_path_and_can_be_extracted():
    network, inputs = Supernet(nn.Sequential(gated(), nn.ReLU())), torch.randn(3, 4)
    cut = network.module[0].candidates[2]
    assert torch.equal(network(inputs, {"gate": "cut"}), cut(inputs).relu())
    child = network.extract({"gate": "cut"})
    assert torch.equal(child(inputs), cut(inputs).relu())
    assert network.space.categorical[0].unsearched == ("cut",)


def test_an_operation_that_is_not_searched_has_no_weight_in_a_mixture():
    network, inputs = Supernet(nn.Sequential(gated())), torch.randn(3, 4)
    same, linear, _ = network.module[0].candidates
    mixed = network(inputs, {"gate": torch.tensor([0.25, 0.75])})
    torch.testing.assert_close(mixed, 0.25 * same(inputs) + 0.75 * linear(inputs))
    with pytest.raises(ValueError, match=r"needs mixing weights of shape \(2,\), got \(3,\)"):
        network(inputs, {"gate": torch.ones(3)})


def test_an_operation_cannot_be_searched_and_not():
    with pytest.raises(ValueError, match="'gate' has 'b' both as an option and as unsearched"):
        OneOf({"a": nn.Identity(), "b": nn.ReLU()}, name="gate", unsearched={"b": nn.ReLU()})
