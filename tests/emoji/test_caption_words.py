"""The words that the embedded model knows are those of its captions."""

import re

import pytest

from daam_syntax.emoji import known_words, scene
from daam_syntax.emoji.caption_words import similar_word, unknown_words


def test_the_words_are_those_of_the_captions():
    captions = [scene(seed, split="train").caption for seed in range(1_000_000, 1_001_500)]
    seen = {word for caption in captions for word in re.findall(r"\w+", caption)}
    assert seen == known_words()


def test_other_words_are_found_once_in_lower_case_without_punctuation():
    assert unknown_words("A red cat, an owl: the picture.") == ()
    assert unknown_words("Two red cats on a Dragon; a dragon's 東京 bed") == (
        "two",
        "cats",
        "dragon",
        "s",
        "東京",
    )


@pytest.mark.parametrize(
    ("word", "known"), [("cats", "cat"), ("pengiun", "penguin"), ("dragon", None), ("two", None)]
)
def test_a_word_that_is_spelled_alike(word, known):
    assert similar_word(word) == known
