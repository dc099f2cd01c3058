"""Drawing settings and their defaults."""

from daam_syntax.pipelines.settings import DrawingSettings


def test_the_embedded_model_has_its_own_settings(emoji_pipe, sd):
    assert DrawingSettings().for_pipeline(emoji_pipe) == DrawingSettings(20, 4.0)
    assert DrawingSettings().for_pipeline(emoji_pipe, embedded_steps=12) == DrawingSettings(12, 4.0)
    assert DrawingSettings(7, 1.0).for_pipeline(emoji_pipe) == DrawingSettings(7, 1.0)
    assert DrawingSettings().for_pipeline(sd, embedded_steps=12) == DrawingSettings()


def test_settings_that_are_none_are_not_passed_to_the_pipeline():
    settings = DrawingSettings(steps=2, width=96)
    assert settings.as_arguments() == {"num_inference_steps": 2, "width": 96}
