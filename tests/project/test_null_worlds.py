"""The defaults keep their level in the worst null worlds and find true effects; worlds and scores are what they say."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from benchmarks.null_worlds import page, running
from benchmarks.null_worlds.catalog import every_recipe
from benchmarks.null_worlds.claims import POOLED, Claim
from benchmarks.null_worlds.defaults import default_claims
from benchmarks.null_worlds.image_pages import OF_IMAGES, findings_of
from benchmarks.null_worlds.map_worlds import heat_maps
from benchmarks.null_worlds.pair_worlds import measures
from benchmarks.null_worlds.prompts import write_parses
from benchmarks.null_worlds.scoring import (
    add,
    coverage,
    exchanged_effects,
    exchanged_pooled,
    limits,
    oracle,
    prompt_effects,
    score,
    truth,
)
from benchmarks.null_worlds.studies import N_TWINS, draw
from benchmarks.null_worlds.study_pages import PAGES
from benchmarks.null_worlds.worlds import NOISE, NULLS, TRUE, WORLDS
from daam_syntax.analysis import (
    estimate_relations,
    measure_pairs,
    power_table,
    relation_components,
    summarize,
)

RECIPES = every_recipe()
NAN = float("nan")


def small(name, n_prompts=12):
    """Return a world with studies of few prompts."""
    return dataclasses.replace(WORLDS[name], n_prompts=n_prompts)


def counts_of(world, recipe, n, first=0):
    """Return the counts of a recipe over some studies, summed over measures."""
    total = {}
    for number in range(first, first + n):
        for counts in score(world, recipe.make(draw(world, number))).values():
            total = add(total, counts)
    return total


WORST = {
    "function words broad": "summarize, by kind",
    "distance, exponential": "summarize, by kind",
    "maps: center and area": "summarize, by kind",
    "whole images": "summarize, by kind",
    "one structure": "summarize, by kind",
    "lemmas": "regress, lemmas of both words",
}
N_STUDIES = 40


@pytest.mark.parametrize("name", WORST)
def test_recipes_keep_their_level_in_the_worst_null_worlds(name):
    found = counts_of(small(name), RECIPES[WORST[name]], N_STUDIES)
    low, _ = limits(found["errors"], found["studies"], n_cells=len(WORST))
    assert low <= 0.05, found
    assert found["tests"] >= N_STUDIES / 2


def test_the_worst_null_worlds_would_show_a_recipe_without_level():
    """Distance is not adjusted for; unrelated words are the control."""
    wrong = {"distance, exponential": {"accept": "distance"}}
    wrong["function words broad"] = {"control": "unrelated", "accept": "all"}
    for name, options in wrong.items():
        p = []
        for number in range(10):
            pairs = draw(small(name), number).pairs
            summary = summarize(pairs, "kind", corrected=None, n_resamples=199, **options)
            p.append(summary.set_index("kind").loc["dependency", "p"])
        assert limits(np.sum(np.array(p) <= 0.05), 10)[0] > 0.05, (name, p)


def test_the_default_finds_a_true_effect_where_areas_differ_too():
    world = small("true: area by part of speech")
    found = counts_of(world, RECIPES["summarize, by kind"], 6)
    assert found["errors"] == 0
    assert found["true_found"] >= 0.5 * found["true_rows"] > 0


@pytest.mark.parametrize("world", NULLS, ids=lambda world: world.name)
def test_related_words_overlap_as_much_as_their_twins_in_null_worlds(world):
    """The twins share everything but noise, so differences over many pairs are near 0."""
    study = draw(world, 3, 2)
    keep = study.layout.related
    difference = (study.pairs["iou"] - np.mean([t["iou"] for t in study.twins], axis=0))[keep]
    exempt = study.pairs["relation"][keep].isin(world.exempt)
    difference = difference[~exempt].groupby(study.pairs["prompt_id"]).mean()
    assert abs(difference.mean()) < 5 * difference.std() / np.sqrt(len(difference))


@pytest.mark.parametrize("name", ["true: noise", "true: maps: center and area", "true: amod only"])
def test_relations_have_the_effect_of_their_world(name):
    study = draw(small(name, 40), 1, 2)
    pairs = study.pairs
    twin = np.mean([t["phi"] for t in study.twins], axis=0)
    difference = (pairs["phi"] - twin).groupby(pairs["relation"]).mean()
    assert difference["amod"] > 0.1
    unaffected = "det" if study.world.relations else "unrelated"
    assert abs(difference[unaffected]) < (0.06 if not study.world.has_maps else 0.2)


def test_a_study_depends_only_on_its_number():
    for name in ("noise", "maps: competition"):
        a, b, c = (draw(small(name), number).pairs for number in (1, 1, 2))
        pd.testing.assert_frame_equal(a, b)
        assert not a["iou"].equals(c["iou"])


def test_measures_of_pair_worlds_fit_together():
    z = np.array([-9.0, -1.2, 9.0, 1.0])
    found = measures(z, np.array([100.0, 100, 100, 0]), np.array([200.0, 200, 200, 50]))
    assert found["iou"][:3] == pytest.approx([0, 19 / 281, 0.5], abs=0.02)
    assert found["iod"][2], found["ioh"][2] == (0.5, 1)
    assert np.isnan(found["iou"][3])
    np.testing.assert_allclose(found["head_area"], np.array([100, 100, 100, 0]) / 1024)


def test_maps_are_measured_as_recorded_maps_are():
    study = draw(small("maps: center and area", 4), 5)
    maps = heat_maps(study.maps(), study.layout)
    table = measure_pairs(maps, size="grid", measures=["iou", "phi", "log_area_ratio"])
    keys = ["image", "head_index", "dependent_index"]
    both = study.pairs.merge(table, on=[*keys, "kind", "relation"], suffixes=("", "_recorded"))
    assert len(both) == len(study.pairs) == len(table)
    for name in ("iou", "phi", "log_area_ratio", "tree_distance", "linear_distance"):
        np.testing.assert_allclose(
            both[name].to_numpy(float), both[f"{name}_recorded"].to_numpy(float), atol=1e-6
        )


def test_scores_count_errors_withheld_tests_intervals_and_findings():
    def claim(row, p, withheld=False, low=-1.0, high=1.0):
        return Claim("iou", row, 0.5, low, high, p, p, withheld)

    found = score(NOISE, [claim("det", 0.01), claim("amod", NAN, True), claim("obj", 0.2, low=0.1)])
    (counts,) = found.values()
    assert counts["errors"] == 1
    assert counts["wrong"] == {"det": 1}
    assert (counts["rows"], counts["tests"], counts["withheld"]) == (3, 2, 1)
    assert (counts["intervals"], counts["covered"]) == (2, 1)
    twice = add(counts, counts)
    assert twice["errors"] == twice["wrong"]["det"] == twice["studies"] == 2
    assert coverage(twice)[0] == 0.5
    assert limits(0, 20)[0] == 0
    assert limits(5, 20)[0] > 0.05 > limits(5, 20, n_cells=1000)[0]


def test_true_effects_are_found_by_the_oracle_and_their_sign_counts():
    world = WORLDS["true: noise"]
    claims = [claim for name, claim in oracle(draw(world, 0, N_TWINS)) if claim.measure == "iou"]
    counts = score(world, claims)["iou"]
    assert counts["errors"] == 0
    assert counts["true_found"] >= 3
    value = truth(world.name, "iou")[POOLED]
    assert 0.05 < value < 0.2
    (counts,) = score(world, [Claim("iou", POOLED, -0.1, -0.2, -0.05, 0.01, 0.01)]).values()
    assert (counts["errors"], counts["true_found"], counts["covered"]) == (1, 0, 0)


SIZE = {"default": 1, "cheap": 0, "slow": 0}


@pytest.fixture
def quick(monkeypatch):
    """Chunks of one study of few prompts."""
    monkeypatch.setattr(running, "CHUNK", dict.fromkeys(running.CHUNK, 1))
    monkeypatch.setitem(WORLDS, "noise", small("noise", 8))


def test_chunks_are_resumed_and_the_page_shows_them(tmp_path, quick, monkeypatch):
    options = {"path": tmp_path / "results.json", "progress": False}
    running.run(["noise"], SIZE, **options)
    two = running.run(["noise"], SIZE | {"default": 2}, **options)
    assert two["noise"]["chunks"] == ["default 0", "default 1"]
    assert two["noise"]["cells"]["summarize | iou"]["studies"] == 2
    monkeypatch.setattr(running, "simulate", None)  # nothing is missing
    assert running.run(["noise"], SIZE | {"default": 2}, **options) == two
    monkeypatch.setattr(page, "MANY", 2)
    text = page.tables(two)
    assert "| noise |" in text
    assert "| summarize, phi | 2 |" in text


def test_studies_of_another_machine_are_merged(tmp_path, quick):
    """Another machine has parsed prompts and truths from files; the sum is that of all studies on one machine."""
    here, there, both = (tmp_path / name for name in ("here.json", "there.json", "both.json"))
    (tmp_path / "prepared").mkdir()
    write_parses(tmp_path / "prepared" / "parses.json")
    (tmp_path / "prepared" / "truths.json").write_text(json.dumps({"noise": {}}))
    options = {"progress": False}
    running.run(["noise"], SIZE, path=here, **options)
    prepared = tmp_path / "prepared"
    running.run(["noise"], SIZE, first=1, path=there, prepared=prepared, **options)
    expected = running.run(["noise"], SIZE | {"default": 2}, path=both, **options)
    assert running.merge([there], here) == expected
    with pytest.raises(ValueError, match="chunk 'default 1' of the world 'noise', too"):
        running.merge([there], here)
    late = running.run(["noise"], SIZE | {"default": 9}, path=both, seconds=0, **options)
    assert late == expected  # nothing is begun after the time


def test_a_recipe_whose_code_changed_is_simulated_alone(tmp_path, quick):
    path = tmp_path / "results.json"
    options = {"path": path, "progress": False}
    before = running.run(["noise"], SIZE, **options)["noise"]["cells"]
    running.forget(["summarize"], path)
    kept = running.read(path)["noise"]["cells"]
    assert kept == {k: v for k, v in before.items() if not k.startswith("summarize |")}
    again = running.run(["noise"], SIZE, recipes=["summarize"], **options)["noise"]
    assert again["chunks"] == ["default 0", "default 0 of summarize"]
    assert again["cells"] == before
    with pytest.raises(ValueError, match="names of recipes, but got 'sumarize'"):
        running.forget(["sumarize"], path)


def test_all_worlds_and_costs_grow_in_proportion():
    tasks = running.tasks(["noise", "lemmas"], {"default": 100, "cheap": 10, "slow": 2}, first=7)
    half = [task for task in tasks[: len(tasks) // 2] if task.world == "noise"]
    counts = [sum(task.cost == cost for task in half) for cost in ("default", "cheap", "slow")]
    assert counts == [10, 5, 1]
    assert tasks[0].first == 7


def test_a_recipe_that_raises_an_exception_is_reported(quick, monkeypatch):
    def fail(study):
        raise KeyError("nothing")

    recipe = dataclasses.replace(RECIPES["regress"], make=fail)
    monkeypatch.setattr(running, "every_recipe", lambda: {recipe.name: recipe})
    _, counts = running.simulate(running.Task("noise", 0, "cheap"))
    assert counts["regress | crash"]["problems"] == {"KeyError: 'nothing'": 1}
    text = page.tables({"noise": {"cells": counts}})
    assert "*regress* in *noise* (1: KeyError: 'nothing')" in text


def test_the_truth_of_worlds_of_maps_is_what_the_exchange_of_the_effects_gives():
    """Determiners and adjectives of one noun copy its map, so they resemble each other, too."""
    world = small("true: independent maps", 40)
    study = draw(world, 2, N_TWINS)
    exchanged, own = exchanged_effects(study, "phi"), prompt_effects(study, "phi")
    assert 0 < exchanged["det"] < own["det"].mean() - 0.1
    assert exchanged_pooled(study, "phi") < own[POOLED].mean()
    pairs_only = draw(small("true: noise", 40), 2, N_TWINS)
    own = prompt_effects(pairs_only, "phi")
    assert exchanged_pooled(pairs_only, "phi") == pytest.approx(own[POOLED].mean(), abs=0.05)


def test_the_truth_of_a_pooled_row_is_that_of_the_pairs_that_have_exchanged_ones():
    """Related words add twice as much IoU where maps are small, and those pairs are exchanged less often."""
    world = small("true: function words broad", 60)
    studies = [draw(world, number, N_TWINS) for number in range(4)]
    own = np.mean([prompt_effects(study, "iou")[POOLED].mean() for study in studies])
    matched = np.mean([exchanged_pooled(study, "iou") for study in studies])
    assert matched < own - 0.005
    by_relation = prompt_effects(studies[0], "iou")
    assert by_relation["amod"].mean() > 1.5 * by_relation["det"].mean()
    estimated = np.mean(
        [
            estimate_relations(study.pairs, "kind", "iou", n_resamples=1)[
                "dependency"
            ].estimate.estimate
            for study in studies
        ]
    )
    assert abs(estimated - matched) < abs(estimated - own)


@pytest.mark.parametrize("name", ["true: area by part of speech", "one structure", "lemmas"])
def test_default_recipes_claim_what_summaries_do(name):
    study = draw(small(name), 1)
    found = default_claims(study)
    for recipe in ("summarize", "summarize, by kind"):
        expected = {(c.measure, c.row): c for c in RECIPES[recipe].make(study)}
        claims = {(c.measure, c.row): c for c in found[recipe]}
        assert claims.keys() == expected.keys()
        for key, claim in claims.items():
            values, wanted = dataclasses.astuple(claim)[2:], dataclasses.astuple(expected[key])[2:]
            np.testing.assert_allclose(values, wanted, err_msg=str(key))


def test_power_comes_out_as_promised():
    """Each study promises power from its own variances and the true effect; the share that finds it is the power."""
    world, effect = WORLDS["true: small"], truth("true: small", "iou")["det"]
    promised, found = [], []
    for number in range(25):
        pairs = draw(world, number).pairs
        pilot = relation_components(pairs, "det")
        size = {"effects": [effect], "prompts": [pilot.n_prompts], "seeds": [2]}
        promised.append(power_table(pilot, n_simulations=200, **size)["power"].item())
        estimate = estimate_relations(pairs, n_resamples=999)["det"].estimate
        found.append(estimate.p <= 0.05)
    assert 0.2 < np.mean(promised) < 0.7
    low, high = limits(np.sum(found), len(found))
    assert low <= np.mean(promised) <= high


def test_pages_of_studies_are_made_from_simulated_studies():
    page_of = {recipe.name: recipe for recipe in PAGES}
    rows = {
        name: [claim.row for claim in recipe.make(draw(small(world), 1))]
        for (name, recipe), world in zip(
            page_of.items(), ("noise", "cohyponyms: lemmas", "adjectives: center"), strict=True
        )
    }
    assert "related minus exchanged, iou" in rows["page of the study syntax"]
    assert "slope on similarity, phi" in rows["page of the study cohyponyms"]
    assert any("on the other noun only" in row for row in rows["page of the study adjectives"])


@pytest.mark.parametrize("name", list(OF_IMAGES))
def test_pages_about_images_make_no_error_where_conditions_differ_by_chance(name):
    world = next(w for w in NULLS if w.study == name)
    recipe = RECIPES[f"page of the study {name}"]
    n = 1 if name == "verdicts" else 6
    counts = counts_of(world, recipe, n)
    assert counts["studies_tested"] == n
    assert counts["tests"] > n
    assert limits(counts["errors"], n)[0] <= 0.05


def test_a_gain_that_images_of_one_prompt_do_not_show_may_be_something_about_the_prompt():
    world = WORLDS["verdicts: hidden"]
    study = draw(world, 1)
    answers = next(f for f in findings_of(study) if f.title == "Answers").notes
    assert any("beyond what is counted of the prompt: it adds" in answer for answer in answers)
    assert any(
        "of the same prompt were not found to differ in whether something is wrong, so the maps may only tell"
        in answer
        for answer in answers
    )
    (counts,) = score(world, RECIPES["page of the study verdicts"].make(study)).values()
    assert counts["errors"] == 0 < counts["tests"]


def test_worlds_and_recipes_have_names_of_their_own():
    assert len(WORLDS) == len(NULLS) + len(TRUE)
    assert all(recipe.cost in ("default", "cheap", "slow") for recipe in RECIPES.values())
