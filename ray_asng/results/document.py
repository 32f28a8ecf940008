"""A report as data: what it says, apart from how that is written down.

Text is Markdown of one line: `code`, **strong** and [links](address), nothing else; see `ray_asng.results.inline`,
whose `literal` and `code` put names into it that may hold any character.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Heading:
    """The title of what follows; level 1 is that of the whole report."""

    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Sentences."""

    text: str


@dataclass(frozen=True, slots=True)
class Bullets:
    """Points in a row."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of texts, each as long as the header; `note` stands below."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Code:
    """Lines as they are; `language` is that of the fence, such as "sh"."""

    text: str
    language: str = "text"


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure: its PNG file, relative to the report's folder, and what it shows.

    Attributes:
        is_detail: one of many, which a page that must stay small leaves to the folder.
    """

    path: str
    caption: str
    is_detail: bool = False


@dataclass(frozen=True, slots=True)
class Details:
    """What few readers need: closed until someone opens it."""

    title: str
    blocks: tuple[Block, ...]


Block: TypeAlias = Heading | Paragraph | Bullets | Table | Code | Picture | Details
