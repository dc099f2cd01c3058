"""Alignment of words with subwords."""

from daam_syntax.language import Sentence, Token
from daam_syntax.maps import Subword, align
from helpers.examples import SUBWORDS, make_sentence


def test_alignment_is_by_overlap():
    sentence = make_sentence("😀 owl's x", edges=())
    subwords = [
        Subword(1, "a", 0, 1),  # two subwords share one character
        Subword(2, "b", 0, 1),
        Subword(3, " owl", 1, 5),  # includes the space before it
        Subword(4, "'s", 5, 7),
    ]
    words = align(sentence, subwords)
    assert [w.subwords for w in words] == [(0, 1), (2, 3), ()]
    assert words[2].status == "unaligned"
    assert words[2].reason


def test_a_truncated_word_keeps_its_first_subwords_and_a_reason():
    word = align(make_sentence(), SUBWORDS[:6], truncated_at=16)[4]
    assert (word.status, word.subwords) == ("mapped", (5,))
    assert "cuts" in word.reason


def test_a_subword_that_starts_with_a_space_belongs_to_the_word():
    tokens = (
        Token(0, "a", "a", "X", "", 0, 1),
        Token(1, " ", " ", "SPACE", "", 2, 3),
        Token(2, "owl", "owl", "X", "", 3, 6),
    )
    words = align(Sentence("a  owl", tokens), [Subword(0, "a", 0, 1), Subword(1, " owl", 1, 6)])
    assert [w.status for w in words] == ["mapped", "unaligned", "mapped"]
    assert words[1].reason == "white space has no subword"
