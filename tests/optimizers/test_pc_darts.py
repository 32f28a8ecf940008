import numpy as np
import pytest
import torch

from ray_asng import Categorical, SearchSpace
from ray_asng.optimizers import DARTS, PCDARTS
from ray_asng.testing import check_optimizer

EDGES = ("a", "b", "c")


def best_two(rows):
    """As in the DARTS space: the two edges whose best option weighs most keep it."""
    kept = sorted(EDGES, key=lambda edge: -rows[edge][1:].max())[:2]
    return {edge: ("none", "x", "y")[1 + int(rows[edge][1:].argmax())] if edge in kept else "none" for edge in EDGES}


def space(**options):
    return SearchSpace(
        [Categorical(edge, ("none", "x", "y")) for edge in EDGES], input_weights={"node": EDGES}, **options
    )


class Linear:
    """A loss that is linear in the weights of the node, with the mixtures as factors."""

    parameters, learning_rate = (), 0.1

    def __init__(self, costs):
        self.costs = costs

    def loss(self, weights, split):
        return sum(
            weights["node"][place] * weights[edge] @ torch.tensor([0.0, 1.0, 0.5]) * cost
            for place, (edge, cost) in enumerate(zip(EDGES, self.costs, strict=True))
        )


def test_weights_of_inputs_are_softmaxes_in_every_mixture():
    weights = PCDARTS(space(), seed=0).weights_for_training()
    assert set(weights) == {*EDGES, "node"}
    assert float(weights["node"].sum()) == pytest.approx(1.0)
    assert not weights["node"].requires_grad


def test_a_step_is_that_of_adam_on_the_gradients_by_options_and_inputs():
    method, problem = PCDARTS(space(), seed=3, learning_rate=0.01, weight_decay=0.02), Linear([1.0, -2.0, 0.5])
    rows = {name: row.detach().clone().requires_grad_() for name, row in method.logits.items()}
    adam = torch.optim.Adam(rows.values(), lr=0.01, betas=(0.5, 0.999), weight_decay=0.02)
    for _ in range(5):
        adam.zero_grad()
        problem.loss({name: row.softmax(0) for name, row in rows.items()}, "valid").backward()
        adam.step()
        method.architecture_step(problem)
    for name, row in rows.items():
        torch.testing.assert_close(method.logits[name], row)


def test_inputs_that_lower_the_loss_come_to_count_more():
    method = PCDARTS(space(), learning_rate=0.1)
    for _ in range(30):
        method.architecture_step(Linear([1.0, -1.0, 0.0]))
    shares = method.weights_for_training()["node"]
    assert float(shares[1]) > 0.6


def test_an_option_counts_with_the_share_of_its_edge():
    method = PCDARTS(space(derive=best_two), seed=0)
    with torch.no_grad():
        for edge, strongest in zip(EDGES, (2.0, 1.0, 0.9), strict=True):
            method.logits[edge].copy_(torch.tensor([0.0, strongest, 0.0]))
        method.logits["node"].copy_(torch.tensor([-5.0, 0.0, 0.0]))
    assert dict(method.most_likely()) == {"a": "none", "b": "x", "c": "x"}
    assert dict(method.space.derive(method.probabilities)) == {"a": "x", "b": "x", "c": "none"}


def test_probabilities_are_of_the_options_alone():
    rows = PCDARTS(space()).probabilities
    assert set(rows) == set(EDGES)
    np.testing.assert_allclose([row.sum() for row in rows.values()], 1.0)


def test_other_methods_leave_the_inputs_alone():
    assert set(DARTS(space()).weights_for_training()) == set(EDGES)


def test_a_network_without_edge_weights_is_refused_with_how_to_get_them():
    with pytest.raises(ValueError, match="edge_weights=True"):
        PCDARTS(SearchSpace([Categorical("a", ("x", "y"))]))


def test_the_method_conforms():
    check_optimizer(PCDARTS, space())


def test_input_weights_of_what_is_no_decision_are_refused():
    with pytest.raises(ValueError, match=r"weigh decisions of the space; got .*'other'"):
        SearchSpace([Categorical("a", ("x", "y"))], input_weights={"node": ["a", "other"]})
    with pytest.raises(ValueError, match="have names of their own"):
        SearchSpace([Categorical("a", ("x", "y"))], input_weights={"a": ["a"]})
