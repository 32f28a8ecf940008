"""By what a column of a table is sorted."""

import pytest

from ray_asng.results.sort_keys import sort_keys


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("95.4 % ± 1.8", 95.4),
        ("73.3 k", 73_300.0),
        ("1.23 M", 1_230_000.0),
        ("126 s", 126.0),
        ("2.1 h", 7_560.0),
        ("1.5 GiB", 1.5 * 2**30),
        ("+1.2", 1.2),
        ("−0.3", -0.3),
        ("1e-05", 1e-5),
        ("< 0.001", 0.001),
        ("3 (epoch 5 of 20)", 3.0),
        ("98.3 %, 98.9 %", 98.3),
    ],
)
def test_a_text_is_sorted_by_the_number_it_begins_with_in_one_unit(text, key):
    assert sort_keys([text]) == [pytest.approx(key)]


def test_texts_that_say_nothing_have_no_key():
    assert sort_keys(["1", "—", "not a number", ""]) == [1.0, None, None, None]


@pytest.mark.parametrize("texts", [["asng", "1"], ["12abc_00001"], ["|nor_conv_3x3~0|"], ["—"], []])
def test_a_column_of_words_has_no_keys(texts):
    assert sort_keys(texts) is None
