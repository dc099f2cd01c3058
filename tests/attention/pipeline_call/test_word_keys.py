"""The text keys of words and kinds of tokens, of tokens written by hand."""

import pytest

from daam_syntax.attention.pipeline_call.call import PipelineCall, TextBlock
from daam_syntax.attention.pipeline_call.word_keys import (
    keys_by_kind,
    keys_by_word,
    keys_of_kinds,
    keys_of_words,
)
from daam_syntax.attention.texts.token_spans import TokenizedPrompt
from daam_syntax.errors import WordError
from daam_syntax.language import parse
from daam_syntax.maps import Subword

PROMPT = "the red strawberry the"


def tokens(*parts, length, truncated_at=None):
    return TokenizedPrompt(PROMPT, tuple(Subword(*part) for part in parts), truncated_at, length)


# A start token, "the", "red", "straw", "berry", then cut off; and a second encoder that reads all, with padding.
FIRST = tokens(
    (0, "<s>", 0, 0, "start"),
    (1, "the", 0, 3),
    (2, "red", 4, 7),
    (3, "straw", 8, 13),
    (4, "berry", 13, 18),
    length=5,
    truncated_at=19,
)
SECOND = tokens(
    (0, "the", 0, 3),
    (1, "red", 4, 7),
    (2, "strawberry", 8, 18),
    (3, "the", 19, 22),
    (4, "</s>", 0, 0, "end"),
    length=7,
)
BLOCKS = [TextBlock("clip", 0, (FIRST,)), TextBlock("t5", 5, (SECOND,))]


@pytest.fixture
def pipeline_call():
    return PipelineCall(
        prompts=(PROMPT,), images_per_prompt=1, requested_guidance=None, seeds=[None], blocks=BLOCKS
    )


def test_words_have_the_keys_of_all_encoders():
    assert keys_by_word(BLOCKS, 0, parse(PROMPT)) == {0: [1, 5], 1: [2, 6], 2: [3, 4, 7], 3: [8]}
    assert keys_by_word(BLOCKS[:1], 0, parse(PROMPT))[3] == []


def test_kinds_of_tokens_include_padding_that_is_not_recorded():
    assert keys_by_kind(BLOCKS, 0) == {
        "start": [0],
        "text": [1, 2, 3, 4, 5, 6, 7, 8],
        "end": [9],
        "padding": [10, 11],
    }
    assert "padding" not in keys_by_kind(BLOCKS[:1], 0)


def test_several_words_and_kinds(pipeline_call):
    assert keys_of_words(pipeline_call, 0, parse(PROMPT), ["strawberry", 0]) == [1, 3, 4, 5, 7]
    assert keys_of_kinds(pipeline_call, 0, ["padding", "start"]) == [0, 10, 11]


def test_words_and_kinds_without_keys_are_refused(pipeline_call):
    with pytest.raises(WordError, match="template"):
        keys_of_kinds(pipeline_call, 0, ["start", "template"])
    with pytest.raises(WordError):
        keys_of_words(pipeline_call, 0, parse(PROMPT), ["the"])
    pipeline_call.blocks = BLOCKS[:1]
    with pytest.raises(WordError, match=r"'the' \(index 3\) of .* is truncated: "):
        keys_of_words(pipeline_call, 0, parse(PROMPT), [3])
