"""Render the sprites from the Noto Emoji artwork: ``python -m daam_syntax.emoji.training.sprites icons.json``.

``icons.json`` is the icon set of the npm package ``@iconify-json/noto`` (Apache-2.0). The sprites are shipped, so
this is needed only when the vocabulary changes. Requires the extra ``train``.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Final

import resvg_py
from PIL import Image

from daam_syntax.emoji.vocabulary import NOUNS
from daam_syntax.util.data_files import data_path

SIDE: Final = 128
ICONS: Final = {
    "sheep": "ewe",
    "apple": "red-apple",
    "car": "automobile",
    "truck": "delivery-truck",
    "burger": "hamburger",
    "cake": "birthday-cake",
    "donut": "doughnut",
    "tree": "deciduous-tree",
    "couch": "couch-and-lamp",
    "snowman": "snowman-without-snow",
    "hat": "top-hat",
    "shirt": "t-shirt",
    "shoe": "running-shoe",
}
"""Maps each noun to the name of its icon, if they differ."""


def main(icons: Path) -> None:
    """Render every noun to ``data/sprites/<noun>.png``, cropped to its content."""
    bodies = json.loads(icons.read_text(encoding="utf-8"))["icons"]
    folder = data_path("sprites")
    for noun in NOUNS:
        body = bodies[ICONS.get(noun, noun)]["body"]
        svg = (
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="0 0 128 128">{body}</svg>'
        )
        png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=SIDE, height=SIDE))
        image = Image.open(io.BytesIO(png)).convert("RGBA")
        image.crop(image.getbbox()).save(folder / f"{noun}.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
