import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import PowerNorm

from daam_syntax import figures
from daam_syntax.figures.shared.colors import color_map, opacity, overlay_colors
from daam_syntax.util.images.pixels import as_rgb
from helpers.examples import make_maps
from helpers.figure_data import IMAGE, texts


def test_an_overlay_covers_the_image_unrotated():
    maps = make_maps(image_size=(40, 60))
    ax = figures.overlay(IMAGE, maps["car"])
    drawn = ax.images[-1]
    assert drawn.get_array().shape == (40, 60)
    np.testing.assert_allclose(drawn.get_array(), maps["car"].resize())
    assert list(drawn.get_extent()) == list(ax.images[0].get_extent()) == [-0.5, 59.5, 39.5, -0.5]
    assert ax.get_title() == "car"
    assert drawn.norm.vmax == pytest.approx(maps["car"].resize().max())


def test_opacity_follows_the_map():
    maps = make_maps(image_size=(40, 60))
    alpha = figures.overlay(IMAGE, maps["car"]).images[-1].get_alpha()
    assert alpha[5, 45] > 0.75
    assert alpha[35, 5] == pytest.approx(0, abs=0.05)


def test_overlays_draw_on_the_given_axes_with_the_given_scale():
    _, axes = plt.subplots(1, 2)
    ax = figures.overlay(IMAGE, make_maps()[0], ax=axes[1], vmax=0.5, title="")
    assert ax is axes[1]
    assert ax.images[-1].norm.vmax == 0.5
    assert ax.get_title() == ""
    assert not axes[0].images


def test_a_new_overlay_has_a_color_bar_and_given_axes_keep_their_room():
    overlay = figures.overlay(IMAGE, make_maps()[0])
    assert [ax.get_ylabel() for ax in overlay.figure.axes] == ["", "mean attention probability"]
    _, ax = plt.subplots()
    assert figures.overlay(IMAGE, make_maps()[0], ax=ax).figure.axes == [ax]


def test_an_overlay_can_have_another_scale():
    norm = PowerNorm(0.5, 0, 0.5)
    assert figures.overlay(IMAGE, make_maps()[0], norm=norm).images[-1].norm is norm
    with pytest.raises(ValueError, match="Expected vmax or norm"):
        figures.overlay(IMAGE, make_maps()[0], norm=norm, vmax=0.5)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_a_color_bar_has_the_colors_of_its_overlay_over_light_gray(share):
    maps = make_maps(image_size=(40, 60))
    color = color_map()(share)[:3]
    alpha = opacity(np.array(share))
    np.testing.assert_allclose(
        overlay_colors()(share)[:3], alpha * np.array(color) + (1 - alpha) * 0.85, atol=0.01
    )
    drawn = figures.overlay(IMAGE, maps["car"]).images[-1]
    assert drawn.get_cmap() is color_map()
    np.testing.assert_allclose(drawn.get_alpha(), opacity(drawn.norm(drawn.get_array())), rtol=1e-5)


def test_color_maps_can_be_named():
    for name in ("mako", "viridis_r"):
        drawn = figures.overlay(IMAGE, make_maps()[0], cmap=name).images[-1]
        assert drawn.get_cmap().name == name


def test_a_map_of_zeros_can_be_drawn():
    figures.overlay(IMAGE, make_maps()[2])


@pytest.mark.parametrize("mode", ["CMYK", "L", "P", "LA", "YCbCr", "HSV", "1", "RGBA"])
def test_figures_show_images_of_every_mode(mode):
    maps = make_maps(image_size=(40, 60))
    photo = as_rgb(IMAGE)
    image = photo.convert("L").convert("LA") if mode == "LA" else photo.convert(mode)
    expected = np.asarray(as_rgb(image))
    panel = figures.overview(image, maps).axes[0].images[0].get_array()
    np.testing.assert_array_equal(panel, expected)
    gray = figures.overlay(image, maps["car"]).images[0].get_array()
    np.testing.assert_allclose(
        gray, 0.4 + 0.6 * (expected @ [0.299, 0.587, 0.114]) / 255, atol=1e-5
    )
    plt.close("all")


def test_the_color_bar_says_what_the_values_are():
    maps = make_maps().with_provenance(kind="softmax of output similarity")
    overlay = figures.overlay(IMAGE, maps[0])
    assert overlay.figure.axes[1].get_ylabel() == "softmax of output similarity"
    (bar,) = [ax for ax in figures.word_grid(IMAGE, maps).axes if ax.get_ylabel()]
    assert "softmax of output similarity" in bar.get_ylabel().replace("\n", " ")
    shown = [text for ax in figures.overview(IMAGE, maps).axes for text in texts(ax)]
    assert any(text.startswith("softmax of output similarity:") for text in shown)
    arcs = figures.arcs_with_overlays(IMAGE, maps)
    labels = [ax.get_ylabel().replace("\n", " ") for ax in arcs.figure.axes]
    assert "softmax of output similarity, each map to its own maximum" in labels
