"""Images drawn without the attention to a kind of token."""

import numpy as np
import pytest

from daam_syntax.attention import Edit, intervene
from daam_syntax.errors import WordError
from daam_syntax.pipelines.settings import DrawingSettings
from daam_syntax.studies.framework.setup import Setup
from daam_syntax.studies.framework.special_tokens import draw_without_each

OWLS = "a small owl on a green bed"


def test_images_without_words_are_edits_of_all_words(emoji_pipe):
    setup = Setup(emoji_pipe, (OWLS,), 1, DrawingSettings(steps=2).for_pipeline(emoji_pipe))
    (sentence,) = setup.sentences
    deleted = draw_without_each(setup, sentence, 0, ["text"])["text"]
    with intervene(emoji_pipe, Edit(tuple(range(len(OWLS.split()))))):
        edited = setup.draw(OWLS, 0)[0]
    np.testing.assert_allclose(deleted, edited, atol=1e-4)
    assert np.abs(deleted - setup.draw(OWLS, 0)[0]).max() > 0.01
    with pytest.raises(WordError, match=r"start, text, end, padding.*, but got 'template'"):
        draw_without_each(setup, sentence, 0, ["template"])
