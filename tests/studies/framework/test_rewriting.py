"""Rewritten prompts: swapped adjectives, exchanged phrases, nonce words."""

import pytest

from daam_syntax.language import parse
from daam_syntax.studies.framework import rewriting
from helpers.examples import make_sentence


@pytest.mark.parametrize(
    ("text", "adjective", "expected"),
    [
        ("a red car and a blue red house", 1, "a green car and a blue red house"),
        ("a red owl", 1, "an orange owl"),
        ("An orange owl", 1, "A red owl"),
        ("the red owl", 1, "the orange owl"),
        ("a small owl", 1, None),
    ],
)
def test_swapped(text, adjective, expected):
    colors = ("orange", "red") if "blue" not in text else ("red", "blue", "green")
    swap = rewriting.swapped(make_sentence(text, edges=()), adjective, colors)
    assert (swap.prompt if swap else None) == expected


def test_no_swap_if_the_prompt_contains_all_others():
    sentence = make_sentence("a red owl and a blue car", edges=())
    assert rewriting.swapped(sentence, 1, ("red", "blue")) is None


def test_swapped_phrases():
    sentence = parse("a red cat and the blue striped car")
    new, pairs = rewriting.swap_phrases(sentence)
    assert new.text == "the blue striped car and a red cat"
    assert [(sentence[a].text, new[b].text) for a, b in pairs] == [("cat", "cat"), ("car", "car")]
    assert [b for _, b in pairs] == [7, 3]
    assert rewriting.swap_phrases(parse("a cat")) is None


def test_nonce_words():
    new, old_index, new_index = rewriting.with_nonce(parse("a cat on a red bed"), "blicket")
    assert (new.text, old_index, new_index) == ("a cat on a red blicket", 5, 5)
