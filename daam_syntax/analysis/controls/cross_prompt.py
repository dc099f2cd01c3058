"""Control: heads with words from the images of other prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from daam_syntax.analysis.controls.borrowed_maps import BorrowedMap, measure_borrowed
from daam_syntax.language.sentence import Edge
from daam_syntax.maps import HeatMaps, each_image
from daam_syntax.util.arguments.checks import OWN, checked, whole


@checked(maps=OWN, seed=whole(0))
def cross_prompt_pairs(
    maps: Sequence[HeatMaps],
    *,
    scheme: str = "ud",
    seed: int = 0,
    **options: Any,
) -> pd.DataFrame:
    """Measure heads with a word from the image of another prompt, which overlaps only because of its position.

    A random word replaces the dependent. It has the dependent's part of speech, and its lemma differs from those of
    the head and the dependent. It comes from an image of another prompt with the same seed index, or from any image
    if the seeds are unknown.

    Parameters
    ----------
    maps, scheme, seed, **options
        See `shifted_pairs`.

    Returns
    -------
    pandas.DataFrame
        A pair table of kind "cross-prompt". Its dependents are words of other prompts, so distances are missing. If no
        prompt has a suitable word, the row has NaN and the reason.
    """
    images, rng = list(each_image(maps)), np.random.default_rng(seed)
    words = _words_with_maps(images)

    def borrow(number: int, edge: Edge) -> BorrowedMap:
        image = images[number]
        head, dependent = image.sentence[edge.head], image.sentence[edge.dependent]
        fits = (words["prompt"] != image.prompt) & (words["pos"] == dependent.pos)
        fits &= ~words["lemma"].isin([head.lemma, dependent.lemma])
        fits &= words["seed"] == str(image.provenance.get("seed"))
        fits &= words["shape"] == _shape(image)
        if not fits.any():
            why = "no image of another prompt has such a word at this seed"
            return BorrowedMap(edge, dependent, None, reason=why)
        chosen = words.loc[rng.choice(words.index[fits])]
        other, index = images[chosen["image"]], int(chosen["index"])
        return BorrowedMap(
            edge, other.sentence[index], other.stack([index])[0], len(other.words[index].subwords)
        )

    borrowed = [
        [borrow(number, edge) for edge in image.sentence.edges_of(scheme)]
        for number, image in enumerate(images)
    ]
    table = measure_borrowed(borrowed, images, scheme, options)
    unknown = pd.array([pd.NA] * len(table), dtype="Int64")
    return table.assign(kind="cross-prompt", linear_distance=np.nan, tree_distance=unknown)


def _shape(image: HeatMaps) -> str:
    return f"{image.grid} {image.image_size}"


def _words_with_maps(images: Sequence[HeatMaps]) -> pd.DataFrame:
    rows = [
        {
            "image": number,
            "index": index,
            "prompt": image.prompt,
            "seed": str(image.provenance.get("seed")),
            "shape": _shape(image),
            "pos": image.sentence[index].pos,
            "lemma": image.sentence[index].lemma,
        }
        for number, image in enumerate(images)
        for index in image.mapped
    ]
    columns = ["image", "index", "prompt", "seed", "shape", "pos", "lemma"]
    return pd.DataFrame(rows, columns=columns)
