"""The examples of docs/inference.md run, and its claims about them hold."""

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import daam_syntax as ds
from daam_syntax.analysis import (
    CONTROLS,
    estimate_difference,
    exchange_partners,
    least_p,
    normalize_over_tokens,
    remove_mean_map,
)
from daam_syntax.maps import HeatMaps, Subword

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "inference.md").read_text(encoding="utf-8")
PROMPTS = [
    f"a {color} {noun} and a {other} {second}"
    for color, other in (("red", "blue"), ("green", "white"))
    for noun, second in (("cat", "car"), ("dog", "house"), ("owl", "bus"), ("horse", "tree"))
]


def random_maps(prompt, seed):
    """Return random maps of every word of a prompt."""
    sentence = ds.parse(prompt)
    rng = np.random.default_rng([len(prompt), seed])
    values = rng.gamma(0.5, size=(len(sentence), 8, 12)).astype(np.float32) / 100
    subwords = [Subword(t.index, t.text, t.start, t.end) for t in sentence.tokens]
    data = xr.DataArray(values, dims=("token", "y", "x"))
    return HeatMaps(data, subwords, sentence, (64, 96), provenance={"seed": seed})


@pytest.fixture(scope="module")
def scope(tmp_path_factory):
    """The names of the page's examples, run in order."""
    maps = [random_maps(prompt, seed) for prompt in PROMPTS for seed in (0, 1)]
    pairs = ds.measure_pairs(maps)
    amod = pairs[pairs["relation"] == "amod"]
    half = pairs["prompt_id"].drop_duplicates()[:4]
    is_first = amod["prompt_id"].isin(half)
    number = {
        prompt: f"pair{i % 4}" for i, prompt in enumerate(amod["prompt_id"].drop_duplicates())
    }
    paired = amod.assign(pair=amod["prompt_id"].map(number))
    scope = {
        "ds": ds,
        "maps": maps,
        "first": paired[is_first],
        "second": paired[~is_first],
        "amod_prompts": amod[is_first],
        "compound_prompts": amod[~is_first],
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("page"))
        for source in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
            exec(compile(source, "inference.md", "exec"), scope)
    return scope


def test_examples_run(scope):
    assert scope["shifted"]["kind"].eq("shifted").all()
    assert len(PAGE.split("```python")) == 6


def test_the_page_says_what_is_not_tested(scope):
    found = estimate_difference(scope["amod"], scope["control"])
    told = re.search(r"# not tested: (.*)", PAGE).group(1)
    assert found.untested == told
    summary = ds.summarize(scope["pairs"])
    assert summary["p"].notna().sum() >= 2


def test_the_formula_of_the_exchange(scope):
    table = exchange_partners(scope["pairs"]).table
    row = table[(table["relation"] == "amod") & (table["tier"] == "two-sided")].iloc[0]
    image = scope["pairs"][scope["pairs"]["image"] == row["image"]]
    value = {
        frozenset(key): iou
        for *key, iou in image[["head_index", "dependent_index", "iou"]].itertuples(index=False)
    }
    # a red cat and a blue car: words 1, 2, 5, 6
    related = value[frozenset((2, 1))] + value[frozenset((6, 5))]
    exchanged = value[frozenset((2, 5))] + value[frozenset((6, 1))]
    assert row["contrast"] == pytest.approx((related - exchanged) / 2)


def test_numbers_of_the_page(scope):
    assert least_p(5) == 0.0625
    assert "with five prompts 0.0625" in PAGE
    assert len(normalize_over_tokens(scope["maps"][0])) == len(remove_mean_map(scope["maps"][0]))


def test_every_control_is_in_the_table():
    for call in (
        "match_pairs",
        "designated_pairs",
        "permuted_pairs",
        "cross_prompt_pairs",
        "shifted_pairs",
    ):
        assert f"`{call}(" in PAGE
    assert set(CONTROLS) == {
        "exchanged",
        "unrelated",
        "matched",
        "crossed",
        "cross-prompt",
        "shifted",
        "permuted",
    }


def test_links_of_the_page_exist():
    for page, anchor in re.findall(r"\]\((\w+\.md)#?([\w-]*)\)", PAGE):
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        slugs = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
        assert not anchor or anchor in slugs
