"""Puts a grid of thumbnails on top of the gallery; each leads to its figure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from docutils.nodes import make_id
from sphinx.application import Sphinx

_FIGURE = re.compile(r"^## (.+)\n\n!\[[^\]]*\]\((gallery/[\w-]+\.png)\)", re.MULTILINE)


def thumbnails(page: str) -> Iterator[str]:
    """Yield the lines of a grid with a card for each figure of the page."""
    yield from ("::::{grid} 1 2 2 3", ":gutter: 2", ":class-container: thumbnails", "")
    for title, path in _FIGURE.findall(page):
        name = title.partition(":")[0].replace("`", "")
        yield from (f":::{{grid-item-card}} {name}", f":img-top: {path}")
        yield from (f':link: "#{make_id(title)}"', ":link-type: url", ":::", "")
    yield "::::"


def add_thumbnails(app: Sphinx, page: str, source: list[str]) -> None:
    """Insert the grid before the first figure of the gallery."""
    if page == "gallery":
        start = source[0].index("\n## ")
        grid = "\n".join(thumbnails(source[0]))
        source[0] = f"{source[0][:start]}\n{grid}\n{source[0][start:]}"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.connect("source-read", add_thumbnails)
    return {"parallel_read_safe": True}
