"""Images of every kind that people have become upright 8-bit RGB."""

import numpy as np
import pytest
from PIL import Image

from daam_syntax.util.images.pixels import as_rgb

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


def test_a_gray_of_16_bits_that_is_transparent_is_white(tmp_path):
    deep = Image.fromarray(RAMP.astype(np.uint16) * 257)
    deep.save(tmp_path / "a.png", transparency=int(RAMP[1, 2]) * 257)
    shown = np.asarray(as_rgb(Image.open(tmp_path / "a.png")))[..., 0]
    np.testing.assert_array_equal(shown, np.where(RAMP[1, 2] == RAMP, 255, RAMP))


def test_arrays_of_other_classes_of_numpy():
    np.testing.assert_array_equal(as_rgb(np.ma.masked_array(COLORS, False)), COLORS)
    with pytest.warns(PendingDeprecationWarning):
        gray = np.matrix(RAMP)
    np.testing.assert_array_equal(np.asarray(as_rgb(gray))[..., 0], RAMP)


class TestColorProfiles:
    """A profile in which red and green are exchanged, so that its colors differ visibly from sRGB."""

    @pytest.fixture(scope="class")
    def exchanged(self):
        from PIL import ImageCms

        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        name = "sRGB".encode("utf-16-be")
        for old, new in (
            (b"rXYZ", b"none"),
            (b"gXYZ", b"rXYZ"),
            (b"none", b"gXYZ"),
            (name, name[::-1]),
        ):
            srgb = srgb.replace(old, new)
        return srgb

    @pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
    @pytest.mark.parametrize("kind", ["PNG", "TIFF"])
    def test_colors_are_those_that_viewers_show(self, mode, kind, exchanged, tmp_path):
        stored = Image.fromarray(COLORS).convert(mode)
        expected = np.asarray(stored.convert("RGB")).astype(int)[..., [1, 0, 2]]
        stored.save(tmp_path / "a", kind, icc_profile=exchanged)
        shown = as_rgb(Image.open(tmp_path / "a"))
        assert np.abs(np.asarray(shown) - expected).max() <= 2
        assert np.abs(np.asarray(as_rgb(shown)) - expected).max() <= 2  # not exchanged again

    def test_those_of_srgb_and_of_other_color_spaces_change_nothing(self, exchanged):
        from PIL import ImageCms

        image = Image.fromarray(COLORS)
        srgb, lab = (ImageCms.createProfile(name) for name in ("sRGB", "LAB"))
        for profile in (srgb, lab):
            image.info["icc_profile"] = ImageCms.ImageCmsProfile(profile).tobytes()
            np.testing.assert_array_equal(as_rgb(image), COLORS)
        gray = Image.fromarray(RAMP)
        gray.info["icc_profile"] = exchanged
        np.testing.assert_array_equal(np.asarray(as_rgb(gray))[..., 0], RAMP)

    @pytest.mark.parametrize("profile", [b"damaged", "text"])
    def test_a_damaged_one_is_ignored_with_a_warning(self, profile):
        image = Image.fromarray(COLORS)
        image.info["icc_profile"] = profile
        with pytest.warns(
            UserWarning, match=r"profile of an image cannot be used \(.*read as sRGB"
        ):
            np.testing.assert_array_equal(as_rgb(image), COLORS)


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


@pytest.mark.parametrize("mode", ["I;16", "I;16L", "I;16B", "I;16N", "I", "F"])
def test_grays_of_8_bits_in_a_deep_mode_are_not_black(mode):
    shown = np.asarray(as_rgb(Image.fromarray(RAMP).convert(mode)))
    np.testing.assert_array_equal(shown[..., 0], RAMP)


@pytest.mark.parametrize("dtype", ["int16", "int32", "int64", "uint16", "uint32", "float16", ">i4"])
def test_pixels_of_8_bits_in_a_wider_type_keep_their_colors(dtype):
    np.testing.assert_array_equal(as_rgb(COLORS.astype(dtype)), COLORS)


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint16", "float32", "float64"])
def test_pixels_of_16_bits(dtype):
    np.testing.assert_array_equal(as_rgb((COLORS * 257.0).astype(dtype)), COLORS)


def test_floats_that_overshoot_their_scale_are_clipped():
    for full in (1, 255):
        values = COLORS / 255 * full
        values[0, 0, 0], values[-1, -1, 0] = -0.02 * full, 1.02 * full
        np.testing.assert_array_equal(as_rgb(values), COLORS)


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
        (np.full((2, 2), np.inf), ValueError, "finite"),
        (
            np.linspace(-1, 1, 12).reshape(2, 2, 3),
            ValueError,
            "but got float64 from -1 to 1: scale",
        ),
        (np.full((2, 2), 70_000), ValueError, "but got int64 from 70000 to 70000"),
        (np.zeros((2, 2), complex), TypeError, "array of complex128"),
        (np.zeros((2, 2), object), TypeError, "array of object"),
        (np.ma.masked_array(COLORS, COLORS > 200), ValueError, r"some are masked: .*filled\(255\)"),
        (np.dstack([COLORS, RAMP > 100]), ValueError, "opacity from 0 to 255, .* got at most 1:"),
        (np.dstack([COLORS * 1.0, RAMP / 255]), ValueError, "opacity from 0 to 255"),
        (Image.new("RGB", (0, 3)), ValueError, "got one of 3x0"),
        ("image.png", TypeError, "got 'image.png'"),
    ],
)
def test_what_is_not_an_image_is_refused(value, error, message):
    with pytest.raises(error, match=message):
        as_rgb(value)


def test_a_file_that_turns_out_to_be_damaged_when_it_is_decoded(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8)).save(
        tmp_path / "cut.png"
    )
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"^Expected an image that can be read, but .*truncated"):
        as_rgb(Image.open(tmp_path / "cut.png"))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "MPO"])
def test_the_frame_of_an_animation_that_is_open(kind, tmp_path):
    frames = [Image.new("RGB", (16, 16), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "a", kind, save_all=True, append_images=frames[1:])
    opened = Image.open(tmp_path / "a")
    for number, frame in enumerate(frames):
        opened.seek(number)
        assert np.abs(np.asarray(as_rgb(opened)) - np.asarray(frame, int)).max() < 5
