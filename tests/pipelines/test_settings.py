"""Drawing settings and their defaults."""

import pytest

from daam_syntax.errors import ModelError
from daam_syntax.pipelines.settings import DrawingSettings


def test_the_embedded_model_has_its_own_settings(emoji_pipe, sd):
    assert DrawingSettings().for_pipeline(emoji_pipe) == DrawingSettings(20, 4.0)
    assert DrawingSettings().for_pipeline(emoji_pipe, embedded_steps=12) == DrawingSettings(12, 4.0)
    assert DrawingSettings(7, 1.0).for_pipeline(emoji_pipe) == DrawingSettings(7, 1.0)
    assert DrawingSettings().for_pipeline(sd, embedded_steps=12) == DrawingSettings()


def test_settings_that_are_none_are_not_passed_to_the_pipeline():
    settings = DrawingSettings(steps=2, width=96)
    assert settings.as_arguments() == {"num_inference_steps": 2, "width": 96}


@pytest.mark.parametrize(("given", "other"), [("height", "width"), ("width", "height")])
def test_one_side_alone_is_refused_because_pipelines_ignore_it(emoji_pipe, given, other):
    message = f"Expected {given} and {other}, but got {given}=64 alone: pass {other}, too."
    with pytest.raises(ModelError) as caught:
        DrawingSettings(**{given: 64}).for_pipeline(emoji_pipe)
    assert str(caught.value) == message
    both = DrawingSettings(**{given: 64, other: 96}).for_pipeline(emoji_pipe)
    assert getattr(both, other) == 96
    ignored = emoji_pipe("a cat", num_inference_steps=1, output_type="pt", **{given: 64}).images
    assert ignored.shape[-2:] == (128, 128)  # why
    with pytest.raises(ModelError, match=f"Expected a {given} in pixels, .* at most 16,384"):
        DrawingSettings(**{given: 16_392}).check()
