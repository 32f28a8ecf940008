"""The text inside blocks: `code`, **strong**, [links](address) and backslash escapes, read and written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

_MARKS = re.compile(
    r"\\(?P<escaped>[\\`*\[\]])"
    r"|(?P<fence>`+)(?P<code>.+?)(?P=fence)(?!`)"
    r"|\*\*(?P<strong>.+?)\*\*"
    r"|\[(?P<link>[^\[\]]+)\]\((?P<address>[^()\s]+)\)"
)
_SPECIAL = re.compile(r"([\\`*\[\]])")


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of text of one kind; `address` is that of a link."""

    kind: Literal["text", "code", "strong", "link"]
    text: str
    address: str = ""


def spans(text: str) -> list[Span]:
    """The pieces of a text, in order; no two pieces of plain text stand side by side."""
    joined: list[Span] = []
    for span in _pieces(text):
        if span.kind == "text" and joined and joined[-1].kind == "text":
            joined[-1] = Span("text", joined[-1].text + span.text)
        elif span.text:
            joined.append(span)
    return joined


def plain(text: str) -> str:
    """The words of a text without its marks."""
    return "".join(span.text for span in spans(text))


def literal(text: str) -> str:
    """A text that means itself, whatever characters it holds; line breaks become spaces."""
    return _SPECIAL.sub(r"\\\1", _one_line(text))


def code(text: str) -> str:
    """A text as code, whatever characters it holds; line breaks become spaces, nothing becomes a dash."""
    line = _one_line(text)
    if not line:
        return "—"
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", line)), default=0))
    needs_edge = "`" in (line[0], line[-1]) or (line[0] == line[-1] == " " and line.strip())
    edge = " " if needs_edge else ""
    return f"{fence}{edge}{line}{edge}{fence}"


def _pieces(text: str) -> Iterator[Span]:
    end = 0
    for match in _MARKS.finditer(text):
        yield Span("text", text[end : match.start()])
        end = match.end()
        if match["escaped"]:
            yield Span("text", match["escaped"])
        elif match["fence"]:
            yield Span("code", _unpadded(match["code"]))
        elif match["strong"]:
            yield Span("strong", match["strong"])
        else:
            yield Span("link", match["link"], match["address"])
    yield Span("text", text[end:])


def _unpadded(content: str) -> str:
    """The content of a code span; as in Markdown a space at both ends belongs to the fence."""
    is_padded = content[0] == content[-1] == " " and content.strip()
    return content[1:-1] if is_padded else content


def _one_line(text: str) -> str:
    return " ".join(text.splitlines())
