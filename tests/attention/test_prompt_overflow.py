"""Prompts that are longer than the text encoder reads, compared with what a trace reports."""

import pytest
import torch

import daam_syntax as ds
from daam_syntax import runs
from daam_syntax.attention import text_limits
from daam_syntax.attention.prompt_overflow import find_overflow
from daam_syntax.errors import ModelError
from daam_syntax.pipelines.loading import load_tokenizers
from helpers.family_cases import CASES
from helpers.family_runs import pipeline
from helpers.small_runs import SETTINGS

LONG = "A strawberry and " * 9 + "a mother-in-law's red Cat"


def test_words_that_the_encoder_does_not_read(emoji_pipe):
    (limit,) = text_limits(emoji_pipe)
    assert (limit.encoder, limit.tokenizer, limit.n_tokens) == ("text", "tokenizer", 30)
    assert ds.overflow("a red cat", emoji_pipe) == ()
    (found,) = ds.overflow(["a red cat", LONG], emoji_pipe)
    (maps,) = trace(emoji_pipe, LONG)
    assert found.truncated_at == maps.truncated_at
    cut = [maps.sentence[word.index] for word in maps.words if word.status == "truncated"]
    assert LONG.endswith(" ".join(found.words))
    assert found.words[0] == "strawberry"  # read in part, so it has a map of that part
    assert found.words[1] == cut[0].text == "and"
    assert found.n_tokens > found.limit == 30
    assert str(found).endswith("red Cat")


def trace(pipe, prompt, **options):
    with ds.trace(pipe) as recording:
        pipe(prompt=prompt, num_inference_steps=1, output_type="pt", **options)
    return recording.heat_maps()


def place_of(overflow):
    return overflow.truncated_at


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_limits_of_every_family(case):
    """At the limit nothing is cut off; beyond it, a trace reports the same offset."""
    pipe = pipeline(case.name)
    options = {**case.arguments, "height": 64, "width": 64, **case.unguided}
    limits = text_limits(pipe, **case.arguments)
    assert len(limits) == len(case.encoders)
    assert all(limit.n_tokens for limit in limits)
    tokenizers = {limit: getattr(pipe, limit.tokenizer) for limit in limits}
    (first, *_) = sorted(find_overflow(["Cat " + "cat " * 400], tokenizers), key=place_of)
    fitting = first.prompt[: first.truncated_at].strip()
    too_long = f"{fitting} cat cat"
    assert find_overflow([fitting], tokenizers) == ()
    found = {each.encoder: place_of(each) for each in find_overflow([too_long], tokenizers)}
    assert found[first.encoder] == first.truncated_at
    torch.manual_seed(0)
    for prompt, expected in ((fitting, {}), (too_long, found)):
        (maps,) = trace(pipe, prompt, **options)
        cut = maps.truncated_by or {"": maps.truncated_at}
        cut = {name or limits[0].encoder: place for name, place in cut.items()}
        assert {name: place for name, place in cut.items() if place is not None} == expected


def test_a_run_warns_before_it_starts(tmp_path, emoji_pipe, capsys):
    prompts = ["a red cat", LONG]
    options = SETTINGS | {"seeds": 1, "progress": True}
    run = runs.run(prompts, tmp_path, emoji_pipe, **options)
    said = capsys.readouterr().err
    assert "1 prompt exceeds the text encoder's limit" in said
    (problem,) = run.problems().to_dict("records")
    assert (problem["problem"], problem["prompt"]) == ("too long", LONG)
    words = run.words()
    cut = words[words["status"] == "truncated"]
    assert set(cut["prompt"]) == {LONG}
    assert cut["reason"].str.contains("the encoder read only").all()

    plan = runs.plan(["a dog", LONG, LONG[2:]], 2, run)
    assert plan.n_images == 6
    assert [found.prompt for found in plan.overflow] == [LONG, LONG[2:]]
    assert "2 exceed the text encoder's limit" in str(plan)
    assert runs.plan(3, 2, run).overflow is None
    assert "not checked" in str(runs.plan(3, 2, run))


def test_a_pipeline_without_known_limits_still_runs(tmp_path, emoji_pipe, monkeypatch):
    def unknown(pipe):
        raise TypeError("missing 1 required argument: 'style'")

    monkeypatch.setattr("daam_syntax.runs.drawing.preparing.text_limits", unknown)
    run = runs.run(["a cat"], tmp_path, emoji_pipe, **SETTINGS | {"seeds": 1})
    assert run.is_complete
    assert run.problems()["problem"].tolist() == ["length not checked"]
    assert runs.plan(["a cat"], 1, run).overflow is None


def test_tokenizers_without_the_model():
    (tokenizer,) = load_tokenizers("emoji", ["tokenizer"])
    assert tokenizer("a cat")["input_ids"][0] == tokenizer.bos_token_id
    with pytest.raises(ModelError, match=r"tokenizer_9.*could not be loaded"):
        load_tokenizers("emoji", ["tokenizer_9"])
