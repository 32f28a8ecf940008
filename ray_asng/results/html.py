"""A report as one HTML page that asks nothing of anybody: pictures, style and script are in it.

The page is a Jinja template with escaping switched on (`page/` beside this module), so that labels and architectures
are shown as they are whatever characters they hold. A policy in the page forbids every request.
"""

from __future__ import annotations

import base64
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from ray_asng.results.document import Block, Heading, Picture, Table
from ray_asng.results.inline import Span, plain, spans
from ray_asng.results.sort_keys import sort_keys

LARGEST = 3_000_000
"""Bytes of PNG files that a page embeds, which are a third more as text; further pictures stay in the folder."""

LARGEST_WITH_DETAILS = 1_500_000
"""Pictures of detail are embedded only where all pictures together are not more bytes than this."""

_SAFE_ADDRESS = re.compile(r"(https?://|#|[\w./-]+$)")


@dataclass(frozen=True, slots=True)
class Embedded:
    """A picture in the page: its data as an address, its size in pixels."""

    address: str
    width: int
    height: int


def page(blocks: Sequence[Block], folder: Path) -> str:
    """The page.

    Args:
        blocks: the report; the first heading is the title of the page.
        folder: of the report, in which the pictures are.
    """
    environment = Environment(
        loader=PackageLoader("ray_asng.results", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(kind=_kind, inline=_inline, plain=plain, columns=_columns)
    parts = list(_parts(blocks))
    title = next((plain(block.text) for block in blocks if isinstance(block, Heading)), "Results")
    return environment.get_template("report.html").render(
        title=f"{title}: {folder.resolve().name}",
        parts=parts,
        contents=[(anchor, run[0]) for anchor, run in parts if isinstance(run[0], Heading) and run[0].level in (2, 3)],
        embedded=_embed([block for block in blocks if isinstance(block, Picture)], folder),
        style=Markup(_source(environment, "style.css")),
        script=Markup(_source(environment, "script.js")),
    )


def _parts(blocks: Sequence[Block]) -> Iterator[tuple[str, list[Block]]]:
    """Blocks in runs of one kind, so that pictures can stand side by side, with the anchor of a heading."""
    taken: set[str] = set()
    for is_picture, run in itertools.groupby(blocks, lambda block: isinstance(block, Picture)):
        if is_picture:
            yield "", list(run)
            continue
        for block in run:
            yield (_anchor(block.text, taken) if isinstance(block, Heading) else ""), [block]


def _anchor(text: str, taken: set[str]) -> str:
    """A name for a heading that no other heading of the page has; it is added to `taken`."""
    base = re.sub(r"[^a-z0-9]+", "-", plain(text).lower()).strip("-") or "section"
    names = itertools.chain([base], (f"{base}-{number}" for number in itertools.count(2)))
    anchor = next(name for name in names if name not in taken)
    taken.add(anchor)
    return anchor


def _embed(pictures: Sequence[Picture], folder: Path) -> dict[str, Embedded]:
    """Path -> the picture, as many as the page has room for, in order; those of detail all or none."""
    sizes = {picture.path: (folder / picture.path).stat().st_size for picture in pictures}
    with_details = sum(sizes.values()) <= LARGEST_WITH_DETAILS
    embedded: dict[str, Embedded] = {}
    room = LARGEST
    for picture in pictures:
        if sizes[picture.path] <= room and (with_details or not picture.is_detail):
            room -= sizes[picture.path]
            embedded[picture.path] = _read(folder / picture.path)
    return embedded


def _read(path: Path) -> Embedded:
    png = path.read_bytes()
    # The header of a PNG: eight bytes of signature, eight of the first chunk, then width and height.
    width, height = int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
    return Embedded(f"data:image/png;base64,{base64.b64encode(png).decode()}", width, height)


def _columns(table: Table) -> list[list[float | None] | None]:
    """What each column is sorted by; None for a column of words."""
    return [sort_keys([plain(row[place]) for row in table.rows]) for place in range(len(table.header))]


def _kind(block: Block) -> str:
    return type(block).__name__


def _inline(text: str) -> Markup:
    return Markup("").join(_span(span) for span in spans(text))


def _span(span: Span) -> Markup:
    if span.kind == "code":
        return Markup("<code>{}</code>").format(span.text)
    if span.kind == "strong":
        return Markup("<strong>{}</strong>").format(span.text)
    if span.kind == "link" and _SAFE_ADDRESS.match(span.address):
        return Markup('<a href="{}">{}</a>').format(span.address, span.text)
    return escape(span.text)


def _source(environment: Environment, name: str) -> str:
    """The text of a file beside the template."""
    if environment.loader is None:
        raise TypeError("the environment needs a loader")
    return environment.loader.get_source(environment, name)[0]
