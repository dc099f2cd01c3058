"""The pair table, on boxes whose measures can be worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from daam_syntax.analysis import MEASURES, PAIR_COLUMNS, measure_pairs, summarize
from daam_syntax.analysis.tables.pairs import exchange_roles
from daam_syntax.errors import ThresholdError
from daam_syntax.language import Edge
from daam_syntax.maps import PAIR_MEASURES, bicubic
from helpers.examples import box, make_maps, make_sentence


@pytest.fixture
def pairs():
    return measure_pairs(make_maps())


def row(table, head, dependent):
    found = table[(table["head_index"] == head) & (table["dependent_index"] == dependent)]
    assert len(found) == 1
    return found.iloc[0]


def test_every_edge_and_every_unrelated_pair_has_a_row(pairs):
    assert list(pairs.columns) == list(PAIR_COLUMNS)
    dependencies = pairs[pairs["kind"] == "dependency"]
    assert dependencies["relation"].tolist() == ["amod", "punct", "conj", "amod"]
    # Four words without the comma form six pairs, three of which are edges.
    unrelated = pairs[pairs["kind"] == "unrelated"]
    found = list(zip(unrelated["head_index"], unrelated["dependent_index"], strict=True))
    assert found == [(0, 3), (0, 4), (1, 3)]
    assert set(unrelated["relation"]) == {"unrelated"}


def test_measures_of_hand_made_boxes(pairs):
    red_car = row(pairs, 1, 0)
    assert red_car["iou"] == pytest.approx(1 / 3)
    assert red_car[["iod", "ioh"]].tolist() == [0.5, 0.5]
    assert red_car["head_area"] == pytest.approx(8 / 24)
    assert red_car["lift"] == pytest.approx(1.5)
    assert red_car["phi"] == pytest.approx((24 * 4 - 64) / (8 * 16))
    assert red_car["soft_iou"] == pytest.approx(1 / 3)
    assert red_car["linear_distance"] == -1
    assert red_car["reason"] == ""
    # The zebra is 0.6 on 4 pixels and 0.2 on 4, and only the first four lie above 0.4 x 0.6.
    assert row(pairs, 4, 3)["iou"] == 1
    assert row(pairs, 1, 4)["iou"] == 0
    assert row(pairs, 0, 3)["iou"] == 0


def test_pairs_have_the_columns_that_matching_and_regressions_need(pairs):
    columns = ["head_lemma", "dependent_lemma", "head_subwords", "dependent_subwords"]
    assert row(pairs, 4, 3)[columns].tolist() == ["zebra", "red", 2, 1]  # ze|bra
    assert row(pairs, 1, 0)["tree_distance"] == 1
    # red - car - zebra - red
    assert [row(pairs, 0, j)["tree_distance"] for j in (3, 4)] == [3, 2]
    apart = make_maps(sentence=make_sentence(edges=[Edge(1, 0, "amod")]))
    assert pd.isna(row(measure_pairs(apart), 1, 4)["tree_distance"])


def test_an_empty_mask_is_a_row_with_a_reason(pairs):
    comma = row(pairs, 1, 2)
    assert comma["reason"] == "dependent's mask is empty"
    assert comma[["iou", "iod", "ioh", "lift", "soft_iou"]].isna().all()
    assert comma["dependent_area"] == 0


def test_a_pair_without_overlap_has_no_log_lift():
    table = measure_pairs(make_maps(), measures=("lift", "log_lift"))
    apart = row(table, 1, 4)
    assert apart["lift"] == 0
    assert np.isnan(apart["log_lift"])
    assert apart["reason"] == "masks share no pixel"
    assert row(table, 1, 2)["reason"] == "dependent's mask is empty"
    together = row(table, 1, 0)
    assert together[["log_lift", "reason"]].tolist() == [pytest.approx(np.log2(1.5)), ""]
    assert row(measure_pairs(make_maps()), 1, 4)["reason"] == ""


def test_a_truncated_word_is_a_row_with_a_reason():
    maps = make_maps([np.ones((4, 6), np.float32)] * 3, truncated_at=7)
    table = measure_pairs(maps)
    assert len(table) == 7
    zebra = row(table, 1, 4)
    assert "dependent is truncated" in zebra["reason"]
    assert zebra[list(MEASURES)].isna().all()
    assert row(table, 1, 0)["iou"] == 1


def test_every_pair_against_a_loop(pairs):
    maps = make_maps(image_size=(9, 14))
    table = measure_pairs(maps, threshold="relative:0.3")
    for _, got in table.iterrows():
        head, dependent = (
            maps[int(got[i])].mask("relative:0.3") for i in ("head_index", "dependent_index")
        )
        if not (head.any() and dependent.any()):
            assert np.isnan(got["iou"])
            continue
        shared = (head & dependent).sum()
        assert got["iou"] == pytest.approx(shared / (head | dependent).sum())
        assert got["iod"] == pytest.approx(shared / dependent.sum())
        assert got["ioh"] == pytest.approx(shared / head.sum())
        assert got["head_area"] == pytest.approx(head.mean())


def test_thresholds_sizes_and_schemes_have_rows_of_their_own():
    maps = make_maps(image_size=(8, 12))
    table = measure_pairs(maps, threshold=["relative:0.4", "absolute:0.15"], unrelated=False)
    assert table.groupby("threshold").size().to_dict() == {"absolute:0.15": 4, "relative:0.4": 4}
    grid = measure_pairs(maps, size="grid")
    assert row(grid, 1, 0)["iou"] == pytest.approx(1 / 3)
    assert row(measure_pairs(maps, size=(4, 6)), 1, 0)["iou"] == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="schemes"):
        measure_pairs(maps, schemes=["native"])
    with pytest.raises(ThresholdError):
        measure_pairs(maps, threshold="median")


def test_no_images_give_an_empty_table_with_its_columns():
    assert list(measure_pairs([]).columns) == list(PAIR_COLUMNS)


def test_one_word_has_no_pairs():
    maps = make_maps([np.ones((4, 6), np.float32)] * 2, sentence=make_sentence("red", edges=()))
    table = measure_pairs(maps)
    assert len(table) == 0
    assert summarize(table).empty


def test_rows_have_the_prompt_and_the_seed_of_their_image():
    maps = [make_maps(provenance={"seed": s}) for s in (5, 6)]
    table = measure_pairs(maps)
    assert table.groupby("image")["seed"].first().tolist() == [5, 6]
    assert table["prompt_id"].nunique() == 1
    assert measure_pairs(make_maps())["seed"].isna().all()


def test_invalid_sizes_and_schemes_are_named():
    with pytest.raises(ValueError, match="but got 'imag'"):
        measure_pairs(make_maps(), size="imag")
    with pytest.raises(ValueError, match=r"but got \(0, 6\)"):
        measure_pairs(make_maps(), size=(0, 6))
    assert measure_pairs(make_maps(), schemes="ud").equals(measure_pairs(make_maps()))
    with pytest.raises(ValueError, match=r"at least one threshold, such as 'relative:0\.4'"):
        measure_pairs(make_maps(), threshold=[])


CHEAP = [name for name in PAIR_MEASURES if name != "earth_movers"]


def test_measures_by_name():
    table = measure_pairs(make_maps(), measures=("pearson", "iou"))
    assert list(table.columns)[-3:] == ["pearson", "iou", "reason"]
    assert len(table.columns) == len(PAIR_COLUMNS) - len(MEASURES) + 2
    maps = make_maps(image_size=(9, 14))
    everything = measure_pairs(maps, measures=CHEAP, size=(5, 7))
    words = bicubic(maps.stack(), (5, 7))  # of all five words, in order
    for _, got in everything.iterrows():
        pair = words[[got["head_index"], got["dependent_index"]]]
        for name in ("cosine", "spearman", "centroid_distance"):
            assert got[name] == pytest.approx(
                float(PAIR_MEASURES[name].function(*pair)), nan_ok=True
            )
    with pytest.raises(ValueError, match="but got 'dependency'"):
        measure_pairs(maps, measures="dependency")
    assert measure_pairs([], measures="phi").columns[-2] == "phi"


@pytest.mark.parametrize("rule", ["relative:0.4", "absolute:0.15", "absolute:0.9", "otsu"])
def test_exactly_the_rows_with_missing_measures_have_a_reason(rule):
    flat = np.full((4, 6), 0.3, np.float32)
    odd = [flat, box(0, 2, 0, 4), flat, np.zeros((4, 6), np.float32), flat, flat, box(2, 4, 0, 4)]
    for measures in (CHEAP, "iou", "cosine", "pearson", "phi", "head_area"):
        table = measure_pairs([make_maps(), make_maps(odd)], threshold=rule, measures=measures)
        values = table.loc[:, "threshold":"reason"].drop(columns=["threshold", "reason"])
        assert ((table["reason"] != "") == values.isna().any(axis=1)).all()


def test_reasons_name_what_is_undefined():
    flat = np.full((4, 6), 0.3, np.float32)
    maps = make_maps([flat, box(0, 2, 0, 4), flat, flat, np.zeros((4, 6), np.float32)])

    def reason(measures, dependent):
        return row(measure_pairs(maps, measures=measures), 1, dependent)["reason"]

    assert reason("cosine", 0) == ""
    assert reason("pearson", 0) == "head's map is constant"
    assert reason("phi", 0) == "head's mask covers everything"
    last = measure_pairs(maps, measures="cosine").iloc[-1]  # car and the second red
    assert last["reason"] == "dependent's map has no mass"


def test_exchanged_roles_give_the_table_of_the_reversed_edges():
    edges = (Edge(1, 0, "amod"), Edge(1, 2, "punct"), Edge(1, 4, "conj"), Edge(4, 3, "amod"))
    reverse = [Edge(edge.dependent, edge.head, edge.relation) for edge in edges]
    options = {"measures": CHEAP, "unrelated": False}
    table = measure_pairs(make_maps(), **options)
    found = exchange_roles(table)
    expected = measure_pairs(make_maps(sentence=make_sentence(edges=reverse)), **options)
    keys = ["head_index", "dependent_index"]
    pd.testing.assert_frame_equal(
        found.sort_values(keys, ignore_index=True), expected.sort_values(keys, ignore_index=True)
    )
    pd.testing.assert_frame_equal(exchange_roles(found), table)
    with pytest.raises(ValueError, match="ioh beside iod"):
        exchange_roles(table.drop(columns="ioh"))


def test_exchanged_roles_of_words_without_a_map():
    maps = make_maps([np.ones((4, 6), np.float32)] * 2 + [np.zeros((4, 6))], truncated_at=9)
    table = exchange_roles(measure_pairs(maps, unrelated=False))
    reasons = table.set_index(["head_index", "dependent_index"])["reason"]
    assert reasons[0, 1] == "head's mask covers everything; dependent's mask is empty"
    assert reasons[2, 1].startswith("head is unaligned: ")
    assert reasons[2, 1].endswith("; dependent's mask is empty")
    assert reasons[3, 4].startswith("head is truncated: the encoder read only the first 9")
