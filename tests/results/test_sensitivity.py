"""How much methods depend on their settings."""

import json
import math

import numpy as np
import pytest
from table_trials import Figures, ground_of, search, table_with

from ray_asng.results.sensitivity import section, small_multiples
from ray_asng.results.sweeps import sweeps

COLUMN = "table_cifar10_test_accuracy"


def swept(key, truths, method="asng", seeds=3, **last):
    """Groups of a sweep as they are labelled: value -> true accuracy, the same for every seed."""
    return {
        f"{method}, {key}={value}": [
            search(method, seed, [truth], label=method, setting=f"{key}={value}", **last) for seed in range(seeds)
        ]
        for value, truth in truths.items()
    }


def default(truth=0.93, method="asng", **config):
    return {method: [search(method, seed, [truth], config_json=json.dumps(config)) for seed in range(3)]}


def test_a_sweep_is_ordered_by_its_numbers():
    (sweep,) = sweeps(ground_of(swept("lr", {"1e-1": 0.9, "10": 0.8, "0.02": 0.7})), COLUMN)
    assert (sweep.label, sweep.key, sweep.values) == ("asng", "lr", ("0.02", "1e-1", "10"))
    assert sweep.means == pytest.approx([0.7, 0.9, 0.8])


def test_the_area_of_values_over_a_decade_is_taken_in_their_logarithms():
    """Trapezoids of 0.8, 0.9, 0.7 over log 1, log 10, log 1000: (0.85 * 1 + 0.8 * 2) / 3."""
    (sweep,) = sweeps(ground_of(swept("lr", {"1": 0.8, "10": 0.9, "1000": 0.7})), COLUMN)
    assert sweep.is_logarithmic
    assert sweep.area == pytest.approx((0.85 + 1.6) / 3)


def test_the_area_of_near_values_is_taken_in_the_values():
    (sweep,) = sweeps(ground_of(swept("samples", {"2": 0.8, "4": 0.9, "8": 0.7})), COLUMN)
    assert not sweep.is_logarithmic
    assert sweep.area == pytest.approx((0.85 * 2 + 0.8 * 4) / 6)


@pytest.mark.parametrize("values", [{"sgd": 0.8, "adamw": 0.9}, {"1": 0.85}, {"1": 0.8, "1.0": 0.9}])
def test_values_without_a_range_count_alike(values):
    (sweep,) = sweeps(ground_of(swept("weight_optimizer", values)), COLUMN)
    assert sweep.area == pytest.approx(0.85)


def test_the_default_is_found_in_the_config_even_of_an_option():
    groups = default(method_options={"initial_step": 1.0}) | swept(
        "method_options.initial_step", {"0.1": 0.8, "1": 0.9}
    )
    (sweep,) = sweeps(ground_of(groups), COLUMN)
    assert (sweep.default_value, sweep.default.mean) == ("1", pytest.approx(0.93))


def test_the_own_settings_are_a_value_of_the_sweep_that_is_not_run_twice():
    (sweep,) = sweeps(ground_of(default(lr=0.3) | swept("lr", {"0.1": 0.8, "1": 0.9})), COLUMN)
    assert (sweep.values, sweep.default_value) == (("0.1", "0.3", "1"), "0.3")
    assert list(sweep.means) == pytest.approx([0.8, 0.93, 0.9])


def test_a_default_that_the_config_does_not_say_is_none_of_the_values():
    for config in ({}, {"lr": None}):
        (sweep,) = sweeps(ground_of(default(**config) | swept("lr", {"0.1": 0.8, "1": 0.9})), COLUMN)
        assert sweep.default_value == ""


def test_sweeps_of_one_method_stand_together_and_settings_apart():
    groups = swept("lr", {"1": 0.8}) | swept("lr", {"1": 0.8}, "darts") | swept("samples", {"2": 0.9})
    assert [(sweep.label, sweep.key) for sweep in sweeps(ground_of(groups), COLUMN)] == [
        ("asng", "lr"),
        ("asng", "samples"),
        ("darts", "lr"),
    ]


def test_a_sweep_without_labels_belongs_to_its_method():
    groups = {"asng, lr=1": [search("asng", 0, [0.8], setting="lr=1")]}
    assert sweeps(ground_of(groups), COLUMN)[0].label == "asng"


def test_the_table_holds_worst_case_area_default_and_range():
    groups = default() | swept("lr", {"0.1": 0.90, "1": 0.94, "10": 0.85})
    row = table_with(section(ground_of(groups), Figures().save), "area [%]")["asng"]
    assert (row["setting"], row["values"], row["seeds"]) == ("`lr`", "0.1, 1, 10", "3")
    assert (row["default [%]"], row["worst [%]"], row["at"]) == ("93.00", "85.00", "10")
    assert (row["area [%]"], row["range [points]"]) == ("90.75", "9.00")


def test_a_value_whose_searches_failed_leaves_the_area_unknown():
    groups = swept("lr", {"0.1": 0.90, "1": math.nan})
    row = table_with(section(ground_of(groups), Figures().save), "area [%]")["asng"]
    assert (row["seeds"], row["area [%]"], row["worst [%]"], row["at"]) == ("0–3", "—", "90.00", "0.1")
    assert row["default [%]"] == "—"


def test_a_panel_draws_means_and_intervals_against_the_values():
    runs = {
        f"asng, lr={value}": [
            search("asng", seed, [truth + 0.01 * seed], label="asng", setting=f"lr={value}") for seed in range(3)
        ]
        for value, truth in (("0.1", 0.8), ("10", 0.9))
    }
    (axes,) = [axes for axes in small_multiples(ground_of(default() | runs)).axes if axes.lines]
    line, *others = axes.lines
    assert axes.get_xscale() == "log"
    assert line.get_xdata().tolist() == [0.1, 10.0]
    assert line.get_ydata() == pytest.approx([81.0, 91.0])
    bars = [other for other in others if list(other.get_xdata()) == [10.0, 10.0]]
    assert bars[0].get_ydata() == pytest.approx([90.0, 92.0])
    assert 93.0 in [round(float(np.ptp(other.get_ydata()) or other.get_ydata()[0]), 6) for other in others]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.1", "10"]


def test_every_method_begins_a_row_of_panels():
    groups = swept("lr", {"1": 0.8, "2": 0.9}) | swept("samples", {"2": 0.9}) | swept("lr", {"1": 0.8}, "darts")
    panels = [axes for axes in small_multiples(ground_of(groups)).axes if axes.lines]
    places = [(axes.get_subplotspec().rowspan.start, axes.get_subplotspec().colspan.start) for axes in panels]
    assert sorted(places) == [(0, 0), (0, 1), (1, 0)]


def test_words_as_values_are_drawn_side_by_side():
    groups = swept("weight_optimizer", {"sgd": 0.8, "adamw": 0.9})
    (axes,) = [axes for axes in small_multiples(ground_of(groups)).axes if axes.lines]
    assert axes.lines[0].get_xdata().tolist() == [0.0, 1.0]


def test_without_sweeps_or_without_a_table_there_is_no_section():
    assert section(ground_of(default()), Figures().save) == []
    bare = swept(
        "lr", {"1": 0.8}, **{f"table_{name}_test_accuracy": None for name in ("cifar10", "cifar100", "imagenet16_120")}
    )
    assert section(ground_of(bare), Figures().save) == []
