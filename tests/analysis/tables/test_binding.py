"""Binding of modifiers to nouns, worked out by hand on boxes."""

import numpy as np
import pytest

import daam_syntax as ds
from daam_syntax.analysis import BINDING_COLUMNS, binding_table
from daam_syntax.errors import ThresholdError
from daam_syntax.language import Edge
from helpers.examples import SUBWORDS, box, make_maps, make_sentence

COLORS = {0: "ADJ", 2: "PUNCT", 3: "ADJ"}
MEASURES = ["head_area", "own_share", "other_share", "binding_margin", "neglect"]


def test_repeated_modifiers_and_a_noun_of_two_subwords_by_hand():
    table = binding_table(make_maps(sentence=make_sentence(pos=COLORS)))
    assert list(table.columns) == list(BINDING_COLUMNS)
    assert table["dependent_index"].tolist() == [0, 3]
    assert table["other"].tolist() == ["zebra", "car"]
    assert table["other_index"].tolist() == [4, 1]
    # Half of the first red lies on the car. The zebra is 0.6 on four pixels, and 0.2, below the cut, on four more.
    np.testing.assert_allclose(
        table[MEASURES], [[8 / 24, 0.5, 0, 0.5, 0], [4 / 24, 1, 0, 1, 0.4]], atol=1e-6
    )
    assert table["reason"].eq("").all()


def test_attention_on_the_other_noun_makes_the_margin_negative():
    arrays = [make_maps().mean[row] for row in range(len(SUBWORDS))]
    arrays[1] = box(2, 4, 0, 3, value=0.01)  # the first red, four of six pixels on the zebra
    table = binding_table(make_maps(arrays, sentence=make_sentence(pos=COLORS)))
    found = table.loc[0, ["own_share", "other_share", "binding_margin"]].tolist()
    assert found == pytest.approx([0, 4 / 6, -4 / 6])


def test_parts_of_longer_names_do_not_count_as_other_nouns():
    edges = (Edge(1, 0, "amod"), Edge(4, 3, "compound"), Edge(1, 4, "conj"), Edge(3, 2, "amod"))
    sentence = make_sentence(edges=edges, pos={0: "ADJ"})
    table = binding_table(make_maps(sentence=sentence))
    assert table["relation"].tolist() == ["amod", "compound", "amod"]
    assert table["other"].tolist()[:2] == ["zebra", "car"]
    assert (
        table["reason"].tolist()[2] == "head is part of a longer name; dependent's map has no mass"
    )
    only = binding_table(make_maps(sentence=sentence), relations="compound")
    assert only["dependent"].tolist() == ["red"]


def test_missing_measures_have_a_reason():
    arrays = [make_maps().mean[row] for row in range(4)]
    maps = make_maps(arrays, sentence=make_sentence(pos=COLORS), truncated_at=9)
    table = binding_table(maps)
    assert len(table) == 2
    assert table.loc[0, "own_share"] == 0.5
    assert table.loc[0, ["other_share", "binding_margin", "other", "other_index"]].isna().all()
    assert table.loc[0, "reason"] == "no other noun has a region"
    assert table.loc[1, MEASURES].isna().all()
    assert table.loc[1, "reason"].startswith("head is truncated")
    assert "dependent is truncated" in table.loc[1, "reason"]
    empty = [np.zeros_like(array) for array in arrays]
    nothing = binding_table(make_maps(empty, sentence=make_sentence(pos=COLORS), truncated_at=9))
    assert nothing.loc[0, "reason"] == (
        "head's mask is empty; no other noun has a region; dependent's map has no mass"
    )
    assert nothing.loc[0, "neglect"] == 1


def test_a_summary_of_the_table_averages_its_measures():
    maps = [
        make_maps(sentence=make_sentence(pos=COLORS), provenance={"prompt_id": f"p{n}"})
        for n in range(6)
    ]
    summary = ds.summarize(ds.binding_table(maps), measure="binding_margin")
    assert summary["n_prompts"].tolist() == [6]
    assert summary.loc[0, ["own_share", "other_share", "binding_margin", "neglect"]].tolist() == (
        pytest.approx([0.75, 0, 0.75, 0.2])
    )


def test_unknown_rules_and_schemes_are_refused():
    with pytest.raises(ThresholdError):
        binding_table(make_maps(), threshold="median")
    with pytest.raises(ValueError, match="schemes"):
        binding_table(make_maps(), scheme="native")
