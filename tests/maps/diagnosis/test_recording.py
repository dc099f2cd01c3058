"""Words, special tokens, steps, and images that make maps different from what they seem to be."""

import numpy as np
import pytest
import xarray as xr
from PIL import Image

from daam_syntax.maps import HeatMaps, Subword
from helpers.examples import SUBWORDS, box, make_maps, make_sentence


def kinds(maps, image=None):
    return maps.diagnose(image).kinds


def finding(maps, kind, image=None):
    (found,) = [each for each in maps.diagnose(image) if each.kind == kind]
    return found


def test_words_beyond_the_limit_are_truncated():
    assert "truncated" not in kinds(make_maps())
    maps = make_maps([np.ones((4, 6), np.float32)] * 7, truncated_at=16)  # "red car , red ze"
    cut = finding(maps, "truncated")
    assert (cut.words, cut.texts, cut.values) == ((4,), ("zebra",), (16,))
    assert "'red car , red'" in cut.remedy
    assert "has no map" in cut.meaning


def test_each_encoder_says_what_it_did_not_read():
    subwords = [
        Subword(0, "red", 0, 3, encoder="clip"),
        Subword(1, "red", 0, 3, encoder="t5"),
        Subword(2, "cat", 4, 7, encoder="t5"),
    ]
    data = xr.DataArray(np.ones((3, 4, 6)), dims=("token", "y", "x"))
    maps = HeatMaps(
        data,
        subwords,
        make_sentence("red cat", edges=()),
        (4, 6),
        truncated_at={"clip": 3, "t5": None},
    )
    cut = finding(maps, "truncated")
    assert cut.words == (1,)
    assert "encoder clip stopped" in cut.meaning
    assert "of t5 alone" in cut.meaning


def test_words_that_the_tokenizer_does_not_know():
    subwords = [Subword(0, "▁red", 0, 3), Subword(1, "<unk>", 4, 6), Subword(2, "s", 6, 7)]
    data = xr.DataArray(np.ones((3, 4, 6)), dims=("token", "y", "x"))
    maps = HeatMaps(data, subwords, make_sentence("red 東京s 猫", edges=()), (4, 6))
    unknown = finding(maps, "unknown")
    assert unknown.texts == ("東京s", "猫")  # one in part; one that the tokenizer left out
    assert "unknown" not in kinds(make_maps())


def test_words_outside_the_vocabulary_are_found_by_their_text():
    sentence = make_sentence("red car , Blue-green zebra")
    maps = make_maps(sentence=sentence, provenance={"untrained": ["green", "car"]})
    assert finding(maps, "untrained").texts == ("car", "Blue-green")
    assert "untrained" not in make_maps(provenance={"untrained": []}).diagnose().unchecked
    assert "untrained" in make_maps().diagnose().unchecked


@pytest.mark.parametrize(("best", "is_found"), [(0.02, False), (0.005, True)])
def test_special_tokens_take_everything_where_words_get_nothing_at_any_pixel(best, is_found):
    start = box(0, 4, 0, 6)
    words = [box(0, 2, 0, 2, value=best / (1 - best) / 6)] * 6  # six tokens: `best` together
    maps = make_maps([start, *words, np.zeros((4, 6), np.float32)])
    assert ("special tokens" in kinds(maps)) == is_found
    if is_found:
        assert finding(maps, "special tokens").values[0] == pytest.approx(best)


def test_pixels_without_any_attention_say_nothing_about_special_tokens():
    start = box(0, 1, 0, 6)  # the other rows of pixels attend to nothing recorded
    maps = make_maps([start, *[box(0, 1, 0, 3)] * 6, np.zeros((4, 6), np.float32)])
    assert "special tokens" not in kinds(maps)


def test_without_special_tokens_their_part_is_unknown():
    maps = make_maps()
    words = [row for row, subword in enumerate(SUBWORDS) if subword.kind == "text"]
    data = xr.DataArray(maps.mean[words], dims=("token", "y", "x"))
    alone = HeatMaps(data, [SUBWORDS[row] for row in words], maps.sentence, (4, 6))
    assert "special tokens" in alone.diagnose().unchecked


@pytest.mark.parametrize(
    ("recorded", "is_found", "measure"),
    [
        (None, False, ""),
        (range(20), False, ""),
        (range(0, 20, 4), False, ""),  # 0, 4, ..., 16
        ([0], True, "share"),
        ([2, 9, 16, 19], True, "share"),
        (range(7), True, "last"),
        (range(10), True, "last"),  # the last one has a progress of 9 / 20
        (range(11), False, ""),
        (range(10, 20), True, "first"),
        (range(9, 20), False, ""),
    ],
)
def test_steps_that_do_not_stand_for_all(recorded, is_found, measure):
    known = {"steps": 20} | ({} if recorded is None else {"recorded": list(recorded)})
    maps = make_maps(provenance=known)
    assert ("steps" in kinds(maps)) == is_found
    if is_found:
        assert measure in finding(maps, "steps").measure
    assert "steps" not in maps.diagnose().unchecked
    assert "steps" in make_maps().diagnose().unchecked


def test_second_order_schedulers_make_more_calls_than_timesteps():
    early = {"steps": 20, "denoiser_calls": 39, "recorded": list(range(13))}
    assert "last" in finding(make_maps(provenance=early), "steps").measure


def test_selected_steps_count():
    rng = np.random.default_rng(0)
    steps = xr.DataArray(rng.random((8, 20, 4, 6)), dims=("token", "step", "y", "x"))
    whole = HeatMaps(steps, SUBWORDS, make_sentence(), (4, 6), provenance={"steps": 20})
    assert "steps" not in kinds(whole)
    late = whole.select(steps=slice(0.5, 1))
    assert finding(late, "steps").values == (0.5,)
    assert finding(late.with_values(late.mean), "steps").values == (0.5,)  # without the axis


@pytest.mark.parametrize(
    ("known", "is_found"),
    [
        ({"steps": 4, "guided": True}, True),
        ({"steps": 5, "guided": True}, False),
        ({"steps": 1, "guided": False}, False),  # a distilled model, or a given image
    ],
)
def test_few_steps_with_guidance(known, is_found):
    assert ("steps" in kinds(make_maps(provenance=known))) == is_found


def test_black_images():
    assert kinds(make_maps(provenance={"blacked_out": True}))[-1] == "blacked out"
    assert "blacked out" not in kinds(make_maps(provenance={"blacked_out": False}))
    assert "pass it" in make_maps().diagnose().unchecked["blacked out"]
    black, night = Image.new("RGB", (6, 4)), Image.new("RGB", (6, 4), (30, 30, 60))
    assert "blacked out" in kinds(make_maps(), black)
    assert "blacked out" not in kinds(make_maps(), night)
    assert "blacked out" not in make_maps().diagnose(night).unchecked
    white = Image.new("CMYK", (6, 4))  # no ink: all numbers are 0
    assert "blacked out" not in kinds(make_maps(), white)
    deep = Image.fromarray(np.full((4, 6), 40_000, np.uint16))
    assert "blacked out" not in kinds(make_maps(), deep)
    assert "blacked out" in kinds(make_maps(), np.zeros((4, 6, 3)))
    assert "blacked out" not in kinds(make_maps(), np.full((4, 6, 3), 0.5))
    with pytest.raises(TypeError, match="Expected an image of Pillow"):
        make_maps().diagnose("image.png")
