"""A prompt as a text encoder reads it."""

import pytest
from pipelines import TEXT_LENGTH, make_tokenizer

from daam_syntax.attention.tokens import tokenize
from daam_syntax.errors import TraceError
from daam_syntax.language import parse
from daam_syntax.maps import align


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer()


def kinds(read):
    return [subword.kind for subword in read.subwords]


def test_positions_and_offsets(tokenizer):
    prompt = "The  strawberry\tand the CAT"
    read = tokenize(tokenizer, prompt, TEXT_LENGTH)
    assert kinds(read) == ["start", *["text"] * 6, "end"]
    assert read.positions == list(range(8))
    spans = [prompt[s.start : s.end] for s in read.subwords[1:-1]]
    assert spans == ["The", "straw", "berry", "and", "the", "CAT"]
    assert read.subwords[2].text == "straw"
    assert read.truncated_at is None


def test_a_word_of_several_subwords_and_a_repeated_word(tokenizer):
    prompt = "the strawberry and the cat"
    read = tokenize(tokenizer, prompt, TEXT_LENGTH)
    words = align(parse(prompt), read.subwords, read.truncated_at)
    assert [word.subwords for word in words] == [(1,), (2, 3), (4,), (5,), (6,)]


def test_truncation(tokenizer):
    prompt = "the red cat and the blue owl and the red cat and the strawberry"
    read = tokenize(tokenizer, prompt, TEXT_LENGTH)
    assert len(read.subwords) == TEXT_LENGTH
    assert read.truncated_at == prompt.rindex("cat")
    statuses = [word.status for word in align(parse(prompt), read.subwords, read.truncated_at)]
    assert statuses == ["mapped"] * 10 + ["truncated"] * 4


def test_a_word_that_is_cut_in_two(tokenizer):
    prompt = "the red cat and the blue owl and the strawberry"
    read = tokenize(tokenizer, prompt, TEXT_LENGTH)
    assert read.truncated_at == prompt.index("berry")
    last = align(parse(prompt), read.subwords, read.truncated_at)[-1]
    assert (last.status, last.subwords) == ("mapped", (10,))
    assert last.reason


@pytest.mark.parametrize("n_words", [TEXT_LENGTH - 2, TEXT_LENGTH - 1])
def test_a_prompt_that_just_fits(tokenizer, n_words):
    prompt = " ".join(["cat"] * n_words)
    read = tokenize(tokenizer, prompt, TEXT_LENGTH)
    assert len(read.subwords) == TEXT_LENGTH
    assert (read.truncated_at is None) == (n_words == TEXT_LENGTH - 2)


def test_characters_of_several_tokens_keep_their_offsets(tokenizer):
    prompt = "a 😀 café"
    read = tokenize(tokenizer, prompt, 24)
    texts = [subword for subword in read.subwords if subword.kind == "text"]
    assert {(s.start, s.end) for s in texts if prompt[s.start : s.end] == "😀"} == {(2, 3)}
    assert texts[-1].end == len(prompt)


def test_an_empty_prompt_has_special_tokens_only(tokenizer):
    assert kinds(tokenize(tokenizer, "", TEXT_LENGTH)) == ["start", "end"]


def test_a_tokenizer_without_offsets_is_refused():
    from transformers import ByT5Tokenizer

    with pytest.raises(TraceError, match=r"ByT5Tokenizer does not.*fast version"):
        tokenize(ByT5Tokenizer(), "a cat", 20)
