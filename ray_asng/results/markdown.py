"""A report as Markdown, in the dialect of GitHub, which has tables and passes HTML through.

What means itself in a text (a label with `<` or `|`, a module named `__main__`) is escaped, so that it is shown as it
is and nothing of it becomes markup.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ray_asng.results.document import Block, Bullets, Code, Details, Heading, Paragraph, Picture, Table
from ray_asng.results.inline import Span, code, spans

# Of text: what begins HTML or an entity, ends a link's text, or is emphasis (not the underscores inside a name).
_SPECIAL = re.compile(r"([\\`*<]|&(?=#?\w+;)|\](?=\()|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|~(?=~))")


def markdown(blocks: Sequence[Block]) -> str:
    """The blocks as one Markdown text."""
    return "\n\n".join(_block(block) for block in blocks) + "\n"


def _block(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {_inline(text)}"
        case Paragraph(text):
            return _inline(text)
        case Bullets(items):
            return "\n".join(f"- {_inline(item)}" for item in items)
        case Table(header, rows, note):
            return _table(header, rows) + (f"\n\n{_inline(note)}" if note else "")
        case Code(text, language):
            fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
            return f"{fence}{language}\n{text}\n{fence}"
        case Picture(path, caption):
            return f"![{_escaped(caption).replace('[', chr(92) + '[')}]({path})"
        case Details(title, blocks):
            return f"<details>\n<summary>{_inline(title)}</summary>\n\n{markdown(blocks)}\n</details>"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [_row(header), _row(["---"] * len(header)), *(_row(row) for row in rows)]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    # In a table a bar must be escaped even inside code, where nothing else is.
    return "| " + " | ".join(_inline(cell).replace("|", "\\|") for cell in cells) + " |"


def _inline(text: str) -> str:
    return "".join(_span(span) for span in spans(text))


def _span(span: Span) -> str:
    match span.kind:
        case "text":
            return _escaped(span.text)
        case "code":
            return code(span.text)
        case "strong":
            return f"**{_escaped(span.text)}**"
        case "link":
            return f"[{_escaped(span.text)}]({span.address})"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)
