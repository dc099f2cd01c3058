"""Both tables of the same images, computed together."""

import numpy as np
import pandas as pd

from daam_syntax.analysis import (
    MEASURES,
    measure_pairs,
    measure_tables,
    summarize,
    word_table,
)
from helpers.examples import make_maps


def test_both_tables_are_those_of_their_own_functions():
    images = [make_maps(image_size=(9, 14)), make_maps(image_size=(8, 8))]
    pairs, words = measure_tables(images, threshold="otsu")
    pd.testing.assert_frame_equal(pairs, measure_pairs(images, threshold="otsu"))
    pd.testing.assert_frame_equal(words, word_table(images, threshold="otsu"))
    assert [len(t) for t in measure_tables([])] == [0, 0]


def test_an_image_without_any_map_has_all_rows():
    maps = make_maps([np.ones((4, 6), np.float32)], truncated_at=0)
    table = measure_pairs(maps)
    assert len(table) == 7
    assert table[list(MEASURES)].isna().all(axis=None)
    assert table["reason"].str.contains("head is truncated").all()
    assert summarize(table)["n_missing"].sum() == 7
    assert word_table(maps)["area"].isna().all()
