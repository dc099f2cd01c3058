"""Traces of videos, against a softmax by hand."""

import functools
import inspect

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from daam_syntax.attention import intervene, observe, trace, trace_image
from daam_syntax.drawing.traced_images import draw_batch
from daam_syntax.errors import ModelError, TraceError
from daam_syntax.language import parse
from daam_syntax.pipelines.settings import DrawingSettings
from daam_syntax.runs import run
from helpers.attention_reference import CallsWithin
from helpers.tracing import CAT, OWL
from helpers.video_pipelines import VIDEOS, make_video_pipeline

pipeline = functools.cache(make_video_pipeline)
SIZE = (32, 64)
GRID = (2, 4)

each_video = pytest.mark.parametrize(
    ("video_case", "requested"),
    [(case, n) for case in VIDEOS for n in case.drawn],
    ids=lambda value: getattr(value, "name", value),
)
each_pipeline = pytest.mark.parametrize("name", [case.name for case in VIDEOS])


def draw(name, requested, *, guided=True, prompts=(OWL,), **options):
    arguments = {"guidance_scale": 4.0} if guided else {"guidance_scale": 1.0}
    pipe = pipeline(name) if isinstance(name, str) else name
    return pipe(
        prompt=list(prompts),
        height=SIZE[0],
        width=SIZE[1],
        num_frames=requested,
        num_inference_steps=2,
        max_sequence_length=24,
        generator=torch.Generator().manual_seed(3),
        output_type="pt",
        **arguments | options,
    ).frames


def by_hand(name, watch, *, guided, n_videos=1, negative=False):
    """Return the mean attention of the conditional rows, *shape* ``(video, query, text key)``."""
    shares = []
    for number, calls in enumerate(watch.steps):
        if name == "Wan" and guided and (number % 2 == 1) != negative:
            continue
        for call in calls:
            whole = call.shares()
            if name == "CogVideoX" and guided:
                whole = whole[:n_videos] if negative else whole[n_videos:]
            n_text = 24
            shares.append(whole[:, n_text:, :n_text] if name == "CogVideoX" else whole)
    return torch.stack(shares).mean(dim=0)


def watched(name):
    (case,) = (each for each in VIDEOS if each.name == name)
    return CallsWithin(pipeline(name).transformer, case.modules)


def expected_maps(shares, video, n_frames):
    """Return maps ``(token, frame, y, x)``: queries are frame by frame, and each frame row by row."""
    keys = [subword.position for subword in video.frames[0].subwords]
    return np.asarray(shares[:, keys].T).reshape(len(keys), n_frames, *GRID)


@each_video
@pytest.mark.parametrize("guided", [True, False], ids=["guided", "unguided"])
def test_maps_of_frames_are_right_and_videos_the_same_to_the_bit(video_case, requested, guided):
    name = video_case.name
    watch = watched(name)
    untraced = watch.during(lambda: draw(name, requested, guided=guided))
    with trace(pipeline(name)) as recording:
        frames = draw(name, requested, guided=guided)
    assert torch.equal(frames, untraced)
    (video,) = recording.video_maps()
    assert list(video.drawn) == video_case.drawn[requested]
    assert video.n_drawn == frames.shape[1]
    assert video.image_size == SIZE == frames.shape[-2:]
    shares = by_hand(name, watch, guided=guided)[0]
    expected = expected_maps(shares, video, len(video.drawn))
    np.testing.assert_allclose(video.data, expected, atol=1e-6)
    np.testing.assert_allclose(video.mean, expected, atol=1e-6)
    np.testing.assert_allclose(video.frames[-1].data, expected[:, -1], atol=1e-6)
    assert video.frames[0].provenance["guided"] is guided


def test_one_frame_is_an_image():
    with trace(pipeline("Wan")) as recording:
        draw("Wan", 1)
    (video,), (maps,) = recording.video_maps(), recording.heat_maps()
    assert (maps.image_size, maps.grid) == (SIZE, GRID)
    np.testing.assert_array_equal(maps.data, video.frames[0].data)


@each_pipeline
def test_several_prompts_have_frames_of_their_own(name):
    prompts = (OWL, CAT)
    watch = watched(name)
    watch.during(lambda: draw(name, 9, prompts=prompts))
    with trace(pipeline(name)) as recording:
        draw(name, 9, prompts=prompts)
    shares = by_hand(name, watch, guided=True, n_videos=2)
    for row, video in enumerate(recording.video_maps()):
        assert video.prompt == prompts[row]
        np.testing.assert_allclose(video.data, expected_maps(shares[row], video, 3), atol=1e-6)


@each_pipeline
def test_the_negative_prompt_has_maps_on_each_frame(name):
    options = {"negative_prompt": ["the blue strawberry"]}
    watch = watched(name)
    watch.during(lambda: draw(name, 9, **options))
    with trace(pipeline(name), negative=True) as recording:
        draw(name, 9, **options)
    (video,) = recording.video_maps(negative=True)
    assert video.prompt == "the blue strawberry"
    assert video.provenance["drawn_from"] == OWL
    assert video.provenance["half"].startswith("unconditional")
    shares = by_hand(name, watch, guided=True, negative=True)[0]
    np.testing.assert_allclose(video.data, expected_maps(shares, video, 3), atol=1e-6)


def test_kept_axes_precede_frames():
    with trace(pipeline("Wan"), keep=("step", "layer", "head")) as recording:
        draw("Wan", 9)
    with trace(pipeline("Wan")) as plain:
        draw("Wan", 9)
    (video,), (mean,) = recording.video_maps(), plain.video_maps()
    assert video.data.dims == ("token", "step", "layer", "head", "frame", "y", "x")
    assert video.word_array("owl").dims == video.data.dims[1:]
    assert list(video.data["last_drawn"]) == [0, 4, 8]
    np.testing.assert_allclose(video.data.mean(["step", "layer", "head"]), mean.data, atol=1e-7)
    last = video.select(steps=1, layers="blocks.1")
    assert last.data.sizes["step"] == last.data.sizes["layer"] == 1
    chosen = video.data.isel(step=[1], layer=[1]).mean(["step", "layer", "head"])
    np.testing.assert_allclose(last.mean, chosen, atol=1e-7)


def test_a_timestep_for_each_pixel():
    """Wan 2.2 with 5 billion parameters passes the same timestep once for each pixel."""
    pipe = make_video_pipeline("Wan")
    with trace(pipe) as recording:
        draw(pipe, 9)
    pipe.register_to_config(expand_timesteps=True)
    with trace(pipe) as expanded:
        draw(pipe, 9)
    (one,), (other,) = recording.video_maps(), expanded.video_maps()
    np.testing.assert_allclose(other.data, one.data, atol=1e-6)
    assert other.provenance["timesteps"] == one.provenance["timesteps"]


def test_frames_take_memory():
    with trace(pipeline("CogVideoX"), keep="step") as recording:
        draw("CogVideoX", 9)
    (call,) = recording._recorder.finished
    assert recording.predicted_bytes == call.n_bytes


def test_videos_are_no_images():
    with trace(pipeline("Wan")) as recording:
        draw("Wan", 9)
    with pytest.raises(TraceError, match=r"frames of a video \(3 latent ones\).*video_maps"):
        recording.heat_maps()


@pytest.mark.parametrize(
    "use",
    [
        lambda pipe: trace(pipe, refine=True),
        lambda pipe: observe(pipe, print),
        lambda pipe: intervene(pipe, []),
        lambda pipe: trace_image(pipe, np.zeros((32, 64, 3)), CAT),
        lambda pipe: draw_batch([(parse(CAT), 0)], pipe, DrawingSettings()),
    ],
    ids=["refine", "observe", "intervene", "trace_image", "draw"],
)
def test_what_needs_an_image_refuses_videos(use):
    with pytest.raises(TraceError, match="generates the frames of a video"):
        use(pipeline("Wan"))


def test_runs_refuse_videos(tmp_path):
    with pytest.raises(ModelError, match="generates the frames of a video"):
        run([CAT], tmp_path / "run", pipe=pipeline("Wan"))


def test_models_that_join_frames_or_take_turns_are_refused(monkeypatch):
    wan, cog = pipeline("Wan"), pipeline("CogVideoX 1.5")
    with pytest.raises(TraceError, match="joins 2 latent frames"), trace(cog):
        draw("CogVideoX 1.5", 9)
    monkeypatch.setattr(wan, "transformer_2", wan.transformer)
    with pytest.raises(TraceError, match="two, transformer and transformer_2"), trace(wan):
        draw("Wan", 9)


@pytest.mark.parametrize(
    ("name", "cls"),
    [("Wan", "WanVideoToVideoPipeline"), ("CogVideoX", "CogVideoXVideoToVideoPipeline")],
)
def test_videos_that_start_from_a_video(name, cls):
    known = inspect.signature(getattr(diffusers, cls).__init__).parameters
    parts = {part: value for part, value in pipeline(name).components.items() if part in known}
    pipe = getattr(diffusers, cls)(**parts)
    pipe.set_progress_bar_config(disable=True)
    noise = np.random.default_rng(0).integers(0, 255, (9, *SIZE, 3), dtype=np.uint8)

    def start():
        return pipe(
            video=[Image.fromarray(frame) for frame in noise],
            prompt=[OWL],
            height=SIZE[0],
            width=SIZE[1],
            num_inference_steps=4,
            strength=0.5,
            max_sequence_length=24,
            guidance_scale=4.0,
            generator=torch.Generator().manual_seed(3),
            output_type="pt",
        ).frames

    watch = watched(name)
    untraced = watch.during(start)
    with trace(pipe) as recording:
        frames = start()
    assert torch.equal(frames, untraced)
    (video,) = recording.video_maps()
    assert video.n_drawn == frames.shape[1] == 9
    shares = by_hand(name, watch, guided=True)[0]
    np.testing.assert_allclose(video.data, expected_maps(shares, video, 3), atol=1e-6)
    assert video.provenance["steps"] == 2


def test_other_pipelines_with_the_same_denoiser_are_refused():
    cog = pipeline("CogVideoX")
    pipe = diffusers.CogVideoXFunControlPipeline(**cog.components)
    with pytest.raises(TraceError, match="CogVideoXFunControlPipeline generates the frames"):
        trace(pipe)
