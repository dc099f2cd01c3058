"""Summaries of pair tables, with means that can be worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from daam_syntax.analysis import MEASURES, measure_pairs, summarize
from helpers.examples import make_maps


@pytest.fixture
def pairs():
    return measure_pairs(make_maps())


def pair_rows(values):
    """A pair table with one relation, where ``values[prompt][image]`` is a list of IoUs."""
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
    # a has images of 0.2 and 0.4, so 0.3; b has one image with three pairs, so 0.9. The mean is 0.6 for any n.
    table = summarize(pair_rows({"a": [[0.1, 0.3], [0.4]], "b": [[0.9, 0.9, 0.9]]}))
    assert table.loc[0, "iou"] == pytest.approx(0.6)
    assert table.loc[0, ["n_prompts", "n_images", "n_pairs", "n_missing"]].tolist() == [2, 3, 6, 0]


def test_prompts_distinguish_the_images_of_joined_tables():
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
    assert table.to_latex()  # usable in course reports


def test_summaries_by_other_columns(pairs):
    by_pos = summarize(pairs, by=["relation", "dependent_pos"])
    assert {"relation", "dependent_pos"} <= set(by_pos.columns)
    with pytest.raises(ValueError, match="columns 'color'"):
        summarize(pairs, by="color")


def test_missing_group_values_form_a_group(pairs):
    table = summarize(pairs, by="seed")  # no image knows its seed
    by_kind = summarize(pairs, by="kind")
    assert table["seed"].isna().all()
    assert table["n_pairs"].tolist() == by_kind["n_pairs"].tolist() == [3, 3]
    np.testing.assert_allclose(table["iou"], by_kind["iou"])


def test_summaries_by_image_and_by_prompt():
    table = measure_pairs([make_maps(), make_maps()])
    assert summarize(table, by="image")["n_images"].tolist() == [1, 1, 1, 1]
    assert summarize(table, by="prompt_id")["n_images"].tolist() == [2, 2]


def test_the_prefix_of_a_prompts_own_column_is_suggested(pairs):
    rows = pairs.assign(**{"metadata.length": 1})
    with pytest.raises(ValueError, match=r"the columns 'length'.* Did you mean metadata.length\?"):
        summarize(rows, by="length")
