"""Every figure can be read, at the width of a column and of a page, short and long."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from daam_syntax import figures
from daam_syntax.analysis import measure_pairs
from daam_syntax.language import Edge
from daam_syntax.maps import HeatMaps, Subword
from helpers.examples import make_maps, make_sentence
from helpers.figure_data import (
    IMAGE,
    RELATIONS,
    long_maps,
    make_curves,
    make_profile,
    make_similarities,
    make_summary,
    make_sweep,
    make_words,
    one_word,
)
from helpers.readable import assert_readable

COLUMN, PAGE = 3.3, 6.6  # inches


widths = pytest.mark.parametrize("width", [COLUMN, PAGE])


def draw_graph(maps):
    return figures.dependency_graph(maps.sentence, measure_pairs(maps))


FLAT = [Edge(1, dependent, "dep") for dependent in (0, 2, 3, 4)]


CASES = {
    "forest": lambda: figures.forest(make_summary()),
    "forest of one": lambda: figures.forest(make_summary(["amod"])),
    "forest of many": lambda: figures.forest(make_summary(RELATIONS)),
    "sweep": lambda: figures.threshold_sweep(make_sweep()),
    "sweep of many": lambda: figures.threshold_sweep(make_sweep(RELATIONS)),
    "containment": lambda: figures.containment(measure_pairs(make_maps())),
    "matrix": lambda: figures.word_matrix(make_maps()),
    "long matrix": lambda: figures.word_matrix(long_maps()),
    "matrix of one word": lambda: figures.word_matrix(one_word()),
    "arcs with overlays": lambda: figures.arcs_with_overlays(IMAGE, make_maps(image_size=(40, 60))),
    "long arcs with overlays": lambda: figures.arcs_with_overlays(IMAGE, long_maps()),
    "profile": lambda: figures.overlap_profile(make_profile(), along="layer"),
    "similarity": lambda: figures.similarity_scatter(make_similarities()),
    "similarity of many": lambda: figures.similarity_scatter(make_similarities(20), fit="category"),
    "breadth": lambda: figures.breadth_by_pos(make_words()),
    "breadth of one": lambda: figures.breadth_by_pos(make_words().query("pos == 'NOUN'")),
    "deletion": lambda: figures.deletion_curves(make_curves()),
    "deletion of many": lambda: figures.deletion_curves(make_curves(RELATIONS)),
    "graph": lambda: draw_graph(make_maps()),
    "flat graph": lambda: draw_graph(make_maps(sentence=make_sentence(edges=FLAT))),
    "long graph": lambda: draw_graph(long_maps()),
}


@widths
@pytest.mark.parametrize("case", CASES)
def test_figures_of_tables_and_trees_can_be_read(case, width):
    with figures.paper(width):
        assert_readable(CASES[case]().figure)


@widths
@pytest.mark.parametrize(
    "maps",
    [make_maps(image_size=(40, 60)), make_maps(image_size=(20, 60)), long_maps(), one_word()],
)
@pytest.mark.parametrize("scale", ["shared", "own"])
def test_word_grids_can_be_read(maps, width, scale):
    with figures.paper(width):
        image = np.zeros((*maps.image_size, 3), np.uint8)
        figure = figures.word_grid(image, maps, width=width, scale=scale)
    assert_readable(figure)
    assert figure.get_figwidth() <= width


ANY_SCRIPT = {
    "long": "a https://www.example.org/a/very/long/path/file.html red cat schifffahrtsgesellschaft",
    "wide and invisible": "a \u200b\u2060 ＷＩＤＥＷＩＤＥ 一只红色的猫坐在蓝色的床上 \U0001f468\u200d\U0001f467",
    "right to left": "חתול אדום على السرير cat2",
}


@pytest.mark.parametrize("text", ANY_SCRIPT.values(), ids=ANY_SCRIPT)
def test_words_of_any_script_and_length_can_be_read(text):
    sentence = make_sentence(text, FLAT)
    subwords = [Subword(t.index, t.text, t.start, t.end) for t in sentence.tokens]
    values = np.random.default_rng(0).random((5, 4, 6), np.float32)
    data = xr.DataArray(values, dims=("token", "y", "x"))
    maps = HeatMaps(data, subwords, sentence, (40, 60))
    for draw in (
        lambda: figures.dependency_arcs(sentence).figure,
        lambda: draw_graph(maps).figure,
        lambda: figures.word_matrix(maps).figure,
        lambda: figures.word_grid(IMAGE, maps),
        lambda: figures.overview(IMAGE, maps),
        lambda: figures.arcs_with_overlays(IMAGE, maps).figure,
        lambda: figures.overlay(IMAGE, maps[1]).figure,
    ):
        assert_readable(draw())
        plt.close("all")


ODD_NAMES = [
    "$\\frac{",
    "_left out",
    "\u200b a\nb",
    "e" + "\u0301" * 20,
    "\U000f0000x",
    "very long " * 9,
]


def odd_profile():
    profile = make_profile()
    names = dict(zip(profile["layer"].unique(), ODD_NAMES[2:5], strict=True))
    return profile.assign(layer=profile["layer"].map(names))


NAMED = {
    "forest": lambda: figures.forest(make_summary(ODD_NAMES)),
    "sweep": lambda: figures.threshold_sweep(make_sweep(ODD_NAMES)),
    "profile": lambda: figures.overlap_profile(odd_profile(), along="layer"),
    "similarity": lambda: figures.similarity_scatter(
        make_similarities(6).assign(category=np.repeat(ODD_NAMES, 4)), fit="category"
    ),
    "deletion": lambda: figures.deletion_curves(make_curves(ODD_NAMES)),
    "breadth": lambda: figures.breadth_by_pos(
        pd.concat([make_words().query("pos == 'NOUN'").assign(pos=name) for name in ODD_NAMES])
    ),
    "arcs": lambda: figures.dependency_arcs(odd_edges()),
    "graph": lambda: draw_graph(make_maps(sentence=odd_edges())),
}


def odd_edges():
    return make_sentence(
        edges=[Edge(1, d, name) for d, name in zip((0, 2, 3, 4), ODD_NAMES[2:], strict=True)]
    )


@pytest.mark.parametrize("case", NAMED)
def test_names_of_relations_categories_and_layers_of_any_kind_can_be_read(case):
    """They come from files of users. A missing glyph is a warning of matplotlib, which is an error in tests."""
    axes = NAMED[case]()
    assert_readable(axes.figure)
    shown = [text.get_text() for text in axes.figure.findobj(mpl.text.Text)]
    if case not in ("arcs", "graph", "profile"):
        assert all(any(part in text for text in shown) for part in ("$\\frac{", "_left out"))
    plt.close("all")


def test_rows_without_a_group_are_shown():
    """They were left out without a word."""
    table = make_similarities().assign(category=["a"] * 4 + [None] * 4)
    (legend,) = figures.similarity_scatter(table, fit=None).figure.findobj(mpl.legend.Legend)
    assert [text.get_text() for text in legend.get_texts()] == ["a (3)", "(none) (4)"]
    words = make_words().assign(pos=lambda t: t["pos"].where(t["pos"] != "NOUN"))
    rows = [text.get_text() for text in figures.breadth_by_pos(words).get_yticklabels()]
    assert any(row.startswith("(none) (") for row in rows)
    plt.close("all")


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_restyled(case):
    before = dict(plt.rcParams)
    ax = CASES[case]()
    assert dict(plt.rcParams) == before
    assert plt.get_fignums() == [ax.figure.number]


def test_the_readability_check_finds_errors():
    for x, y, size, found in (
        (0.9, 0.5, 9, "leaves"),
        (0.1, 0.5, 5, "smaller than 6"),
        (0.1, 0.1, 9, "covers"),
    ):
        figure = plt.figure()
        figure.text(0.1, 0.12, "another text")
        figure.text(x, y, "a text, rather long", fontsize=size)
        with pytest.raises(AssertionError, match=found):
            assert_readable(figure)
