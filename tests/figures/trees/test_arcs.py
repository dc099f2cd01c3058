from daam_syntax import figures
from helpers.examples import make_sentence
from helpers.figure_data import texts


def test_arcs_show_every_relation_and_word():
    ax = figures.dependency_arcs(make_sentence())
    found = texts(ax)
    assert sorted(found) == sorted(
        ["amod", "punct", "conj", "amod", "root", "red", "car", ",", "red", "zebra"]
    )


def test_arcs_over_arcs_are_higher():
    ax = figures.dependency_arcs(make_sentence())
    height = {t.get_text(): t.get_position()[1] for t in ax.texts}
    assert height["conj"] > height["punct"]
