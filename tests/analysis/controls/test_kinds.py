"""Properties of every control that measures other maps."""

import numpy as np
import pandas as pd
import pytest

from daam_syntax.analysis import (
    CONTROLS,
    PAIR_COLUMNS,
    cross_prompt_pairs,
    permuted_pairs,
    shifted_pairs,
)
from helpers.examples import make_maps, make_other_maps, make_sentence


@pytest.mark.parametrize("control", [shifted_pairs, permuted_pairs])
def test_words_without_maps_stay_rows_with_a_reason(control):
    cut = make_maps([np.ones((4, 6), np.float32)] * 3, truncated_at=7)
    table = control(cut)
    conj = table[table["relation"] == "conj"]
    assert len(conj) == 4
    assert conj["iou"].isna().all()
    assert conj["reason"].str.contains("dependent is truncated: the encoder read only").all()


@pytest.mark.parametrize("control", [shifted_pairs, cross_prompt_pairs, permuted_pairs])
def test_controls_pass_on_options_and_depend_only_on_the_seed(control):
    maps = [make_maps(provenance={"seed": 0}), make_other_maps()]
    options = {"threshold": ["relative:0.4", "absolute:0.15"], "size": "grid"}
    table = control(maps, **options)
    assert set(table["threshold"]) == set(options["threshold"])
    pd.testing.assert_frame_equal(table, control(maps, **options))
    assert any(not table.equals(control(maps, seed=s, **options)) for s in range(1, 5))


@pytest.mark.parametrize("control", [shifted_pairs, cross_prompt_pairs, permuted_pairs])
def test_controls_of_images_without_edges_are_empty_tables(control):
    alone = make_maps([np.ones((4, 6), np.float32)] * 2, sentence=make_sentence("red", edges=()))
    assert list(control([alone]).columns) == list(PAIR_COLUMNS)
    assert control([alone]).empty


def test_every_kind_states_what_it_rules_out():
    kinds = {"exchanged", "unrelated", "matched", "crossed", "cross-prompt", "shifted", "permuted"}
    assert set(CONTROLS) == kinds
