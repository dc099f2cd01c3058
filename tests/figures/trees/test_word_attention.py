"""Attention between words as a matrix and as arcs: what is drawn is what was given."""

import numpy as np
import pytest
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyArrowPatch, Rectangle

from daam_syntax import figures
from daam_syntax.language import Edge, Sentence, Token
from daam_syntax.maps import Subword, WordAttention
from daam_syntax.maps.word_attention.token_groups import group_tokens

WORDS = ("red", "cat", "sat")
ROWS = np.array(
    [
        [0.2, 0.0, 0.0, 0.8],
        [0.5, 0.1, 0.02, 0.38],
        [0.1, 0.6, 0.2, 0.1],
        [0.0, 0.0, 0.0, 1.0],
    ]
)
ORANGE = "#D55E00"


@pytest.fixture
def attention():
    tokens = tuple(Token(i, w, w, "NOUN", "NN", 4 * i, 4 * i + 3) for i, w in enumerate(WORDS))
    edges = {"ud": (Edge(1, 0, "amod"), Edge(2, 1, "nsubj"))}
    sentence = Sentence("red cat sat", tokens, edges, (), "by hand")
    subwords = [Subword(i + 1, w, 4 * i, 4 * i + 3) for i, w in enumerate(WORDS)]
    groups = group_tokens([*subwords, Subword(0, "<s>", 0, 0, "start")])
    data = xr.DataArray(ROWS, dims=("query", "key"))
    yield WordAttention(data, groups, sentence, relation="encoder")
    plt.close("all")


def test_a_matrix_shows_every_entry_and_frames_the_edges(attention):
    ax = figures.attention_matrix(attention)
    np.testing.assert_allclose(ax.images[0].get_array(), ROWS, atol=1e-7)
    assert [each.get_text() for each in ax.get_yticklabels()] == [*WORDS, "start"]
    framed = {
        (round(p.get_y() + 0.43), round(p.get_x() + 0.43)): p.get_linestyle()
        for p in ax.patches
        if isinstance(p, Rectangle)
    }
    assert framed == {(0, 1): "-", (1, 0): ":", (1, 2): "-", (2, 1): ":"}
    assert "solid: dependent to head, dotted: head to dependent" in ax.get_xlabel()
    ax = figures.attention_matrix(attention, special=False)
    assert ax.images[0].get_array().shape == (3, 3)


def test_arcs_have_the_width_of_the_attention(attention):
    ax = figures.attention_arcs(attention, least=0.05)
    arcs = [p for p in ax.patches if isinstance(p, FancyArrowPatch)]
    found = {
        tuple(round(x) for x, _ in each._posA_posB): (
            round((each.get_linewidth() - 0.5) / 6, 3),
            to_rgb(each.get_edgecolor()) == to_rgb(ORANGE),
        )
        for each in arcs
    }
    # The arc from cat to sat is below the limit; the one from sat to red is along no edge.
    assert found == {(1, 0): (0.5, True), (2, 1): (0.6, True), (2, 0): (0.1, False)}
    low, high = ax.get_ylim()
    assert high >= 0.5 >= -low  # the arc over two words fits, and nothing is below
    assert [text.get_text() for text in ax.texts] == list(WORDS)
    assert "width: attention probability, 0.05 to 0.6; orange: ud edges" in ax.get_title(loc="left")


def test_only_attention_is_drawn():
    with pytest.raises(TypeError, match="WordAttention"):
        figures.attention_matrix("a red cat")
    with pytest.raises(TypeError, match="WordAttention"):
        figures.attention_arcs(None)


def test_words_that_would_touch_are_rotated():
    words = ("😀👩‍👧", "\u200b", "cat")
    starts = [sum(len(w) + 1 for w in words[:i]) for i in range(3)]
    tokens = tuple(
        Token(i, w, w, "NOUN", "NN", start, start + len(w))
        for i, (w, start) in enumerate(zip(words, starts, strict=True))
    )
    subwords = [Subword(i + 1, t.text, t.start, t.end) for i, t in enumerate(tokens)]
    sentence = Sentence(" ".join(words), tokens, {"ud": ()}, (), "by hand")
    data = xr.DataArray(np.full((3, 3), 1 / 3), dims=("query", "key"))
    given = WordAttention(data, group_tokens(subwords), sentence, relation="encoder")
    ax = figures.attention_arcs(given)
    assert all(text.get_rotation() == 30 for text in ax.texts)
    plt.close("all")
