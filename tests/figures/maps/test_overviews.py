import matplotlib.pyplot as plt
import numpy as np

from daam_syntax import figures
from helpers.examples import box, make_maps, make_sentence
from helpers.figure_data import IMAGE, texts


def test_the_overview_has_one_panel_per_word_on_one_scale():
    maps = make_maps(image_size=(40, 60))
    figure = figures.overview(IMAGE, maps)
    overlays = [ax for ax in figure.axes if len(ax.images) == 2]
    assert [ax.get_title() for ax in overlays] == ["red", "car", ",", "red", "zebra"]
    tops = {ax.images[-1].norm.vmax for ax in overlays}
    assert tops == {max(maps[i].resize().max() for i in range(5))}
    assert "mean attention probability" in [ax.get_ylabel() for ax in figure.axes]


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


def test_no_figure_is_left_open_by_the_overview():
    figures.overview(IMAGE, make_maps(image_size=(40, 60)))
    assert plt.get_fignums() == []
