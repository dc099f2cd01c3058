"""Where maps of nouns, category nouns, and size words should lie."""

import numpy as np
import pytest

from benchmarks.emoji_model.maps import LARGE, TAUS, Word, _scenes, _scores, _word, score_maps
from benchmarks.scene_means import average_scenes, mean_with_interval, share_with_interval
from daam_syntax.emoji import ObjectSpec, SceneSpec, draw_scene

LEFT = np.repeat([[True, True, False, False]], 4, axis=0)


def test_a_map_is_compared_with_its_own_object_and_with_others():
    values = np.where(LEFT, 3.0, 1.0)
    word = Word(0, values, LEFT, (~LEFT,))
    assert word.inside == 1.5
    assert word.own_is_stronger
    assert not Word(0, values, ~LEFT, (LEFT,)).own_is_stronger
    scores = _scores([word, Word(1, values, ~LEFT, (LEFT,))])
    assert scores["mean on the object / mean"]["mean"] == 1
    assert scores["stronger on its own object"]["mean"] == 0.5
    assert scores["miou at relative:0.5"]["mean"] == 0.5  # 1 on the left, 0 on the right
    assert scores["miou at relative:0.5"]["n_words"] == 2


def test_scenes_are_the_sample():
    means = average_scenes([4, 7, 4], [1.0, 0.5, 0.0])
    assert list(means) == [0.5, 0.5]
    found = mean_with_interval(means)
    assert found == {"mean": 0.5, "low": 0.5, "high": 0.5, "n_scenes": 2}
    # Newcombe 1998, Statistics in Medicine 17: 0 of 20, hence 20 of 20, and 15 of 148.
    for share, n, low, high in ((1.0, 20, 0.8389, 1.0), (15 / 148, 148, 0.0624, 0.1605)):
        found = share_with_interval(np.full(n, share))
        assert (found["low"], found["high"]) == pytest.approx((low, high), abs=5e-5)
        assert found["low"] <= found["mean"] <= found["high"]


def test_the_word_of_a_group_is_that_of_the_object():
    drawn = draw_scene(
        SceneSpec((ObjectSpec("owl", size="large", by_category=True), ObjectSpec("cat"))),
        np.random.default_rng(0),
    )
    assert drawn.caption == "a large bird and a cat"
    owl, cat = drawn.objects
    words = {
        group: [_word(drawn, obj, group) for obj in (owl, cat)]
        for group in ("nouns", "category nouns", "words for large sizes")
    }
    assert words == {
        "nouns": [None, 5],
        "category nouns": [2, None],
        "words for large sizes": [1, None],
    }


def test_scenes_for_size_words_say_one():
    for drawn in _scenes(6, 2, sizes=LARGE):
        assert [obj.spec.size in LARGE for obj in drawn.objects] == [True, False]
        assert drawn.caption.split()[1] in LARGE


@pytest.mark.slow
def test_maps_of_nouns_lie_on_their_objects(emoji_pipe):
    found = score_maps(emoji_pipe, 8, progress=False)
    assert set(found) == {"plain", "learned weights"}
    for groups in found.values():
        assert set(groups["nouns"]) >= {f"miou at relative:{tau}" for tau in TAUS}
        assert groups["nouns"]["mean on the object / mean"]["low"] > 1.5
        assert groups["nouns"]["stronger on its own object"]["mean"] > 0.8
