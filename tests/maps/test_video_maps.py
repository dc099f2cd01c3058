"""The maps of a video: frames, axes, files, and what they are not."""

import numpy as np
import pytest

from daam_syntax import analysis, explore, figures
from daam_syntax.errors import FileError
from daam_syntax.maps import HeatMaps, VideoMaps, each_image, learn_weights
from helpers.examples import make_maps, make_sentence
from helpers.video_data import DRAWN, make_video

IMAGE = np.zeros((4, 6, 3), np.uint8)


def test_frames_are_maps_of_images():
    video = make_video()
    plain = make_maps()
    assert video.mean.shape == (8, 3, 4, 6)
    assert video.data.dims == ("token", "frame", "y", "x")
    np.testing.assert_array_equal(video.data[:, 0], plain.data)
    np.testing.assert_array_equal(video.frames[2]["car"].values, np.roll(plain["car"], 2, 1) * 3)
    np.testing.assert_array_equal(video.stack([1])[0, 2], video.frames[2]["car"].values)
    np.testing.assert_array_equal(video.word_array("car"), video.stack([1])[0])
    np.testing.assert_allclose(video.average().mean, video.mean.mean(axis=1), atol=1e-7)
    assert video.average().provenance["drawn_frames"] == [0, 8]


def test_latent_frames_become_drawn_ones():
    video = make_video()
    assert video.n_drawn == 9
    assert [video.latent_frame(k) for k in range(9)] == [0, 1, 1, 1, 1, 2, 2, 2, 2]
    assert video.frames[1].provenance["drawn_frames"] == [1, 4]
    assert list(video.data["first_drawn"]) == [0, 1, 5]
    assert list(video.data["last_drawn"]) == [0, 4, 8]
    with pytest.raises(ValueError, match="a frame from 0 to 8, but got 9"):
        video.latent_frame(9)


def test_a_saved_video_is_the_same(tmp_path):
    video = make_video(provenance={"seed": 3})
    video.save(tmp_path / "video.npz")
    again = VideoMaps.load(tmp_path / "video.npz")
    np.testing.assert_array_equal(again.data, video.data)
    assert (again.drawn, again.sentence) == (video.drawn, video.sentence)
    assert again.provenance == video.provenance == {"seed": 3}
    assert again.frames[2].provenance == video.frames[2].provenance


def test_files_of_images_and_of_videos_are_told_apart(tmp_path):
    video, maps = tmp_path / "video.npz", tmp_path / "maps.npz"
    make_video().save(video)
    make_maps().save(maps)
    with pytest.raises(FileError, match=r"read it with VideoMaps\.load"):
        HeatMaps.load(video)
    with pytest.raises(FileError, match=r"read it with HeatMaps\.load"):
        VideoMaps.load(maps)


def test_one_frame_can_be_saved_like_an_image(tmp_path):
    frame = make_video().frames[1]
    frame.save(tmp_path / "frame.npz")
    again = HeatMaps.load(tmp_path / "frame.npz")
    np.testing.assert_array_equal(again.data, frame.data)
    assert again.provenance == {"frame": 1, "drawn_frames": [1, 4]}


@pytest.mark.parametrize(
    ("frames", "drawn", "problem"),
    [
        ([], [], "0 latent frames"),
        ([make_maps()], DRAWN, "1 latent frames and 3 ranges"),
        ([make_maps()] * 2, [range(1), range(2, 5)], "not consecutive"),
        ([make_maps()] * 2, [range(0), range(5)], "not consecutive"),
        ([make_maps(), make_maps(image_size=(8, 12))], DRAWN[:2], "differ in image_size"),
        (
            [make_maps(), make_maps(sentence=make_sentence("red car , red zebra", edges=()))],
            DRAWN[:2],
            "differ in sentence",
        ),
    ],
)
def test_frames_that_do_not_fit_together(frames, drawn, problem):
    with pytest.raises(ValueError, match=problem):
        VideoMaps(frames, drawn)


@pytest.mark.parametrize(
    "use",
    [
        lambda video: list(each_image(video)),
        lambda video: list(each_image([video])),
        lambda video: video["car"],
        lambda video: video.word("car"),
        lambda video: "car" in video,
        lambda video: video.special("start"),
        analysis.measure_pairs,
        lambda video: analysis.measure_pairs([video]),
        analysis.word_table,
        analysis.binding_table,
        analysis.attention_shares,
        analysis.normalize_over_tokens,
        analysis.remove_mean_map,
        analysis.sweep,
        analysis.shifted_pairs,
        analysis.permuted_pairs,
        lambda video: analysis.cross_prompt_pairs([video, video]),
        lambda video: learn_weights([video], [{0: IMAGE[..., 0] > 0}]),
        lambda video: figures.overlay(IMAGE, video),
        lambda video: figures.overview(IMAGE, video),
        lambda video: figures.word_grid(IMAGE, video),
        lambda video: figures.word_grid([IMAGE], [video]),
        figures.word_matrix,
        lambda video: figures.arcs_with_overlays(IMAGE, video),
        lambda video: explore(IMAGE, video),
    ],
)
def test_what_expects_an_image_says_what_to_do_with_frames(use):
    with pytest.raises((TypeError, AttributeError), match=r"3 latent frames: choose one"):
        use(make_video())


def test_unknown_attributes_are_only_unknown():
    with pytest.raises(AttributeError, match=r"no attribute 'movie'\."):
        make_video().movie  # noqa: B018
