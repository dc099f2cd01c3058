from daam_syntax.figures.shared.word_labels import are_crowded, label, label_lines


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
