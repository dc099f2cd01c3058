"""Words of other prompts in place of dependents."""

import pytest

from daam_syntax.analysis import MEASURES, PAIR_COLUMNS, cross_prompt_pairs, measure_pairs
from helpers.examples import make_maps, make_other_maps, make_sentence


def test_cross_prompt_pairs_take_a_word_of_another_prompt():
    red = make_maps(sentence=make_sentence(pos={0: "ADJ", 3: "ADJ"}), provenance={"seed": 0})
    table = cross_prompt_pairs([red, make_other_maps()])
    assert list(table.columns) == list(PAIR_COLUMNS)
    assert set(table["kind"]) == {"cross-prompt"}
    mine = table[table["image"] == 0]
    assert mine["prompt"].unique().tolist() == ["red car , red zebra"]
    assert mine["prompt_id"].unique().tolist() == measure_pairs(red)["prompt_id"].unique().tolist()
    amod = mine[mine["relation"] == "amod"]
    assert amod["dependent"].tolist() == ["blue", "blue"]
    # The maps of the other prompt cover everything, so the overlap is the head's own area.
    assert amod["iou"].tolist() == pytest.approx(amod["head_area"].tolist())
    assert amod["dependent_area"].tolist() == [1, 1]
    conj = mine[mine["relation"] == "conj"]
    assert conj["dependent"].tolist() == ["cow"]  # "car" has the head's own lemma
    assert table["tree_distance"].isna().all()
    assert table["linear_distance"].isna().all()


def test_cross_prompt_pairs_without_a_partner_are_rows_with_a_reason():
    red = make_maps(provenance={"seed": 0})
    other_seed = make_other_maps(seed=7)
    same_prompt = make_maps(provenance={"seed": 0})
    for others in ([], [other_seed], [same_prompt]):
        table = cross_prompt_pairs([red, *others])
        mine = table[table["image"] == 0]
        assert len(mine) == 4
        assert mine[list(MEASURES)].drop(columns="head_area").isna().all(axis=None)
        assert mine["reason"].str.contains("no image of another prompt has such a word").all()
