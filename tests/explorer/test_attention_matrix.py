"""Attention between words on the page of the explorer."""

import base64

import numpy as np
import pytest
import xarray as xr

import daam_syntax as ds
from daam_syntax.maps import WordAttention
from daam_syntax.maps.word_attention.token_groups import TokenGroup, group_tokens
from helpers.examples import SUBWORDS, make_sentence
from helpers.explorer_pages import IMAGE, contents_of, needs_a_browser, shown, smooth_maps


def make_attention(*, layers=2, truncated=False, text="red car , red zebra", **options):
    """Attention of "red car, red zebra", whose rows sum to 1; of two layers, whose mean is shown."""
    subwords = SUBWORDS[:5] if truncated else SUBWORDS
    groups = group_tokens(subwords)
    n = len(groups)
    values = np.random.default_rng(0).random((layers, n, n))
    data = xr.DataArray(values / values.sum(-1, keepdims=True), dims=("layer", "query", "key"))
    options = {"relation": "encoder", "encoder": "clip"} | options
    return WordAttention(
        data, groups, make_sentence(text), truncated_at=13 if truncated else None, **options
    )


def from_text_to_image():
    """Text-text attention of a joint model: pixels are keys, but not queries."""
    groups = (*group_tokens(SUBWORDS), TokenGroup("image", "image", ()))
    values = np.full((len(groups), len(groups)), 1 / len(groups))
    values[-1] = np.nan
    return WordAttention(
        xr.DataArray(values, dims=("query", "key")),
        groups,
        make_sentence("red car , red zebra"),
        relation="text-text",
        encoder="t5",
    )


def test_the_page_holds_the_mean_of_each_relation():
    attention, joint = make_attention(causal=True), from_text_to_image()
    (image,) = contents_of(ds.explore(IMAGE, smooth_maps(), attention=[[attention, joint]]))[
        "images"
    ]
    first, second = image["attention"]
    values = np.frombuffer(base64.b64decode(first["values"]), "<f4").reshape(7, 7)
    np.testing.assert_array_equal(values, attention.mean.astype(np.float32))
    assert first["labels"] == ["red", "car", ",", "red", "zebra", "start", "end"]
    assert (first["words"], first["causal"], second["causal"]) == (5, True, False)
    assert [first["name"], second["name"]] == ["text encoder: clip", "denoiser: text to text"]


def test_attention_that_does_not_fit_is_refused():
    maps, attention = smooth_maps(), make_attention()
    with pytest.raises(ValueError, match="for each of 1 image, but got 2"):
        ds.explore(IMAGE, maps, attention=[attention, attention])
    with pytest.raises(ValueError, match=r"Image 0: expected .*'red car , red zebra', but got"):
        ds.explore(IMAGE, maps, attention=make_attention(text="red car , red horse"))
    with pytest.raises(TypeError, match="Expected WordAttention"):
        ds.explore(IMAGE, maps, attention=[[maps]])
    assert len(ds.explore([IMAGE] * 2, [maps] * 2, attention=[attention] * 2).html) > 0


@needs_a_browser
def test_a_matrix_shows_every_word_and_marks_the_tree(tmp_path):
    attention = make_attention(truncated=True, causal=True)
    page = ds.explore(IMAGE, smooth_maps(), attention=[[attention, from_text_to_image()]])
    soup = shown(page, tmp_path, "#relation=0")
    assert soup.find(id="between").get("hidden") is None
    rows = soup.select("#matrix tbody tr")
    assert [row.th.get_text() for row in rows] == ["red", "car", ",", "red", "zebra", "start"]
    cells = [[cell["title"] for cell in row.find_all("td")] for row in rows]
    for query in (0, 1, 2, 3):
        for key in (0, 1, 2, 3):
            text = f"From “{attention.labels[query]}” to “{attention.labels[key]}”: {attention.mean[query, key]:.3f}"
            assert cells[query][key].startswith(text)
    assert cells[0][1].endswith(": the dependent attends to its head (amod)")
    assert cells[1][0].endswith(": the head attends to its dependent (amod)")
    assert cells[0][4].startswith("“zebra” is truncated: ")
    assert cells[1][5].startswith("From “car” to start tokens: ")
    marks = {
        (y, x): mark["class"][0]
        for y, row in enumerate(rows)
        for x, cell in enumerate(row.find_all("td"))
        for mark in cell.find_all("i")
    }
    upwards = {(0, 1), (2, 1), (4, 1), (3, 4)}
    assert marks == {
        **dict.fromkeys(upwards, "upwards"),
        **{(x, y): "downwards" for y, x in upwards},
    }
    largest = max(attention.mean[i, j] for i in range(4) for j in range(4) if i != j)
    assert soup.find(id="between-top").get_text().startswith(f"{largest:.2f}, ")
    assert "causal" in soup.find(id="between-order").get_text()
    # Only "," and "car" have an earlier head or dependent: "zebra" was not read.
    assert soup.find(id="between-status").get_text() == (
        f"Mean over the edges of the tree to an earlier word: {attention.mean[2, 1]:.3f} from dependent to head, "
        f"{attention.mean[1, 0]:.3f} from head to dependent."
    )


@needs_a_browser
def test_relations_and_edges_are_chosen_on_a_phone(tmp_path):
    page = ds.explore(IMAGE, smooth_maps(), attention=[[make_attention(), from_text_to_image()]])
    script = """
        const wait = () => new Promise((done) => setTimeout(done, 200));
        (async () => {
          await wait();
          const relation = document.getElementById("relation");
          relation.value = 1;
          relation.dispatchEvent(new Event("change"));
          await wait();
          document.body.dataset.rows = document.querySelectorAll("#matrix tbody tr").length;
          document.querySelectorAll("#matrix tbody tr")[4].querySelectorAll("td")[1].click();
          await wait();
          document.body.dataset.status = document.getElementById("between-status").textContent;
          document.body.dataset.chosen = document.querySelector("#pairs tr.chosen").textContent;
          const { scrollWidth, clientWidth } = document.documentElement;
          document.body.dataset.excess = scrollWidth - clientWidth;
        })();
    """
    body = shown(page, tmp_path, "", script, width=390).body
    assert body["data-rows"] == "7"  # the pixels are not queries
    assert body["data-status"] == (
        "From “zebra” to “car”: 0.111: the dependent attends to its head (conj)"
    )
    assert body["data-chosen"].startswith("conjcarzebra")
    assert body["data-excess"] == "0"  # nothing is wider than the window


@needs_a_browser
def test_a_page_without_attention_has_no_matrix(tmp_path):
    soup = shown(ds.explore(IMAGE, smooth_maps()), tmp_path)
    assert soup.find(id="between").has_attr("hidden")
    assert not soup.select("#matrix tbody tr")
