import numpy as np
import pytest

from daam_syntax import figures
from helpers.examples import box, make_maps, make_sentence
from helpers.figure_data import IMAGE, texts
from helpers.readable import assert_readable


def overlays_of(figure):
    return [ax for ax in figure.axes if len(ax.images) == 2]


def test_each_word_has_its_part_of_speech_its_map_and_its_maximum():
    maps = make_maps(image_size=(40, 60))
    figure = figures.overview(IMAGE, maps)
    tops = [float(maps[i].resize().max()) for i in range(5)]
    shown = [texts(ax) for ax in overlays_of(figure)]
    words = ["red", "car", ",", "red", "zebra"]
    pos = [token.pos for token in maps.sentence.tokens]
    assert shown == [
        [word, tag, f"max {top:#.2g}"] for word, tag, top in zip(words, pos, tops, strict=True)
    ]
    assert [ax.images[-1].norm.vmax for ax in overlays_of(figure)] == [top or 1.0 for top in tops]
    (note,) = [t for ax in figure.axes for t in texts(ax) if "mean attention probability" in t]
    assert "each map from 0 to its own maximum" in note


def test_bars_below_the_maps_compare_their_maxima():
    maps = make_maps(image_size=(40, 60))
    tops = np.array([float(maps[i].resize().max()) for i in range(5)])
    bars = [ax.lines[-1] for ax in overlays_of(figures.overview(IMAGE, maps))]
    np.testing.assert_allclose([bar.get_xdata()[1] for bar in bars], tops / tops.max())


def test_words_can_share_a_square_root_scale():
    maps = make_maps(image_size=(40, 60))
    figure = figures.overview(IMAGE, maps, scale="shared")
    norms = [ax.images[-1].norm for ax in overlays_of(figure)]
    assert {(norm.vmax, norm.gamma) for norm in norms} == {
        (max(float(maps[i].resize().max()) for i in range(5)), 0.5)
    }
    assert any("the same for all words" in t for ax in figure.axes for t in texts(ax))
    fixed = figures.overview(IMAGE, maps, scale="shared", vmax=0.9)
    assert {ax.images[-1].norm.vmax for ax in overlays_of(fixed)} == {0.9}
    with pytest.raises(ValueError, match="without a vmax"):
        figures.overview(IMAGE, maps, vmax=0.9)


def test_words_without_a_map_are_panels_with_their_status():
    maps = make_maps([box(0, 2, 0, 3)] * 3, truncated_at=7)
    figure = figures.overview(np.zeros((4, 6, 3), np.uint8), maps)
    assert texts(*figure.axes).count("truncated") == 3


def test_long_prompts_wrap(tmp_path):
    sentence = make_sentence(" ".join(["red"] * 40), edges=())
    maps = make_maps([box(0, 2, 0, 3)] * 3, sentence=sentence, truncated_at=7)
    figure = figures.overview(np.zeros((4, 6, 3), np.uint8), maps)
    figure.savefig(tmp_path / "long.png")
    assert figure.get_figwidth() < 25


@pytest.mark.parametrize("maps", [make_maps(image_size=(40, 60)), make_maps(image_size=(90, 30))])
@pytest.mark.parametrize("scale", ["own", "shared"])
def test_an_overview_can_be_read(maps, scale):
    image = np.zeros((*maps.image_size, 3), np.uint8)
    assert_readable(figures.overview(image, maps, scale=scale))
