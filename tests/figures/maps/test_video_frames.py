import numpy as np
import pytest
from PIL import Image

from daam_syntax import figures
from daam_syntax.errors import WordError
from helpers.examples import make_maps
from helpers.video_data import make_video

SIZE = (40, 60)
IMAGES = [np.full((*SIZE, 3), 20 * number, np.uint8) for number in range(9)]


@pytest.fixture
def video():
    return make_video(image_size=SIZE)


def test_each_latent_frame_is_shown_over_the_middle_one_of_its_drawn_frames(video):
    figure = figures.frame_grid(IMAGES, video, words=["car", 4])
    shown = [ax for ax in figure.axes if len(ax.images) == 2]
    assert len(shown) == 6
    top = max(video.frames[2][word].resize().max() for word in (1, 4))
    for ax, (word, frame) in zip(shown, [(w, f) for w in (1, 4) for f in range(3)], strict=True):
        heat = ax.images[-1]
        np.testing.assert_array_equal(heat.get_array(), video.frames[frame][word].resize())
        assert heat.norm.vmax == float(top)
        gray = 20 * [0, 3, 7][frame]
        np.testing.assert_allclose(ax.images[0].get_array(), 0.4 + 0.6 * gray / 255)
    assert [ax.get_title(loc="left") for ax in shown] == ["car", "", "", "zebra", "", ""]
    assert [text.get_text() for ax in shown for text in ax.texts] == ["0", "1–4", "5–8"]


def test_all_words_with_maps_by_default(video):
    figure = figures.frame_grid(np.stack(IMAGES), video)
    assert len([ax for ax in figure.axes if len(ax.images) == 2]) == 3 * len(video.mapped)


def test_an_animation_has_every_frame_with_the_map_of_its_latent_frame(video, tmp_path):
    path = figures.animate(IMAGES, video, "car", tmp_path / "car.gif", rate=4)
    with Image.open(path) as gif:
        assert gif.n_frames == 9
        assert gif.info["duration"] == 250
        assert gif.size == (330, 220)
        frames = []
        for number in range(9):
            gif.seek(number)
            frames.append(np.asarray(gif.convert("RGB"), float))
    height, width = np.array(frames[0].shape[:2]) // (4, 6)
    for latent, number in ((0, 0), (1, 2), (2, 8)):
        colored = _colorfulness(frames[number])
        values = video.frames[latent]["car"].resize((4, 6))
        where = np.unravel_index(values.argmax(), values.shape)
        cell = colored[where[0] * height + height // 2, where[1] * width + width // 2]
        empty = np.unravel_index(values.argmin(), values.shape)
        other = colored[empty[0] * height + height // 2, empty[1] * width + width // 2]
        assert cell > other + 20


def _colorfulness(pixels):
    return pixels.max(axis=-1) - pixels.min(axis=-1)


def test_what_is_no_video_of_these_maps_is_refused(video, tmp_path):
    with pytest.raises(ValueError, match="Expected the 9 frames of the video, but got 3 images"):
        figures.frame_grid(IMAGES[:3], video)
    with pytest.raises(ValueError, match=r"ends in \.gif"):
        figures.animate(IMAGES, video, "car", tmp_path / "car.mp4")
    with pytest.raises(TypeError, match=r"VideoMaps.*word_grid"):
        figures.frame_grid(IMAGES, make_maps())
    with pytest.raises(WordError, match=r"ambiguous|red"):
        figures.animate(IMAGES, video, "red", tmp_path / "red.gif")
    assert not list(tmp_path.iterdir())
