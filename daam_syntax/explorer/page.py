"""The page itself: one HTML file, with everything in it."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

import jinja2
import numpy as np

from daam_syntax.explorer.contents import page_contents
from daam_syntax.figures.shared.arguments import paired
from daam_syntax.maps import HeatMaps, Threshold, parse_threshold
from daam_syntax.util.whole_files import whole_file
from daam_syntax.util.wording import plural

if TYPE_CHECKING:
    from PIL.Image import Image

_FRAME_HEIGHT: Final = 760  # pixels, in a notebook


@dataclass(frozen=True, repr=False)
class Page:
    """A page that `explore` made; a notebook shows it.

    Attributes
    ----------
    html
        The whole page. It loads nothing from anywhere, and runs no script but its own.
    n_pictures
        How many pictures it holds.
    """

    html: str
    n_pictures: int

    def save(self, path: str | Path) -> Path:
        """Write the page into a file, whole or not at all; any browser opens it, with or without a network.

        Raises
        ------
        FileError
            If it cannot be written.
        """
        with whole_file(Path(path)) as partial:
            partial.write_text(self.html, encoding="utf-8")
        return Path(path)

    def __repr__(self) -> str:
        size = len(self.html.encode()) / 1e6
        return (
            f"Page({plural(self.n_pictures, 'picture')}, {size:.1f} MB: save it with .save(path))"
        )

    def _repr_html_(self) -> str:
        # In a frame of its own: neither its style nor its script reaches the notebook.
        return (
            f'<iframe srcdoc="{html.escape(self.html)}" sandbox="allow-scripts" '
            f'style="width: 100%; height: {_FRAME_HEIGHT}px; border: 0"></iframe>'
        )


def explore(
    images: Image | np.ndarray | Sequence[Image | np.ndarray],
    maps: HeatMaps | Sequence[HeatMaps],
    *,
    threshold: str | Threshold = "relative:0.4",
    scheme: str = "ud",
) -> Page:
    """Make a page on which words and arcs can be clicked.

    A word shows its map; an arc, or a row of the table, shows the maps of head and dependent, their masks, and how
    much these overlap; a point in the picture shows how much attention it pays to each word. Threshold, scheme and
    picture are chosen on the page, and its address keeps the choice. The numbers are those of `measure_pairs` at the
    image's size, but for single pixels that lie at the cut to within rounding.

    Parameters
    ----------
    images
        One picture, or several: PIL images or arrays of shape (y, x, 3), floats from 0 to 1 or bytes.
    maps
        Their heat maps, in the same order.
    threshold
        The rule that makes masks when the page is opened; see `parse_threshold`.
    scheme
        Whose edges are shown then; the page offers all that the sentence has.

    Returns
    -------
    Page
        Show it in a notebook, or ``.save("page.html")``.

    Raises
    ------
    ThresholdError
        If there is no such rule.
    ValueError
        If there are not as many pictures as maps, none at all, or a sentence has no such scheme.
    TypeError
        If something else than maps is among them.

    Examples
    --------
    >>> explore(images, trace.heat_maps()).save("page.html")  # doctest: +SKIP
    """
    pictures, all_maps = paired(images, maps)
    for each in all_maps:
        each.sentence.edges_of(scheme)
    told = page_contents(pictures, all_maps, parse_threshold(threshold), scheme)
    room = resources.files("daam_syntax.explorer")
    style = (room / "style.css").read_text(encoding="utf-8")
    script = "\n".join(
        (room / name).read_text(encoding="utf-8")
        for name in ("numbers.js", "arcs.js", "panels.js", "view.js")
    )
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("daam_syntax.explorer", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    page = environment.get_template("page.html").render(
        title=all_maps[0].prompt,
        style=style,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        contents=told,
    )
    return Page(page, len(all_maps))
