"""Classes of words: parts of speech, and nouns of places apart."""

from daam_syntax.language import parse
from daam_syntax.studies.framework.word_classes import (
    class_name,
    content_words,
    places_of,
    word_class,
)


def test_a_place_is_a_class_of_its_own_where_it_is_known(emoji_pipe, sd):
    sentence = parse("a cat in the snow")
    snow = sentence.index("snow")
    assert word_class(sentence, snow, places_of(sd)) == "NOUN"
    assert word_class(sentence, snow, places_of(emoji_pipe)) == "place"
    assert word_class(sentence, 1, places_of(emoji_pipe)) == "NOUN"
    assert [class_name("place"), class_name("place", many=True)] == [
        "noun of a place",
        "nouns of places",
    ]
    assert class_name("SCONJ", many=True) == "SCONJ"


def test_content_words():
    sentence = parse("a red cat chasing a dog in the snow")
    words = [sentence[index].text for index in content_words(sentence)]
    assert words == ["red", "cat", "chasing", "dog", "snow"]
    assert content_words(sentence, ["ADJ"]) == [1]
