"""What was reached at which cost: curves, their figure, and methods at equal seconds."""

import math

import numpy as np
import pytest
from table_trials import Figures, ground_of, search, table_with, texts

from ray_asng.results.anytime import CLOCKS, clock_of, common_end, curve, state_at
from ray_asng.results.anytime_plot import anytime, section
from ray_asng.results.document import Picture
from ray_asng.results.style import method_colours
from ray_asng.results.trials import Trial

COLUMN = "table_cifar10_test_accuracy"


def slower(trial, factor):
    """The same search in more seconds."""
    return Trial(tuple({**row, "wall_seconds": factor * row["wall_seconds"]} for row in trial.rows))


def test_passes_are_those_forward_and_backward():
    assert clock_of(search("asng", 0, [0.1, 0.2]), "passes").tolist() == [400.0, 800.0]


def test_the_state_is_that_of_the_last_report():
    trial = search("asng", 0, [0.1, 0.2, 0.3])
    states = state_at(trial, COLUMN, "seconds", np.array([5.0, 10.0, 19.0, 20.0, 99.0]))
    assert np.array_equal(states, [np.nan, 0.1, 0.1, 0.2, 0.3], equal_nan=True)


def test_reports_without_a_value_are_passed_over():
    trial = search("asng", 0, [0.1, math.nan, 0.3])
    assert state_at(trial, COLUMN, "seconds", np.array([25.0, 30.0])).tolist() == [0.1, 0.3]


def test_a_curve_is_median_and_quartiles_at_equal_cost():
    trials = [search("asng", seed, [0.1 * seed, 0.1 * seed + 0.5]) for seed in range(5)]
    found = curve(trials, COLUMN, "steps")
    assert (found.cost[0], found.cost[-1]) == (100.0, 200.0)
    assert found.median[[0, -1]] == pytest.approx([0.2, 0.7])
    assert found.low[[0, -1]] == pytest.approx([0.1, 0.6])
    assert found.high[[0, -1]] == pytest.approx([0.3, 0.8])


def test_a_finished_search_has_its_result_from_then_on_and_an_unfinished_one_ends_the_curve():
    quick, slow = search("asng", 0, [0.5, 0.9]), slower(search("asng", 1, [0.5, 0.7]), 10)
    assert curve([quick, slow], COLUMN, "seconds").cost[-1] == 200.0
    assert curve([quick, slow], COLUMN, "seconds").median[-1] == pytest.approx(0.8)
    unfinished = search("asng", 2, [0.5], epochs=2, wall_seconds=120.0)
    assert curve([quick, slow, unfinished], COLUMN, "seconds").cost[-1] == 120.0


def test_searches_that_ended_themselves_set_no_limit():
    early = search("asng", 0, [0.9], ended="converged")
    late = search("asng", 1, [0.5, 0.7, 0.8])
    assert common_end([early, late], "seconds") == 30.0
    assert common_end([early], "seconds") == 10.0
    assert math.isnan(common_end([], "seconds"))


def test_the_figure_has_a_line_a_method_against_each_cost_in_the_colour_of_the_method():
    groups = {name: [search(name, seed, [0.8, 0.9, 0.92]) for seed in range(3)] for name in ("asng", "darts")}
    figure = anytime(ground_of(groups))
    assert len(figure.axes) == 2 * len(CLOCKS)
    for axes, end in zip(figure.axes[:3], (300.0, 1200.0, 30.0), strict=True):
        lines = [line for line in axes.lines if len(line.get_xdata()) > 2]
        assert [line.get_color() for line in lines] == list(method_colours(["asng", "darts"]).values())
        assert lines[0].get_xdata()[-1] == end
        assert lines[0].get_ydata()[-1] == pytest.approx(92.0)


def test_the_figure_marks_the_optimum_and_the_mean_of_the_table():
    figure = anytime(ground_of({"asng": [search("asng", 0, [0.8, 0.9])]}))
    for axes in figure.axes[:3]:
        heights = [line.get_ydata()[0] for line in axes.lines if len(set(line.get_ydata())) == 1]
        assert {round(float(height), 2) for height in heights} >= {94.37, 87.37}
        assert axes.get_ylim()[0] < 80.0 < 94.37 < axes.get_ylim()[1]


def test_the_axis_gives_more_room_the_nearer_the_optimum():
    axes = anytime(ground_of({"asng": [search("asng", 0, [0.1, 0.9])]})).axes[0]
    low, middle, high = axes.transData.transform([(0, 60.0), (0, 90.0), (0, 94.0)])[:, 1]
    assert low < middle < high
    assert (high - middle) / 4 > 5 * (middle - low) / 30
    assert list(axes.get_yticks()) == sorted(set(axes.get_yticks()))


def test_a_search_without_reference_has_a_plain_axis():
    figure = anytime(ground_of({"asng": [search("asng", 0, [0.8, 0.9], table_reference="")]}))
    assert figure.axes[0].get_yscale() == "linear"


def test_equal_seconds_are_the_most_that_all_reached():
    quick = [search("asng", seed, [0.80, 0.90]) for seed in range(2)]
    slow = [slower(search("darts", seed, [0.85, 0.93]), 2) for seed in range(2)]
    blocks = section(ground_of({"asng": quick, "darts": slow}), Figures().save)
    rows = table_with(blocks, "change [points]")
    assert rows["asng"]["mean at 20.0 s [%]"] == "90.00"
    assert rows["darts"]["mean at 20.0 s [%]"] == "85.00"
    assert (rows["darts"]["mean at the end [%]"], rows["darts"]["change [points]"]) == ("93.00", "-8.00")


def test_the_section_saves_one_figure_and_points_to_it():
    figures = Figures()
    blocks = section(ground_of({"asng": [search("asng", 0, [0.8])]}), figures.save)
    assert list(figures) == ["anytime_nasbench201_cifar10"]
    assert [block.path for block in blocks if isinstance(block, Picture)] == ["figures/anytime_nasbench201_cifar10.png"]


def test_without_a_table_there_are_no_curves_and_without_seconds_no_table_of_them():
    bare = Trial(({"kind": "search", "method": "asng", "seed": 0, "path_accuracy": 0.9, "epochs": 1, "epoch": 1},))
    assert section(ground_of({"asng": [bare]}), Figures().save) == []
    timeless = search("asng", 0, [0.9], wall_seconds=None)
    assert "equal seconds" not in texts(section(ground_of({"asng": [timeless]}), Figures().save))


def test_the_legend_below_long_labels_lies_inside_the_figure():
    labels = [f"asng, half warm-up and {count} paths a weight step" for count in range(10)]
    groups = {label: [search(label, 0, [0.5, 0.9])] for label in labels}
    figure = anytime(ground_of(groups))
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1
