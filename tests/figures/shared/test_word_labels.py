import matplotlib as mpl
import numpy as np

from daam_syntax.figures.shared.word_labels import (
    are_crowded,
    label,
    label_fonts,
    label_lines,
    name_label,
)


def test_characters_that_no_font_has_are_code_points():
    assert label("Käse") == "Käse"
    assert label(" \n") == "(space)"
    assert label("a\U000f0000") == "aU+F0000"


def test_invisible_characters_are_code_points():
    assert label("a\u200bb") == "aU+200Bb"
    assert label("\u202eabc") == "U+202Eabc"  # a viewer would write it backwards
    assert label("e\u0301") == "e\u0301"  # an accent is drawn on its letter


def test_long_words_keep_their_beginning_and_their_end():
    assert label("extraordinarily") == "extraordinarily"
    assert label("https://www.example.org/file.html") == "https://www.e\u2026e.html"
    assert label("\U000f0000" * 9) == "U+F0000\u2026U+F0000"


def test_lines_do_not_divide_code_points():
    assert label_lines("ab\u200b\u200bcd", 10) == ["abU+200B", "U+200Bcd"]
    assert label_lines("extraordinarily", 10) == ["extraordin", "arily"]


def test_neighbors_that_would_touch():
    assert not are_crowded(["a", "extraordinarily", "b"], 12)
    assert are_crowded(["a", "extraordinarily", "extraordinarily"], 12)
    assert are_crowded([label("a\u200b"), label("\u200bcat")], 9)  # capitals and digits are wide


def test_accents_do_not_pile_up():
    assert label("e" + "\u0301" * 5) == "e\u0301\u0301\u0301U+0301U+0301"


def test_names_of_a_table_are_labels_that_a_legend_shows():
    """Matplotlib leaves out a name that begins with an underscore."""
    assert [name_label(name) for name in ("amod", 3, 0.5)] == ["amod", "3", "0.5"]
    assert [name_label(name) for name in (None, np.nan, "", " ")] == ["(none)"] * 4
    assert name_label("_x") == "\u200a_x"
    assert len(name_label("category " * 9)) == 40


def test_fonts_follow_the_settings():
    assert label_fonts()[: len(mpl.rcParams["font.family"])] == mpl.rcParams["font.family"]
    with mpl.rc_context({"font.family": ["monospace"]}):
        assert label_fonts()[0] == "monospace"
