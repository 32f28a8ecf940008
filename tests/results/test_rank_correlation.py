"""How inherited losses rank architectures."""

import json
import math

import numpy as np
import pytest
from table_trials import Figures, ground_of, search, table_with

from ray_asng.results.rank_correlation import inherited_pairs, ranking, scatter, section


def ranked(method, seed, pairs, **last):
    return search(method, seed, [0.9], inherited=json.dumps(pairs), **last)


def line(count, sign):
    """Losses that fall (sign 1) or rise with the truth."""
    return [[-sign * float(index), index / count] for index in range(count)]


def test_the_lowest_loss_of_the_best_is_a_correlation_of_one():
    found = ranking(np.array(line(50, 1)))
    assert (found.spearman, found.kendall, found.top) == pytest.approx((1, 1, 1))
    assert ranking(np.array(line(50, -1))).spearman == pytest.approx(-1)


def test_spearman_is_that_of_the_ranks():
    """1 - 6 sum d^2 / (n (n^2 - 1)) with rank differences 0, 1, -1, 1, -1."""
    pairs = np.array([[1.0, 0.9], [2.0, 0.7], [3.0, 0.8], [4.0, 0.5], [500.0, 0.6]])
    assert ranking(pairs).spearman == pytest.approx(1 - 6 * 4 / (5 * 24))
    assert ranking(pairs).kendall == pytest.approx((8 - 2) / 10)


def test_the_top_is_the_best_fifth_by_truth():
    pairs = np.array(
        [[100.0 - index, index / 100] for index in range(80)] + [[index, index / 100] for index in range(80, 100)]
    )
    assert ranking(pairs).top == pytest.approx(-1)
    assert ranking(pairs).spearman > 0


def test_the_first_by_loss_is_what_a_ranking_would_pick():
    assert ranking(np.array([[0.2, 0.91], [0.1, 0.85], [0.3, 0.93]])).picked == 0.85


def test_a_loss_that_is_no_number_ranks_last_and_an_unknown_truth_is_left_out():
    trial = ranked("asng", 0, [[math.nan, 0.1], [0.5, 0.9], [0.6, 0.8], [0.1, math.nan], [math.inf, 0.2]])
    pairs = inherited_pairs(trial)
    assert len(pairs) == 4
    assert ranking(pairs).picked == 0.9
    assert ranking(pairs).spearman > 0.9


@pytest.mark.parametrize("pairs", [[], [[0.1, 0.9]], [[0.1, 0.9], [0.2, 0.8]], [[0.5, 0.9], [0.5, 0.8], [0.5, 0.7]]])
def test_without_spread_or_with_two_architectures_there_is_no_correlation(pairs):
    found = ranking(np.array(pairs, dtype=np.float64).reshape(-1, 2))
    assert math.isnan(found.spearman)
    assert math.isnan(found.kendall)


def test_the_table_averages_over_seeds():
    groups = {
        "asng": [ranked("asng", 0, line(20, 1)), ranked("asng", 1, line(20, -1))],
        "darts": [search("darts", 0, [0.5])],
    }
    rows = table_with(section(ground_of(groups), Figures().save), "Spearman")
    assert rows["asng"]["Spearman"] == "+0.00"
    assert (rows["asng"]["95 % interval"], rows["asng"]["seeds"]) == ("-1.00 to +1.00", "2")
    assert "darts" not in rows


def test_trials_of_sweeps_and_unfinished_ones_are_left_out():
    groups = {
        "asng": [ranked("asng", 0, line(20, 1)), ranked("asng", 1, line(20, -1), epochs=9, ended="")],
        "asng, lr=1": [ranked("asng", 0, line(20, -1), label="asng", setting="lr=1")],
    }
    rows = table_with(section(ground_of(groups), Figures().save), "Spearman")
    assert {label: row["Spearman"] for label, row in rows.items()} == {"asng": "+1.00"}


def test_a_panel_shows_the_seed_with_the_middle_correlation():
    mixed = [[float(index % 7), index / 20] for index in range(20)]
    groups = {"asng": [ranked("asng", seed, pairs) for seed, pairs in enumerate((line(20, 1), mixed, line(20, -1)))]}
    (axes,) = [axes for axes in scatter(ground_of(groups)).axes if axes.collections]
    assert axes.get_title(loc="left") == "asng, seed 1"
    drawn = np.concatenate([points.get_offsets() for points in axes.collections])
    assert sorted(drawn[:, 1]) == pytest.approx([100 * truth for _, truth in mixed])
    assert max(drawn[:, 0]) <= 20


def test_the_best_fifth_is_coloured():
    (axes,) = [axes for axes in scatter(ground_of({"asng": [ranked("asng", 0, line(20, 1))]})).axes if axes.collections]
    faint, coloured = (points.get_offsets() for points in axes.collections)
    assert (len(faint), len(coloured)) == (16, 4)
    assert coloured[:, 1].min() > faint[:, 1].max()


def test_every_method_has_a_panel():
    groups = {f"method {index}": [ranked("asng", 0, line(10, 1))] for index in range(6)}
    assert len([axes for axes in scatter(ground_of(groups)).axes if axes.collections]) == 6


def test_without_ranked_architectures_there_is_no_section():
    assert section(ground_of({"asng": [search("asng", 0, [0.9])]}), Figures().save) == []
