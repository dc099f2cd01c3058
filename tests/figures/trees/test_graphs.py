import pytest

from daam_syntax import figures
from daam_syntax.analysis import measure_pairs
from daam_syntax.language import Edge
from daam_syntax.maps import HeatMaps
from helpers.examples import SUBWORDS, make_maps, make_sentence


def test_the_graph_writes_each_word_on_its_line_with_relation_and_weight():
    maps = make_maps()
    pairs = measure_pairs([maps, maps])
    ax = figures.dependency_graph(maps.sentence, pairs)
    words = {
        t.get_text(): t.get_position() for t in ax.texts if t.get_text() in maps.sentence.words
    }
    assert words["car"] == (0, 1)
    assert words["zebra"] == (1, 4)
    assert words["red"] == (2, 3)  # the second "red", a dependent of zebra
    notes = [t.get_text() for t in ax.texts if t.get_text() not in maps.sentence.words]
    assert notes == ["amod 0.33", "root", "punct (not measured)", "amod 1.00", "conj 0.00"]
    edge_to = {line.get_ydata()[-1]: line for line in ax.lines}
    assert edge_to[3].get_linewidth() > edge_to[0].get_linewidth() > edge_to[4].get_linewidth()
    assert edge_to[2].get_linestyle() == ":"
    bar = next(a for a in ax.figure.axes if a is not ax)
    assert bar.get_ylabel() == "attention overlap (IoU, 0 to 1)\nmean of 2 images"


def test_further_heads_are_curves():
    sentence = make_sentence("a b c", edges=[Edge(0, 1, "x"), Edge(1, 2, "y"), Edge(0, 2, "z")])
    maps = HeatMaps(make_maps().data[:1], SUBWORDS[:1], sentence, (4, 6))
    ax = figures.dependency_graph(sentence, measure_pairs(maps))
    # c has a straight edge from a and a curve from its sister b
    assert len(ax.lines) == 2
    assert len(ax.patches) == 1
    assert ax.texts[-1].get_text() == "y (not measured), z (not measured)"


def test_a_graph_is_of_one_prompt_and_all_its_edges():
    pairs = measure_pairs(make_maps())
    with pytest.raises(ValueError, match="pairs of 'red zebra' only"):
        figures.dependency_graph(make_sentence("red zebra", edges=()), pairs)
    with pytest.raises(ValueError, match=r"every ud edge .* relation='conj'"):
        figures.dependency_graph(make_sentence(), pairs[pairs["relation"] != "conj"])
