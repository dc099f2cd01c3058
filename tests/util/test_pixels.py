"""Images of every kind that people have become upright 8-bit RGB."""

import numpy as np
import pytest
from PIL import Image

from daam_syntax.util.pixels import as_rgb

RAMP = np.linspace(0, 255, 24).round().astype(np.uint8).reshape(4, 6)
COLORS = np.stack([RAMP, 255 - RAMP, RAMP // 2], axis=-1)
ORIENTATION = 0x0112  # EXIF tag


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB", "P", "PA"])
def test_color_modes_show_the_same_colors(mode):
    original = Image.fromarray(COLORS)
    if mode == "LAB":
        pytest.importorskip("PIL.ImageCms")
        from PIL import ImageCms

        profiles = [ImageCms.createProfile(name) for name in ("sRGB", "LAB")]
        image = ImageCms.profileToProfile(original, *profiles, outputMode="LAB")
    else:
        image = original.convert("P").convert("PA") if mode == "PA" else original.convert(mode)
    shown = np.asarray(as_rgb(image)).astype(int)
    assert shown.shape == (4, 6, 3)
    assert np.abs(shown - COLORS).max() <= {"P": 60, "PA": 60, "LAB": 25}.get(mode, 6)


@pytest.mark.parametrize("mode", ["L", "LA", "I;16", "I", "F", "La"])
def test_gray_modes_show_the_same_grays(mode):
    images = {
        "I;16": Image.fromarray(RAMP.astype(np.uint16) * 257),
        "I": Image.fromarray(RAMP.astype(np.int32) * 257),
        "F": Image.fromarray(RAMP.astype(np.float32) / 255),
    }
    gray = Image.fromarray(RAMP)
    image = images.get(mode) or (
        gray.convert("LA").convert(mode) if mode == "La" else gray.convert(mode)
    )
    assert image.mode == mode
    assert np.abs(np.asarray(as_rgb(image)).astype(int) - RAMP[..., None]).max() <= 1


def test_images_of_one_bit():
    image = Image.fromarray(RAMP > 100)
    assert image.mode == "1"
    assert np.array_equal(np.asarray(as_rgb(image))[..., 0] == 255, RAMP > 100)


def test_what_is_transparent_is_white():
    layer = np.dstack([COLORS, np.where(RAMP > 100, 255, 0).astype(np.uint8)])
    shown = np.asarray(as_rgb(Image.fromarray(layer)))
    np.testing.assert_array_equal(shown[RAMP > 100], COLORS[RAMP > 100])
    assert (shown[RAMP <= 100] == 255).all()
    np.testing.assert_array_equal(np.asarray(as_rgb(layer)), shown)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_upright(orientation, tmp_path):
    stored = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }[orientation](COLORS)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "photo.png", exif=exif)
    np.testing.assert_array_equal(as_rgb(Image.open(tmp_path / "photo.png")), COLORS)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64, bool])
def test_arrays_of_every_type(dtype):
    values = {
        np.uint8: COLORS,
        np.uint16: COLORS.astype(np.uint16) * 257,
        bool: COLORS > 100,
    }.get(dtype, COLORS / 255)
    expected = (COLORS > 100) * 255 if dtype is bool else COLORS
    np.testing.assert_array_equal(as_rgb(np.asarray(values, dtype)), expected)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (np.full((2, 2, 3), np.nan), ValueError, "finite"),
        (np.zeros((2, 2, 5)), ValueError, r"\(2, 2, 5\)"),
        (np.zeros((0, 2)), ValueError, r"\(0, 2\)"),
        ("image.png", TypeError, "got str"),
    ],
)
def test_what_is_not_an_image_is_refused(value, error, message):
    with pytest.raises(error, match=message):
        as_rgb(value)
