"""Words that the embedded model was not trained on: `analyze` and a trace warn of them, once."""

import warnings

import pytest

import daam_syntax as ds
from daam_syntax.emoji import known_words
from daam_syntax.pipelines.vocabulary import untrained_words, warn_of_untrained_words


@pytest.fixture
def pipe():
    """A pipeline of its own, because words are mentioned once for each."""
    pipe = ds.load_pipeline()
    pipe.set_progress_bar_config(disable=True)
    return pipe


def traced(pipe, prompt, **options):
    with ds.trace(pipe, **options) as recording:
        pipe(prompt, num_inference_steps=1, output_type="latent")
    return recording


def test_only_the_words_of_the_embedded_model_are_known(pipe, sd):
    assert untrained_words(pipe, "a red Dragon and a dragon") == ("dragon",)
    assert untrained_words(pipe, "a red cat") == ()
    assert untrained_words(sd, "a red dragon") is None


def test_a_trace_warns_where_it_is_used_and_its_maps_know(pipe):
    recording = traced(pipe, ["two cats", "a red owl"])
    with pytest.warns(UserWarning, match=r"not trained on 'two', 'cats'.*'cat' for 'cats'") as seen:
        maps = recording.heat_maps()
    assert seen[0].filename == __file__
    assert [each.provenance["untrained"] for each in maps] == [["two", "cats"], []]
    (finding,) = [each for each in maps[0].diagnose() if each.kind == "untrained"]
    assert finding.texts == ("two", "cats")
    assert "untrained" not in maps[1].diagnose().kinds
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recording.heat_maps()  # mentioned before


def test_negative_prompts_have_words_of_their_own(pipe):
    with ds.trace(pipe, negative=True) as recording:
        pipe("a cat", negative_prompt="a blurry owl", num_inference_steps=1, output_type="latent")
    (maps,) = recording.heat_maps()
    with pytest.warns(UserWarning, match="'blurry'"):
        (negative,) = recording.heat_maps(negative=True)
    assert (maps.provenance["untrained"], negative.provenance["untrained"]) == ([], ["blurry"])


def test_analyze_warns_once_of_all_prompts_before_it_draws(pipe):
    with pytest.warns(UserWarning, match="not trained on 'wizard', 'pirate':") as seen:
        ds.analyze(["a wizard", "a cat", "a wizard and a pirate"], pipe, steps=1)
    (warning,) = [each for each in seen if "not trained" in str(each.message)]
    assert warning.filename == __file__


def test_a_warning_names_some_of_many_words_and_counts_the_others(pipe):
    words = [f"w{number}" for number in range(25)]
    with pytest.warns(UserWarning, match="'w0', 'w1', .*'w19' and 5 other words:") as seen:
        warn_of_untrained_words(pipe, [f"a {word} and a cat" for word in words])
    assert "'w20'" not in str(seen[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_untrained_words(pipe, ["a w24"])  # counted before


def test_the_words_that_the_warning_names_are_a_remedy(pipe):
    assert {"cat", "owl"} < known_words()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (maps,) = traced(pipe, "a cat and an owl").heat_maps()
    assert "untrained" not in maps.diagnose().kinds


def test_other_models_have_no_verdict(sd):
    (maps,) = traced(sd, "the wizard").heat_maps()
    assert "untrained" not in maps.provenance
    assert "untrained" in maps.diagnose().unchecked
