import pytest

import daam_syntax as ds
from daam_syntax.language import COMPARISON_COLUMNS, Edge, Sentence, Token
from helpers.examples import make_sentence


def tree(*edges, text="red car , red zebra"):
    return make_sentence(text, edges=[Edge(*edge) for edge in edges])


def changes(a, b, scheme="ud"):
    table = ds.compare_parses(a, b, scheme=scheme)
    assert list(table.columns) == list(COMPARISON_COLUMNS)
    found = table[["change", "dependent", "head_a", "relation_a", "head_b", "relation_b"]]
    return [tuple(None if v != v else v for v in row) for row in found.itertuples(index=False)]


def test_every_kind_of_change():
    a = tree((1, 0, "amod"), (1, 2, "punct"), (1, 4, "conj"), (4, 3, "amod"))
    b = tree((1, 0, "compound"), (4, 2, "punct"), (4, 3, "amod"), (4, 1, "dep"))
    assert changes(a, b) == [
        ("relabeled", "red", "car", "amod", "car", "compound"),
        ("added", "car", None, None, "zebra", "dep"),
        ("re-attached", ",", "car", "punct", "zebra", "punct"),
        ("removed", "zebra", "car", "conj", None, None),
    ]
    assert changes(a, a) == []
    places = ds.compare_parses(a, b).iloc[2]
    assert places[["dependent_start", "head_start_a", "head_start_b"]].tolist() == [8, 4, 14]


def test_repeated_words_are_distinguished():
    a, b = tree((1, 0, "amod")), tree((1, 3, "amod"))
    assert [c[0] for c in changes(a, b)] == ["removed", "added"]
    assert ds.compare_parses(a, b)["dependent_start"].tolist() == [0, 10]


def test_several_heads_of_a_word():
    a = tree((1, 0, "amod"), (4, 0, "amod"), (4, 0, "dep"))
    b = tree((4, 0, "dep"), (4, 0, "nmod"), (3, 0, "amod"), (1, 4, "conj"))
    assert changes(a, b) == [
        ("relabeled", "red", "zebra", "amod", "zebra", "nmod"),
        ("re-attached", "red", "car", "amod", "red", "amod"),
        ("added", "zebra", None, None, "car", "conj"),
    ]


def test_other_tokens_come_with_their_edges():
    a = tree((1, 0, "amod"), text="red-hot car")
    text = "red-hot car"
    words = [("red", 0), ("-", 3), ("hot", 4), ("car", 8)]
    tokens = tuple(Token(i, w, w, "X", "", s, s + len(w)) for i, (w, s) in enumerate(words))
    edges = (Edge(2, 0, "amod"), Edge(2, 1, "punct"), Edge(3, 2, "amod"))
    b = Sentence(text, tokens, {"ud": edges})
    assert [c[:2] for c in changes(a, b)] == [
        ("added", "red"),
        ("removed", "red-hot"),
        ("added", "-"),
        ("added", "hot"),
    ]


def test_two_prompts_or_a_missing_scheme_cannot_be_compared():
    with pytest.raises(ValueError, match="one prompt"):
        ds.compare_parses(tree(), tree(text="a cat"))
    with pytest.raises(ValueError, match="schemes"):
        ds.compare_parses(tree(), tree(), scheme="enhanced")
