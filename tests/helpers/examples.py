"""Small heat maps whose measures can be worked out by hand."""

import numpy as np
import xarray as xr

from daam_syntax.language import Edge, Sentence, Span, Token
from daam_syntax.maps import HeatMaps, Subword


def make_sentence(text="red car , red zebra", edges=None, pos=None):
    """Return a sentence split at spaces, by default with the tree of "red car, red zebra"."""
    tokens, start = [], 0
    for i, word in enumerate(text.split(" ")):
        p = (pos or {}).get(i, "PUNCT" if word == "," else "NOUN")
        tokens.append(Token(i, word, word, p, "", start, start + len(word)))
        start += len(word) + 1
    if edges is None:
        edges = (Edge(1, 0, "amod"), Edge(1, 2, "punct"), Edge(1, 4, "conj"), Edge(4, 3, "amod"))
    spans = (Span(0, 2, 1), Span(3, 5, 4)) if len(tokens) == 5 else ()
    return Sentence(text, tuple(tokens), {"ud": tuple(edges)}, spans, "by hand")


SUBWORDS = [
    Subword(0, "<start>", 0, 0, "start"),
    Subword(1, "red</w>", 0, 3),
    Subword(2, "car</w>", 4, 7),
    Subword(3, ",</w>", 8, 9),
    Subword(4, "red</w>", 10, 13),
    Subword(5, "ze", 14, 16),
    Subword(6, "bra</w>", 16, 19),
    Subword(7, "<end>", 0, 0, "end"),
]


def box(y0, y1, x0, x1, shape=(4, 6), value=1.0):
    """Return a map that is `value` in rows y0 to y1 and columns x0 to x1, and 0 elsewhere."""
    values = np.zeros(shape, dtype=np.float32)
    values[y0:y1, x0:x1] = value
    return values


def make_maps(arrays=None, *, image_size=(4, 6), **options):
    """Return maps of "red car , red zebra" on a non-square grid of 4 x 6, one array per subword."""
    if arrays is None:
        arrays = [
            box(0, 4, 0, 6, value=0.1),  # <start>
            box(0, 2, 0, 4),  # red: 8 pixels
            box(0, 2, 2, 6),  # car: 8 pixels, 4 of them shared with the first red
            np.zeros((4, 6), np.float32),  # ,: nothing
            box(2, 4, 0, 2),  # the second red: 4 pixels
            box(2, 4, 0, 2, value=0.8),  # ze
            box(2, 4, 0, 4, value=0.4),  # bra
            box(0, 4, 0, 6, value=0.2),  # <end>
        ]
    data = xr.DataArray(np.stack(arrays), dims=("token", "y", "x"))
    sentence = options.pop("sentence", None) or make_sentence()
    return HeatMaps(data, SUBWORDS[: len(arrays)], sentence, image_size, **options)


def make_other_maps(text="blue car , blue cow", seed=0):
    """Return maps of another prompt, all of which cover the whole image."""
    sentence = make_sentence(text, pos={0: "ADJ", 3: "ADJ"})
    arrays = [box(0, 4, 0, 6)] * 8
    return make_maps(arrays, sentence=sentence, provenance={"seed": seed})
