"""Contents of a page: images, words, edges and maps as plain values for JSON."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from daam_syntax.figures.shared.styles import HEAT, PALETTE
from daam_syntax.figures.trees.arc_heights import arc_levels
from daam_syntax.language import Sentence
from daam_syntax.maps import HeatMaps, Threshold
from daam_syntax.util.pixels import as_rgb

if TYPE_CHECKING:
    from PIL.Image import Image

_LOSSLESS: Final = 256 * 256
"""Largest image, in pixels, that is stored without loss; larger images are stored as JPEG."""

_SHADES: Final = 256


def page_contents(
    images: Sequence[Image | np.ndarray],
    maps: Sequence[HeatMaps],
    threshold: Threshold,
    scheme: str,
) -> dict[str, Any]:
    """Return the data that a page shows.

    The maps of words are stored on the grid of the recording, as little-endian 32-bit floats in base64. *Shape:*
    ``(word, y, x)``. The page upscales them itself, which keeps it small and gives the same measurements as Python.
    """
    import seaborn as sns  # takes a second to import

    sentences: dict[Sentence, int] = {}
    for each in maps:
        sentences.setdefault(each.sentence, len(sentences))
    return {
        "colors": sns.color_palette(HEAT, _SHADES).as_hex(),
        "headColor": PALETTE[0],
        "dependentColor": PALETTE[1],
        "rule": threshold.rule,
        "value": threshold.value,
        "scheme": scheme,
        "sentences": [_sentence(sentence) for sentence in sentences],
        "images": [
            _image(image, each, number) | {"sentence": sentences[each.sentence]}
            for number, (image, each) in enumerate(zip(images, maps, strict=True))
        ],
    }


def _sentence(sentence: Sentence) -> dict[str, Any]:
    levels = {scheme: arc_levels(edges) for scheme, edges in sentence.edges.items()}
    return {
        "text": sentence.text,
        "parser": sentence.parser,
        "words": [
            {"text": token.text, "lemma": token.lemma, "pos": token.pos}
            for token in sentence.tokens
        ],
        "schemes": {
            scheme: {
                "roots": list(sentence.roots(scheme)),
                "edges": [
                    {
                        "head": edge.head,
                        "dependent": edge.dependent,
                        "relation": edge.relation,
                        "level": levels[scheme][edge],
                    }
                    for edge in edges
                ],
            }
            for scheme, edges in sentence.edges.items()
        },
    }


def _image(image: Image | np.ndarray, maps: HeatMaps, number: int) -> dict[str, Any]:
    values = np.ascontiguousarray(maps.stack(), dtype="<f4")
    if not np.isfinite(values).all():
        raise ValueError(f"Expected finite maps, but those of image {number + 1} have NaN.")
    pixels = as_rgb(image)
    if pixels.size != (maps.image_size[1], maps.image_size[0]):
        raise ValueError(
            f"Expected image {number + 1} with the {maps.image_size[1]} x {maps.image_size[0]} pixels for which its "
            f"maps were recorded, but got {pixels.width} x {pixels.height}."
        )
    return {
        "label": _label(maps.provenance, number),
        "size": list(maps.image_size),
        "grid": list(maps.grid),
        "source": _as_url(pixels),
        "maps": base64.b64encode(values.tobytes()).decode(),
        "mapped": list(maps.mapped),
        "reasons": {
            str(word.index): f"{word.status}: {word.reason}"
            for word in maps.words
            if word.status != "mapped"
        },
    }


def _label(provenance: Mapping[str, Any], number: int) -> str:
    seed = provenance.get("seed")
    return f"image {number + 1}" if seed is None else f"image {number + 1}, seed {seed}"


def _as_url(image: Image) -> str:
    """Return an image as a data URL."""
    buffer = io.BytesIO()
    form = "PNG" if image.width * image.height <= _LOSSLESS else "JPEG"
    image.save(buffer, format=form, **({"quality": 92} if form == "JPEG" else {}))
    return f"data:image/{form.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
