"""Control: dependency trees with their words permuted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from daam_syntax.analysis.tables.pairs import measure_pairs
from daam_syntax.language.sentence import Edge
from daam_syntax.maps import HeatMaps, each_image
from daam_syntax.util.arguments.checks import OWN, checked, whole


@checked(maps=OWN, n=whole(1), seed=whole(0))
def permuted_pairs(
    maps: HeatMaps | Sequence[HeatMaps],
    *,
    scheme: str = "ud",
    n: int = 4,
    seed: int = 0,
    **options: Any,
) -> pd.DataFrame:
    """Measure the dependency tree of every image with words of the same part of speech randomly permuted.

    Every permutation keeps the shape of the tree, the labels of its edges, and the parts of speech of heads and
    dependents; which words of these parts of speech the edges join is random. Punctuation and words without a map stay
    in place. A random permutation can join a head with its own dependent.

    Parameters
    ----------
    maps, scheme, seed, **options
        See `shifted_pairs`.
    n
        Number of permutations per image, each with rows of its own.

    Returns
    -------
    pandas.DataFrame
        A pair table of kind "permuted", which names the words that were measured.
    """
    images, rng = list(each_image(maps)), np.random.default_rng(seed)

    def permuted(image: HeatMaps) -> HeatMaps:
        sentence = image.sentence
        movable: dict[str, list[int]] = {}
        for i in image.mapped:
            if sentence[i].pos != "PUNCT":
                movable.setdefault(sentence[i].pos, []).append(i)
        to = {
            old: int(new)
            for words in movable.values()
            for old, new in zip(words, rng.permutation(words), strict=True)
        }
        edges = tuple(
            Edge(to.get(e.head, e.head), to.get(e.dependent, e.dependent), e.relation)
            for e in sentence.edges_of(scheme)
        )
        return image.with_sentence(replace(sentence, edges={scheme: edges}, root_indices={}))

    parts = [
        measure_pairs([permuted(i) for i in images], schemes=scheme, unrelated=False, **options)
        for _ in range(n)
    ]
    return pd.concat(parts, ignore_index=True).assign(kind="permuted")
