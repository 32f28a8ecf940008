"""Figures: what is drawn where. How they look is judged by eye."""

import itertools
import json

import numpy as np
import pytest
from tune_output import architecture, retraining_reports, search_reports, write_output, write_trial

from ray_asng import registry
from ray_asng.results.architecture_graph import Edge, architecture_figure, place_edges, read_graph
from ray_asng.results.collect import collect
from ray_asng.results.curve_plots import curves
from ray_asng.results.probability_plot import moves, probabilities
from ray_asng.results.retraining_plot import retraining
from ray_asng.results.style import method_colours
from ray_asng.results.trials import grounds

NASBENCH201 = architecture(["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3", "nor_conv_3x3"])


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    (found,) = grounds(collect(write_output(tmp_path_factory.mktemp("output"))))
    return found


def boxes_of_texts(figure, texts):
    """Where texts of a figure stand, in pixels."""
    figure.draw_without_rendering()
    drawn = [text for axes in figure.axes for text in axes.texts if text.get_text() in texts]
    return [text.get_window_extent() for text in drawn]


def test_curves_show_every_seed_and_a_mean_of_every_method(ground):
    path_panel = next(axes for axes in curves(ground).axes if "most likely path" in axes.get_title(loc="left"))
    assert len(path_panel.lines) == 8 + 3
    last_of_first = path_panel.lines[0].get_ydata()[-1]
    assert last_of_first == pytest.approx(100 * ground.searches["asng"][0].number("path_accuracy"))


def test_a_method_has_one_colour_whatever_stands_beside_it():
    alone = method_colours(["darts"])["darts"]
    assert method_colours(["asng", "darts", "mine:Method", "random_architecture"])["darts"] == alone
    colours = method_colours([*registry.methods, "mine:Method"])
    assert len(set(colours.values())) == len(colours)


def test_probabilities_have_a_panel_a_decision_and_a_line_an_option(ground):
    figure = probabilities(ground, "asng", ground.searches["asng"][0])
    panels = [axes for axes in figure.axes if axes.lines]
    assert [axes.get_title(loc="left") for axes in panels][:2] == ["edge_0_1", "edge_0_2"]
    assert [len(axes.lines) for axes in panels] == [5] * 6
    assert np.sum([line.get_ydata() for line in panels[0].lines], axis=0) == pytest.approx(np.ones(20))


def test_a_distribution_that_never_moves_has_no_figure(ground):
    assert moves(ground.searches["asng"][0])
    assert not moves(ground.searches["random_search"][0])


def test_numeric_decisions_are_drawn_as_mean_values(tmp_path):
    width, rate = {"name": "width", "low": 2, "high": 4, "step": 1}, {"name": "rate", "low": 0.0, "high": 1.0}
    decisions = json.dumps([width, rate])
    reports = [
        {**report, "decisions": decisions, "probabilities": [[0.0, 1.0 - 0.1 * number, 0.1 * number], [0.3, 0.1]]}
        for number, report in enumerate(search_reports("asng", 0, epochs=4))
    ]
    write_trial(tmp_path / "exp", "aaaaa_00000", reports)
    (ground,) = grounds(collect(tmp_path / "exp"))
    width, rate = [axes for axes in probabilities(ground, "asng", ground.searches["asng"][0]).axes if axes.lines]
    assert width.lines[0].get_ydata() == pytest.approx([3.0, 3.1, 3.2, 3.3])
    assert rate.lines[0].get_ydata() == pytest.approx([0.3] * 4)


def test_the_axis_of_retraining_fits_the_children_not_the_interval_of_two_values(tmp_path):
    for seed, accuracy in enumerate((0.980, 0.990)):
        write_trial(tmp_path / "exp", f"aaaaa_{seed:05d}", retraining_reports("asng", seed, test_accuracy=accuracy))
    (ground,) = grounds(collect(tmp_path / "exp"))
    low, high = retraining(ground).axes[0].get_xlim()
    assert 97 < low < 98
    assert 99 < high < 100


def test_no_label_of_the_nasbench201_cell_overlaps_another():
    figure = architecture_figure(NASBENCH201["architecture_graph"], "cell")
    boxes = boxes_of_texts(figure, set(json.loads(NASBENCH201["architecture"]).values()))
    assert len(boxes) == 6
    assert not any(first.overlaps(second) for first, second in itertools.combinations(boxes, 2))


def test_arcs_of_the_nasbench201_cell_do_not_cross():
    _, edges = read_graph(NASBENCH201["architecture_graph"])
    height = {(edge.start, edge.end): edge.height for edge in place_edges(edges)}
    assert height[(0, 1)] == height[(1, 2)] == height[(2, 3)] == 0
    assert height[(0, 2)] * height[(1, 3)] < 0
    outer = height[(0, 3)]
    inner = height[(0, 2)] if outer * height[(0, 2)] > 0 else height[(1, 3)]
    assert abs(outer) > abs(inner)


def test_an_arc_goes_to_the_side_where_it_crosses_none():
    """Above, 1-4 would cross 0-2 at the same height that it has below, where it spans 1-3."""
    arcs = place_edges([Edge(0, 2, "a"), Edge(1, 3, "b"), Edge(1, 4, "c")])
    height = {edge.label: edge.height for edge in arcs}
    assert height["a"] * height["c"] < 0
    assert height["b"] * height["c"] > 0


def test_labels_stand_on_their_arcs():
    figure = architecture_figure(NASBENCH201["architecture_graph"], "cell")
    figure.draw_without_rendering()
    (axes,) = figure.axes
    arrows = [patch for patch in axes.patches if hasattr(patch, "get_arrowstyle")]
    reached = sorted(max(arrow.get_path().get_extents().get_points()[:, 1], key=abs) for arrow in arrows)
    labelled = sorted(text.get_position()[1] for text in axes.texts if text.get_text() not in "0123")
    assert reached == pytest.approx(labelled, abs=0.1)


def test_only_none_edges_are_dashed():
    figure = architecture_figure(NASBENCH201["architecture_graph"], "cell")
    styles = [patch.get_linestyle() for patch in figure.axes[0].patches if hasattr(patch, "get_arrowstyle")]
    assert len(styles) == 6
    assert sum(style not in ("solid", "-") for style in styles) == 1


def test_parallel_edges_get_arcs_of_their_own():
    heights = [edge.height for edge in place_edges([Edge(0, 1, "a"), Edge(0, 1, "b"), Edge(0, 1, "c")])]
    assert len(set(heights)) == 3


def test_nodes_are_put_in_topological_order_and_ends_may_be_indices():
    nodes, edges = read_graph(json.dumps({"nodes": ["out", "in"], "edges": [[1, 0, "conv"]]}))
    assert nodes == ["in", "out"]
    assert edges == [Edge(0, 1, "conv")]


def test_a_cycle_is_refused_by_name():
    with pytest.raises(ValueError, match=r"cycle through .*'b'"):
        read_graph(json.dumps({"nodes": ["a", "b"], "edges": [["a", "b", "x"], ["b", "a", "y"]]}))


def test_what_is_no_graph_is_refused_with_the_form_expected():
    with pytest.raises(ValueError, match="expected a graph"):
        read_graph('{"nodes": ["a"]}')
