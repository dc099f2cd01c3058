"""The tokens that a text encoder reads from a prompt."""

import threading

import pytest
from transformers import ByT5Tokenizer

from daam_syntax.attention.texts.token_spans import (
    find_prompts,
    locate,
    read_prompt,
    record_readings,
)
from daam_syntax.errors import TraceError
from daam_syntax.language import parse
from daam_syntax.maps import align
from helpers.tiny_pipelines import TEXT_LENGTH, make_tokenizer
from helpers.tiny_tokenizers import (
    CHAT_TEMPLATE,
    make_bert_tokenizer,
    make_gemma_tokenizer,
    make_glm_tokenizer,
    make_qwen_tokenizer,
    make_t5_tokenizer,
)


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer()


def tokenize(tokenizer, prompt, length, text=None, kept=None):
    """Read a prompt as pipelines do, also one that is written into another text."""
    with record_readings([tokenizer]) as (readings,):
        tokenizer(text or prompt, padding="max_length", max_length=length, truncation=True)
    has_template = text is not None
    (reading,) = find_prompts(tokenizer, [prompt], readings, has_template=has_template)
    kept = range(length) if kept is None else kept
    return read_prompt(tokenizer, reading, prompt, kept, has_template=has_template)


def kinds(read):
    return [subword.kind for subword in read.subwords]


def spans(read):
    return [read.prompt[s.start : s.end] for s in read.subwords if s.kind == "text"]


def test_positions_and_offsets(tokenizer):
    prompt = "The  strawberry\tand the CAT"
    read = tokenize(tokenizer, prompt, TEXT_LENGTH)
    assert kinds(read) == ["start", *["text"] * 6, "end"]
    assert read.positions == list(range(8))
    assert read.length == TEXT_LENGTH
    assert spans(read) == ["The", "straw", "berry", "and", "the", "CAT"]
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


def test_a_word_that_is_truncated_in_the_middle(tokenizer):
    prompt = "the red cat and the blue owl and the strawberry"
    read = tokenize(tokenizer, prompt, TEXT_LENGTH)
    assert read.truncated_at == prompt.index("berry")
    last = align(parse(prompt), read.subwords, read.truncated_at)[-1]
    assert (last.status, last.subwords) == ("mapped", (10,))
    assert last.reason


@pytest.mark.parametrize("n_words", [TEXT_LENGTH - 2, TEXT_LENGTH - 1])
def test_prompts_at_the_limit(tokenizer, n_words):
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


@pytest.mark.parametrize(
    "make",
    [
        make_tokenizer,
        make_t5_tokenizer,
        make_bert_tokenizer,
        make_gemma_tokenizer,
        make_qwen_tokenizer,
        make_glm_tokenizer,
        ByT5Tokenizer,  # has no offsets, so they are found by decoding
    ],
    ids=lambda make: make.__name__,
)
def test_words_in_every_tokenizer(make):
    prompt = "the strawberry and the owl"
    tokenizer = make()
    length = 12 if make is make_tokenizer else 40
    read = tokenize(tokenizer, prompt, length)
    assert read.truncated_at is None
    for word, token in zip(align(parse(prompt), read.subwords), parse(prompt).tokens, strict=True):
        assert word.status == "mapped"
        own = [read.subwords[row] for row in word.subwords]
        assert "".join(prompt[s.start : s.end] for s in own).replace(" ", "") == token.text
        assert len(own) > (token.text == "strawberry")


class TestTemplates:
    def text(self, prompt, system="Draw."):
        tokenizer = make_qwen_tokenizer()
        messages = [
            {"role": "system", "content": system},
            {"role": "user", "content": prompt},
        ]
        return tokenizer, tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, chat_template=CHAT_TEMPLATE
        )

    def test_text_around_the_prompt(self):
        prompt = "the owl"
        tokenizer, text = self.text(prompt)
        read = tokenize(tokenizer, prompt, 80, text)
        assert spans(read) == ["the", " owl"]
        assert set(kinds(read)) == {"template", "text"}
        assert all(s.start == s.end for s in read.subwords if s.kind == "template")

    def test_a_template_whose_start_is_cut_off(self):
        prompt = "the owl"
        tokenizer, text = self.text(prompt)
        n = len(tokenizer(text.split(prompt)[0])["input_ids"])
        read = tokenize(tokenizer, prompt, 80, text, kept=range(n, 80))
        assert [(s.position, s.kind) for s in read.subwords[:3]] == [
            (0, "text"),
            (1, "text"),
            (2, "template"),
        ]

    @pytest.mark.parametrize("prompt", ["user", "assistant", "cat", "Draw", "a"])
    def test_prompts_that_the_template_contains(self, prompt):
        tokenizer, text = self.text(prompt, "Draw a cat for the user.")
        place = text.index("user\n") + len("user\n")
        to_prompt = locate(tokenizer, prompt, text, has_template=True)
        assert to_prompt((place, place + len(prompt))) == (0, len(prompt))
        assert to_prompt((place - 1, place)) is None

    def test_chat_templates_that_tokenize(self):
        tokenizer = make_qwen_tokenizer()
        with record_readings([tokenizer]) as (readings,):
            tokenizer.apply_chat_template(
                [[{"role": "user", "content": "a cat"}]], return_dict=True, tokenize=True
            )
        assert find_prompts(tokenizer, ["a cat"], readings, has_template=True)
        assert find_prompts(tokenizer, ["a cat"], readings) is None


@pytest.mark.parametrize(
    ("prompt", "text", "words"),
    [
        ("  A Red CAT ", "a red cat", ["A", "Red", "CAT"]),
        ("The İ owl", "the i̇ owl", ["The", "İ", "owl"]),  # two characters in lower case
        (" the owl", "<say> the owl", ["the", "owl"]),
    ],
)
def test_prompts_that_pipelines_change(prompt, text, words):
    tokenizer = make_t5_tokenizer()
    read = tokenize(tokenizer, prompt, 24, text)
    aligned = align(parse(prompt), read.subwords, read.truncated_at)
    mapped = [word for word in aligned if word.status == "mapped"]
    assert [parse(prompt).tokens[word.index].text for word in mapped] == words


def test_prompts_among_other_texts():
    tokenizer = make_t5_tokenizer()
    with record_readings([tokenizer]) as (readings,):
        tokenizer(["blue", "the red cat", "a red cat", "an owl"], padding=True)
        tokenizer("a red cat")
    found = find_prompts(tokenizer, ["a red cat", "an owl"], readings)
    assert [reading.text for reading in found] == ["a red cat", "an owl"]
    assert find_prompts(tokenizer, ["red cats"], readings) is None


def test_the_tokenizer_is_restored(tokenizer):
    before = type(tokenizer)

    def elsewhere():
        tokenizer("in another thread")

    with pytest.raises(ZeroDivisionError), record_readings([tokenizer]) as (readings,):  # noqa: PT012
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert isinstance(tokenizer, before)
        tokenizer(text="a cat")
        raise ZeroDivisionError
    assert type(tokenizer) is before
    assert [reading.text for reading in readings] == ["a cat"]


class TestTokenizersWithoutOffsets:
    def test_truncation(self):
        read = tokenize(ByT5Tokenizer(), "a blue cat", 8)
        assert (kinds(read), read.truncated_at) == (["text"] * 7 + ["end"], 7)

    def test_characters_of_several_tokens(self):
        prompt = "é😀 a"
        read = tokenize(ByT5Tokenizer(), prompt, 20)
        assert spans(read) == ["é"] * 2 + ["😀"] * 4 + [" ", "a"]

    def test_tokens_that_do_not_decode_to_the_text_are_refused(self):
        class Shouting(ByT5Tokenizer):
            def decode(self, *args, **kwargs):
                return super().decode(*args, **kwargs).upper()

        with pytest.raises(
            TraceError, match=r"Shouting decodes the tokens of 'a cat' to 'A CAT'.*fast version"
        ):
            tokenize(Shouting(), "a cat", 20)
