"""Pair table and word table of the same images, computed together."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from daam_syntax.analysis.tables.identity import without_plain_kind
from daam_syntax.analysis.tables.image_batches import batches
from daam_syntax.analysis.tables.pairs import PairOptions, join_rows, pair_rows
from daam_syntax.analysis.tables.words import WordOptions, word_rows
from daam_syntax.maps import HeatMaps, Threshold
from daam_syntax.util.arguments.checks import OWN, checked


@checked(maps=OWN)
def measure_tables(
    maps: HeatMaps | Sequence[HeatMaps],
    *,
    schemes: str | Sequence[str] = ("ud",),
    threshold: str | Threshold = "relative:0.4",
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the tables of `measure_pairs` and `word_table`, upscaling every map only once.

    Parameters
    ----------
    maps
        Heat maps of one image, or of several.
    schemes
        Dependency scheme or schemes of the edges; see `measure_pairs`.
    threshold
        Rule that converts maps to masks.

    Returns
    -------
    pairs, words : pandas.DataFrame
        The two tables.

    Raises
    ------
    ThresholdError
        If the rule is unknown.
    ValueError
        If a sentence does not have a scheme.
    """
    of_pairs, of_words = PairOptions(schemes, threshold), WordOptions(threshold)
    pairs, words = [], []
    for batch in batches(maps):
        pairs.append(pair_rows(batch, of_pairs))
        words += word_rows(batch, of_words)
    of_all_words = pd.DataFrame(words, columns=of_words.columns)
    return join_rows(pairs, of_pairs.columns), without_plain_kind(of_all_words)
