"""Texts outside the prompt, and similarity of attention outputs, in each latent frame of a video."""

import functools

import numpy as np
import pytest
import torch

from daam_syntax.attention import trace
from daam_syntax.errors import TraceError
from helpers.attention_reference import CallsWithin, SeenCall, close
from helpers.family_cases import Case, cross, text_first
from helpers.family_runs import conditional, keys_of
from helpers.joint_blocks import BlocksWithin, concept_attention, text_alone
from helpers.tracing import CAT, OWL
from helpers.video_pipelines import make_video_pipeline

pipeline = functools.cache(make_video_pipeline)
FOIL = "a big strawberry"  # a word of two subwords
SIZE, GRID = (32, 64), (2, 4)
N_FRAMES, N_PIXELS = 3, 8
COG = Case("CogVideoX", "", {"t5": 24}, "", "", text_first, "second half", r".*\.attn1")
WAN = Case("Wan", "", {"t5": 24}, "", "", cross, "first call", r".*\.attn2")
KEPT = ("step", "layer", "head")


def draw(case, prompts, *, guided=True, pipe=None):
    return (pipe or pipeline(case.name))(
        prompt=list(prompts),
        height=SIZE[0],
        width=SIZE[1],
        num_frames=9,
        num_inference_steps=2,
        max_sequence_length=24,
        generator=torch.Generator().manual_seed(3),
        output_type="pt",
        guidance_scale=4.0 if guided else 1.0,
    ).frames


def in_order(maps):
    """Return values as ``(step, layer, head, pixel, token)``."""
    found = maps.data.transpose("step", "layer", "head", "y", "x", "token").values
    return found.reshape(*found.shape[:3], -1, found.shape[-1])


def pixels_of(frame):
    return slice(N_PIXELS * frame, N_PIXELS * (frame + 1))


def conditional_calls(case, watch, n_videos):
    """Return the calls of each step with the prompts, and their conditional rows."""
    return [
        (calls, rows)
        for number, calls in enumerate(watch.steps)
        if (rows := conditional(case, number, len(calls[0].query), n_videos)) is not None
    ]


def test_streams_beside_a_video_are_those_of_blocks_computed_by_hand():
    pipe = pipeline("CogVideoX")
    watch, blocks = CallsWithin(pipe.transformer, COG.modules), BlocksWithin(pipe.transformer)
    untraced = blocks.during(lambda: watch.during(lambda: draw(COG, [CAT, OWL])))
    text, mask = text_alone(COG, pipe, lambda: draw(COG, [FOIL], guided=False))
    concept = concept_attention(
        COG,
        blocks,
        text,
        mask,
        (N_FRAMES * GRID[0], GRID[1]),
        lambda number, n_rows: conditional(COG, number, n_rows, 2),
        2,
    )
    with trace(pipe, also=["the dog", FOIL], outputs=True, keep=KEPT) as recording:
        assert torch.equal(draw(COG, [CAT, OWL]), untraced)
    (call,) = recording._recorder.finished
    assert recording.predicted_bytes == call.n_bytes
    steps = conditional_calls(COG, watch, 2)
    for row, video in enumerate(recording.video_maps(of=FOIL)):
        assert (video.prompt, video.provenance["drawn_from"]) == (FOIL, [CAT, OWL][row])
        places = keys_of(COG, video.frames[0])
        for frame, maps in enumerate(video.frames):
            shares = [
                [part[row][:, pixels_of(frame)][..., places] for part, _ in made]
                for made in concept
            ]
            expected = torch.stack([torch.stack(each) for each in shares])
            np.testing.assert_allclose(in_order(maps), expected, atol=1e-6)
            similar = []
            for (calls, rows), made in zip(steps, concept, strict=True):
                for seen, (_, of_text) in zip(calls, made, strict=True):
                    outputs = seen.outputs()[rows][row][:, 24:][:, pixels_of(frame)]
                    tokens = of_text[row][:, places]
                    similar.append(len(outputs) * outputs @ tokens.transpose(1, 2))
            (own,) = [recording.output_maps(of=FOIL, frame=frame)[row]]
            assert own.provenance["drawn_frames"] == maps.provenance["drawn_frames"]
            close(in_order(own), torch.stack(similar).reshape(in_order(own).shape))
            prompt = recording.output_maps(frame=frame)[row]
            keys, similar = keys_of(COG, prompt), []
            for calls, rows in steps:
                for seen in calls:
                    outputs = seen.outputs()[rows][row]
                    pixels = outputs[:, 24:][:, pixels_of(frame)]
                    similar.append(len(pixels) * pixels @ outputs[:, keys].transpose(1, 2))
            close(in_order(prompt), torch.stack(similar).reshape(in_order(prompt).shape))


@pytest.mark.parametrize("guided", [True, False], ids=["guided", "unguided"])
def test_cross_attention_of_a_video_to_another_text(guided):
    pipe = pipeline("Wan")
    watch, foreign = (CallsWithin(pipe.transformer, WAN.modules) for _ in range(2))
    untraced = watch.during(lambda: draw(WAN, [OWL], guided=guided))
    foreign.during(lambda: draw(WAN, [FOIL], guided=False))
    with trace(pipe, also=FOIL, outputs=True, keep=KEPT) as recording:
        assert torch.equal(draw(WAN, [OWL], guided=guided), untraced)
    (video,) = recording.video_maps(of=FOIL)
    places = keys_of(WAN, video.frames[0])
    modules = [block.attn2 for block in pipe.transformer.blocks]
    steps = [calls for n, calls in enumerate(watch.steps) if not (guided and n % 2)]
    for frame, maps in enumerate(video.frames):
        shares, similar = [], []
        for calls in steps:
            for module, call, of_text in zip(modules, calls, foreign.steps[0], strict=True):
                query = call.query[:, :, pixels_of(frame)]
                own = SeenCall(query, of_text.key, None, call.scale)
                shares.append(own.weights()[0][..., places])
                weight = module.to_out[0].weight.detach().double()
                values = of_text.value[0].double()[:, places].transpose(0, 1).flatten(1)
                outputs = call.outputs()[0][:, pixels_of(frame)]
                by_head = weight.unflatten(1, (len(outputs), -1)).transpose(0, 1)
                projected = outputs @ by_head.transpose(1, 2)
                similar.append(len(outputs) * projected @ (values @ weight.T).T)
        shape = in_order(maps).shape
        np.testing.assert_allclose(in_order(maps), torch.stack(shares).reshape(shape), atol=1e-6)
        (outputs,) = recording.output_maps(of=FOIL, frame=frame)
        close(in_order(outputs), torch.stack(similar).reshape(shape))


@pytest.mark.parametrize("case", [COG, WAN], ids=lambda case: case.name)
def test_the_prompt_itself_has_its_ordinary_maps(case):
    with trace(pipeline(case.name), also=[OWL, CAT]) as recording:
        draw(case, [CAT, OWL])
    for row, (text, ordinary) in enumerate(zip([CAT, OWL], recording.video_maps(), strict=True)):
        np.testing.assert_allclose(
            recording.video_maps(of=text)[row].data, ordinary.data, atol=1e-6
        )


def test_words_attend_to_the_pixels_of_each_frame():
    pipe = pipeline("CogVideoX")
    watch = CallsWithin(pipe.transformer, COG.modules)
    untraced = watch.during(lambda: draw(COG, [CAT, OWL]))
    with trace(pipe, relations="text-image", keep=KEPT) as recording:
        assert torch.equal(draw(COG, [CAT, OWL]), untraced)
    (call,), (related,) = recording._recorder.finished, recording._recorder.related
    assert recording.predicted_bytes == call.n_bytes + related.n_bytes
    for row, video in enumerate(recording.video_maps(relation="text-image")):
        keys = keys_of(COG, video.frames[0])
        shares = torch.stack(
            [
                seen.weights()[rows][row][:, keys, 24:]
                for calls, rows in conditional_calls(COG, watch, 2)
                for seen in calls
            ]
        )
        for frame, maps in enumerate(video.frames):
            expected = shares[..., pixels_of(frame)].transpose(-1, -2)
            found = in_order(maps)
            np.testing.assert_allclose(found, expected.reshape(found.shape), atol=1e-6)
    with pytest.raises(TraceError, match="relation='text-image' alone"):
        recording.video_maps(relation="text-image", negative=True)


def test_learned_positions_of_text():
    pipe = make_video_pipeline("CogVideoX")
    sizes = {"sample_height": SIZE[0] // 8, "sample_width": SIZE[1] // 8}
    learned = {"use_learned_positional_embeddings": True}
    pipe.transformer = type(pipe.transformer).from_config(
        pipe.transformer.config, **sizes, **learned
    )
    torch.nn.init.normal_(pipe.transformer.patch_embed.pos_embedding)
    with trace(pipe, also=[CAT]) as recording:
        draw(COG, [CAT], pipe=pipe)
    (own,), (ordinary,) = recording.video_maps(of=CAT), recording.video_maps()
    np.testing.assert_allclose(own.data, ordinary.data, atol=1e-6)


def test_frames_that_do_not_exist_and_maps_that_need_a_frame():
    with trace(pipeline("CogVideoX"), outputs=True) as recording:
        draw(COG, [CAT])
    with pytest.raises(TraceError, match=r"3 latent ones.*output_maps\(frame=0\)"):
        recording.output_maps()
    assert len(recording.output_maps(frame=2)) == 1
    with pytest.raises(TraceError, match="from 0 to 2, but got 3"):
        recording.output_maps(frame=3)
    with pytest.raises(TraceError, match="traced besides the prompts"):
        recording.video_maps(of=FOIL)
