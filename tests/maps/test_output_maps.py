"""Maps by similarity of attention outputs: signed values, competition between words, and what refuses them."""

import numpy as np
import pytest
import xarray as xr

import daam_syntax as ds
from daam_syntax.analysis import measure_pairs, word_table
from daam_syntax.errors import FileError, WordError
from daam_syntax.language.sentence import Edge
from daam_syntax.maps import HeatMaps, OutputMaps, Subword, learn_weights
from daam_syntax.maps.measures import soft_iou
from helpers.examples import make_sentence

TEXT = "red cat dog"
VALUES = np.array([[[9, 9]], [[-2, 1]], [[0, 3]], [[2, -4]], [[9, 9]]], dtype=np.float32)
SUBWORDS = [
    Subword(0, "<s>", 0, 0, "start"),
    Subword(1, "red", 0, 3),
    Subword(2, "c", 4, 5),
    Subword(3, "at", 5, 7),
    Subword(4, "</s>", 11, 11, "end"),
]  # the encoder stopped before "dog"


@pytest.fixture
def sentence():
    return make_sentence(TEXT, edges=(Edge(1, 0, "amod"), Edge(1, 2, "conj")))


def output_maps(sentence, values=VALUES, **changes):
    data = (
        xr.DataArray(values, dims=("token", "y", "x")) if isinstance(values, np.ndarray) else values
    )
    parts = {"truncated_at": 7, "provenance": {"seed": 1, "layers": 2}} | changes
    return OutputMaps(data, SUBWORDS, sentence, (1, 2), **parts)


def test_values_keep_their_sign(sentence):
    maps = output_maps(sentence)
    np.testing.assert_array_equal(maps.similarity("red"), [[-2, 1]])
    np.testing.assert_array_equal(maps.similarity(1), [[1, -0.5]])  # mean of two subwords
    assert maps.mapped == (0, 1)
    assert "cat" in maps
    assert "dog" not in maps
    with pytest.raises(WordError, match="truncated"):
        maps.similarity("dog")
    assert maps.data.name == maps.provenance["kind"] == "output similarity"
    with pytest.raises(ValueError, match="must be finite"):
        output_maps(sentence, VALUES * np.nan)


def test_layers_are_averaged_on_the_finest_grid_without_clamping(sentence):
    coarse, fine = (
        xr.DataArray(np.full((5, *grid), value, np.float32), dims=("token", "y", "x"))
        for grid, value in (((1, 2), -3.0), ((2, 4), 1.0))
    )
    kept = ds.maps.KeptMaps(
        [ds.maps.LayerMaps(("a",), coarse), ds.maps.LayerMaps(("b",), fine)], keeps_layers=True
    )
    maps = output_maps(sentence, kept)
    assert maps.grid == (2, 4)
    np.testing.assert_allclose(maps.similarity("red"), -1)
    np.testing.assert_allclose(maps.word_array("red").isel(layer=0), -3)
    np.testing.assert_allclose(maps.select(layers=["a"]).similarity("red"), -3)
    assert maps.select(layers=["a"]).provenance["selected"] == {"layers": ["a"]}


def test_words_compete_for_each_pixel(sentence):
    maps = output_maps(sentence)
    found = maps.softmax(["red", "cat"])
    red = 1 / (1 + np.exp([[3.0, -1.5]]))  # similarities of cat minus those of red
    np.testing.assert_allclose(found["red"].values, red, rtol=1e-6)
    np.testing.assert_allclose(found["cat"].values, 1 - red, rtol=1e-6)
    assert found.kind == "softmax of output similarity"
    assert found.provenance["softmax_over"] == ["red", "cat"]
    assert found.provenance["seed"] == 1
    other = output_maps(sentence, -VALUES)
    (three,) = maps.softmax(["red"], beside=[other, other], temperature=2.0).stack()
    rival = np.mean([other.similarity("red"), other.similarity("cat")], axis=0)
    expected = np.exp(maps.similarity("red") / 2)
    np.testing.assert_allclose(three, expected / (expected + 2 * np.exp(rival / 2)), rtol=1e-6)
    alone = maps.softmax(["red"], beside=[other])
    assert alone.words[1].reason == "it was not among the words of the softmax"
    for words, options in (
        (["red"], {}),
        ([], {"beside": [maps, maps]}),
        (["red", "cat"], {"temperature": 0}),
        (["red"], {"beside": [found]}),
        (["red"], {"beside": [other.with_provenance(seed=2)]}),
    ):
        with pytest.raises(ValueError, match="Expected"):
            maps.softmax(words, **options)


def test_with_kept_axes_the_softmax_comes_before_the_mean(sentence):
    values = np.stack([VALUES, -VALUES], axis=1)
    maps = output_maps(sentence, xr.DataArray(values, dims=("token", "step", "y", "x")))
    found = maps.softmax(["red", "cat"])
    np.testing.assert_allclose(found["red"].values, 0.5)  # the mean of p and 1 - p
    assert found.axes == ()


def test_files(sentence, tmp_path):
    maps = output_maps(sentence)
    maps.save(tmp_path / "maps.npz")
    loaded = OutputMaps.load(tmp_path / "maps.npz")
    np.testing.assert_array_equal(loaded.data, maps.data)
    assert loaded.provenance == maps.provenance
    assert loaded.subwords == maps.subwords
    assert loaded.truncated_at == 7
    with pytest.raises(FileError, match=r"read it with OutputMaps.load"):
        HeatMaps.load(tmp_path / "maps.npz")
    found = maps.softmax(["red", "cat"])
    found.save(tmp_path / "softmax.npz")
    assert HeatMaps.load(tmp_path / "softmax.npz").kind == found.kind
    with pytest.raises(FileError, match=r"read it with HeatMaps.load"):
        OutputMaps.load(tmp_path / "softmax.npz")


def test_the_kinds_are_not_mixed(sentence):
    maps = output_maps(sentence)
    attention = HeatMaps(
        xr.DataArray(abs(VALUES), dims=("token", "y", "x")), SUBWORDS, sentence, (1, 2)
    )
    refused = pytest.raises(TypeError, match=r"OutputMaps, .*may be negative: .*softmax")
    for use in (measure_pairs, word_table):
        for given in (maps, [maps]):
            with refused:
                use(given)
    with refused:
        ds.figures.overview(None, maps)
    with pytest.raises(TypeError, match="OutputMaps"):
        learn_weights([maps], [{0: np.ones((1, 2), bool)}])
    with pytest.raises(TypeError, match="for the map of 'cat', but got OutputMaps"):
        maps["cat"]
    with pytest.raises(AttributeError, match="to use their stack, but got OutputMaps"):
        maps.stack()
    with pytest.raises(AttributeError, match="no attribute 'maps'"):
        _ = maps.maps
    with pytest.raises(ValueError, match="non-negative"):
        soft_iou(maps.similarity("red"), maps.similarity("cat"))
    with pytest.raises(ValueError, match="must be finite and not negative"):
        attention.with_values(maps.data)
    with pytest.raises(ValueError, match="those of output maps, not attention"):
        attention.with_values(output_maps(sentence, abs(VALUES))._maps)
    competing = maps.softmax(["red", "cat"])
    assert len(measure_pairs([competing, competing], unrelated=True)) > 0
    with pytest.raises(ValueError, match="maps of attention and of softmax of output similarity"):
        measure_pairs([attention, competing])
