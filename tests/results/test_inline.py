"""Text inside blocks: what is read from its marks, and that names put into it stay what they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ray_asng.results.inline import Span, code, literal, plain, spans

NAMES = st.text(alphabet="ab `*[]()\\|<>&_~#\"'", min_size=1, max_size=12)


def test_the_four_kinds_of_text_are_read():
    assert spans("see `x|y`, **now**, at [docs](https://example.org/a)") == [
        Span("text", "see "),
        Span("code", "x|y"),
        Span("text", ", "),
        Span("strong", "now"),
        Span("text", ", at "),
        Span("link", "docs", "https://example.org/a"),
    ]


@given(NAMES, NAMES)
def test_a_literal_name_is_plain_text_whatever_stands_beside_it(first, second):
    text = literal(first) + literal(second)
    assert plain(text) == first + second
    assert {span.kind for span in spans(text)} <= {"text"}


@given(NAMES)
def test_code_gives_back_its_characters(name):
    (span,) = spans(code(name))
    assert span == Span("code", name)


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb"])
def test_a_name_with_a_line_break_stays_on_one_line(text):
    assert literal(text) == "a b"
    assert code(text) == "`a b`"


def test_no_code_is_a_dash():
    assert code("") == "—"
