"""Prompts of a run are parsed shard by shard, and those of the sample only once."""

import pytest

from daam_syntax.language import PromptSet
from daam_syntax.runs.drawing import parses
from daam_syntax.runs.drawing.parses import Parses
from helpers.synthetic_run import sentence_of


@pytest.fixture
def parsed(monkeypatch):
    """The texts that were parsed, in order."""
    texts, parse_many = [], parses.parse_many

    def noted(missing, parser):
        texts.extend(missing)
        return parse_many(missing, parser)

    monkeypatch.setattr(parses, "parse_many", noted)
    return texts


def test_only_prompts_of_the_shard_are_parsed(parsed):
    prompts = PromptSet.from_records([f"a {number}" for number in range(100)])
    given = sentence_of("a 40")
    found = Parses(prompts, given={"a 40": given}).shard(range(39, 42))
    assert parsed == ["a 39", "a 41"]
    assert found.sentence(40) is given
    assert [found.sentence(number).text for number in (39, 41)] == parsed
    assert found.name(41) == prompts.rows[41].id


def test_prompts_of_the_sample_are_parsed_once(parsed):
    few = Parses(PromptSet.from_records(["a cat", "a dog"]))
    sample = few.sample()
    assert [few.longest(), *few.of(range(2))] == [sample[0], *sample]
    assert parsed == ["a cat", "a dog"]
