"""The page as one self-contained HTML file."""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import jinja2
import numpy as np

from daam_syntax.explorer.contents import page_contents
from daam_syntax.figures.shared.arguments import expect, paired
from daam_syntax.maps import HeatMaps, Threshold, WordAttention, parse_threshold
from daam_syntax.util.arguments.checks import OWN, checked
from daam_syntax.util.whole_files import whole_file
from daam_syntax.util.wording import plural

if TYPE_CHECKING:
    from PIL.Image import Image

_FRAME: Final = 740  # pixels in a cell of 860 or more: all but the arcs and the rows of the table
_LEVEL: Final = 24  # pixels of a level of arcs, see arcs.js
_PANEL: Final = 200  # pixels of the width of a panel
_ROW: Final = 26  # pixels of a row of the table
_MATRIX: Final = 340  # pixels of attention between words, except its rows
_CELL: Final = 30  # pixels of a row
_LEAST_ROWS: Final = 10  # the explanation stands beside the table


@dataclass(frozen=True, repr=False)
class Page:
    """A page made by `explore`; a notebook displays it.

    Attributes
    ----------
    html
        The whole page. It loads no other files and runs only its own script.
    n_images
        Number of images on the page.
    height
        Pixels of its frame in a notebook, enough for the whole page if the notebook is about 900 pixels wide.
    """

    html: str
    n_images: int
    height: int

    @checked
    def save(self, path: str | Path) -> Path:
        """Write the page to a file that any browser opens, even offline. The file is written completely or not at all.

        Raises
        ------
        FileError
            If the file cannot be written.
        """
        with whole_file(Path(path)) as partial:
            partial.write_text(self.html, encoding="utf-8")
        return Path(path)

    def __repr__(self) -> str:
        size = len(self.html.encode()) / 1e6
        return f"Page({plural(self.n_images, 'image')}, {size:.1f} MB: save it with .save(path))"

    def _repr_html_(self) -> str:
        # A frame keeps its style and its script out of the notebook.
        return (
            f'<iframe srcdoc="{html.escape(self.html)}" sandbox="allow-scripts" '
            f'style="width: 100%; height: {self.height}px; border: 0"></iframe>'
        )


@checked(images=OWN, maps=OWN)
def explore(
    images: Image | np.ndarray | Sequence[Image | np.ndarray],
    maps: HeatMaps | Sequence[HeatMaps],
    *,
    attention: WordAttention | Iterable[WordAttention | Iterable[WordAttention]] = (),
    threshold: str | Threshold = "relative:0.4",
    scheme: str = "ud",
) -> Page:
    """Make a page to explore heat maps by clicking on words and arcs.

    Clicking a word shows its map. Clicking an arc, or a row of the table, shows the maps of head and dependent, their
    masks and their overlap. Hovering over the image shows how much attention that point pays to each word. The image,
    the scheme and the threshold are chosen on the page, and its address keeps the choice. The numbers equal those of
    `measure_pairs` at the size of the image, except for pixels within rounding error of the threshold.

    Parameters
    ----------
    images
        One image or several: PIL images or arrays of floats from 0 to 1 or of bytes. *Shape:* ``(y, x, 3)``. A photo
        that `trace_image` fitted is fitted in the same way; the page says how.
    maps
        The heat maps of the images, in the same order.
    attention
        For each image, the attention between its words: one relation, such as an item of ``trace.word_attention()``, or
        several. The page then has a matrix of it, from word to word.
    threshold
        Threshold rule of the masks when the page opens, see `parse_threshold`.
    scheme
        Dependency scheme when the page opens; the page offers all schemes of the sentence.

    Returns
    -------
    Page
        Display it in a notebook, or write it with ``.save("page.html")``.

    Raises
    ------
    ThresholdError
        If the rule is unknown.
    ValueError
        If the numbers of images and maps differ or are 0, an image has another size than that of its maps, or a
        sentence lacks the scheme, or attention belongs to another prompt.
    TypeError
        If `maps` contains anything other than heat maps, or `attention` anything other than attention.

    Examples
    --------
    >>> explore(images, trace.heat_maps()).save("page.html")  # doctest: +SKIP
    """
    all_images, all_maps = paired(images, maps)
    for each in all_maps:
        each.sentence.edges_of(scheme)
    between = _attention_of(attention, all_maps)
    contents = page_contents(all_images, all_maps, between, parse_threshold(threshold), scheme)
    folder = resources.files("daam_syntax.explorer")
    style = (folder / "style.css").read_text(encoding="utf-8")
    script = "\n".join(
        (folder / name).read_text(encoding="utf-8")
        for name in ("numbers.js", "arcs.js", "panels.js", "attention.js", "address.js", "view.js")
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
        contents=contents,
    )
    return Page(page, len(all_maps), _frame_height(contents))


def _attention_of(
    attention: WordAttention | Iterable[WordAttention | Iterable[WordAttention]],
    maps: Sequence[HeatMaps],
) -> list[list[WordAttention]]:
    """Return the attention between the words of each image, under the parse of its maps."""
    given = [attention] if isinstance(attention, WordAttention) else list(attention)
    several = [[each] if isinstance(each, WordAttention) else list(each) for each in given]
    if not several:
        return [[] for _ in maps]
    if len(several) != len(maps):
        raise ValueError(
            f"Expected attention for each of {plural(len(maps), 'image')}, but got {len(several)}: pass a list for "
            "each image."
        )
    for number, (own, each) in enumerate(zip(several, maps, strict=True)):
        for between in own:
            expect(between, WordAttention)
            if between.prompt != each.prompt:
                raise ValueError(
                    f"Image {number}: expected attention between the words of {each.prompt!r}, but got that of "
                    f"{between.prompt!r}."
                )
    return [
        [between.with_sentence(each.sentence) for between in own]
        for own, each in zip(several, maps, strict=True)
    ]


def _frame_height(contents: dict[str, Any]) -> int:
    """Return the pixels of a frame that shows the whole page for the largest tree."""
    trees = [
        scheme["edges"]
        for sentence in contents["sentences"]
        for scheme in sentence["schemes"].values()
    ]
    levels = max((edge["level"] for edges in trees for edge in edges), default=1)
    rows = max((len(edges) for edges in trees), default=0) + 1
    tallest = max(image["size"][0] / image["size"][1] for image in contents["images"])
    sides = [len(each["labels"]) for image in contents["images"] for each in image["attention"]]
    matrix = _MATRIX + _CELL * max(sides) if sides else 0
    return matrix + round(
        _FRAME + _LEVEL * levels + _ROW * max(rows, _LEAST_ROWS) + _PANEL * (tallest - 1)
    )
