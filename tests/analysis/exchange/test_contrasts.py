"""Exchange of partners, against loops over words and worlds in which the answer is known."""

import tracemalloc
from itertools import product

import numpy as np
import pandas as pd
import pytest

from daam_syntax.analysis import (
    estimate_difference,
    exchange_partners,
    measure_pairs,
    summarize,
    variance_components,
)
from daam_syntax.analysis.exchange import matrices, quadruples
from daam_syntax.analysis.exchange.contrasts import exchange_by_measure
from helpers.examples import make_maps
from helpers.simulated import phrase_pairs, sentence_rows

TWO_CATS = (
    # a red cat and a blue car
    ("DET", "ADJ", "NOUN", "CCONJ", "DET", "ADJ", "NOUN"),
    ((2, 0, "det"), (2, 1, "amod"), (2, 6, "conj"), (6, 3, "cc"), (6, 4, "det"), (6, 5, "amod")),
)


def with_values(rows, value, name="iou"):
    """Return rows whose value is a function of head, dependent, and relation."""
    columns = zip(rows["head_index"], rows["dependent_index"], rows["relation"], strict=True)
    return rows.assign(**{name: [value(h, d, r) for h, d, r in columns]})


def of_tier(exchange, tier, relation):
    table = exchange.table
    return table[(table["tier"] == tier) & (table["relation"] == relation)]


def test_two_like_pairs_give_the_interaction_by_hand():
    values = {(2, 1): 0.9, (6, 5): 0.5, (2, 5): 0.3, (1, 6): 0.1}
    rows = with_values(sentence_rows(*TWO_CATS), lambda h, d, r: values.get((h, d), 0.7))
    amod = of_tier(exchange_partners(rows), "two-sided", "amod")
    # [o(cat, red) + o(car, blue) - o(cat, blue) - o(car, red)] / 2, for either pair
    np.testing.assert_allclose(amod["contrast"], (0.9 + 0.5 - 0.3 - 0.1) / 2)
    assert amod["value"].tolist() == [0.9, 0.5]
    np.testing.assert_allclose(amod["exchanged"], amod["value"] - amod["contrast"])


def loop(rows, target, relation):
    """Two-sided and one-sided contrasts of one pair, word by word."""
    pos = dict(zip(rows["head_index"], rows["head_pos"], strict=True))
    pos |= dict(zip(rows["dependent_index"], rows["dependent_pos"], strict=True))
    apart = rows[rows["kind"] == "unrelated"]
    cells = {
        frozenset(key): value
        for *key, value in apart[["head_index", "dependent_index", "iou"]].to_numpy()
    }
    joined = rows[rows["relation"] == relation]
    twins = {
        (h, d): value for h, d, value in joined[["head_index", "dependent_index", "iou"]].to_numpy()
    }
    h, d = target
    own = twins[target] if target in twins else cells[frozenset(target)]
    heads = [x for x in pos if x not in target and pos[x] == pos[h] and frozenset((x, d)) in cells]
    dependents = [
        x for x in pos if x not in target and pos[x] == pos[d] and frozenset((h, x)) in cells
    ]
    found = {True: [], False: []}
    for a, b in product(heads, dependents):
        is_twin = relation != "unrelated" and (a, b) in twins
        other = twins[a, b] if is_twin else cells.get(frozenset((a, b))) if a != b else None
        if other is not None:
            contrast = own + other - cells[frozenset((a, d))] - cells[frozenset((h, b))]
            found[is_twin].append(contrast / (2 if is_twin else 1))
    two = np.mean(found[True] or found[False]) if found[True] or found[False] else np.nan
    sides = [
        np.mean([cells[frozenset(pair)] for pair in pairs])
        for pairs in ([(x, d) for x in heads], [(h, x) for x in dependents])
        if pairs
    ]
    return two, own - np.mean(sides) if sides else np.nan


@pytest.mark.parametrize("at_once", [2**21, 100])
@pytest.mark.parametrize("seed", range(4))
def test_contrasts_of_random_trees_are_those_of_a_loop(seed, at_once, monkeypatch):
    """Of few words, all at once; of many words, in parts and by another way."""
    monkeypatch.setattr(quadruples, "_CELLS_AT_ONCE", at_once)
    rng = np.random.default_rng(seed)
    pos = rng.choice(["DET", "ADJ", "NOUN", "NOUN"], 9)
    edges = [(int(rng.integers(k)), k, str(rng.choice(["amod", "conj"]))) for k in range(1, 9)]
    rows = sentence_rows(list(pos), edges)
    rows["iou"] = rng.random(len(rows))
    rows.loc[rng.integers(len(rows), size=3), "iou"] = np.nan
    found = exchange_partners(rows).table.set_index(
        ["relation", "tier", "head_index", "dependent_index"]
    )["contrast"]
    measured = rows[rows["iou"].notna()]
    expected = {}
    for row in measured.to_dict("records"):
        target = row["head_index"], row["dependent_index"]
        for tier, value in zip(
            ("two-sided", "one-sided"), loop(measured, target, row["relation"]), strict=True
        ):
            if not np.isnan(value):
                expected[row["relation"], tier, *target] = value
    assert set(expected) == set(found.index)
    assert len(expected) > 30
    for key, value in expected.items():
        assert found[key] == pytest.approx(value), key


def test_effects_of_either_word_cancel_and_those_of_the_relation_stay():
    rng = np.random.default_rng(1)
    as_head, as_dependent = rng.normal(size=(2, 7))
    rows = with_values(
        sentence_rows(*TWO_CATS),
        lambda h, d, r: as_head[h] + as_dependent[h] + as_head[d] + as_dependent[d],
    )
    for effect in (0.0, 0.25):
        moved = rows.assign(iou=rows["iou"] + effect * (rows["relation"] == "amod"))
        exchange = exchange_partners(moved)
        amod = of_tier(exchange, "two-sided", "amod")
        np.testing.assert_allclose(amod["contrast"], effect, atol=1e-12)
        unrelated = of_tier(exchange, "two-sided", "unrelated")
        np.testing.assert_allclose(unrelated["contrast"], 0, atol=1e-12)


def test_measures_with_a_direction_keep_their_roles():
    """IoD depends on the head's area and IoH on the dependent's: both cancel."""
    area = np.array([0.4, 0.3, 0.1, 0.5, 0.45, 0.2, 0.15])
    rows = sentence_rows(*TWO_CATS)
    rows = with_values(rows, lambda h, d, r: area[h], "iod")
    rows = with_values(rows, lambda h, d, r: area[d], "ioh")
    rows = with_values(rows, lambda h, d, r: np.log(area[d] / area[h]), "log_area_ratio")
    for measure in ("iod", "ioh", "log_area_ratio"):
        amod = of_tier(exchange_partners(rows, measure), "two-sided", "amod")
        np.testing.assert_allclose(amod["contrast"], 0, atol=1e-12)
    # one-sided, the other noun's area does not cancel: cat and car, in the roles of amod
    amod = of_tier(exchange_partners(rows, "ioh"), "one-sided", "amod")
    expected = [(0.3 - np.mean([area[1], area[5]])), (0.2 - np.mean([area[5], area[1]]))]
    np.testing.assert_allclose(amod["contrast"], expected)
    with pytest.raises(ValueError, match="Expected the column ioh beside iod"):
        exchange_partners(rows.drop(columns="ioh"), "iod")


def test_covariates_say_what_does_not_cancel():
    rows = sentence_rows(*TWO_CATS).assign(iou=0.5)
    rows["dependent_subwords"] = rows["dependent_index"] % 2 + 1
    rows["head_subwords"] = rows["head_index"] % 2 + 1
    amod = of_tier(exchange_partners(rows), "two-sided", "amod")
    places = ["head_place", "dependent_place", "head_subwords", "dependent_subwords"]
    np.testing.assert_allclose(amod[places], 0, atol=1e-12)
    # distances of 1 and 1 against 3 and 5
    np.testing.assert_allclose(amod["distance"], -(np.log2(3) + np.log2(5)) / 2)
    np.testing.assert_allclose(amod["tokens"], 1 - (3 + 5) / 2)
    np.testing.assert_allclose(amod["adjacency"], 1)


def test_measures_with_a_direction_have_unrelated_pairs_in_both_orders():
    rows = sentence_rows(*TWO_CATS)
    rows = with_values(rows, lambda h, d, r: 0.5 + 0.1 * np.sign(d - h), "iod")
    rows = with_values(rows, lambda h, d, r: 0.5 + 0.1 * np.sign(h - d), "ioh")
    exchange = exchange_partners(rows, "iod")
    for relation in ("amod", "unrelated"):
        found = of_tier(exchange, "two-sided", relation)
        assert len(found)
        np.testing.assert_allclose(found["value"], 0.5 + 0.1 * np.sign(found["linear_distance"]))
        np.testing.assert_allclose(found["contrast"], 0.1 * found["order"])
    found = of_tier(exchange, "two-sided", "unrelated")
    ends = {tuple(pair) for pair in found[["head_index", "dependent_index"]].to_numpy()}
    assert ends == {pair[::-1] for pair in ends}
    symmetric = exchange_partners(with_values(rows, lambda h, d, r: 0.5, "iou"))
    assert "order" not in symmetric.table
    assert (of_tier(symmetric, "two-sided", "unrelated")["linear_distance"] > 0).all()


def test_what_cancels_leaves_exactly_nothing():
    """The logarithm of a ratio of areas is a difference of effects of the words, up to rounding."""
    rng = np.random.default_rng(0)
    tables = []
    for number in range(20):
        area = rng.random(7)
        rows = sentence_rows(*TWO_CATS, prompt=f"p{number}", image=number)
        tables.append(
            with_values(rows, lambda h, d, r, a=area: np.log(a[d] / a[h]), "log_area_ratio")
        )
    rows = pd.concat(tables)
    amod = of_tier(exchange_partners(rows, "log_area_ratio"), "two-sided", "amod")
    assert (amod["contrast"] == 0).all()
    summary = summarize(rows, measure="log_area_ratio", corrected=None, accept="place")
    row = summary.set_index("relation").loc["amod"]
    assert (row["difference"], row["p"]) == (0, 1)
    assert "all prompts have the same value" in row["note"]


def test_images_and_measures_that_share_a_pass_give_what_each_gives_alone(monkeypatch):
    """Images of several structures, the places of missing values different by image and by measure."""
    rng = np.random.default_rng(0)
    tables = []
    for number in range(12):
        words = (
            TWO_CATS
            if number // 2 % 3
            else (("DET", "NOUN", "ADP", "NOUN"), [(1, 0, "det"), (1, 3, "nmod"), (3, 2, "case")])
        )
        rows = sentence_rows(*words, prompt=f"p{number // 2}", image=number)
        rows = rows.assign(**{name: rng.random(len(rows)) for name in ("iou", "phi", "iod")})
        rows["ioh"] = rng.random(len(rows))
        rows.loc[rng.integers(len(rows), size=number % 4), "iou"] = np.nan
        rows["phi"] = rows["phi"].where(rows["iou"].notna() & (rng.random(len(rows)) > 0.1))
        tables.append(rows)
    whole = pd.concat(tables, ignore_index=True)
    monkeypatch.setattr(matrices, "_ROWS_AT_ONCE", 60)  # parts of two or three images
    found = exchange_by_measure(whole, ["iou", "iod", "phi"])
    assert list(found["iou"].table["image"]) == sorted(found["iou"].table["image"])
    for measure, exchange in found.items():
        alone = [exchange_partners(rows, measure) for rows in tables]
        order = ["image", "head_index", "dependent_index", "tier"]
        tables_of_both = exchange.table, pd.concat([one.table for one in alone if len(one.table)])
        pd.testing.assert_frame_equal(
            *(table.sort_values(order, ignore_index=True) for table in tables_of_both)
        )
        for name in ("n", "sum", "squares"):
            expected = np.sum([one.totals[name] for one in alone], axis=0)
            np.testing.assert_allclose(exchange.totals[name], expected)
        assert len(exchange.measured) == sum(len(one.measured) for one in alone)
    assert len(found["iou"].table) > len(found["phi"].table) > 100


def test_the_memory_for_a_long_prompt_is_limited():
    """150 words are 11,175 pairs: an array of pairs by words by words would have 2 GB."""
    rng = np.random.default_rng(0)
    pos = list(rng.choice(["NOUN", "ADJ", "VERB"], 150))
    edges = [(k - 1, k, "amod") for k in range(1, 150)]
    rows = sentence_rows(pos, edges)
    rows["iou"] = rng.random(len(rows))
    tracemalloc.start()
    exchange = exchange_partners(rows)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(exchange.table) > 10_000
    assert peak < 200e6


def test_rates_say_what_each_tier_matches():
    rows = pd.concat(
        [
            sentence_rows(*TWO_CATS, prompt="a", image=0),
            sentence_rows(*TWO_CATS, prompt="a", image=1),
            sentence_rows(("DET", "ADJ", "NOUN"), TWO_CATS[1][:2], prompt="b", image=2),
        ]
    ).assign(iou=0.5)
    rates = exchange_partners(rows).rates.set_index("relation")
    assert rates.loc["amod", ["n_pairs", "two-sided", "one-sided"]].tolist() == [5, 0.8, 0.8]
    assert rates.loc["conj", "tier"] == ""
    assert "Exchange of partners by iou" in repr(exchange_partners(rows))


def test_a_tier_that_matches_few_pairs_is_not_reported():
    """Two prompts of eleven have two like pairs: 18 percent."""
    tables = [
        sentence_rows(
            *(TWO_CATS if p < 2 else (("DET", "ADJ", "NOUN"), TWO_CATS[1][:2])),
            prompt=f"p{p}",
            image=p,
        )
        for p in range(20)
    ]
    summary = summarize(pd.concat(tables).assign(iou=0.5)).set_index("relation")
    assert summary.loc["amod", "tier"] == ""
    assert (
        "only 18% of the pairs have words of the same parts of speech"
        in summary.loc["amod", "note"]
    )


def test_pairs_of_real_maps_are_exchanged():
    pairs = measure_pairs([make_maps(), make_maps()])
    exchange = exchange_partners(pairs)
    assert set(exchange.table["kind"]) <= {"dependency", "unrelated"}
    assert (
        exchange.rates["n_pairs"].sum()
        == (pairs["kind"].eq("dependency") & pairs["iou"].notna()).sum()
    )


def test_both_sides_are_pair_tables():
    rng = np.random.default_rng(0)
    rows = phrase_pairs(n_prompts=8)
    rows["iou"] = rng.random(len(rows))
    exchange = exchange_partners(rows)
    pairs, control = exchange.sides("amod")
    found = estimate_difference(pairs, control, accept="all")
    amod = of_tier(exchange, "two-sided", "amod")
    assert found.estimate == pytest.approx(amod["contrast"].mean())
    assert variance_components(pairs, control).n_images == 16
    assert exchange.sides("amod", scheme="enhanced")[0].empty


def test_invalid_tables_are_named():
    rows = phrase_pairs(n_prompts=2).assign(iou=0.5, overlap=0.5)
    with pytest.raises(ValueError, match=r"pass symmetric=\['overlap'\]"):
        exchange_partners(rows, "overlap")
    assert len(exchange_partners(rows, "overlap", symmetric=["overlap"]).table)
    with pytest.raises(ValueError, match="has no head_pos"):
        exchange_partners(rows.drop(columns="head_pos"))
    weights = np.where(np.arange(len(rows)) == 3, np.nan, 1.0)
    with pytest.raises(ValueError, match="a value of the covariate weight in every row, but 1 of"):
        exchange_partners(rows.assign(weight=weights), covariates=["weight"])
