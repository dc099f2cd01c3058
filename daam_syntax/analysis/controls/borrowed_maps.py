"""Measure heads with maps that are not their dependents' own.

The borrowed maps become further words of the image's sentence. Thus controls are measured by the same code as pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from daam_syntax.analysis.tables.identity import image_columns
from daam_syntax.analysis.tables.pairs import measure_pairs
from daam_syntax.language.sentence import Edge, Sentence, Token
from daam_syntax.maps import HeatMaps, Subword


@dataclass(frozen=True)
class BorrowedMap:
    """A map that takes the place of the dependent's map of one edge.

    Attributes
    ----------
    edge
        The edge, with its head and dependent as indices in the parse of the image.
    token
        The word that the map belongs to.
    values
        The map, or None if there is none. *Shape:* ``(y, x)``.
    n_subwords
        Number of subwords of the word.
    reason
        Why there is no map; "" if there is one.
    """

    edge: Edge
    token: Token
    values: np.ndarray | None
    n_subwords: int = 0
    reason: str = ""


def missing_reason(image: HeatMaps, role: str, index: int) -> str:
    """Return why a word has no map; "" if it has one."""
    word = image.words[index]
    return "" if word.status == "mapped" else f"{role} is {word.status}: {word.reason}"


def measure_borrowed(
    borrowed: Sequence[Sequence[BorrowedMap]],
    images: Sequence[HeatMaps],
    scheme: str,
    options: Mapping[str, Any],
) -> pd.DataFrame:
    """Measure each head's own map with the borrowed map.

    Parameters
    ----------
    borrowed
        For each image, its borrowed maps.
    images
        The heat maps of the images.
    scheme
        Dependency scheme of the edges.
    options
        Further arguments of `measure_pairs`.

    Returns
    -------
    pandas.DataFrame
        A pair table whose rows name the words that the borrowed maps belong to.
    """
    joint = [_joined(image, pairs, scheme) for image, pairs in zip(images, borrowed, strict=True)]
    table = measure_pairs(joint, schemes=scheme, unrelated=False, **options)
    rows = [
        _corrections(images[image], borrowed[image][place - len(images[image])])
        for image, place in zip(table["image"], table["dependent_index"], strict=True)
    ]
    corrections = pd.DataFrame(rows, index=table.index)
    reasons = corrections.pop("reason") if len(corrections) else table["reason"]
    table["reason"] = reasons.where(reasons != "", table["reason"])
    return table.assign(**corrections)


def _joined(image: HeatMaps, pairs: Sequence[BorrowedMap], scheme: str) -> HeatMaps:
    """Return an image's word maps followed by the borrowed maps, as further words of its sentence.

    The text is made up: every word is separate and has one subword, since words of the prompt can share characters.
    """
    lent = [replace(pair.token, index=len(image) + k) for k, pair in enumerate(pairs)]
    tokens, start = [], 0
    for token in (*image.sentence.tokens, *lent):
        end = start + len(token.text)
        tokens.append(replace(token, start=start, end=end))
        start = end + 1
    edges = tuple(
        Edge(p.edge.head, token.index, p.edge.relation)
        for p, token in zip(pairs, lent, strict=True)
    )
    text = " ".join(token.text for token in tokens)
    maps = list(zip(image.mapped, image.stack(), strict=True))
    maps += [(t.index, p.values) for t, p in zip(lent, pairs, strict=True) if p.values is not None]
    subwords = [Subword(i, tokens[i].text, tokens[i].start, tokens[i].end) for i, _ in maps]
    stack = np.stack([values for _, values in maps]) if maps else np.zeros((0, *image.grid))
    return HeatMaps(
        xr.DataArray(stack, dims=("token", "y", "x")),
        subwords,
        Sentence(text, tuple(tokens), {scheme: edges}),
        image.image_size,
        provenance={**image.provenance, "prompt_id": image_columns(image, 0)["prompt_id"]},
    )


def _corrections(image: HeatMaps, pair: BorrowedMap) -> dict[str, Any]:
    """Return the columns of a pair that the joined sentence does not have right."""
    problems = [missing_reason(image, "head", pair.edge.head), pair.reason]
    return {
        "prompt": image.prompt,
        "dependent_index": pair.token.index,
        "head_subwords": len(image.words[pair.edge.head].subwords),
        "dependent_subwords": pair.n_subwords,
        "linear_distance": pair.edge.dependent - pair.edge.head,
        "reason": "; ".join(filter(None, problems)),
    }
