"""The parses of prompts: those that are given are used, the others are parsed once."""

import pytest

from daam_syntax.attention.texts import sentences
from daam_syntax.attention.texts.sentences import PromptSentences
from daam_syntax.errors import TraceError
from daam_syntax.language import parse, parse_many

CAT, OWL = "a red cat", "the owl"


@pytest.fixture
def parsed(monkeypatch):
    """The batches of prompts that were parsed."""
    batches = []

    def counted(texts, parser=None):
        batches.append(list(texts))
        return parse_many(texts, parser)

    monkeypatch.setattr(sentences, "parse_many", counted)
    return batches


def test_a_prompt_is_parsed_when_it_is_first_needed(parsed):
    read = PromptSentences((), None)
    assert parsed == []
    assert read[CAT] is read[CAT]
    assert read[OWL].text == OWL
    assert parsed == [[CAT], [OWL]]


def test_all_prompts_are_parsed_at_once(parsed):
    read = PromptSentences((), None)
    read.parse_all([CAT, OWL, CAT])
    assert [read[OWL].text, read[CAT].text] == [OWL, CAT]
    assert parsed == [[CAT, OWL]]


def test_sentences_that_are_given(parsed):
    sentence = parse(CAT)
    for given in (sentence, [sentence], {CAT: sentence}):
        assert PromptSentences(given, None)[CAT] is sentence
    assert parsed == []


def test_sentences_of_no_prompt_are_refused_once_all_prompts_are_known():
    read = PromptSentences([parse(CAT), parse("a blue cat")], None)
    assert read[OWL].text == OWL
    with pytest.raises(TraceError, match=r"\['a red cat', 'the owl'\], but got \['a blue cat'\]"):
        read.parse_all([CAT, OWL])
