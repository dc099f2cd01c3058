import numpy as np
import pandas as pd
import pytest

from daam_syntax.analysis import (
    MEASURES,
    PAIR_COLUMNS,
    WORD_COLUMNS,
    measure_pairs,
    measure_tables,
    summarize,
    word_table,
)
from daam_syntax.errors import ThresholdError
from daam_syntax.language import Edge
from daam_syntax.maps import BREADTH_MEASURES, PAIR_MEASURES, bicubic
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
    # four words without the comma make six pairs; three of them are edges
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
    assert red_car["soft_iou"] == pytest.approx(1 / 3)
    assert red_car["linear_distance"] == -1
    assert red_car["reason"] == ""
    # the zebra is 0.6 on 4 pixels and 0.2 on 4: only the first four pass 0.4 x 0.6
    assert row(pairs, 4, 3)["iou"] == 1
    assert row(pairs, 1, 4)["iou"] == 0
    assert row(pairs, 0, 3)["iou"] == 0


def test_pairs_carry_what_matching_and_regressions_need(pairs):
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


def test_images_know_their_prompt_and_seed():
    maps = [make_maps(provenance={"seed": s}) for s in (5, 6)]
    table = measure_pairs(maps)
    assert table.groupby("image")["seed"].first().tolist() == [5, 6]
    assert table["prompt_id"].nunique() == 1
    assert measure_pairs(make_maps())["seed"].isna().all()


def test_the_word_table_has_a_row_per_token():
    table = word_table([make_maps(), make_maps()])
    assert list(table.columns) == list(WORD_COLUMNS)
    assert len(table) == 10
    zebra = table.iloc[4]
    assert (zebra["subwords"], zebra["n_subwords"]) == ("ze|bra</w>", 2)
    assert zebra["max"] == pytest.approx(0.6)
    assert zebra["mean"] == pytest.approx((4 * 0.6 + 4 * 0.2) / 24)
    assert zebra["area"] == pytest.approx(4 / 24)
    assert zebra["peak_y"] == pytest.approx(2.5 / 4)  # not exchanged with x on a grid of 4 x 6
    assert zebra["peak_x"] == pytest.approx(0.5 / 6)
    car = table.iloc[1]
    assert car["peak_x"] == pytest.approx(2.5 / 6)


def test_words_without_a_map_are_rows_too():
    maps = make_maps([np.ones((4, 6), np.float32)] * 3, truncated_at=7)
    table = word_table(maps)
    assert table["status"].tolist() == ["mapped", "mapped", "truncated", "truncated", "truncated"]
    assert table["mean"].notna().tolist() == [True, True, False, False, False]
    assert table["reason"].iloc[4] != ""


def pair_rows(values):
    """A pair table with one relation: values[prompt][image] is the list of IoUs."""
    rows = []
    image = 0
    for prompt, images in values.items():
        for ious in images:
            rows += [
                {
                    "kind": "dependency",
                    "scheme": "ud",
                    "threshold": "relative:0.4",
                    "relation": "amod",
                    "prompt_id": prompt,
                    "image": image,
                    **dict.fromkeys(MEASURES, v),
                }
                for v in ious
            ]
            image += 1
    return pd.DataFrame(rows)


def test_prompts_are_the_sample():
    # a: images of 0.2 and 0.4 -> 0.3; b: one image with three pairs -> 0.9. The mean is 0.6, whatever n.
    table = summarize(pair_rows({"a": [[0.1, 0.3], [0.4]], "b": [[0.9, 0.9, 0.9]]}))
    assert table.loc[0, "iou"] == pytest.approx(0.6)
    assert table.loc[0, ["n_prompts", "n_images", "n_pairs", "n_missing"]].tolist() == [2, 3, 6, 0]


def test_images_of_joined_tables_are_told_apart_by_their_prompts():
    first, second = (pair_rows({prompt: [[0.2]]}) for prompt in "ab")
    table = summarize(pd.concat([first, second]))
    assert table.loc[0, ["n_prompts", "n_images"]].tolist() == [2, 2]


def test_missing_values_are_counted_not_averaged():
    table = summarize(pair_rows({"a": [[0.2, np.nan]], "b": [[np.nan]]}))
    assert table.loc[0, "iou"] == pytest.approx(0.2)
    assert table.loc[0, ["n_prompts", "n_images", "n_pairs", "n_missing"]].tolist() == [1, 1, 1, 2]


def test_the_control_comes_first_then_the_largest_groups(pairs):
    table = summarize(pairs)
    assert table["relation"].tolist() == ["unrelated", "amod", "conj", "punct"]
    assert table.set_index("relation").loc["punct", ["n_pairs", "n_missing"]].tolist() == [0, 1]
    assert table.to_latex()  # course reports take it as it is


def test_summaries_by_other_columns(pairs):
    by_pos = summarize(pairs, by=["relation", "dependent_pos"])
    assert {"relation", "dependent_pos"} <= set(by_pos.columns)
    with pytest.raises(ValueError, match="columns colour"):
        summarize(pairs, by="colour")


def test_an_image_without_any_map_has_its_rows():
    maps = make_maps([np.ones((4, 6), np.float32)], truncated_at=0)
    table = measure_pairs(maps)
    assert len(table) == 7
    assert table[list(MEASURES)].isna().all(axis=None)
    assert table["reason"].str.contains("head is truncated").all()
    assert summarize(table)["n_missing"].sum() == 7
    assert word_table(maps)["area"].isna().all()


def test_all_masks_of_a_map_are_the_same_where_it_equals_the_cut():
    # 0.4 in 32 bits is above 0.4 in 64 bits: masks must be made in one precision everywhere
    tied = box(0, 1, 0, 2)
    tied[0, 1] = 0.4
    maps = make_maps([tied] * 8)
    area = maps["car"].mask().mean()
    assert area == pytest.approx(1 / 24)
    assert row(measure_pairs(maps), 1, 0)["head_area"] == area
    assert word_table(maps).loc[1, "area"] == area


def test_means_and_peaks_are_of_the_recording_not_of_the_upscaled_map():
    table = word_table(make_maps([box(1, 2, 2, 3, value=0.5)] * 8, image_size=(40, 60)))
    assert table.loc[1, "max"] == 0.5
    assert table.loc[1, "mean"] == pytest.approx(0.5 / 24)
    assert table.loc[1, ["peak_y", "peak_x"]].tolist() == pytest.approx([1.5 / 4, 2.5 / 6])


def test_sizes_and_schemes_that_make_no_sense_are_named():
    with pytest.raises(ValueError, match="but got 'imag'"):
        measure_pairs(make_maps(), size="imag")
    with pytest.raises(ValueError, match=r"but got \(0, 6\)"):
        measure_pairs(make_maps(), size=(0, 6))
    assert measure_pairs(make_maps(), schemes="ud").equals(measure_pairs(make_maps()))


def test_groups_without_a_name_are_groups_too(pairs):
    table = summarize(pairs, by="seed")  # no image knows its seed
    by_kind = summarize(pairs, by="kind")
    assert table["seed"].isna().all()
    assert table["n_pairs"].tolist() == by_kind["n_pairs"].tolist() == [3, 3]
    np.testing.assert_allclose(table["iou"], by_kind["iou"])


def test_summaries_by_image_and_by_prompt():
    table = measure_pairs([make_maps(), make_maps()])
    assert summarize(table, by="image")["n_images"].tolist() == [1, 1, 1, 1]
    assert summarize(table, by="prompt_id")["n_images"].tolist() == [2, 2]


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
def test_what_is_missing_has_a_reason_and_only_that(rule):
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


def test_images_of_any_size_are_measured_as_each_alone(monkeypatch):
    images = [make_maps(image_size=size) for size in [(9, 14), (9, 14), (14, 9), (9, 14), (9, 14)]]
    options = {"threshold": ["paper", "otsu"], "unrelated": True}
    together = measure_pairs(images, **options)
    monkeypatch.setattr("daam_syntax.analysis.tables.image_batches._PIXELS_AT_ONCE", 1)
    alone = measure_pairs(images, **options)
    pd.testing.assert_frame_equal(together, alone)
    assert together.groupby("image").size().tolist() == [14] * 5
    assert together["threshold"].iloc[:14].tolist() == ["relative:0.4"] * 7 + ["otsu"] * 7
    pd.testing.assert_frame_equal(
        together[together["image"] == 2].drop(columns="image").reset_index(drop=True),
        measure_pairs(images[2], **options).drop(columns="image"),
    )


def test_breadth_by_name():
    maps = make_maps(image_size=(40, 60))
    table = word_table(maps, breadth=BREADTH_MEASURES)
    assert [c for c in table.columns if c in BREADTH_MEASURES] == list(BREADTH_MEASURES)
    assert list(table.columns)[-2:] == ["threshold", "area"]
    assert table.loc[0, "effective_area"] == pytest.approx(8 / 24)  # of the recording
    assert table.loc[2, list(BREADTH_MEASURES)].isna().all()  # the comma's map is 0 everywhere
    with pytest.raises(ValueError, match=r"entropy, .* but got 'width'"):
        word_table(maps, breadth="width")


def test_both_tables_at_once_are_the_same_two():
    images = [make_maps(image_size=(9, 14)), make_maps(image_size=(8, 8))]
    pairs, words = measure_tables(images, threshold="otsu")
    pd.testing.assert_frame_equal(pairs, measure_pairs(images, threshold="otsu"))
    pd.testing.assert_frame_equal(words, word_table(images, threshold="otsu"))
    assert [len(t) for t in measure_tables([])] == [0, 0]
