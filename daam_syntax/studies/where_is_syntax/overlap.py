"""Whether the attention between two words agrees with the overlap of their heat maps in the image."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from daam_syntax.maps import HeatMaps
from daam_syntax.studies.where_is_syntax.attachment import PromptAttention

_MIN_FREE: Final = 3
"""Pairs of words beyond the numbers that are removed from them."""


def agreement(attention: PromptAttention, weights: NDArray[np.float64], maps: HeatMaps) -> float:
    """Return the partial correlation, over pairs of words, of their attention with the correlation of their maps.

    From both are removed what each of the two words has with all others, and the logarithm of their distance in the
    prompt. So a word with a broad map, or one that everything attends to, makes no agreement, nor does nearness. If
    the pairs of words were exchangeable beyond that, the mean would be 0.

    Parameters
    ----------
    attention
        The words.
    weights
        Attention of one layer and head. *Shape:* ``(query word, key word)``
    maps
        The heat maps of the image.

    Returns
    -------
    float
        NaN if there are too few pairs of words with maps, or nothing varies.
    """
    words = attention.tree.words
    own = [place for place, word in enumerate(words) if word in maps.mapped]
    n = len(own)
    one, other = np.triu_indices(n, 1)
    n_removed = n + 1
    if len(one) < n_removed + _MIN_FREE:
        return np.nan
    flat = maps.stack([words[place] for place in own]).reshape(n, -1)
    if (flat.std(axis=1) == 0).any():
        return np.nan
    given = weights[np.ix_(own, own)]
    pairs = np.stack(
        [np.log(np.maximum(given, given.T)[one, other] + 1e-6), np.corrcoef(flat)[one, other]],
        axis=1,
    )
    design = np.zeros((len(one), n_removed))
    rows = np.arange(len(one))
    design[rows, one] = design[rows, other] = 1
    design[:, n] = np.log(np.subtract(np.take(own, other), np.take(own, one)))
    rest = pairs - design @ np.linalg.lstsq(design, pairs, rcond=None)[0]
    size = np.linalg.norm(rest, axis=0)
    return float(rest[:, 0] @ rest[:, 1] / size.prod()) if (size > 1e-9).all() else np.nan
