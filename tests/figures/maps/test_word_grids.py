import pytest

from daam_syntax import figures
from helpers.examples import make_maps
from helpers.figure_data import IMAGE, long_maps, one_word, texts


def test_maps_of_all_words_of_all_images_share_one_scale():
    maps = [make_maps(image_size=(40, 60)), make_maps(image_size=(40, 60)), one_word()]
    maps[1] = maps[1].with_values(maps[1].data * 0.5)
    figure = figures.word_grid([IMAGE] * 3, maps)
    overlays = [ax for ax in figure.axes if len(ax.images) == 2]
    assert len(overlays) == 5 + 5 + 1
    top = max(maps[0][i].resize().max() for i in range(5))
    assert {ax.images[-1].norm.vmax for ax in overlays} == {float(top)}
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    sentence = ["red", "car", ",", "red", "zebra"]
    assert titles == ["image 0", *sentence, "image 1", *sentence, "image 2", "red"]
    assert {ax.images[-1].norm.gamma for ax in overlays} == {0.5}


def test_maps_with_their_own_scales_say_so():
    maps = make_maps(image_size=(40, 60))
    figure = figures.word_grid(IMAGE, maps, scale="own")
    *_, zebra, bar = figure.axes
    assert zebra.get_title() == f"zebra\nmax {maps['zebra'].resize().max():#.2g}"
    assert zebra.images[-1].norm.vmax == pytest.approx(maps["zebra"].resize().max())
    assert "own maximum" in bar.get_ylabel().replace("\n", " ")
    assert [t.get_text() for t in bar.get_yticklabels()] == ["0", "max"]


def test_long_words_are_broken_and_words_without_maps_stay():
    figure = figures.word_grid(IMAGE, long_maps())
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert len(titles) == 31
    assert titles[2].replace("\n", "") == "extraordinarily"
    assert "\n" in titles[2]
    assert texts(*figure.axes).count("truncated") == 28


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        ([IMAGE], {}, "same number of images and heat maps, at least one of each, but got 1 and 2"),
        ([IMAGE] * 2, {"scale": "each"}, "'each'"),
        ([IMAGE] * 2, {"scale": "own", "vmax": 1.0}, "without a vmax"),
    ],
)
def test_invalid_word_grids_are_refused(images, options, message):
    with pytest.raises(ValueError, match=message):
        figures.word_grid(images, [make_maps()] * 2, **options)
