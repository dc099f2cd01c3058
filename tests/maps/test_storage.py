"""Files of heat maps: whole, damaged, and of other kinds."""

import functools
import json
import operator
import zipfile

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from daam_syntax.errors import FileError, WordError
from daam_syntax.maps import HeatMaps
from helpers.examples import make_maps


def test_a_saved_recording_loads_unchanged(tmp_path):
    maps = make_maps(image_size=(40, 60), provenance={"seed": 3, "prompt": "ü", "size": [1, 2]})
    maps.save(tmp_path / "maps.npz")
    loaded = HeatMaps.load(tmp_path / "maps.npz")
    xr.testing.assert_identical(loaded.data, maps.data)
    assert loaded.sentence == maps.sentence
    assert loaded.subwords == maps.subwords
    assert loaded.image_size == (40, 60)
    assert dict(loaded.provenance) == {"seed": 3, "prompt": "ü", "size": [1, 2]}
    assert [p.name for p in tmp_path.iterdir()] == ["maps.npz"]


def test_a_damaged_file_never_loads_as_different_maps(tmp_path):
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


def test_other_kinds_of_files_are_refused(tmp_path):
    path = tmp_path / "maps.npz"
    with pytest.raises(FileError, match="no such file"):
        HeatMaps.load(path)
    path.write_bytes(b"")
    with pytest.raises(FileError, match="damaged or not a file of heat maps"):
        HeatMaps.load(path)
    np.savez(path, maps=np.zeros(3), header=np.array('{"format": "other 9"}'))
    with pytest.raises(FileError, match="'other 9'"):
        HeatMaps.load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello.txt", "hello")
    with pytest.raises(FileError, match="damaged or not a file of heat maps"):
        HeatMaps.load(path)


def test_a_failed_save_keeps_the_old_file_and_leaves_no_partial_file(tmp_path, monkeypatch):
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


def test_saving_to_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileError, match="No such file or directory"):
        make_maps().save(tmp_path / "no" / "maps.npz")


def test_a_saved_file_is_as_readable_as_any_other(tmp_path):
    make_maps().save(tmp_path / "maps.npz")
    (tmp_path / "other").touch()
    assert (tmp_path / "maps.npz").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_folder_instead_of_a_file_is_an_error(tmp_path):
    with pytest.raises(FileError, match="cannot be read: Is a directory"):
        HeatMaps.load(tmp_path)


def places(value, path=()):
    """Yield the path to each value in nested JSON."""
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


def saved_parts(path):
    """Return the arrays and the header of a saved file."""
    make_maps(image_size=(40, 60)).save(path)
    with np.load(path) as archive:
        return dict(archive), json.loads(str(archive["header"]))


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from([None, -1, 10**15, 1.5, True, "", "x", [], [[]], {}, {"a": 1}]),
)
def test_any_value_of_the_header_is_refused_in_a_line_or_harmless(tmp_path_factory, place, value):
    path = tmp_path_factory.getbasetemp() / "other.npz"
    arrays, header = saved_parts(path)
    inner = [found for found in places(header) if found]
    *outer, last = inner[place % len(inner)]
    functools.reduce(operator.getitem, outer, header)[last] = value
    np.savez_compressed(path, **arrays | {"header": np.array(json.dumps(header))})
    message = ""
    try:
        maps = HeatMaps.load(path)
        assert len(maps.stack()) == len(maps.mapped)
        assert maps[1].resize().shape == maps.image_size
        assert repr(maps)
    except FileError as error:
        message = str(error)
    except WordError:  # the file gives the word no subword
        assert last in ("kind", "start", "end")
    assert not message or (str(path) in message and "\n" not in message)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.astype(str),
        lambda a: a.astype("datetime64[s]"),
        lambda a: a > 0.5,
        lambda a: a.astype(complex),
        lambda a: a * np.nan,
        lambda a: a[:, :0],
        lambda a: a[0],
        lambda a: np.array([{"a": 1}], object),
    ],
)
def test_arrays_that_are_not_maps_are_refused(tmp_path, change):
    path = tmp_path / "maps.npz"
    arrays, _ = saved_parts(path)
    np.savez(path, **arrays | {"maps_0": change(arrays["maps_0"])})
    with pytest.raises(FileError, match=r"Expected saved heat maps in .*maps\.npz, but [^\n]+$"):
        HeatMaps.load(path)


def test_a_small_file_that_stands_for_gigabytes_is_refused_at_once(tmp_path):
    path = tmp_path / "maps.npz"
    arrays, _ = saved_parts(path)
    np.savez_compressed(path, **arrays, more=np.zeros(11 * 10**7, np.uint8))
    with pytest.raises(FileError, match="kB stand for 110 MB"):
        HeatMaps.load(path)


def test_files_of_version_1_can_be_read(tmp_path):
    maps = make_maps()
    header = {
        "format": "daam-syntax heat maps 1",
        "subwords": [vars(subword) for subword in maps.subwords],
        "sentence": maps.sentence.to_dict(),
        "image_size": [4, 6],
        "truncated_at": None,
        "provenance": {"seed": 1},
    }
    np.savez(tmp_path / "maps.npz", maps=maps.data.values, header=np.array(json.dumps(header)))
    loaded = HeatMaps.load(tmp_path / "maps.npz")
    xr.testing.assert_identical(loaded.data, maps.data)
    assert loaded.provenance["seed"] == 1
