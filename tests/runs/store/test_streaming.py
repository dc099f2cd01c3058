"""Summaries of pairs that come in parts equal those of the whole table."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from daam_syntax.analysis import summarize
from daam_syntax.runs.store.tables import streaming
from daam_syntax.runs.store.tables.streaming import summarize_shards
from helpers.simulated import phrase_pairs, random_pairs


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    """Join parts up to 40 pairs instead of 50,000, so that some are joined and several are left."""
    monkeypatch.setattr(streaming, "_PAIRS_AT_ONCE", 40)


@pytest.fixture
def pairs():
    """Pairs of two thresholds, with prompts that are spread over several parts, and with missing measures."""
    rng = np.random.default_rng(7)
    table = random_pairs(rng, n_prompts=11, n_images=3, n_pairs=4, effect=0.1)
    table["soft_iou"] = table["iou"] * rng.uniform(0.5, 1, len(table))
    table["head_pos"] = rng.choice(["NOUN", "VERB", None], len(table))
    table["seed"] = table["image"] % 3
    first = table["prompt_id"] == "p000"
    table.loc[(table["image"] == 4) | first | (rng.random(len(table)) < 0.1), "iou"] = np.nan
    table.loc[(table["image"] == 7) | (rng.random(len(table)) < 0.2), "soft_iou"] = np.nan
    other = table.assign(threshold="absolute:0.1", iou=table["iou"] ** 2)
    return pd.concat([table, other]).sort_values("image", kind="stable", ignore_index=True)


def in_parts(pairs, n_images):
    """Return a function that yields the pairs of `n_images` images at a time."""

    def parts(columns):
        for _, part in pairs.groupby(pairs["image"] // n_images):
            yield pa.Table.from_pandas(part[list(columns)], preserve_index=False)

    return parts


@pytest.mark.parametrize("n_images", [1, 4, 100])
@pytest.mark.parametrize("by", ["relation", ["relation", "head_pos"], ["seed"], ["image"]])
def test_a_streamed_summary_equals_that_of_the_whole_table(pairs, by, n_images):
    found = summarize_shards(in_parts(pairs, n_images), pairs.columns, by)
    expected = summarize(pairs, by)
    assert found.attrs == expected.attrs
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=0, atol=1e-12)


def test_parts_are_joined_without_loss():
    parts = [pa.table({"x": list(range(n))}) for n in (25, 30, 5, 50, 3)]
    joined = list(streaming._joined(parts))
    assert [len(part) for part in joined] == [55, 55, 3]
    assert pa.concat_tables(joined).equals(pa.concat_tables(parts))


def test_another_measure_can_be_summarized(pairs):
    found = summarize_shards(in_parts(pairs, 5), pairs.columns, measure="soft_iou", level=0.8)
    expected = summarize(pairs, measure="soft_iou", level=0.8)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=0, atol=1e-12)
    assert found["n_missing"].min() > 0


@pytest.mark.parametrize("by", ["relation", "kind", ["relation", "seed"]])
@pytest.mark.parametrize("tier", [None, "one-sided"])
@pytest.mark.parametrize("accept", [(), "distance", "place"])
def test_exchanged_partners_of_parts_are_those_of_the_whole_table(by, tier, accept):
    """Images of a prompt lie in several parts, and some pairs have no value."""
    rng = np.random.default_rng(3)
    table = phrase_pairs(n_prompts=14, n_images=3)
    size = len(table)
    table = table.assign(
        seed=table["image"] % 3,
        iou=rng.random(size) + 0.3 * (table["relation"] == "amod"),
        phi=rng.normal(0, 0.2, size),
        head_area=rng.random(size),
        dependent_area=rng.random(size),
    )
    table.loc[rng.random(size) < 0.1, "iou"] = np.nan
    table.loc[rng.random(size) < 0.1, "phi"] = np.nan
    options = {"tier": tier, "accept": accept}
    found = summarize_shards(in_parts(table, 4), table.columns, by, **options)
    expected = summarize(table, by, **options)
    assert expected["difference"].notna().any()
    assert expected["p"].lt(1).any() == (accept == "place")  # all prompts have one structure
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=0, atol=1e-9)


@pytest.mark.parametrize("measure", ["iod", "log_area_ratio"])
def test_measures_with_a_direction_have_both_orders_in_parts_too(measure):
    rng = np.random.default_rng(4)
    table = phrase_pairs(n_prompts=14, n_images=2)
    values = rng.random((3, len(table)))
    table = table.assign(iod=values[0], ioh=values[1], log_area_ratio=values[2] - 0.5)
    options = {"measure": measure, "accept": "place"}
    found = summarize_shards(in_parts(table, 5), table.columns, **options)
    expected = summarize(table, **options)
    assert expected["p"].notna().any()
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=0, atol=1e-9)


def test_parts_without_pairs_change_nothing(pairs):
    def parts(columns):
        whole = list(in_parts(pairs, 5)(columns))
        yield from [whole[0].slice(0, 0), *whole, whole[0].slice(0, 0)]

    found = summarize_shards(parts, pairs.columns)
    pd.testing.assert_frame_equal(found, summarize(pairs), check_dtype=False, rtol=0, atol=1e-12)
