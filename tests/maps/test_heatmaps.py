import zipfile
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from daam_syntax.errors import FileError, WordError
from daam_syntax.language import Sentence, Span, Token
from daam_syntax.maps import HeatMap, HeatMaps, KeptMaps, Subword, align, each_image
from daam_syntax.maps.html_view import thumbnail_size
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


def test_a_phrase_is_the_mean_of_its_words_however_many_subwords_they_have():
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


def test_words_without_a_map_say_why():
    maps = make_maps(
        [np.ones((4, 6), np.float32)] * 3, truncated_at=7
    )  # the encoder read "red car" only
    assert [w.status for w in maps.words] == ["mapped", "mapped"] + ["truncated"] * 3
    assert maps.mapped == (0, 1)
    with pytest.raises(WordError, match=r"zebra.*truncated.*first 7 characters"):
        maps["zebra"]
    with pytest.raises(WordError, match="3: truncated, 4: truncated"):
        maps.phrase([3, 4])
    np.testing.assert_array_equal(maps.phrase([1, 2]).values, maps[1].values)
    assert [m.label for m in maps.noun_phrases()] == ["red car"]


def test_alignment_is_by_overlap():
    sentence = make_sentence("😀 owl's x", edges=())
    subwords = [
        Subword(1, "a", 0, 1),  # two subwords share one character
        Subword(2, "b", 0, 1),
        Subword(3, " owl", 1, 5),  # includes the space before it
        Subword(4, "'s", 5, 7),
    ]
    words = align(sentence, subwords)
    assert [w.subwords for w in words] == [(0, 1), (2, 3), ()]
    assert words[2].status == "unaligned"
    assert words[2].reason


def test_a_word_that_the_limit_cuts_keeps_its_first_subwords_and_says_so():
    word = align(make_sentence(), SUBWORDS[:6], truncated_at=16)[4]
    assert (word.status, word.subwords) == ("mapped", (5,))
    assert "cuts" in word.reason


def test_the_same_recording_under_another_parse():
    maps = make_maps()
    other = make_sentence(edges=())
    assert maps.with_sentence(other).sentence.roots("ud") == (0, 1, 2, 3, 4)
    with pytest.raises(ValueError, match="parse of 'red car , red zebra'"):
        maps.with_sentence(make_sentence("a cat", edges=()))


ENCODERS = {"clip": 7, "t5": None}


def two_encoders():
    """Maps of the same words by two text encoders, of which the first stops after "red car"."""
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


def test_save_and_load_give_everything_back(tmp_path):
    maps = make_maps(image_size=(40, 60), provenance={"seed": 3, "prompt": "ü", "size": [1, 2]})
    maps.save(tmp_path / "maps.npz")
    loaded = HeatMaps.load(tmp_path / "maps.npz")
    xr.testing.assert_identical(loaded.data, maps.data)
    assert loaded.sentence == maps.sentence
    assert loaded.subwords == maps.subwords
    assert loaded.image_size == (40, 60)
    assert dict(loaded.provenance) == {"seed": 3, "prompt": "ü", "size": [1, 2]}
    assert [p.name for p in tmp_path.iterdir()] == ["maps.npz"]


def test_a_damaged_file_never_gives_other_maps(tmp_path):
    path = tmp_path / "maps.npz"
    maps = make_maps()
    maps.save(path)
    whole = path.read_bytes()
    refusals = []
    for where in range(0, len(whole), 5):
        damaged = bytearray(whole)
        damaged[where] ^= 0xFF
        path.write_bytes(damaged)
        try:
            loaded = HeatMaps.load(path)
        except FileError as error:
            refusals.append(str(error))
        else:  # bytes of the zip that nothing depends on, such as dates
            xr.testing.assert_identical(loaded.data, maps.data)
            assert loaded.sentence == maps.sentence
    assert len(refusals) > len(whole) / 5 / 2
    assert all("damaged" in message for message in refusals)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileError, match="damaged"):
        HeatMaps.load(path)


def test_files_that_are_something_else(tmp_path):
    path = tmp_path / "maps.npz"
    with pytest.raises(FileError, match="no such file"):
        HeatMaps.load(path)
    path.write_bytes(b"")
    with pytest.raises(FileError, match="damaged or something else"):
        HeatMaps.load(path)
    np.savez(path, maps=np.zeros(3), header=np.array('{"format": "other 9"}'))
    with pytest.raises(FileError, match="'other 9'"):
        HeatMaps.load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello.txt", "hello")
    with pytest.raises(FileError, match="damaged or something else"):
        HeatMaps.load(path)


def test_a_failed_save_leaves_the_old_file_and_nothing_half_written(tmp_path, monkeypatch):
    path = tmp_path / "maps.npz"
    make_maps().save(path)
    before = path.read_bytes()

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(FileError, match="No space left"):
        make_maps().save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["maps.npz"]


def test_saving_into_a_missing_folder(tmp_path):
    with pytest.raises(FileError, match="No such file or directory"):
        make_maps().save(tmp_path / "no" / "maps.npz")


def test_all_problems_are_in_one_message():
    data = xr.DataArray(np.full((2, 4, 6), -1.0), dims=("token", "y", "x"))
    with pytest.raises(ValueError, match="2 maps for 1 subwords") as error:
        HeatMaps(data, SUBWORDS[:1], make_sentence(), (0, 6))
    assert "not negative" in str(error.value)
    assert "(0, 6)" in str(error.value)
    with pytest.raises(ValueError, match="dims must be"):
        HeatMaps(data.rename(y="row"), SUBWORDS[:2], make_sentence(), (4, 6))


def test_maps_do_not_change_with_the_array_they_were_made_from():
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
    assert truncated.count("truncated") == 3


def test_the_notebook_pictures_are_pngs_with_the_right_shades(tmp_path):
    import base64
    import re

    from PIL import Image

    view = make_maps()[1]._repr_html_()
    path = tmp_path / "map.png"
    path.write_bytes(base64.b64decode(re.search(r"base64,([^\"]+)", view)[1]))
    shades = np.asarray(Image.open(path))
    np.testing.assert_array_equal(shades, 255 - 255 * box(0, 2, 2, 6).astype(int))


def test_masks_and_resizing_of_one_map():
    map_ = make_maps(image_size=(8, 12))["car"]
    assert map_.mask().shape == (8, 12)
    np.testing.assert_array_equal(map_.mask(size=(4, 6)), box(0, 2, 2, 6) > 0)
    np.testing.assert_array_equal(np.asarray(map_), map_.values)


def test_white_space_takes_no_map_from_a_subword_that_starts_with_it():
    tokens = (
        Token(0, "a", "a", "X", "", 0, 1),
        Token(1, " ", " ", "SPACE", "", 2, 3),
        Token(2, "owl", "owl", "X", "", 3, 6),
    )
    words = align(Sentence("a  owl", tokens), [Subword(0, "a", 0, 1), Subword(1, " owl", 1, 6)])
    assert [w.status for w in words] == ["mapped", "unaligned", "mapped"]
    assert words[1].reason == "white space has no subword"


@pytest.mark.parametrize("index", [-1, 5])
def test_words_are_not_counted_from_the_end(index):
    maps = make_maps()
    for ask in (maps.word, lambda i: maps.stack([i]), lambda i: maps.phrase([i])):
        with pytest.raises(WordError, match=rf"from 0 to 4 .*got {index}"):
            ask(index)


def test_maps_are_a_sequence_of_the_words_maps():
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
def test_what_is_no_word_is_named(word):
    with pytest.raises(TypeError, match=f"or as its text, but got {type(word).__name__}"):
        make_maps()[word]


def test_a_text_of_several_words_is_said_to_be_a_phrase():
    with pytest.raises(WordError, match="several words are a phrase"):
        make_maps()["red car"]
    with pytest.raises(WordError, match=r"phrase\(\['red', 'car'\]\)"):
        make_maps().phrase("red car")


def test_something_else_than_maps_is_named():
    for wrong in (make_maps()[0], "a cat", None):
        with pytest.raises(TypeError, match=r"such as `trace\.heat_maps\(\)` gives, but got"):
            list(each_image(wrong))


def test_a_phrase_of_texts():
    maps = make_maps()
    np.testing.assert_array_equal(maps.phrase(["car", "zebra"]).values, maps.phrase([1, 4]).values)
    with pytest.raises(WordError, match="indices 0, 3"):
        maps.phrase(["red", "car"])


def test_a_map_cannot_be_changed_but_the_array_it_was_made_of_can():
    values = np.ones((4, 6), np.float32)
    map_ = HeatMap(values, "cat", (0,), (4, 6))
    with pytest.raises(ValueError, match="read-only"):
        map_.values[0] = 0
    values[0] = 0


def test_notebook_pictures_stay_small_and_in_proportion():
    maps = make_maps(image_size=(1024, 1536))
    assert thumbnail_size((1024, 1536)) == (96, 144)
    assert thumbnail_size((40, 60)) == (40, 60)
    assert thumbnail_size((4, 3000)) == (1, 144)
    assert len(maps._repr_html_()) < 100_000


def test_a_saved_file_is_as_readable_as_any_other(tmp_path):
    make_maps().save(tmp_path / "maps.npz")
    (tmp_path / "other").touch()
    assert (tmp_path / "maps.npz").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_folder_in_the_place_of_a_file(tmp_path):
    with pytest.raises(FileError, match="cannot be read: Is a directory"):
        HeatMaps.load(tmp_path)
