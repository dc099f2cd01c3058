"""Heat maps of one image: words, phrases, special tokens, and derived recordings."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from daam_syntax.errors import WordError
from daam_syntax.language import Span
from daam_syntax.maps import HeatMaps, KeptMaps, each_image
from daam_syntax.maps.resizing import averaged
from helpers.examples import SUBWORDS, box, make_maps, make_sentence


def test_a_repeated_word_has_maps_of_its_own():
    maps = make_maps()
    np.testing.assert_array_equal(maps[0].values, box(0, 2, 0, 4))
    np.testing.assert_array_equal(maps[3].values, box(2, 4, 0, 2))
    with pytest.raises(WordError, match="indices 0, 3"):
        maps["red"]


def test_a_word_is_the_mean_of_its_subwords():
    expected = box(2, 4, 0, 2, value=0.6) + box(2, 4, 2, 4, value=0.2)
    np.testing.assert_allclose(make_maps()["zebra"].values, expected, atol=1e-7)


def test_a_phrase_is_the_mean_of_its_words_regardless_of_their_subwords():
    maps = make_maps()
    expected = (maps[3].values + maps[4].values) / 2
    np.testing.assert_allclose(maps.phrase([3, 4]).values, expected)
    np.testing.assert_allclose(maps.phrase(Span(3, 5, 4)).values, expected)
    np.testing.assert_allclose(maps.subtree("zebra").values, expected)
    assert [m.label for m in maps.noun_phrases()] == ["red car", "red zebra"]


def test_the_subtree_of_the_root_is_the_mean_of_all_words():
    maps = make_maps()
    np.testing.assert_allclose(maps.subtree(1).values, maps.stack().mean(axis=0), atol=1e-7)


def test_special_tokens_have_maps_but_belong_to_no_word():
    maps = make_maps()
    assert maps.subword(0).indices == ()
    assert maps.subword(6).indices == (4,)
    with pytest.raises(WordError, match="row from 0 to 7"):
        maps.subword(8)


def test_a_word_without_a_map_raises_with_the_reason():
    # The encoder read "red car" only.
    maps = make_maps([np.ones((4, 6), np.float32)] * 3, truncated_at=7)
    assert [w.status for w in maps.words] == ["mapped", "mapped"] + ["truncated"] * 3
    assert maps.mapped == (0, 1)
    with pytest.raises(WordError, match=r"zebra.*truncated.*first 7 characters"):
        maps["zebra"]
    with pytest.raises(WordError, match="3: truncated, 4: truncated"):
        maps.phrase([3, 4])
    np.testing.assert_array_equal(maps.phrase([1, 2]).values, maps[1].values)
    assert [m.label for m in maps.noun_phrases()] == ["red car"]


def test_a_recording_can_be_read_under_another_parse():
    maps = make_maps()
    other = make_sentence(edges=())
    assert maps.with_sentence(other).sentence.roots("ud") == (0, 1, 2, 3, 4)
    with pytest.raises(ValueError, match="parse of 'red car , red zebra'"):
        maps.with_sentence(make_sentence("a cat", edges=()))


ENCODERS = {"clip": 7, "t5": None}


def two_encoders():
    """Maps of the same words by two text encoders; the first stops after "red car"."""
    subwords = [
        *(replace(subword, encoder="clip") for subword in SUBWORDS[1:3]),
        *(replace(subword, encoder="t5") for subword in SUBWORDS[1:7]),
    ]
    data = xr.DataArray(np.random.default_rng(0).random((8, 4, 6)), dims=("token", "y", "x"))
    return HeatMaps(
        data,
        subwords,
        make_sentence(),
        (40, 60),
        truncated_at=ENCODERS,
        provenance={"seed": 3},
    )


@pytest.mark.parametrize("values", ["array", "dims", "kept"])
def test_other_values_keep_everything_else(values):
    maps = two_encoders()
    given = {"array": maps.mean / 2, "dims": maps.data / 2, "kept": KeptMaps.from_array(maps.data)}
    changed = maps.with_values(given[values], scaled=0.5)
    expected = maps.mean if values == "kept" else maps.mean / 2
    np.testing.assert_array_equal(changed.mean, expected)
    assert changed.encoders == ("clip", "t5")
    assert changed.truncated_by == ENCODERS
    assert changed.subwords == maps.subwords
    assert changed.sentence is maps.sentence
    assert changed.image_size == (40, 60)
    assert changed.words == maps.words
    assert dict(changed.provenance) == {"seed": 3, "scaled": 0.5}
    assert "scaled" not in maps.provenance
    np.testing.assert_array_equal(changed.encoder("t5").mean, expected[2:])


def test_other_values_may_have_another_grid_but_not_other_tokens():
    maps = two_encoders()
    coarse = maps.with_values(np.stack([averaged(each, (2, 3)) for each in maps.mean]))
    assert coarse.grid == (2, 3)
    assert coarse.encoders == maps.encoders
    with pytest.raises(ValueError, match="7 maps for 8 subwords"):
        maps.with_values(maps.mean[1:])
    with pytest.raises(ValueError, match="finite and not negative"):
        maps.with_values(-maps.mean)


def test_an_encoder_that_truncated_at_lacks_is_named():
    maps = two_encoders()
    with pytest.raises(ValueError, match=r"truncated_at lacks the encoders \['t5'\]"):
        HeatMaps(maps.data, maps.subwords, maps.sentence, (40, 60), truncated_at={"clip": None})


def test_all_problems_are_in_one_message():
    data = xr.DataArray(np.full((2, 4, 6), -1.0), dims=("token", "y", "x"))
    with pytest.raises(ValueError, match="2 maps for 1 subwords") as error:
        HeatMaps(data, SUBWORDS[:1], make_sentence(), (0, 6))
    assert "not negative" in str(error.value)
    assert "(0, 6)" in str(error.value)
    with pytest.raises(ValueError, match="dims must be"):
        HeatMaps(data.rename(y="row"), SUBWORDS[:2], make_sentence(), (4, 6))


def test_maps_do_not_change_with_the_array_that_they_were_made_from():
    data = xr.DataArray(np.ones((8, 4, 6), np.float32), dims=("token", "y", "x"))
    maps = HeatMaps(data, SUBWORDS, make_sentence(), (4, 6))
    data[:] = 0
    assert maps[0].values.min() == 1
    with pytest.raises(ValueError, match="read-only"):
        maps.data.values[0] = 0


def test_reprs():
    maps = make_maps(image_size=(40, 60))
    assert "5 of 5 words" in repr(maps)
    assert "grid 4 x 6, image 40 x 60" in repr(maps)
    assert repr(maps["car"]) == "HeatMap('car': grid 4 x 6, image 40 x 60, at most 1)"
    view = maps._repr_html_()
    assert view.count("<img") == 5
    truncated = make_maps([np.ones((4, 6), np.float32)] * 3, truncated_at=7)._repr_html_()
    assert truncated.count("<img") == 2
    assert truncated.count(">truncated<") == 3


@pytest.mark.parametrize("index", [-1, 5])
def test_words_are_not_counted_from_the_end(index):
    maps = make_maps()
    for ask in (maps.word, lambda i: maps.stack([i]), lambda i: maps.phrase([i])):
        with pytest.raises(WordError, match=rf"from 0 to 4 .*got {index}"):
            ask(index)


def test_iteration_yields_the_maps_of_the_words():
    maps = make_maps()
    assert [m.indices for m in maps] == [(i,) for i in range(len(maps))]
    assert "RED" in maps
    assert 3 in maps
    assert "zebras" not in maps
    assert 99 not in maps
    cut = make_maps([np.ones((4, 6), np.float32)] * 3, truncated_at=7)
    assert "zebra" not in cut
    with pytest.raises(WordError, match="truncated"):
        list(cut)


@pytest.mark.parametrize("word", [1.0, None, slice(1, 3), [0, 1]], ids=str)
def test_an_invalid_type_of_word_is_named(word):
    with pytest.raises(TypeError, match=f"or as its text, but got {type(word).__name__}"):
        make_maps()[word]


def test_a_text_of_several_words_raises_with_a_hint_to_phrase():
    with pytest.raises(WordError, match="several words are a phrase"):
        make_maps()["red car"]
    with pytest.raises(WordError, match=r"phrase\(\['red', 'car'\]\)"):
        make_maps().phrase("red car")


def test_an_argument_that_is_not_heat_maps_is_named():
    for wrong in (make_maps()[0], "a cat", None):
        with pytest.raises(TypeError, match=r"such as `trace\.heat_maps\(\)` returns, but got"):
            list(each_image(wrong))


def test_a_phrase_of_texts():
    maps = make_maps()
    np.testing.assert_array_equal(maps.phrase(["car", "zebra"]).values, maps.phrase([1, 4]).values)
    with pytest.raises(WordError, match="indices 0, 3"):
        maps.phrase(["red", "car"])
