"""Blocks as Markdown."""

from ray_asng.results.document import Bullets, Code, Details, Heading, Paragraph, Picture, Table
from ray_asng.results.inline import code, literal
from ray_asng.results.markdown import markdown


def test_every_block_is_written_in_its_form():
    blocks = [
        Heading("Results", 1),
        Paragraph("Some `code` and **more**."),
        Bullets(("one", "two")),
        Table(("a", "b"), (("1", "2"),), "A note."),
        Code("x = 1", "python"),
        Picture("figures/a.png", "What it shows"),
        Details("Settings", (Paragraph("Inside."),)),
    ]
    assert markdown(blocks) == (
        "# Results\n\nSome `code` and **more**.\n\n- one\n- two\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\nA note.\n\n"
        "```python\nx = 1\n```\n\n![What it shows](figures/a.png)\n\n"
        "<details>\n<summary>Settings</summary>\n\nInside.\n\n</details>\n"
    )


def test_a_bar_in_a_cell_does_not_end_it():
    text = markdown([Table(("cell",), ((code("|nor_conv_3x3~0|"),), (literal("a|b"),)))])
    assert "| `\\|nor_conv_3x3~0\\|` |\n| a\\|b |" in text


def test_a_name_never_becomes_markup():
    names = "<script>alert(1)</script> __main__:Net *a* `b` [c](d) &lt; ~~e~~"
    assert markdown([Paragraph(literal(names))]) == (
        "\\<script>alert(1)\\</script> \\_\\_main\\_\\_:Net \\*a\\* \\`b\\` [c\\](d) \\&lt; \\~~e\\~~\n"
    )


def test_underscores_inside_a_name_stay_as_they_are():
    assert markdown([Paragraph("random_search, edge_0_1")]) == "random_search, edge_0_1\n"


def test_code_with_a_fence_inside_gets_a_longer_one():
    assert markdown([Code("```\nx\n```")]) == "````text\n```\nx\n```\n````\n"
