"""Published numbers beside those from here."""

from dataclasses import replace

import pytest
from table_trials import Figures, ground_of, of_final, search, table_with

from ray_asng.results.document import Table
from ray_asng.results.published import OPTIMUM, PUBLISHED, section


def rows_of(ground):
    (table,) = [block for block in section(ground, Figures().save) if isinstance(block, Table)]
    return table


def test_own_results_stand_below_the_published_ones_of_their_method():
    truths = dict(enumerate((0.92, 0.93, 0.94)))
    table = rows_of(of_final({"asng": truths, "gdas": truths}))
    names = [row[:2] for row in table.rows]
    assert names[:4] == [
        ("asng", "here"),
        ("GDAS (version A)", "published"),
        ("GDAS (version B)", "published"),
        ("gdas", "here"),
    ]
    assert table.rows[3][2] == "93.00 ± 1.00"
    assert table.rows[3][-1] == "3 seeds"


def test_both_versions_that_circulate_are_shown():
    rows = table_with(section(of_final({"asng": {0: 0.9}}), Figures().save), "source")
    assert rows["RSPS (version A)"]["CIFAR-10 [%]"] == "87.66 ± 1.69"
    assert rows["RSPS (version B)"]["CIFAR-10 [%]"] == "84.07 ± 3.61"
    assert rows["GDAS (version A)"]["CIFAR-100 [%]"] == "24.20 ± 8.08"


def test_every_published_row_is_shown_once_with_its_source():
    table = rows_of(of_final({"asng": {0: 0.9}, "darts": {0: 0.5}}))
    published = [row for row in table.rows if row[1] == "published"]
    assert sorted(row[0] for row in published) == sorted([*(row.name for row in PUBLISHED), OPTIMUM.name])
    assert all(row[-1] for row in published)


def test_methods_that_look_accuracies_up_have_no_counterpart_here():
    table = rows_of(of_final({"random_search": {0: 0.9}, "reinforce": {0: 0.9}}))
    assert [row[:2] for row in table.rows[:2]] == [("random_search", "here"), ("reinforce", "here")]


def test_published_accuracies_do_not_exceed_the_optimum():
    for row in PUBLISHED:
        for accuracy, best in zip(row.test, OPTIMUM.test, strict=True):
            assert accuracy is None or 10 <= accuracy.mean <= best.mean


def test_one_seed_has_no_deviation():
    rows = table_with(section(of_final({"asng": {0: 0.9}}), Figures().save), "source")
    assert (rows["asng"]["CIFAR-10 [%]"], rows["asng"]["source"]) == ("90.00", "1 seed")


def test_labels_of_one_method_have_a_row_each():
    groups = {"gaea": [search("gaea", 0, [0.9])], "gaea (ERM)": [search("gaea", 0, [0.93])]}
    assert [row[0] for row in rows_of(ground_of(groups)).rows[:3]] == [
        "GAEA DARTS, single level (ERM)",
        "gaea",
        "gaea (ERM)",
    ]


@pytest.mark.parametrize("space", ["darts", "toy"])
def test_other_spaces_have_no_published_numbers(space):
    ground = replace(ground_of({"asng": [search("asng", 0, [0.9], space=space)]}), space=space)
    assert section(ground, Figures().save) == []


def test_without_a_table_there_is_no_section():
    bare = search(
        "asng", 0, [0.9], **{f"table_{name}_test_accuracy": None for name in ("cifar10", "cifar100", "imagenet16_120")}
    )
    assert section(ground_of({"asng": [bare]}), Figures().save) == []
