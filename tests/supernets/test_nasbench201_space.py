"""The NAS-Bench-201 cell as words: decisions, notation, picture, and which cells are one network."""

import copy
import itertools
import json
import math
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ray_asng.supernets.depthwise import AveragePooling
from ray_asng.supernets.nasbench201_space import EDGES, OPERATIONS, edge_name, from_string, nasbench201_space, to_string
from ray_asng.supernets.operations import ReLUConvBN

NONE = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
MIXED = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|"


@pytest.fixture(scope="module")
def table():
    folder = os.environ.get("RAY_ASNG_DATA")
    if not folder:
        pytest.skip("RAY_ASNG_DATA is unset; it names the folder of nasbench201.parquet")
    parquet = pytest.importorskip("pyarrow.parquet")
    return parquet.read_table(Path(folder) / "nasbench201.parquet", columns=["arch", "isomorphism_key"]).to_pylist()


def test_the_words_need_no_torch():
    code = "import sys, ray_asng.supernets.nasbench201_space; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_decisions_are_the_six_edges_in_the_order_of_the_notation():
    space = nasbench201_space()
    assert space.names == ("edge_0_1", "edge_0_2", "edge_1_2", "edge_0_3", "edge_1_3", "edge_2_3")
    options = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    assert all(decision.options == options for decision in space.categorical)
    assert space.size == 15_625


def test_a_subset_of_operations_makes_a_smaller_space():
    space = nasbench201_space(["skip_connect", "nor_conv_3x3"])
    assert space.size == 64
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert set(space.canonical(space.sample(rng)).values()) <= {"skip_connect", "nor_conv_3x3"}


@pytest.mark.parametrize(
    ("operations", "message"),
    [
        (["skip_connect"], r"at least two operations to choose from, got \['skip_connect'\]"),
        (["skip_connect", "nor_conv3x3"], "unknown NAS-Bench-201 operation 'nor_conv3x3'; did you mean 'nor_conv_3x3'"),
        (["none", "none"], "repeats an option"),
    ],
)
def test_operations_that_make_no_space_are_an_error(operations, message):
    with pytest.raises(ValueError, match=message):
        nasbench201_space(operations)


def test_the_notation_names_the_operation_of_every_edge():
    architecture = from_string(f" {MIXED}\n")
    assert dict(architecture) == {
        "edge_0_1": "nor_conv_3x3",
        "edge_0_2": "none",
        "edge_1_2": "nor_conv_1x1",
        "edge_0_3": "skip_connect",
        "edge_1_3": "avg_pool_3x3",
        "edge_2_3": "nor_conv_3x3",
    }
    assert to_string(architecture) == nasbench201_space().text(architecture) == MIXED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"expected a NAS-Bench-201 cell of the form '\|op~0\|.*', got ''"),
        (MIXED[1:], "expected a NAS-Bench-201 cell of the form"),
        (MIXED.replace("~2", "~1"), "expected a NAS-Bench-201 cell of the form"),
        (MIXED + "+|none~0|none~1|none~2|none~3|", "expected a NAS-Bench-201 cell of the form"),
        (NONE.replace("none~2", "avg_pool3x3~2"), "unknown NAS-Bench-201 operation 'avg_pool3x3'; did you mean"),
    ],
)
def test_a_text_that_is_no_cell_is_an_error(text, message):
    with pytest.raises(ValueError, match=message):
        from_string(text)


def test_only_architectures_of_the_space_have_a_notation():
    with pytest.raises(ValueError, match="missing"):
        to_string({"edge_0_1": "none"})
    with pytest.raises(ValueError, match="has the options"):
        to_string({**from_string(NONE), "edge_0_1": "conv"})


def test_the_picture_shows_every_edge_that_carries_something():
    graph = nasbench201_space().graph(from_string(MIXED))
    assert json.loads(json.dumps(graph)) == {
        "nodes": ["0", "1", "2", "3"],
        "edges": [
            ["0", "1", "nor_conv_3x3"],
            ["1", "2", "nor_conv_1x1"],
            ["0", "3", "skip_connect"],
            ["1", "3", "avg_pool_3x3"],
            ["2", "3", "nor_conv_3x3"],
        ],
    }


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda space: pickle.loads(pickle.dumps(space))])
def test_the_space_can_be_copied_and_sent(copied):
    space = copied(nasbench201_space())
    assert space.text(space.canonical(from_string(NONE))) == NONE


# Equal networks


def canonical_text(text):
    return to_string(nasbench201_space().canonical(from_string(text)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(
            "|skip_connect~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|skip_connect~2|",
            "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|",
            id="skips are transparent",
        ),
        pytest.param(
            "|nor_conv_3x3~0|+|avg_pool_3x3~0|none~1|+|none~0|nor_conv_1x1~1|skip_connect~2|",
            "|avg_pool_3x3~0|+|nor_conv_3x3~0|none~1|+|none~0|skip_connect~1|nor_conv_1x1~2|",
            id="sums have no order",
        ),
        pytest.param(
            "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|skip_connect~0|none~1|none~2|",
            "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
            id="what does not reach the output is gone",
        ),
        pytest.param(
            "|none~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|avg_pool_3x3~1|skip_connect~2|",
            "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
            id="the mean of nothing is nothing",
        ),
        pytest.param(
            "|avg_pool_3x3~0|+|none~0|skip_connect~1|+|none~0|skip_connect~1|skip_connect~2|",
            "|avg_pool_3x3~0|+|avg_pool_3x3~0|none~1|+|none~0|skip_connect~1|skip_connect~2|",
            id="pooling twice is pooling once and using it twice",
        ),
    ],
)
def test_equal_networks_have_one_canonical_form(one, other):
    assert canonical_text(one) == canonical_text(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(
            "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|skip_connect~1|skip_connect~2|",
            "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|none~0|skip_connect~1|skip_connect~2|",
            id="one convolution used twice is not two convolutions",
        ),
        pytest.param(
            "|none~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|",
            "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
            id="a convolution of nothing is a learned constant",
        ),
        pytest.param(
            "|none~0|+|skip_connect~0|none~1|+|skip_connect~0|none~1|skip_connect~2|",
            "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
            id="twice the input is not the input",
        ),
    ],
)
def test_different_networks_have_different_canonical_forms(one, other):
    assert canonical_text(one) != canonical_text(other)


def outputs(architecture, functions, start):
    """All results of a cell when its convolutions are assigned distinct functions in every possible way."""
    kinds = {}
    for edge in EDGES:
        kinds.setdefault(architecture[edge_name(*edge)], []).append(edge)
    weighted = [kind for kind in kinds if kind.startswith("nor_conv")]
    assignments = [itertools.permutations(functions[kind], len(kinds[kind])) for kind in weighted]
    for chosen in itertools.product(*assignments):
        on_edge = {
            e: f for kind, fs in zip(weighted, chosen, strict=True) for e, f in zip(kinds[kind], fs, strict=True)
        }
        on_edge |= dict.fromkeys(kinds.get("avg_pool_3x3", []), functions.get("avg_pool_3x3"))
        on_edge |= dict.fromkeys(kinds.get("skip_connect", []), lambda value: value)
        nodes = [start]
        for target in range(1, 4):
            nodes.append(sum((on_edge[e](nodes[e[0]]) for e in EDGES if e[1] == target and e in on_edge), 0 * start))
        yield nodes[-1]


def wave(frequency):
    return lambda value: math.sin(frequency * value + frequency / 3)


def test_cells_have_one_canonical_form_exactly_if_they_compute_the_same_functions():
    """All 729 cells over three operations, with generic functions of a number in place of convolutions.

    Two cells are the same network if the functions that they can become, as the weights vary, are the same.
    """
    waves = [wave(0.9 + 0.37 * i) for i in range(6)]
    space = nasbench201_space(["none", "skip_connect", "nor_conv_3x3"])
    form_of, outputs_of = {}, {}
    for options in itertools.product(["none", "skip_connect", "nor_conv_3x3"], repeat=6):
        architecture = dict(zip(space.names, options, strict=True))
        reached = frozenset(round(value, 9) for value in outputs(architecture, {"nor_conv_3x3": waves}, 0.7))
        canonical = space.canonical(architecture)
        assert form_of.setdefault(reached, canonical) == canonical
        assert outputs_of.setdefault(canonical, reached) == reached


def test_a_cell_computes_what_its_canonical_form_computes_with_the_same_weights():
    """Real operations in double precision, with batch norm as in retraining, shifts that are not zero."""
    torch.manual_seed(0)
    bank = {}
    for kind, kernel in {"nor_conv_1x1": 1, "nor_conv_3x3": 3}.items():
        bank[kind] = [ReLUConvBN(2, 2, kernel, stride=1, affine=True).double() for _ in range(6)]
        for operation in bank[kind]:
            torch.nn.init.normal_(operation.norm.bias)
    bank["avg_pool_3x3"] = AveragePooling()
    images = torch.rand(2, 2, 4, 4, dtype=torch.float64)
    space, rng = nasbench201_space(), np.random.default_rng(0)
    checked = 0
    with torch.no_grad():
        while checked < 25:
            architecture = space.sample(rng)
            canonical = space.canonical(architecture)
            if canonical == architecture or sum(str(v).startswith("nor_conv") for v in canonical.values()) > 3:
                continue
            expected = next(outputs(architecture, bank, images))
            assert any(torch.allclose(expected, output, atol=1e-9) for output in outputs(canonical, bank, images))
            checked += 1


def test_the_canonical_form_is_its_own_canonical_form():
    space, rng = nasbench201_space(), np.random.default_rng(0)
    for _ in range(200):
        canonical = space.canonical(space.sample(rng))
        assert space.canonical(canonical) == canonical


def test_the_space_holds_5875_different_networks():
    space = nasbench201_space()
    cells = (dict(zip(space.names, options, strict=True)) for options in itertools.product(OPERATIONS, repeat=6))
    assert len({space.canonical(cell) for cell in cells}) == 5875


def published_key(architecture):
    """The key of the published table, in its notation: # for nothing, 0 for the input, sums sorted as strings."""
    nodes = ["0"]
    for target in range(1, 4):
        terms = []
        for source in range(target):
            operation = architecture[edge_name(source, target)]
            nothing = operation == "none" or nodes[source] == "#"
            plain = nodes[source] if operation == "skip_connect" else f"({nodes[source]})@{operation}"
            terms.append("#" if nothing else plain)
        nodes.append("+".join(sorted(terms)))
    return nodes[-1]


def tidied(key):
    """The same key without what is or comes of nothing, its nested sums flattened and sorted."""
    terms, depth, start = [], 0, 0
    for place, letter in enumerate(f"{key}+"):
        depth += (letter == "(") - (letter == ")")
        if letter == "+" and depth == 0:
            terms.append(key[start:place])
            start = place + 1
    tidy = []
    for term in terms:
        if term.startswith("("):
            inside, operation = term.rsplit(")@", 1)
            if tidied(inside[1:]):
                tidy.append(f"({tidied(inside[1:])})@{operation}")
        elif term == "0":
            tidy.append(term)
    return "+".join(sorted(tidy))


def test_the_tables_key_means_what_the_module_says_it_means(table):
    assert all(published_key(from_string(row["arch"])) == row["isomorphism_key"] for row in table)
    assert len({row["isomorphism_key"] for row in table}) == 6466


def test_cells_of_one_canonical_form_have_one_key_in_the_table_up_to_zeros_and_order(table):
    space, keys = nasbench201_space(), {}
    for row in table:
        keys.setdefault(space.canonical(from_string(row["arch"])), set()).add(tidied(row["isomorphism_key"]))
    assert len(keys) == 5875
    assert all(len(of_one_form) == 1 for of_one_form in keys.values())
