"""Attention between words: a hand-solved case, statuses, files."""

import pickle

import numpy as np
import pytest
import xarray as xr

from daam_syntax.errors import FileError, WordError
from daam_syntax.language import Edge, Sentence, Token
from daam_syntax.maps import HeatMaps, Subword, WordAttention
from daam_syntax.maps.word_attention.token_groups import group_tokens

TEXT = "it cannot fly home"


def sentence(words=("it", "can", "not", "fly", "home")):
    tokens, start = [], 0
    for index, word in enumerate(words):
        start = TEXT.index(word, start)
        tokens.append(Token(index, word, word, "NOUN", "NN", start, start + len(word)))
        start += len(word)
    edges = tuple(Edge(0, index, "dep") for index in range(1, len(words)))
    return Sentence(TEXT, tuple(tokens), {"ud": edges}, (), "by hand")


SUBWORDS = [
    Subword(0, "<s>", 0, 0, "start"),
    Subword(1, "it", 0, 2),
    Subword(2, "cannot", 3, 9),  # one token of two words
    Subword(3, "f", 10, 11),  # two tokens of one word
    Subword(4, "ly", 11, 13),
    Subword(5, "</s>", 0, 0, "end"),
    Subword(6, "<pad>", 0, 0, "padding"),
    Subword(7, "<pad>", 0, 0, "padding"),
]
GROUPS = group_tokens(SUBWORDS)  # it cannot f ly start end padding

ROWS = np.array(
    [
        [0.5, 0.2, 0.1, 0.1, 0.1, 0.0, 0.0],
        [0.1, 0.4, 0.2, 0.1, 0.1, 0.1, 0.0],
        [0.3, 0.2, 0.1, 0.3, 0.1, 0.0, 0.0],
        [0.1, 0.0, 0.5, 0.1, 0.1, 0.1, 0.1],
        [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [0.2, 0.2, 0.2, 0.2, 0.2, 0.0, 0.0],
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    ]
)


def made(values=ROWS, dims=("query", "key"), **options):
    options = {"relation": "encoder", "encoder": "t", "truncated_at": 13} | options
    return WordAttention(xr.DataArray(values, dims=dims), GROUPS, sentence(), **options)


def test_by_hand():
    attention = made()
    assert attention.labels == ("it", "can", "not", "fly", "home", "start", "end", "padding")
    # from fly: the mean of its rows; to fly: the sum of its columns; "cannot" is half "can", half "not"
    nan = np.nan
    np.testing.assert_allclose(
        attention.among_words(),
        [
            [0.5, 0.1, 0.1, 0.2, nan],
            [0.1, 0.2, 0.2, 0.3, nan],
            [0.1, 0.2, 0.2, 0.3, nan],
            [0.2, 0.05, 0.05, 0.5, nan],
            [nan] * 5,
        ],
        atol=1e-7,
    )
    assert attention.between("fly", "it") == pytest.approx(0.2)
    assert attention.remainder("fly") == pytest.approx({"start": 0.1, "end": 0.05, "padding": 0.05})
    sums = attention.array.sum("key").values
    np.testing.assert_allclose(sums, [1, 1, 1, 1, 0, 1, 1, 0], atol=1e-6)


def test_every_word_has_a_status():
    attention = made()
    assert [word.status for word in attention.words] == ["mapped"] * 4 + ["truncated"]
    assert attention.mapped == (0, 1, 2, 3)
    with pytest.raises(WordError, match="truncated: the encoder read only the first 13"):
        attention.between("it", "home")
    with pytest.raises(WordError, match="Expected a word of"):
        attention.remainder("owl")


def test_text_that_is_no_word_stays_visible():
    attention = made().with_sentence(sentence(("it", "fly", "home")))
    assert attention.labels[3] == "space"  # "cannot" is a token of no word of this parse
    assert attention.mean[0, 3] == pytest.approx(0.2)
    np.testing.assert_allclose(np.nansum(attention.mean[:2], axis=1), 1, atol=1e-6)
    with pytest.raises(ValueError, match="a parse of"):
        made().with_sentence(Sentence("it", (), {}, (), ""))


def test_a_group_that_is_no_query_has_no_row():
    values = ROWS.copy()
    values[4] = np.nan
    attention = made(values)
    row = attention.labels.index("start")
    assert np.isnan(attention.mean[row]).all()
    assert np.isfinite(attention.mean[0, row])


def by_layer_and_head():
    parts = np.stack([np.stack([ROWS, ROWS[:, ::-1]]), np.stack([ROWS, ROWS])])
    data = xr.DataArray(
        parts, dims=("layer", "head", "query", "key"), coords={"layer": ["a.0", "a.1"]}
    )
    return WordAttention(
        data, GROUPS, sentence(), relation="encoder", causal=True, provenance={"model": "m"}
    )


def test_files_and_pickles_are_the_same_attention(tmp_path):
    attention = by_layer_and_head()
    attention.save(tmp_path / "a.npz")
    for other in (WordAttention.load(tmp_path / "a.npz"), pickle.loads(pickle.dumps(attention))):  # noqa: S301
        xr.testing.assert_identical(other.data, attention.data)
        for name in (
            "groups",
            "sentence",
            "relation",
            "encoder",
            "causal",
            "truncated_at",
            "words",
        ):
            assert getattr(other, name) == getattr(attention, name)
        assert dict(other.provenance) == {"model": "m"}
    with pytest.raises(FileError, match=r"read it with WordAttention\.load"):
        HeatMaps.load(tmp_path / "a.npz")
    damaged = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "b.npz").write_bytes(damaged[:-40])
    with pytest.raises(FileError, match="damaged or not a file of word attention"):
        WordAttention.load(tmp_path / "b.npz")
    with pytest.raises(FileError, match="no such file"):
        WordAttention.load(tmp_path / "c.npz")


def test_a_selection_keeps_the_axes():
    attention = by_layer_and_head().select(layers="a.0", heads=1)
    assert dict(attention.data.sizes) == {"layer": 1, "head": 1, "query": 7, "key": 7}
    assert attention.data["head"].values.tolist() == [1]
    np.testing.assert_allclose(attention.data.values[0, 0], ROWS[:, ::-1].astype(np.float32))
    assert "1 layers x 1 heads" in repr(attention)


def test_a_table_has_a_row_for_each_pair_layer_and_head():
    frame = by_layer_and_head().to_frame()
    assert list(frame.columns) == [
        "layer", "head", "query", "query_text", "key", "key_text", "attention"
    ]  # fmt: skip
    assert len(frame) == 2 * 2 * 8 * 8
    found = frame.query("layer == 'a.1' and head == 0 and query == 3 and key == 0")
    assert found["attention"].item() == pytest.approx(0.2)
    special = frame[frame["key_text"] == "padding"]
    assert special["key"].isna().all()


def test_arrays_are_read_only():
    attention = made()
    for array in (attention.data.values, attention.array.values, attention.mean):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1


@pytest.mark.parametrize(
    ("values", "dims", "message"),
    [
        (ROWS[:-1], ("query", "key"), "6 rows for 7 groups"),
        (ROWS, ("key", "query"), "in this order"),
        (2 * ROWS, ("query", "key"), "rows must sum to 1"),
        (-ROWS, ("query", "key"), "not negative"),
    ],
)
def test_parts_that_do_not_fit(values, dims, message):
    with pytest.raises(ValueError, match=message):
        made(values, dims)
