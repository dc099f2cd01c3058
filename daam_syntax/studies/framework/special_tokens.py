"""Kinds of tokens (words, start and end tokens, padding): their attention, and the image without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from daam_syntax.analysis import estimate_difference, estimate_mean
from daam_syntax.attention import Edit, intervene
from daam_syntax.language import Sentence
from daam_syntax.maps import HeatMaps, bicubic
from daam_syntax.maps.measures.binding import region_shares
from daam_syntax.maps.measures.breadth import effective_area
from daam_syntax.studies.framework.bounds import SHARE
from daam_syntax.studies.framework.comparisons import inside_and_outside
from daam_syntax.studies.framework.findings import Finding
from daam_syntax.studies.framework.setup import Setup
from daam_syntax.studies.framework.word_classes import content_words

NAMES: Final = {
    "start": "start token",
    "text": "words",
    "end": "end token",
    "template": "template tokens",
    "padding": "padding",
}
"""Maps each kind of token (see `daam_syntax.maps.Subword`) to its name in figures and findings."""


def kind_maps(maps: HeatMaps) -> dict[str, np.ndarray]:
    """Return the summed attention to the tokens of each kind, *shape* (y, x), from maps recorded with padding."""
    kinds = np.array([subword.kind for subword in maps.subwords])
    return {
        kind: maps.mean[kinds == kind].sum(axis=0, dtype=np.float64)
        for kind in NAMES
        if (kinds == kind).any()
    }


def draw_without_each(
    setup: Setup, sentence: Sentence, seed: int, kinds: Sequence[str]
) -> dict[str, np.ndarray]:
    """Draw a sentence without the attention to each kind of token; return the images, *shape* (y, x, 3)."""
    images = {}
    for kind in kinds:
        with intervene(setup.pipe, Edit(tokens=(kind,))):
            images[kind] = setup.draw(sentence.text, seed)[0]
    return images


def kind_rows(
    maps: HeatMaps, original: np.ndarray, deleted: Mapping[str, np.ndarray], threshold: str
) -> list[dict[str, Any]]:
    """Measure each kind of token in one image.

    Parameters
    ----------
    maps
        Heat maps of the image, recorded with padding.
    original, deleted
        The image, and the images drawn without the attention to each kind. *Shape:* (y, x, 3)
    threshold
        Threshold rule for the masks of nouns.

    Returns
    -------
    list of dict
        ``kind``; ``n_tokens``; ``attention``, its share of all attention; ``effective_area`` of its map; ``on_nouns``,
        the share of its attention that lies in the union of the nouns' masks; ``excess_on_nouns``, that share minus
        the area of the union; and the change without it, in the columns of `inside_and_outside` for the union.
    """
    nouns = [word for word in content_words(maps.sentence, ("NOUN",)) if word in maps.mapped]
    height, width = original.shape[:2]
    mask = np.zeros((height, width), dtype=bool)
    for noun in nouns:
        mask |= maps[noun].mask(threshold, (height, width))
    rows = []
    for kind, values in kind_maps(maps).items():
        change = np.abs(deleted[kind] - original).mean(axis=-1)
        whole = bicubic(values[None], (height, width))
        on_nouns = float(region_shares(whole, mask[None])[0, 0])
        rows.append(
            {
                "kind": kind,
                "n_tokens": sum(subword.kind == kind for subword in maps.subwords),
                "attention": float(values.mean()),
                "effective_area": float(effective_area(values)),
                "on_nouns": on_nouns,
                "excess_on_nouns": on_nouns - float(mask.mean()),
                **inside_and_outside(change, mask),
            }
        )
    return rows


def kind_findings(table: pd.DataFrame) -> list[Finding]:
    """Return findings on how much attention each kind of token gets, where it lies, and what changes without it."""
    of = {NAMES[str(kind)]: rows for kind, rows in table.groupby("kind", sort=False)}
    change = [
        estimate_mean(rows, "whole", label=f"without {name}", bounds=SHARE)
        for name, rows in of.items()
    ]
    if {NAMES["padding"], NAMES["text"]} <= set(of):
        change.append(
            estimate_difference(
                of[NAMES["padding"]],
                of[NAMES["text"]],
                "whole",
                label="without padding minus without words",
                bounds=SHARE,
            )
        )
    return [
        Finding(
            "Distribution of the attention",
            "share of the attention, summed over the tokens of a kind",
            tuple(
                estimate_mean(rows, "attention", label=name, bounds=SHARE)
                for name, rows in of.items()
            ),
        ),
        Finding(
            "Does the attention lie on the objects of the nouns?",
            "share of the kind's attention in the nouns' masks, minus the area of the masks",
            tuple(
                estimate_mean(rows, "excess_on_nouns", label=name, bounds=(-1, 1))
                for name, rows in of.items()
                if name != NAMES["text"]
            ),
            notes=("Words are left out: the masks are made from their own maps.",),
        ),
        Finding(
            "Does attention to each kind of token affect the image?",
            "change of the image (0 to 1)",
            tuple(change),
        ),
    ]
