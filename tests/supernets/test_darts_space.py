"""The DARTS space as words: two inputs a node, genotypes as other projects write them, and S1 to S4."""

from collections import Counter, namedtuple

import numpy as np
import pytest

from ray_asng.optimizers import ASNG, RSPS, RandomSearch, RegularizedEvolution
from ray_asng.supernets.darts_space import canonical, darts_space
from ray_asng.supernets.darts_states import KINDS, NODES, OPERATIONS, edge_name, inputs_of, kept
from ray_asng.supernets.robust_darts import S1, S2, S3, S4
from ray_asng.testing.space import check_space

SPACE = darts_space()
SPACES = {"darts": SPACE, "s1": darts_space(S1), "s2": darts_space(S2), "s3": darts_space(S3), "s4": darts_space(S4)}
NODES_OF_CELLS = [(kind, node) for kind in KINDS for node in NODES]
Genotype = namedtuple("Genotype", "normal normal_concat reduce reduce_concat")

V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], "
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), "
    "('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
)


def samples(space, count, seed=0):
    rng = np.random.default_rng(seed)
    return [space.sample(rng) for _ in range(count)]


def filled(operation, space=SPACE, **but):
    return space.architecture({**dict.fromkeys(space.names, operation), **but})


def number_of_inputs(architecture):
    return [len(kept(architecture, kind, node)) for kind, node in NODES_OF_CELLS]


# Decisions


def test_there_are_28_decisions_with_the_published_operations():
    assert len(SPACE) == 28
    assert all(decision.options == OPERATIONS and not decision.unsearched for decision in SPACE.decisions)
    assert SPACE.names[:5] == tuple(f"normal_edge_{edge}" for edge in ("0_2", "1_2", "0_3", "1_3", "2_3"))
    assert SPACE.names[27] == "reduce_edge_4_5"


def test_s1_has_the_published_pair_of_operations_on_each_edge():
    """Edges in the published order: by their target, then by their source."""
    skip_dil3, skip_dil5 = ("skip_connect", "dil_conv_3x3"), ("skip_connect", "dil_conv_5x5")
    skip_sep3, max_skip = ("skip_connect", "sep_conv_3x3"), ("max_pool_3x3", "skip_connect")
    max_avg, dils = ("max_pool_3x3", "avg_pool_3x3"), ("dil_conv_3x3", "dil_conv_5x5")
    normal = [skip_dil3, skip_dil5, skip_dil5, skip_sep3, skip_dil3, max_skip, skip_sep3, skip_sep3, skip_dil3]
    normal += [skip_sep3, max_skip, skip_dil3, dils, dils]
    reduce = [max_avg, ("max_pool_3x3", "dil_conv_3x3"), max_avg, max_avg, skip_dil5, max_avg]
    reduce += [
        ("max_pool_3x3", "sep_conv_3x3"),
        skip_dil3,
        skip_dil5,
        max_avg,
        max_avg,
        skip_dil5,
        skip_dil5,
        skip_dil5,
    ]
    assert [decision.options for decision in SPACES["s1"].decisions] == normal + reduce


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("s2", ("skip_connect", "sep_conv_3x3")),
        ("s3", ("none", "skip_connect", "sep_conv_3x3")),
        ("s4", ("noise", "sep_conv_3x3")),
    ],
)
def test_s2_to_s4_have_the_published_operations_on_all_edges(name, options):
    assert {decision.options for decision in SPACES[name].decisions} == {options}


def test_none_can_be_decided_everywhere_and_is_searched_where_it_was_published_so():
    for name, space in SPACES.items():
        searched = name in ("darts", "s3")
        assert all(("none" in d.options, "none" in d.unsearched) == (searched, not searched) for d in space.decisions)


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_the_rules_of_the_space_hold_together(space):
    check_space(space)


@pytest.mark.parametrize(
    ("operations", "message"),
    [
        (("sep_conv_3x3",), "at least two operations.*'normal_edge_0_2', got .'sep_conv_3x3'."),
        (("none", "sep_conv_3"), "unknown DARTS operation 'sep_conv_3'.*did you mean 'sep_conv_3x3'"),
        ({"normal_edge_0_2": S2}, "operations of all 28 edges are needed; missing: .'normal_edge_1_2'"),
        ({**S1, "normal_edge_2_2": S2}, "unknown: .'normal_edge_2_2'"),
        (("sep_conv_3x3", "sep_conv_3x3"), "repeats an option"),
    ],
)
def test_operations_that_make_no_space_are_refused(operations, message):
    with pytest.raises(ValueError, match=message):
        darts_space(operations)


# What is derived


def by_the_published_rule(rows, options):
    """Cell -> node -> {source: operation}, with numpy alone; ties to the lower source and the earlier operation."""
    found = {}
    for kind, node in NODES_OF_CELLS:
        best = []
        for source in range(node):
            name = edge_name(kind, source, node)
            weights = np.where([o == "none" for o in options[name]], -1.0, rows[name])
            best.append((-weights.max(), source, options[name][int(weights.argmax())]))
        found[kind, node] = {source: operation for _, source, operation in sorted(best)[:2]}
    return found


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_the_two_inputs_with_the_largest_probability_are_derived_by_the_published_rule(space):
    rng, options = np.random.default_rng(0), {d.name: d.options for d in space.decisions}
    for draw in range(100):
        rows = {name: rng.dirichlet(np.ones(len(on_edge))) for name, on_edge in options.items()}
        if draw % 2:  # with many ties
            rows = {name: np.round(row, 1) for name, row in rows.items()}
        derived = space.derive(rows)
        assert {at: kept(derived, *at) for at in NODES_OF_CELLS} == by_the_published_rule(rows, options)


def test_however_probable_none_is_it_is_not_derived_on_the_two_inputs():
    rows = {name: np.array([0.9, *[0.1 / 7] * 7]) for name in SPACE.names}
    derived = SPACE.derive(rows)
    assert {name for name, operation in derived.items() if operation != "none"} == {
        edge_name(kind, source, node) for kind, node in NODES_OF_CELLS for source in (0, 1)
    }
    assert set(derived.values()) == {"none", "max_pool_3x3"}


def test_what_is_derived_has_no_index_where_none_is_not_searched():
    derived = SPACES["s2"].derive({name: np.array([0.4, 0.6]) for name in SPACE.names})
    assert not SPACES["s2"].is_searched(derived)
    with pytest.raises(ValueError, match="'normal_edge_2_3' is 'none', which is not searched: it has no index"):
        SPACES["s2"].encode(derived)
    with pytest.raises(ValueError, match="not searched"):
        ASNG(SPACES["s2"]).tell([derived] * 2, [0.0, 1.0])
    assert SPACE.encode(SPACE.parse(V2))[0].shape == (28,)


# Genotypes


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_a_genotype_is_read_as_it_is_written(space):
    for drawn in samples(space, 30):
        assert space.text(drawn).startswith("Genotype(normal=[(")
        assert space.parse(space.text(drawn)) == drawn


def test_other_projects_can_evaluate_what_is_written():
    written = SPACE.text(SPACE.parse(V2))
    ours, published = (eval(text, {"Genotype": Genotype, "range": range}) for text in (written, V2))
    assert list(ours.normal_concat) == list(ours.reduce_concat) == [2, 3, 4, 5]
    for kind in KINDS:
        pairs = [getattr(genotype, kind) for genotype in (ours, published)]
        one, other = ([Counter(each[at : at + 2]) for at in range(0, 8, 2)] for each in pairs)
        assert one == other


def test_nodes_that_are_concatenated_are_read_as_a_list_a_tuple_and_a_range():
    forms = [V2.replace("[2, 3, 4, 5]", form) for form in ("[2, 3, 4, 5]", "(2, 3, 4, 5)", "range(2, 6)")]
    assert len({SPACE.parse(form) for form in forms}) == 1
    assert SPACE.parse(f"\n {forms[0]} ") == SPACE.parse(forms[0])


def test_the_source_and_the_order_of_pairs_say_which_edge_it_is():
    read = SPACE.parse(V2)
    assert {name: operation for name, operation in read.items() if operation != "none" and "normal" in name} == {
        "normal_edge_0_2": "sep_conv_3x3",
        "normal_edge_1_2": "sep_conv_3x3",
        "normal_edge_0_3": "sep_conv_3x3",
        "normal_edge_1_3": "sep_conv_3x3",
        "normal_edge_1_4": "sep_conv_3x3",
        "normal_edge_0_4": "skip_connect",
        "normal_edge_0_5": "skip_connect",
        "normal_edge_2_5": "dil_conv_3x3",
    }


def test_a_cell_with_other_numbers_of_inputs_is_written_as_json_and_read_again():
    for proposal in ASNG(SPACE, seed=0).ask(20):
        text = SPACE.text(proposal.architecture)
        assert text.startswith("{")
        assert SPACE.parse(text) == proposal.architecture


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("('dil_conv_3x3', 2)", "('dil_conv_3', 2)", "unknown operation 'dil_conv_3' on input 2 of node 5"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3', 2)", "did you mean 'dil_conv_3x3'"),
        ("('dil_conv_3x3', 2)", "('none', 2)", r"no 'none' on 'normal_edge_2_5' .* only \['max_pool_3x3'"),
        ("('dil_conv_3x3', 2)", "('noise', 2)", "this space has no 'noise' on 'normal_edge_2_5'"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', 5)", "node 5 of the normal cell reads state 5.* only 0 to 4 before"),
        ("2), ('max_pool_3x3', 1), (", "3), ('max_pool_3x3', 1), (", "node 3 of the reduce cell reads state 3"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', -1)", "reads state -1"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', 0)", "node 5 of the normal cell reads state 0 twice"),
        (", ('dil_conv_3x3', 2)", "", "two pairs .operation, source. each, 8 in all; got 7"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', True)", "a list of pairs such as"),
        ("('dil_conv_3x3', 2)", "('dil_conv_3x3', '2')", "a list of pairs such as"),
        ("reduce_concat=[2, 3, 4, 5]", "reduce_concat=[3, 4, 5]", "reduce_concat=range.2, 6.; got .3, 4, 5."),
        (", reduce_concat=[2, 3, 4, 5]", "", "expected a genotype of the form"),
        ("Genotype(", "Genotyp(", "expected a genotype of the form"),
        ("[('sep_conv_3x3', 0)", "[(__import__('os').getcwd(), 0)", "expected a genotype of the form"),
        ("reduce_concat=[2, 3, 4, 5])", "reduce_concat=[2, 3, 4, 5]", "expected a genotype of the form"),
    ],
)
def test_a_wrong_genotype_is_refused_with_what_is_wrong(old, new, message):
    assert old in V2
    with pytest.raises(ValueError, match=message):
        SPACE.parse(V2[::-1].replace(old[::-1], new[::-1], 1)[::-1])


def test_an_operation_that_a_part_of_the_space_does_not_have_is_refused_with_those_it_has():
    with pytest.raises(ValueError, match=r"no 'max_pool_3x3' on 'reduce_edge_0_2' .* only \['skip_connect', 'sep_conv"):
        SPACES["s2"].parse(V2.replace("dil_conv_3x3", "skip_connect"))


# Drawing and changing


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_a_sample_has_two_inputs_a_node_and_an_operation_on_each(space):
    for drawn in samples(space, 50):
        assert number_of_inputs(drawn) == [2] * 8


def test_inputs_and_operations_are_drawn_uniformly():
    drawn = samples(SPACE, 2000)
    pairs = Counter(tuple(kept(each, "normal", 4)) for each in drawn)
    operations = Counter(operation for each in drawn for operation in kept(each, "reduce", 2).values())
    assert len(pairs) == 6
    assert len(operations) == 7
    for counts in (pairs, operations):
        expected = counts.total() / len(counts)
        assert sum((count - expected) ** 2 / expected for count in counts.values()) < 22.5  # 6 degrees: p = 0.001


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_a_mutation_changes_one_input_or_one_operation_of_one_node(space):
    rng, moves = np.random.default_rng(0), set()
    for before in samples(space, 200):
        after = space.mutate(before, rng)
        changed = [at for at in NODES_OF_CELLS if kept(before, *at) != kept(after, *at)]
        assert len(changed) == 1
        one, other = (kept(each, *changed[0]) for each in (before, after))
        assert len(one) == len(other) == 2
        moved = len(set(one) - set(other))
        kinds_of_change = moved + sum(one[source] != other[source] for source in set(one) & set(other))
        assert kinds_of_change == 1
        moves.add("input" if moved else "operation")
    assert moves == {"input", "operation"}


def test_cells_with_any_number_of_inputs_can_be_mutated():
    rng = np.random.default_rng(0)
    for before in (filled("none"), filled("skip_connect"), *[p.architecture for p in ASNG(SPACE).ask(20)]):
        assert SPACE.mutate(before, rng) != before


def test_a_cell_in_which_nothing_can_be_changed_is_refused():
    space = darts_space(("none", "skip_connect"))
    with pytest.raises(ValueError, match="no operation and no input of this cell can be changed"):
        space.mutate(filled("skip_connect", space), np.random.default_rng(0))


@pytest.mark.parametrize("make", [RandomSearch, RSPS, RegularizedEvolution])
@pytest.mark.parametrize("name", ["darts", "s2"])
def test_methods_that_draw_whole_cells_propose_two_inputs_a_node(make, name):
    method, rng = make(SPACES[name], seed=0), np.random.default_rng(0)
    for _ in range(30):  # evolution has children then
        proposals = method.ask(4)
        assert all(number_of_inputs(proposal.architecture) == [2] * 8 for proposal in proposals)
        method.tell(proposals, rng.random(4).tolist())
    probabilities = method.probabilities
    assert all(probabilities[d.name].shape == (len(d.options),) for d in SPACES[name].decisions)


def test_methods_that_decide_edge_by_edge_propose_what_is_searched_alone():
    for proposal in ASNG(SPACES["s2"], seed=0).ask(20):
        assert set(proposal.architecture.values()) <= set(S2)
        assert number_of_inputs(proposal.architecture) == [2, 3, 4, 5] * 2


# One form for equal networks, and the picture


def test_what_reads_a_node_without_inputs_carries_nothing_unless_it_has_weights():
    empty = dict.fromkeys(inputs_of("normal", 2), "none")
    one = filled("sep_conv_3x3", normal_edge_2_3="skip_connect", normal_edge_2_4="avg_pool_3x3", **empty)
    form = SPACE.canonical(one)
    assert {name for name in SPACE.names if form[name] != one[name]} == {"normal_edge_2_3", "normal_edge_2_4"}
    assert form["normal_edge_2_5"] == "sep_conv_3x3"
    assert canonical(form) == dict(form)


def test_the_picture_has_the_edges_that_carry_something():
    graph = SPACE.graph(SPACE.parse(V2))
    assert len(graph["nodes"]) == 2 * 7
    labels = Counter(label for _, _, label in graph["edges"])
    assert labels["concatenation"] == 8
    assert labels.total() == 8 + 16
    assert ["normal 2", "normal 5", "dil_conv_3x3"] in graph["edges"]
