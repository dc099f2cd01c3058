"""Images drawn under a trace."""

import re

import numpy as np
import pytest

import daam_syntax as ds
from daam_syntax.drawing.seeds import generator_seed
from daam_syntax.drawing.traced_images import draw_batch
from daam_syntax.errors import ModelError
from daam_syntax.language import parse
from daam_syntax.pipelines.settings import DrawingSettings
from helpers.family_pipelines import make_flux


def test_an_image_does_not_depend_on_its_neighbors(emoji_pipe):
    both = ds.analyze(["a cat", "a dog"], emoji_pipe, seeds=2, steps=2)
    alone = ds.analyze("a dog", emoji_pipe, seeds=1, steps=2)
    difference = np.asarray(both.images[2], int) - np.asarray(alone.images[0], int)
    assert np.abs(difference).max() <= 1  # the batch size can change the last bits
    assert generator_seed("a cat", 0) != generator_seed("a dog", 0)
    assert generator_seed("a cat", 0) != generator_seed("a cat", 1)


def test_images_that_a_safety_checker_blackened_are_marked(emoji_pipe, monkeypatch):
    original = type(emoji_pipe).__call__

    def checked(self, *args, **kwargs):
        output = original(self, *args, **kwargs)
        output.nsfw_content_detected = [False, True]
        return output

    monkeypatch.setattr(type(emoji_pipe), "__call__", checked)
    maps = ds.analyze("a cat", emoji_pipe, seeds=2, steps=1).maps
    assert [m.provenance["blacked_out"] for m in maps] == [False, True]


def test_settings_that_the_pipeline_refuses_are_reported(emoji_pipe):
    with pytest.raises(ModelError, match="refused to draw"):
        ds.analyze("a cat", emoji_pipe, steps=2000)


def test_another_size_than_requested_is_refused():
    """This pipeline rounds the size, and only logs that it does."""
    pipe, items = make_flux(), [(parse("a red cat"), 0)]
    with pytest.raises(ModelError, match=r"but FluxPipeline draws 64 x 96 instead") as refusal:
        draw_batch(items, pipe, DrawingSettings(steps=1, height=72, width=104))
    sides = re.findall(r"(height|width)=(\d+)", str(refusal.value))
    remedy = {name: int(side) for name, side in sides}
    (traced,) = draw_batch(items, pipe, DrawingSettings(steps=1, **remedy))
    assert traced.image.size == (96, 64)
