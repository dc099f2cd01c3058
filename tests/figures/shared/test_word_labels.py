from daam_syntax.figures.shared.word_labels import label


def test_characters_that_no_font_has_are_code_points():
    assert label("Käse") == "Käse"
    assert label(" \n") == "(space)"
    assert label("a\U000f0000") == "aU+F0000"
