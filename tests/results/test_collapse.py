"""What reports without a table of true accuracies say of searches that ended with options without weights."""

import pytest
from table_trials import DATASETS, Figures, ground_of, search, table_with

from ray_asng.raytune.stopper import SearchStopper
from ray_asng.results.collapse import COLLAPSED_SHARE, has_collapsed, section

MEAN = "decisions without weights: mean [%]"


def of_shares(method, shares, **last):
    """Searches of seeds 0, 1, ... that no table knows, with these shares of decisions without weights."""
    no_table = {"table_reference": "", **{f"table_{name}_test_accuracy": None for name in DATASETS}}
    return [
        search(method, seed, [0.5], **{**no_table, "parameter_free_share": share, **last})
        for seed, share in enumerate(shares)
    ]


def test_a_search_has_collapsed_by_its_share_or_by_how_it_ended():
    runs = of_shares("darts", [1.0, 0.9, 5 / 6, None])
    assert [has_collapsed(run) for run in runs] == [True, True, False, False]
    assert has_collapsed(*of_shares("darts", [0.5], ended="collapsed"))


def test_reports_and_the_stopper_call_the_same_searches_collapsed():
    assert SearchStopper().collapse == COLLAPSED_SHARE


def test_every_method_has_its_count_and_its_share_with_an_interval():
    ground = ground_of({"asng": of_shares("asng", [0.25, 0.5, 0.0]), "darts": of_shares("darts", [1.0, 1.0, 0.5])})
    rows = table_with(section(ground, Figures().save), MEAN)
    assert [rows[name]["collapsed"] for name in ("asng", "darts")] == ["0 of 3", "2 of 3"]
    assert [rows["asng"][column] for column in (MEAN, "least [%]", "most [%]")] == ["25.00", "0.00", "50.00"]
    low, high = map(float, rows["darts"]["95 % interval"].split(" to "))
    assert 50.0 <= low < 83.33 < high <= 100.0


def test_searches_of_sweeps_and_shares_that_are_no_numbers_do_not_count():
    swept = of_shares("asng", [1.0, 1.0], setting="lr=9")
    ground = ground_of({"asng": of_shares("asng", [0.5, None]), "asng, lr=9": swept})
    rows = table_with(section(ground, Figures().save), MEAN)
    assert list(rows) == ["asng"]
    assert (rows["asng"][MEAN], rows["asng"]["collapsed"]) == ("50.00", "0 of 2")


@pytest.mark.parametrize(
    "runs",
    [of_shares("asng", [0.0, 0.0]), [search("asng", 0, [0.5], parameter_free_share=1.0)]],
    ids=["nothing without weights", "a table says it"],
)
def test_there_is_no_section_where_it_would_say_nothing_new(runs):
    assert section(ground_of({"asng": runs}), Figures().save) == []
