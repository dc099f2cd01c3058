"""Contents of a page: images, words, edges and maps as plain values for JSON."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex

from daam_syntax.emoji.model import NAME
from daam_syntax.figures.shared.colors import PALETTE, color_map
from daam_syntax.figures.shared.word_labels import label
from daam_syntax.figures.trees.arc_heights import arc_levels
from daam_syntax.language import Sentence
from daam_syntax.maps import HeatMaps, Threshold, WordAttention, fit_image
from daam_syntax.util.wording import plural

if TYPE_CHECKING:
    from PIL.Image import Image

_LOSSLESS: Final = 256 * 256
"""Largest image, in pixels, that is stored without loss; larger images are stored as JPEG."""

_SHADES: Final = 256
_BLUES: Final = 33


def page_contents(
    images: Sequence[Image | np.ndarray],
    maps: Sequence[HeatMaps],
    attention: Sequence[Sequence[WordAttention]],
    threshold: Threshold,
    scheme: str,
) -> dict[str, Any]:
    """Return the data that a page shows.

    The maps of words are stored on the grid of the recording, as little-endian 32-bit floats in base64. *Shape:*
    ``(word, y, x)``. The page upscales them itself, which keeps it small and gives the same measurements as Python.
    """
    sentences: dict[Sentence, int] = {}
    for each in maps:
        sentences.setdefault(each.sentence, len(sentences))
    return {
        "colors": [to_hex(color) for color in color_map()(np.linspace(0.0, 1.0, _SHADES))],
        "attentionColors": [
            to_hex(color) for color in colormaps["Blues"](np.linspace(0.0, 1.0, _BLUES))
        ],
        "headColor": PALETTE[0],
        "dependentColor": PALETTE[1],
        "rule": threshold.rule,
        "value": threshold.value,
        "scheme": scheme,
        "sentences": [_sentence(sentence) for sentence in sentences],
        "images": [
            _image(image, each, number)
            | {"sentence": sentences[each.sentence], "attention": list(map(_attention, between))}
            for number, (image, each, between) in enumerate(
                zip(images, maps, attention, strict=True)
            )
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
        raise ValueError(f"Expected finite maps, but those of image {number} have NaN.")
    try:
        pixels = fit_image(image, maps)
    except ValueError as error:
        raise ValueError(f"Image {number}: {error}") from error
    return {
        "label": _label(maps.provenance, number),
        "model": _model(maps.provenance),
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


def _attention(attention: WordAttention) -> dict[str, Any]:
    """Return attention between words, averaged over its axes. The values have the *shape* ``(query, key)``."""
    values = np.ascontiguousarray(attention.mean, dtype="<f4")
    where = {
        "encoder": f"text encoder: {attention.encoder}",
        "text-text": "denoiser: text to text",
        "refiner": "denoiser: text alone, before the pixels",
    }
    return {
        "name": where.get(attention.relation, attention.relation),
        "causal": attention.causal,
        "labels": [label(text) for text in attention.labels],
        "words": len(attention),
        "values": base64.b64encode(values.tobytes()).decode(),
        "reasons": {
            str(word.index): f"{word.status}: {word.reason}"
            for word in attention.words
            if word.status != "mapped"
        },
    }


def _label(provenance: Mapping[str, Any], number: int) -> str:
    seed = provenance.get("seed")
    return f"image {number}" if seed is None else f"image {number}, seed {seed}"


def _model(provenance: Mapping[str, Any]) -> str:
    """Return what generated or read an image: the model and its settings, as far as they were recorded."""
    name = provenance.get("model")
    shown = "the embedded model of emoji scenes" if name == NAME else name and str(name)
    if provenance.get("source") == "given image":
        return _given(provenance) + (f", read by {shown}" if shown else "")
    if shown is None:
        return "model not recorded"
    parts = [f"generated by {shown}"]
    steps, guidance = provenance.get("steps"), provenance.get("guidance_scale")
    if steps is not None:
        parts.append(plural(steps, "step"))
    if guidance is not None:
        parts.append(f"guidance {guidance:g}")
    return ", ".join(parts)


def _given(provenance: Mapping[str, Any]) -> str:
    """Return how an image that the model did not generate was fitted."""
    fit = provenance.get("fit")
    if fit is None:
        return "given image"
    done = {"crop": "cropped", "resize": "resized"}[fit["choice"]]
    original, size = ("x".join(map(str, fit[key])) for key in ("original_size", "size"))
    return f"given image, {done} from {original} to {size} pixels (height x width)"


def _as_url(image: Image) -> str:
    """Return an image as a data URL."""
    buffer = io.BytesIO()
    form = "PNG" if image.width * image.height <= _LOSSLESS else "JPEG"
    image.save(buffer, format=form, **({"quality": 92} if form == "JPEG" else {}))
    return f"data:image/{form.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
