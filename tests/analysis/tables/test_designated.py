"""Crossed prompts: the same two words at the same places, related in one prompt and unrelated in the other."""

import numpy as np
import pandas as pd
import pytest

from daam_syntax.analysis import balance, designated_pairs, estimate_difference, measure_pairs
from daam_syntax.language import parse_many, prompts
from helpers.examples import make_maps, make_sentence
from helpers.simulated import sentence_rows

SEEDS = range(8)


@pytest.fixture(scope="module")
def crossed():
    return prompts("crossed")


@pytest.fixture(scope="module")
def table(crossed):
    """Return the pairs of two images of each prompt, as its parse has them, without values."""
    tables = []
    for number, sentence in enumerate(parse_many(crossed.texts)):
        edges = [(e.head, e.dependent, e.relation) for e in sentence.edges_of("ud")]
        pos = [token.pos for token in sentence.tokens]
        for image in range(2):
            rows = sentence_rows(pos, edges, prompt=f"p{number:03}", image=2 * number + image)
            rows["prompt"] = sentence.text
            for role in ("head", "dependent"):
                rows[role] = [sentence[index].text for index in rows[f"{role}_index"]]
            tables.append(rows)
    return pd.concat(tables, ignore_index=True)


def null_values(table, rng):
    """Return overlaps that depend on distance, place, part of speech and prompt, not on relations."""
    near = np.exp(-table["linear_distance"].abs() / 2)
    place = 0.02 * table["head_index"]
    broad = 0.2 * table["dependent_pos"].isin(["DET", "ADP"])
    prompt = rng.normal(0, 0.05, table["prompt_id"].nunique())[pd.factorize(table["prompt_id"])[0]]
    return 0.3 + 0.3 * near + place + broad + prompt + rng.normal(0, 0.08, len(table))


def test_the_sides_have_the_same_words_at_the_same_places(table, crossed):
    values = table.assign(iou=null_values(table, np.random.default_rng(0)))
    related, unrelated = designated_pairs(values, crossed)
    assert len(crossed) == 80
    assert len(related) == len(unrelated) == 80
    assert set(related["kind"]) == {"dependency"}
    assert set(unrelated["kind"]) == {"crossed"}
    words = ["pair", "head", "dependent", "head_index", "dependent_index", "head_pos"]
    words += ["dependent_pos", "linear_distance"]
    order = ["pair", "image"]
    first, second = (
        side.sort_values(order)[words].reset_index(drop=True) for side in (related, unrelated)
    )
    pd.testing.assert_frame_equal(first, second)
    assert balance(related, unrelated, unit="pair").imbalances == ()


def test_nothing_is_found_where_relations_do_nothing(table, crossed):
    found = []
    for seed in SEEDS:
        values = table.assign(iou=null_values(table, np.random.default_rng(seed)))
        estimate = estimate_difference(*designated_pairs(values, crossed), paired_by="pair")
        assert estimate.untested == ""
        assert estimate.n_clusters == 40
        found.append(estimate.p)
    assert sum(p <= 0.05 for p in found) <= 2
    assert np.median(found) > 0.1


def test_a_relation_that_does_something_is_found(table, crossed):
    for seed in SEEDS:
        values = null_values(table, np.random.default_rng(seed))
        values += 0.1 * (table["kind"] == "dependency")
        sides = designated_pairs(table.assign(iou=values), crossed)
        estimate = estimate_difference(*sides, paired_by="pair")
        assert estimate.p < 0.01
        assert estimate.low < 0.1 < estimate.high


def small_set(**columns):
    """Return prompts whose words are zebra and the second red, joined, and car and the second red, not joined."""
    rows = {
        "prompt": ["red car , blue zebra", "blue car , red zebra"],
        "pair": "p",
        "role": ["related", "unrelated"],
        "slot.head": ["zebra", "car"],
        "slot.dependent": ["blue", "red"],
    }
    return pd.DataFrame(rows | columns)


def small_table(**options):
    maps = [make_maps(sentence=make_sentence(text)) for text in small_set()["prompt"]]
    return measure_pairs(maps, **options)


def test_rows_have_the_designated_roles():
    pairs = small_table()
    related, unrelated = designated_pairs(pairs, small_set())
    assert related[["head", "dependent"]].values.tolist() == [["zebra", "blue"]]
    assert unrelated[["head", "dependent"]].values.tolist() == [["car", "red"]]
    turned = small_set(**{"slot.head": ["blue", "red"], "slot.dependent": ["zebra", "car"]})
    related_turned, unrelated_turned = designated_pairs(pairs, turned)
    for one, other in ((related, related_turned), (unrelated, unrelated_turned)):
        assert one["iod"].tolist() == pytest.approx(other["ioh"].tolist())
        assert one["linear_distance"].tolist() == (-other["linear_distance"]).tolist()
    assert designated_pairs(pairs, small_set()[:1])[1].empty


def test_a_direction_can_be_compared_because_the_roles_are_not_arbitrary(table, crossed):
    rng = np.random.default_rng(0)
    values = table.assign(iod=rng.random(len(table)), ioh=rng.random(len(table)))
    estimate = estimate_difference(*designated_pairs(values, crossed), "iod", paired_by="pair")
    assert estimate.untested == ""


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"role": ["first", "second"]}, "related and unrelated, but got 'first', 'second'"),
        ({"slot.head": ["cow", "car"]}, "'cow' once in .*0 times"),
        ({"slot.head": ["red", "car"]}, "to be joined by a dependency in .* as unrelated"),
        ({"slot.dependent": ["blue", "blue"]}, "to be not joined by a dependency .* as dependency"),
    ],
)
def test_prompts_that_are_not_what_they_say_are_refused(columns, message):
    with pytest.raises(ValueError, match=message):
        designated_pairs(small_table(), small_set(**columns))
    with pytest.raises(ValueError, match="there is no role"):
        designated_pairs(small_table(), small_set().drop(columns="role"))
