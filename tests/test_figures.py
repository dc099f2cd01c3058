import matplotlib.pyplot as plt
import numpy as np
import pytest
from examples import box, make_maps, make_sentence

from daam_syntax import figures

IMAGE = np.zeros((40, 60, 3), np.uint8)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def texts(*axes):
    return [t.get_text() for ax in axes for t in [*ax.texts, ax.title] if t.get_text()]


def test_an_overlay_lies_on_the_picture_unrotated():
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


def test_a_map_of_zeros_can_be_drawn():
    figures.overlay(IMAGE, make_maps()[2])


def test_arcs_say_every_relation_and_word():
    ax = figures.dependency_arcs(make_sentence())
    found = texts(ax)
    assert sorted(found) == sorted(
        ["amod", "punct", "conj", "amod", "root", "red", "car", ",", "red", "zebra"]
    )


def test_arcs_over_arcs_are_higher():
    ax = figures.dependency_arcs(make_sentence())
    height = {t.get_text(): t.get_position()[1] for t in ax.texts}
    assert height["conj"] > height["punct"]


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


def test_characters_that_no_font_has_are_code_points():
    from daam_syntax.figures.labels import label

    assert label("Käse") == "Käse"
    assert label(" \n") == "(space)"
    assert label("a\U000f0000") == "aU+F0000"
