"""The studies end to end with tiny settings on the embedded model, and their computations on made-up numbers."""

import html
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib import pyplot as plt

from daam_syntax.analysis import Estimate, attention_shares, estimate_difference, estimate_mean
from daam_syntax.attention import Edit, intervene, trace
from daam_syntax.errors import StudyError, WordError
from daam_syntax.language import parse, prompts
from daam_syntax.pipelines.settings import DrawingSettings
from daam_syntax.studies import (
    STUDIES,
    Finding,
    intervention,
    load_study,
    run_study,
)
from daam_syntax.studies.adjectives import study as adjectives
from daam_syntax.studies.framework import rewriting
from daam_syntax.studies.framework.common import inside_and_outside
from daam_syntax.studies.framework.findings import estimates_table, sentences
from daam_syntax.studies.framework.plots import draw_findings
from daam_syntax.studies.framework.setup import Setup
from daam_syntax.studies.framework.special_tokens import draw_without_each
from daam_syntax.studies.retrieval import attention_reader
from daam_syntax.studies.sanity import randomizing, reliability
from helpers.commands import run, run_here
from helpers.examples import make_sentence

CATS = "a red cat and a blue car"
OWLS = "a small owl on a green bed"
TINY = {"seeds": 1, "steps": 2}


@pytest.fixture(scope="module")
def result(emoji_pipe):
    return run_study("intervention", emoji_pipe, prompts=[CATS, OWLS], shares=(0.25, 0.75), **TINY)


def test_every_design_is_complete():
    for name in STUDIES:
        design = load_study(name).DESIGN
        assert design.name == name
        assert design.question.endswith("?")
        for prose in (
            design.method,
            design.limits,
            *design.figures.values(),
            *design.tables.values(),
        ):
            assert prose[0].isupper(), prose
            assert prose.endswith("."), prose
        assert len(prompts(design.prompts)) >= 12


def test_an_unknown_study_lists_the_known_studies():
    with pytest.raises(StudyError, match=r"intervention.*'nothing'"):
        load_study("nothing")


@pytest.mark.parametrize("options", [{"pairs": "x.csv"}, {"threshold": "relative:0.4"}])
def test_an_option_that_a_study_lacks_is_refused(options):
    with pytest.raises(
        StudyError, match=f"retrieval \\(it has none\\), but got {next(iter(options))}"
    ):
        run_study("retrieval", None, **options)


def test_intervention_end_to_end(result):
    changes = result.tables["changes"]
    assert list(changes.groupby(["prompt", "word"], sort=False).groups) == [
        (CATS, "cat"),
        (CATS, "car"),
        (OWLS, "owl"),
        (OWLS, "bed"),
    ]
    assert set(changes["condition"]) == {"delete", "equal mass", "random word"}
    assert (changes["whole"] > 0).all()
    weighted = changes["inside"] * changes["area"] + changes["outside"] * (1 - changes["area"])
    np.testing.assert_allclose(weighted, changes["whole"], rtol=1e-6)
    random = changes[changes["condition"] == "random word"]
    assert (random["edited"] != random["word"]).all()
    curves = result.tables["curves"]
    deleted = changes[changes["condition"] == "delete"].set_index(["image", "word"])["whole"]
    ends = curves[curves["share"] == 1].set_index(["image", "word"])["change"]
    assert (ends == deleted.reindex(ends.index)).all()
    assert (curves[curves["share"] == 0]["change"] == 0).all()
    assert result.prompts == (CATS, OWLS)
    assert result.provenance["steps"] == 2


def test_words_are_scaled_in_a_window_of_steps_layers_and_heads(emoji_pipe):
    where = {"in_steps": slice(0, 1), "in_layers": ["up_blocks"], "in_heads": (0, 2)}
    halved = run_study(
        "intervention", emoji_pipe, prompts=[CATS], shares=(), scale=0.5, **where, **TINY
    )
    changes = halved.tables["changes"].set_index(["word", "condition"])["whole"]
    setup = Setup(emoji_pipe, (CATS,), 1, DrawingSettings(TINY["steps"]).for_pipeline(emoji_pipe))
    (sentence,) = setup.sentences
    word = sentence.index("car")
    edit = Edit(
        (word,), scale=0.5, renormalize=False, steps=slice(0, 1), layers=["up_blocks"], heads=(0, 2)
    )
    with intervene(emoji_pipe, replace(edit, images=(1,)), sentences=sentence):
        original, edited = setup.draw(CATS, 0, copies=2)
    assert changes["car", "delete"] == pytest.approx(np.abs(edited - original).mean(), abs=2e-5)
    assert changes["car", "delete"] > 0
    found = halved.findings["Place of the change"]
    assert found[0].startswith("Word times 0.5, inside the word's mask")
    assert "was edited with scale 0.5, steps slice(0, 1, None)" in found[-1]
    assert halved.provenance["edit"]["heads"] == [0, 2]
    same = run_study("intervention", emoji_pipe, prompts=[CATS], shares=(), scale=1.0, **TINY)
    assert (same.tables["changes"]["whole"] == 0).all()


def test_insertion_is_deletion_read_backwards(result):
    means = result.tables["curve_means"].set_index(["kind", "curve", "share"])["mean"]
    most, least, _ = intervention.ORDERS
    assert means["insertion", most, 0.25] == means["deletion", least, 0.75]
    assert means["insertion", least, 0.25] == means["deletion", most, 0.75]


def test_a_result_is_written_completely(result, tmp_path):
    report = result.write(tmp_path / "new" / "folder")
    folder = report.parent
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "report.html",
        "study.json",
        *(f"{table}.{kind}" for table in result.tables for kind in ("csv", "tex")),
        *(f"{figure}.{kind}" for figure in result.figures for kind in ("png", "pdf")),
    }
    page = report.read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == len(result.figures)
    for title, found in result.findings.items():
        for prose in (title, *found):
            assert html.escape(prose).replace("&#x27;", "&#39;") in page
    for prose in (*result.design.figures.values(), *result.design.tables.values()):
        assert html.escape(prose).replace("&#x27;", "&#39;") in page
    assert CATS in page
    header = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    assert header["prompts"] == [CATS, OWLS]
    assert header["provenance"]["model"] == "emoji"
    assert header["findings"].keys() == result.findings.keys()
    changes = pd.read_csv(folder / "changes.csv")
    assert len(changes) == len(result.tables["changes"])


@pytest.mark.parametrize("drawn", ["result", "swaps", "memory", "checks"])
def test_a_study_leaves_no_figure_in_the_list_of_pyplot(request, drawn):
    listed = [plt.figure(number) for number in plt.get_fignums()]
    figures = request.getfixturevalue(drawn).figures.values()
    assert not any(figure in listed for figure in figures)


def test_prompts_that_do_not_suit_are_refused(emoji_pipe):
    with pytest.raises(StudyError, match="word to delete"):
        run_study("intervention", emoji_pipe, prompts="quickly", **TINY)


def test_the_command_line(tmp_path):
    (tmp_path / "prompts.txt").write_text(OWLS + "\n", encoding="utf-8")
    unknown = run_here("study", "nothing", "--out", "x", cwd=tmp_path)
    assert unknown.returncode == 1
    assert "intervention" in unknown.stderr
    options = ["--out", "out", "--prompts", "prompts.txt", "--seeds", 1, "--steps", 1]
    done = run("study", "retrieval", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "n = 1 prompt, 1 image" in done.stdout
    assert (tmp_path / "out" / "report.html").exists()


def test_inside_and_outside():
    change = np.array([[1.0, 3.0, 0.0], [0.0, 0.0, 0.5]])
    mask = np.array([[True, True, False], [False, False, False]])
    found = inside_and_outside(change, mask)
    assert found == {
        "inside": 2.0,
        "outside": 0.125,
        "difference": 1.875,
        "whole": 0.75,
        "area": pytest.approx(1 / 3),
        "reason": "",
    }
    empty = inside_and_outside(change, np.zeros_like(mask))
    assert np.isnan(empty["inside"])
    assert "empty" in empty["reason"]


def test_ranked_masks():
    values = np.array([[0.1, 0.9, 0.3], [0.8, 0.2, 0.7]])
    masks = intervention.ranked_masks(values, 0.5, seed=0)
    most, least, random = (masks[order] for order in intervention.ORDERS)
    assert most.tolist() == [[False, True, False], [True, False, True]]
    assert (least == ~most).all()
    assert random.sum() == 3
    assert (random == intervention.ranked_masks(values, 0.5, seed=0)["random"]).all()


@pytest.fixture(scope="module")
def swaps(emoji_pipe):
    return run_study("adjectives", emoji_pipe, prompts=[CATS, OWLS], **TINY)


def test_adjectives_end_to_end(swaps):
    maps = swaps.tables["maps"]
    pairs = [("red", "cat"), ("blue", "car"), ("small", "owl"), ("green", "bed")]
    assert list(zip(maps["adjective"], maps["noun"], strict=True)) == pairs
    shares = maps[["on_noun", "on_other_noun"]].sum(axis=1)
    assert shares.between(0, 1 + 1e-6).all()
    words = swaps.tables["words"]
    assert words["role"].tolist() == ["adjective", "noun"] * 4
    assert words["effective_area"].between(0, 1).all()
    swapped = swaps.tables["swaps"]
    assert "small" not in set(swapped["adjective"])  # not a color
    assert set(swapped["condition"]) == {"layout held fixed", "new layout"}
    colours = swaps.tables["colours"]
    assert len(colours) == 3 * 3 * 2  # swaps x images x roles
    assert (colours["old_colour"].isna() == (colours["reason"] != "")).all()
    counts = [len(found) for found in swaps.findings.values()]
    assert counts == [3, 5, 5, 5]
    assert len(swaps.tables["estimates"]) == sum(counts) - 1  # the last is a note


@pytest.mark.parametrize(
    ("text", "adjective", "expected"),
    [
        ("a red car and a blue red house", 1, "a green car and a blue red house"),
        ("a red owl", 1, "an orange owl"),
        ("An orange owl", 1, "A red owl"),
        ("the red owl", 1, "the orange owl"),
        ("a small owl", 1, None),
    ],
)
def test_swapped(text, adjective, expected):
    colours = ("orange", "red") if "blue" not in text else ("red", "blue", "green")
    swap = rewriting.swapped(make_sentence(text, edges=()), adjective, colours)
    assert (swap.prompt if swap else None) == expected


def test_no_swap_if_the_prompt_contains_all_others():
    sentence = make_sentence("a red owl and a blue car", edges=())
    assert rewriting.swapped(sentence, 1, ("red", "blue")) is None


def test_place_of_the_attention():
    """Of 10 units of attention, 4 lie on the two pixels of the noun and 3 on the one pixel of the other noun."""
    values = np.array([[2.0, 2, 1, 1], [3, 1, 0, 0]])
    own = np.zeros((2, 4), bool)
    own[0, :2] = True
    other = np.zeros((2, 4), bool)
    other[1, 0] = True
    found = adjectives._where_it_lies(values, own, other)
    assert found == pytest.approx(
        {
            "on_noun": 0.4,
            "noun_area": 0.25,
            "outside_noun": 0.6,
            "on_other_noun": 0.3,
            "other_noun_area": 0.125,
            "excess_on_noun": 0.15,
            "excess_on_other_noun": 0.175,
        }
    )


@pytest.fixture(scope="module")
def memory(emoji_pipe):
    return run_study("retrieval", emoji_pipe, prompts=[CATS, OWLS], **TINY)


def test_retrieval_end_to_end(memory):
    heads = memory.tables["heads"]
    groups = [group for group in attention_reader.GROUPS if group in heads]
    assert groups == ["start", "content", "function", "end", "padding"]
    np.testing.assert_allclose(heads[groups].sum(axis=1), 1, atol=1e-5)
    assert heads["slots"].between(1, heads["n_keys"]).all()
    assert (heads["entropy"] <= np.log(heads["slots"]) + 1e-6).all()  # Jensen's inequality
    n_layers = heads["layer"].nunique()
    assert len(heads) == 2 * 2 * n_layers * 4  # images x steps x layers x attention heads
    words = memory.tables["words"]
    cats = words[words["prompt"] == CATS]
    assert cats.groupby("word_index")["word"].first().tolist() == CATS.split()
    per_head = heads[heads["prompt"] == CATS].groupby(["layer", "attention_head"])[
        ["content", "function"]
    ]
    np.testing.assert_allclose(
        cats.groupby(["layer", "attention_head"])["share"].sum(),
        per_head.mean().sum(axis=1),
        atol=1e-5,
    )


def test_retrieval_reads_what_a_trace_records(memory, emoji_pipe):
    """A share is a sum over subwords and a map is a mean: in one layer, they differ by the number of subwords."""
    setup = Setup(emoji_pipe, (CATS,), 1, DrawingSettings(steps=2).for_pipeline(emoji_pipe))
    with trace(emoji_pipe, layers="mid_block") as recording:
        setup.draw(CATS, 0)
    (maps,) = recording.heat_maps()
    words = memory.tables["words"]
    of_layer = words[(words["prompt"] == CATS) & words["layer"].str.contains("mid_block")]
    shares = of_layer.groupby("word_index")["share"].mean()
    n_subwords = [len(word.subwords) for word in maps.words]
    assert max(n_subwords) == 2
    np.testing.assert_allclose(shares, maps.stack().mean(axis=(1, 2)) * n_subwords, rtol=1e-4)


def test_slots():
    weights = torch.tensor([[[0.25, 0.25, 0.25, 0.25], [0.5, 0.5, 0, 0]], [[1, 0, 0, 0]] * 2])
    entropy, slots = attention_reader.slots(weights.double())
    np.testing.assert_allclose(entropy, [[np.log(4), np.log(2)], [0, 0]])
    np.testing.assert_allclose(slots, [[4, 2], [1, 1]])


@pytest.fixture(scope="module")
def checks(emoji_pipe):
    return run_study("sanity", emoji_pipe, prompts=[CATS, OWLS], seeds=2, steps=2)


def test_sanity_end_to_end(checks, emoji_pipe):
    table = checks.tables["correlations"]
    assert table["correlation"].between(-1, 1).all()
    counts = table[table["prompt"] == CATS].groupby("comparison").size().to_dict()
    assert counts == {
        "another seed": 4,  # content words, of one pair of seeds
        "another word": 2 * 4 * 3,
        "randomised": 2 * 4,
        "same word, phrases swapped": 2 * 2,
        "same position, phrases swapped": 2 * 2,
    }
    areas = checks.tables["areas"]
    assert areas["word"].tolist() == ["car", "blicket", "car", "blicket"] + ["bed", "blicket"] * 2
    (reliability,) = checks.tables["reliability"].to_dict("records")
    assert reliability["n_words"] == 8
    assert "fewer than 5 prompts" in reliability["reason"]


def test_shares_of_kinds_are_those_of_the_recording(checks, emoji_pipe):
    table = checks.tables["kinds"]
    np.testing.assert_allclose(table.groupby("image")["attention"].sum(), 1, atol=0.01)
    assert (
        table[table["prompt"] == CATS]["kind"].to_list() == ["start", "text", "end", "padding"] * 2
    )
    setup = Setup(emoji_pipe, (CATS,), 1, DrawingSettings(steps=2).for_pipeline(emoji_pipe))
    _, maps = setup.trace(parse(CATS), 0, padding=True)
    shares = attention_shares(maps).set_index("kind")
    first = table[table["image"] == table["image"].iloc[0]].set_index("kind")
    np.testing.assert_allclose(first["attention"], shares["attention"][first.index], rtol=1e-4)
    assert (first["n_tokens"] == shares["n_tokens"][first.index]).all()
    assert (first["whole"] > 0).all()
    assert first["on_nouns"].between(0, 1).all()


def test_images_without_words_are_edits_of_all_words(emoji_pipe):
    setup = Setup(emoji_pipe, (OWLS,), 1, DrawingSettings(steps=2).for_pipeline(emoji_pipe))
    (sentence,) = setup.sentences
    deleted = draw_without_each(setup, sentence, 0, ["text"])["text"]
    with intervene(emoji_pipe, Edit(tuple(range(len(OWLS.split()))))):
        edited = setup.draw(OWLS, 0)[0]
    np.testing.assert_allclose(deleted, edited, atol=1e-4)
    assert np.abs(deleted - setup.draw(OWLS, 0)[0]).max() > 0.01
    with pytest.raises(WordError, match=r"start, text, end, padding.*, but got 'template'"):
        draw_without_each(setup, sentence, 0, ["template"])


def test_randomized_weights_are_restored(emoji_pipe):
    unet = emoji_pipe.unet
    before = {name: weight.clone() for name, weight in unet.named_parameters()}
    with randomizing.randomized(emoji_pipe, 0):
        now = {name: weight.clone() for name, weight in unet.named_parameters()}
    changed = [name for name in before if not torch.equal(now[name], before[name])]
    for name in changed:
        assert torch.equal(now[name].flatten().sort().values, before[name].flatten().sort().values)
    with pytest.raises(KeyError), randomizing.randomized(emoji_pipe, 1):
        raise KeyError
    n_attentions = sum(path.endswith("attn2") for path, _ in unet.named_modules())
    assert len(changed) == 2 * n_attentions
    assert all("attn2.to_q" in name or "attn2.to_k" in name for name in changed)
    assert all(torch.equal(weight, before[name]) for name, weight in unet.named_parameters())


def test_swapped_phrases():
    sentence = parse("a red cat and the blue striped car")
    new, pairs = rewriting.swap_phrases(sentence)
    assert new.text == "the blue striped car and a red cat"
    assert [(sentence[a].text, new[b].text) for a, b in pairs] == [("cat", "cat"), ("car", "car")]
    assert [b for _, b in pairs] == [7, 3]
    assert rewriting.swap_phrases(parse("a cat")) is None


def test_nonce_words():
    new, old_index, new_index = rewriting.with_nonce(parse("a cat on a red bed"), "blicket")
    assert (new.text, old_index, new_index) == ("a cat on a red blicket", 5, 5)


def test_split_half():
    """The even seed has the values (1, 2, 3) and the odd seed (4, 2, 3), or both have the same values."""
    words = pd.DataFrame(
        [
            {"prompt_id": "p", "word_index": word, "seed": seed, "effective_area": value}
            for seed, values in enumerate([(1, 2, 3), (4, 2, 3)])
            for word, value in enumerate(values)
        ]
    )
    found = reliability.split_half(words)
    assert found["r"] == pytest.approx(-0.5)
    assert found["reliability"] == pytest.approx(-2.0)
    assert reliability.split_half(words[words["seed"] == 0])["reason"].startswith(
        "needs at least two seeds"
    )
    same = pd.concat(
        [words.assign(prompt_id=str(i), effective_area=words["word_index"] + i) for i in range(6)]
    )
    found = reliability.split_half(same, n_resamples=50)
    assert (found["r"], found["low"], found["high"]) == pytest.approx((1, 1, 1))
    assert (found["n_words"], found["n_prompts"], found["reason"]) == (18, 6, "")


ROWS = pd.DataFrame({"prompt_id": list("abcdef"), "image": range(6), "x": [1, 2, 3, 4, 5, 6]})


def reported(estimate, **options):
    finding = Finding("title", "unit", (estimate,), **options)
    return sentences(finding, estimates_table([finding]))


def test_findings_report_effect_interval_and_n():
    (sentence,) = reported(estimate_mean(ROWS, "x", label="mean x"), digits=1)
    assert sentence.startswith("Mean x: 3.5 (95 % interval ")
    assert sentence.endswith("; n = 6 prompts, 6 images).")
    assert "3 prompts, and an interval needs" in reported(estimate_mean(ROWS[:3], "x"))[0]
    (sentence,) = reported(Estimate("nothing", "x", float("nan"), reason="all are alike"))
    assert sentence == "Nothing: undefined, all are alike (n = 0 prompts, 0 images)."
    assert reported(Estimate("below", "x", -0.0004), notes=("A note.",))[1] == "A note."
    assert reported(Estimate("below", "x", -0.0004))[0].startswith("Below: 0.000 (")
    assert reported(Estimate("below", "x", -0.4))[0].startswith("Below: \N{MINUS SIGN}0.400 (")


def test_p_values_are_adjusted_over_all_findings():
    found = estimate_difference(ROWS, ROWS.assign(x=0), "x")
    assert found.p == pytest.approx(2 / 2**6)
    findings = [Finding(title, "unit", (found,)) for title in ("one", "other")]
    table = estimates_table([*findings, Finding("third", "unit", (estimate_mean(ROWS, "x"),))])
    np.testing.assert_allclose(table["p_adjusted"], [2 * found.p] * 2 + [np.nan])
    assert "Holm-adjusted p = 0.062;" in sentences(findings[0], table)[0]
    assert estimates_table([]).empty


def test_every_finding_with_estimates_has_a_panel():
    undefined = Estimate("undefined", "x", float("nan"))
    findings = [
        Finding("first", "slots", (estimate_mean(ROWS, "x"), undefined)),
        Finding("no estimates", "", notes=("Only a note.",)),
        Finding("second", "shares", (estimate_difference(ROWS, ROWS.assign(x=7), "x"),)),
    ]
    first, second = draw_findings(findings).axes
    assert (first.get_title("left"), second.get_title("left")) == ("first", "second")
    assert [text.get_text() for text in first.texts] == ["undefined"]
    assert [label.get_text() for label in second.get_yticklabels()] == ["difference (6)"]
