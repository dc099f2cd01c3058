"""Trees with their words permuted."""

from dataclasses import replace

import pytest

from daam_syntax.analysis import PAIR_COLUMNS, measure_pairs, permuted_pairs
from daam_syntax.language import Edge
from helpers.examples import make_maps, make_sentence


def test_permuted_pairs_are_rows_of_the_measured_table():
    maps = make_maps()
    every = measure_pairs(maps)
    table = permuted_pairs(maps, n=20)
    assert list(table.columns) == list(PAIR_COLUMNS)
    assert table["relation"].value_counts().to_dict() == {"amod": 40, "conj": 20, "punct": 20}
    iou = {frozenset((r.head_index, r.dependent_index)): r.iou for r in every.itertuples()}
    words = table[table["relation"] != "punct"]
    assert {
        frozenset(p) for p in zip(words["head_index"], words["dependent_index"], strict=True)
    } == {frozenset(p) for p in [(0, 1), (0, 3), (0, 4), (1, 3), (1, 4), (3, 4)]}
    for found in words.itertuples():
        assert found.iou == pytest.approx(iou[frozenset((found.head_index, found.dependent_index))])
    assert (table[table["relation"] == "punct"]["dependent_index"] == 2).all()


def test_permuted_pairs_work_where_another_scheme_has_its_own_root():
    sentence = replace(make_sentence(), edges={"ud": (Edge(1, 0, "amod"),), "enhanced": ()})
    sentence = replace(sentence, root_indices={"enhanced": (1,)})
    assert len(permuted_pairs(make_maps(sentence=sentence), n=2)) == 2
