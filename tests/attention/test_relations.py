"""Relations of attention besides that from image to text: exact, and the images are the same to the bit."""

import numpy as np
import pytest
import torch
from PIL import Image

from daam_syntax.attention import predict_memory, trace, trace_text
from daam_syntax.errors import MemoryLimitError, TraceError
from daam_syntax.maps.word_attention.image_attention import ImageAttention
from helpers.attention_reference import CallsWithin
from helpers.editing_pipelines import make_editing, small_images
from helpers.family_cases import CASES
from helpers.family_runs import conditional, denoiser, draw, keys_of, pipeline
from helpers.tracing import CAT, OWL
from helpers.tracing import draw as draw_sd
from helpers.video_pipelines import make_video_pipeline

CASE = {case.name: case for case in CASES}
JOINT = [case.name for case in CASES if case.keys.startswith("joint")]
FROM_TEXT = ("text-text", "text-image", "image-image")
PROMPTS = [OWL, CAT]


def whole_rows(case, watch, n_images, row):
    """Return the mean over heads of one image in each call, in 64 bits, *shape* ``(call, query, key)``."""
    found = []
    for index, calls in enumerate(watch.steps):
        rows = conditional(case, index, calls[0].query.shape[0], n_images)
        if rows is not None:
            found += [call.shares()[rows][row].numpy() for call in calls]
    return np.stack(found)


def expected_of(case, watch, maps, row, n_images):
    """Return the attention between words by hand, its entries, and the slices of text and pixels."""
    whole = whole_rows(case, watch, n_images, row)
    n_queries, n_pixels = whole.shape[-1], maps.grid[0] * maps.grid[1]
    first_pixel, first_text = case.where(n_queries, n_pixels)
    own = list(zip(keys_of(case, maps), maps.subwords, strict=True))
    if case.name == "Lumina 2":
        mask = watch.inputs[0]["encoder_attention_mask"][row]
        first_pixel = int(mask.sum())
        own = [(key, each) for key, each in own if key < first_pixel]
    if case.name == "Z-Image":
        own = [(key, each) for key, each in own if key < watch.inputs[0]["cap_feats"][row].shape[0]]
    words = [
        [
            [
                first_text + key
                for key, each in own
                if each.encoder == encoder and touches(each, token)
            ]
            for encoder in dict.fromkeys(each.encoder for _, each in own)
        ]
        for token in maps.sentence.tokens
    ]
    entries = [[keys for keys in by_encoder if keys] for by_encoder in words]
    if stray := [
        first_text + key
        for key, each in own
        if each.kind == "text" and not any(touches(each, token) for token in maps.sentence.tokens)
    ]:
        entries.append([stray])
    for kind in ("start", "end", "template", "padding"):
        if of_kind := [first_text + key for key, each in own if each.kind == kind]:
            entries.append([of_kind])
    pixels = list(range(first_pixel, first_pixel + n_pixels))
    used = {key for by_encoder in entries for keys in by_encoder for key in keys} | set(pixels)
    entries.append([pixels])
    if rest := sorted(set(range(n_queries)) - used):
        entries.append([rest])
    matrix = np.full((len(whole), len(entries), len(entries)), np.nan)
    for i, queries in enumerate(entries[: -1 - bool(rest)]):
        rows = np.mean([whole[:, keys].mean(axis=1) for keys in queries], axis=0)
        for j, keys in enumerate(entries):
            matrix[:, i, j] = rows[:, [key for own in keys for key in own]].sum(axis=1)
    return whole, matrix, entries, pixels


def touches(subword, token):
    return subword.kind == "text" and subword.start < token.end and subword.end > token.start


@pytest.mark.parametrize("name", JOINT)
def test_joint_attention_is_compared_with_a_softmax_by_hand(name):
    case, pipe = CASE[name], pipeline(name)
    watch = CallsWithin(denoiser(case), case.modules)
    untraced = watch.during(lambda: draw(case, PROMPTS))
    with trace(pipe, relations=FROM_TEXT, padding=True) as recording:
        images = draw(case, PROMPTS)
    assert torch.equal(images, untraced)
    from_pixels, from_text = recording.heat_maps(), recording.heat_maps(relation="text-image")
    found, cells = recording.word_attention(), recording.image_attention()
    for row, maps in enumerate(from_pixels):
        whole, matrix, entries, pixels = expected_of(case, watch, maps, row, len(images))
        attention = found[row]
        assert attention.relation == "text-text"
        np.testing.assert_allclose(attention.mean, matrix.mean(axis=0), rtol=0, atol=1e-6)
        np.testing.assert_allclose(attention.array.sum("key").values[: len(maps)], 1, atol=1e-6)
        for index in maps.mapped:
            queries = entries[index]
            rows = np.mean([whole[:, keys].mean(axis=1) for keys in queries], axis=0)
            by_hand = rows[:, pixels].mean(axis=0).reshape(maps.grid)
            np.testing.assert_allclose(from_text[row][index].values, by_hand, rtol=0, atol=1e-6)
        among = whole.mean(axis=0)[np.ix_(pixels, pixels)].reshape(*maps.grid, *maps.grid)
        np.testing.assert_allclose(cells[row].mean, among, rtol=0, atol=1e-6)
        assert from_text[row].provenance["relation"] == "text-image"


@pytest.mark.parametrize("name", ["Lumina 2", "Z-Image"])
def test_blocks_that_read_text_alone_are_compared_with_a_softmax_by_hand(name):
    case, pipe = CASE[name], pipeline(name)
    watch = CallsWithin(denoiser(case), r"context_refiner\.\d+\.(attn|attention)")
    untraced = watch.during(lambda: draw(case, PROMPTS))
    with trace(pipe, relations=["refiner", "text-text"], padding=True) as recording:
        images = draw(case, PROMPTS)
    assert torch.equal(images, untraced)
    found = recording.word_attention("refiner")
    joint = recording.word_attention("text-text")
    for row, (maps, attention) in enumerate(zip(recording.heat_maps(), found, strict=True)):
        assert attention.relation == "refiner"
        assert "image" not in attention.labels
        assert attention.sentence == joint[row].sentence
        own = list(zip(keys_of(case, maps), maps.subwords, strict=True))
        whole = whole_rows(case, watch, len(images), row).mean(axis=0)
        words = [[key for key, each in own if touches(each, t)] for t in maps.sentence.tokens]
        for query in maps.mapped:
            rows = whole[words[query]].mean(axis=0)
            np.testing.assert_allclose(attention.mean[query].sum(), 1, atol=1e-6)
            for key in maps.mapped:
                expected = rows[words[key]].sum()
                np.testing.assert_allclose(attention.mean[query, key], expected, rtol=0, atol=1e-6)
    assert not np.allclose(found[0].among_words(), joint[0].among_words(), atol=1e-3)


def test_text_alone_by_layer_in_bounded_memory_and_refused_where_there_is_none(sd):
    case, pipe = CASE["Z-Image"], pipeline("Z-Image")
    with trace(pipe, relations="refiner", keep="layer", layers="layers.0") as recording:
        draw(case, [CAT])
    (attention,) = recording.word_attention("refiner")
    assert all(str(path).startswith("context_refiner.") for path in attention.data["layer"].values)
    assert recording.predicted_bytes >= attention.nbytes
    for other, named in ((sd, "UNet"), (pipeline("Flux"), "Flux")):
        with pytest.raises(TraceError, match=rf"the {named} family has none: record relations="):
            trace(other, relations="refiner")
    with trace(sd, relations="encoder") as remedy:
        draw_sd(sd, CAT)
    assert remedy.word_attention("encoder")
    with pytest.raises(TraceError, match=r"trace with relations=\['refiner'\]"):
        remedy.word_attention("refiner")


def test_kept_axes_average_to_the_same():
    case, pipe = CASE["Flux"], pipeline("Flux")
    keep = ("step", "layer", "head")
    with trace(pipe, relations=FROM_TEXT) as recording:
        draw(case, [CAT], steps=2)
    with trace(pipe, relations=FROM_TEXT, keep=keep) as kept:
        draw(case, [CAT], steps=2)
    (plain,), (split,) = recording.word_attention(), kept.word_attention()
    assert split.axes == keep
    assert dict(split.data.sizes)["step"] == 2
    np.testing.assert_allclose(split.mean, plain.mean, atol=1e-6)
    first = split.select(steps=0, heads=1, layers="single")
    assert first.data.shape[:3] == (1, 1, 1)
    (cells,), (split_cells,) = recording.image_attention(), kept.image_attention()
    np.testing.assert_allclose(split_cells.mean, cells.mean, atol=1e-6)
    assert split_cells.axes == keep
    (maps,), (split_maps,) = (t.heat_maps(relation="text-image") for t in (recording, kept))
    np.testing.assert_allclose(split_maps.mean, maps.mean, atol=1e-6)


def test_self_attention_of_a_unet_beside_its_text_attention(sd):
    watch = CallsWithin(sd.unet, r"down_blocks\.1\..*\.attn1")
    untraced = watch.during(lambda: draw_sd(sd, OWL))
    with trace(sd, relations="image-image", layers="down_blocks.1") as recording:
        images = draw_sd(sd, OWL)
    assert torch.equal(images, untraced)
    (cells,) = recording.image_attention()
    whole = np.mean([c.shares()[1].numpy() for calls in watch.steps for c in calls], axis=0)
    np.testing.assert_allclose(cells.mean.reshape(35, 35), whole, rtol=0, atol=1e-6)
    (maps,) = recording.heat_maps()
    regions = cells.among_words(maps)
    weights = maps["owl"].values.ravel().astype(float)
    other = maps["strawberry"].values.ravel().astype(float)
    by_hand = (weights / weights.sum()) @ whole @ (other / other.max())
    owl, berry = maps.sentence.index("owl"), maps.sentence.index("strawberry")
    assert regions[owl, berry] == pytest.approx(by_hand, abs=1e-6)


def test_pixels_are_joined_to_cells(monkeypatch, sd):
    with trace(sd, relations="image-image") as recording:
        draw_sd(sd, CAT)
    (fine,) = recording.image_attention()
    assert fine.pixel_grid == (9, 13)
    monkeypatch.setattr("daam_syntax.attention.pipeline_call.memory.MAX_CELLS", 5)
    monkeypatch.setattr("daam_syntax.attention.recording.image_cells.MAX_CELLS", 5)
    with trace(sd, relations="image-image", keep="head") as recording:
        draw_sd(sd, CAT)
    (coarse,) = recording.image_attention()
    assert coarse.grid == (3, 5)
    expected = np.zeros((3, 5, 3, 5))
    for y in range(3):
        for x in range(5):
            rows = fine.mean[3 * y : 3 * y + 3, 3 * x : 3 * x + 3].mean(axis=(0, 1))
            for v in range(3):
                for u in range(5):
                    expected[y, x, v, u] = rows[3 * v : 3 * v + 3, 3 * u : 3 * u + 3].sum()
    np.testing.assert_allclose(coarse.mean, expected, atol=1e-6)
    monkeypatch.setattr("daam_syntax.attention.recording.image_cells.MAX_PIXELS", 100)
    with (
        pytest.raises(TraceError, match=r"at most 100 pixels.*layers='4x6'"),
        trace(sd, relations="image-image"),
    ):
        draw_sd(sd, CAT)


def test_text_encoders_while_an_image_is_drawn(sd):
    untraced = draw_sd(sd, [OWL, CAT])
    with trace(sd, relations="encoder", keep="layer") as recording:
        images = draw_sd(sd, [OWL, CAT])
        draw_sd(sd, CAT)
    assert torch.equal(images, untraced)
    found = recording.word_attention("encoder")
    expected = trace_text(sd, [OWL, CAT, CAT], keep="layer")
    assert [each.prompt for each in found] == [OWL, CAT, CAT]
    for ours, each in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.mean, each.mean, atol=1e-6)
        assert ours.axes == ("layer",)
    assert not any(m._forward_hooks for m in sd.text_encoder.modules())
    embeds = sd.encode_prompt(CAT, "cpu", 1, False)[0]
    with trace(sd, relations="encoder"), pytest.raises(TraceError, match="trace_text"):
        sd(prompt_embeds=embeds, num_inference_steps=1, guidance_scale=1.0)


def test_a_text_encoder_that_reads_images_is_traced_while_it_draws():
    pipe = make_editing("Qwen-Image-Edit")
    with pytest.raises(TraceError, match=r"reads images.*trace\(pipe, relations='encoder'\)"):
        trace_text(pipe, CAT)
    with small_images(), trace(pipe, relations=["encoder", "text-text"]) as recording:
        pipe(
            image=Image.new("RGB", (128, 64)),
            prompt=CAT,
            num_inference_steps=1,
            output_type="pt",
            height=64,
            width=128,
        )
    (in_encoder,), (in_denoiser,) = recording.word_attention("encoder"), recording.word_attention()
    assert in_encoder.mapped == in_denoiser.mapped == (0, 1, 2)
    assert in_denoiser.labels[-2:] == ("image", "other")  # the reference image is another one
    np.testing.assert_allclose(in_denoiser.array.sum("key").values[:3], 1, atol=1e-6)


def test_two_calls_that_encode_one_prompt_are_one_recording():
    case, pipe = CASE["HunyuanDiT"], pipeline("HunyuanDiT")
    with trace(pipe, relations="encoder") as recording:
        draw(case, [CAT])
    assert [e.encoder for e in recording.word_attention("encoder")] == [
        "text_encoder",
        "text_encoder_2",
    ]


def test_the_memory_is_predicted():
    case, pipe = CASE["SD3"], pipeline("SD3")
    arguments = {"height": 64, "width": 96, "num_inference_steps": 2, **case.arguments}
    keep = ("step", "layer", "head")
    plain = predict_memory(pipe, CAT, keep=keep, **arguments)
    predicted = predict_memory(pipe, CAT, keep=keep, relations=FROM_TEXT, **arguments)
    with trace(pipe, keep=keep, relations=FROM_TEXT) as recording:
        pipe(CAT, output_type="pt", **arguments)
    assert recording.predicted_bytes == predicted
    attention, cells = recording.word_attention()[0], recording.image_attention()[0]
    maps = recording.heat_maps(relation="text-image")[0]
    recorded = 2 * (attention.nbytes + cells.data.nbytes) + maps.nbytes  # sums have 64 bits
    assert recorded <= predicted - plain <= 2 * recorded
    limit = 9000
    with (
        pytest.raises(
            MemoryLimitError, match=r"record fewer relations \(.* with the default alone\)"
        ),
        trace(pipe, relations=FROM_TEXT, max_bytes=limit),
    ):
        pipe(CAT, output_type="pt", **arguments)
    with trace(pipe, max_bytes=limit):  # the remedy
        pipe(CAT, output_type="pt", **arguments)


def test_what_a_model_does_not_have_is_refused(sd):
    with pytest.raises(
        TraceError, match=r"attends from pixels alone: record relations=\('encoder'"
    ):
        trace(sd, relations=["text-text", "text-image"])
    with pytest.raises(TraceError, match="linear attention"):
        trace(pipeline("Sana"), relations="image-image")
    with pytest.raises(TraceError, match="generates the frames"):
        trace(make_video_pipeline("CogVideoX"), relations="image-image")
    with pytest.raises(ValueError, match="among"):
        trace(sd, relations="word-word")
    with trace(sd) as recording:
        draw_sd(sd, CAT)
    with pytest.raises(TraceError, match=r"relations=\['text-text'\]"):
        recording.word_attention()
    with pytest.raises(TraceError, match=r"relations=\['text-image'\]"):
        recording.heat_maps(relation="text-image")
    with pytest.raises(ValueError, match="'text-text', 'refiner', or 'encoder'"):
        recording.word_attention("image-image")
    with trace(sd, relations="image-image") as recording:
        draw_sd(sd, CAT)
    with pytest.raises(TraceError, match="relation='text-image' alone"):
        recording.heat_maps(relation="text-image", negative=False, of=None, reference=0)


def test_the_text_of_a_video_attends_to_itself():
    pipe = make_video_pipeline("CogVideoX")
    with trace(pipe, relations="text-text") as recording:
        pipe(
            CAT,
            height=64,
            width=64,
            num_frames=9,
            num_inference_steps=1,
            max_sequence_length=24,
            output_type="latent",
        )
    (attention,) = recording.word_attention()
    assert "image" in attention.labels
    np.testing.assert_allclose(attention.array.sum("key").values[:3], 1, atol=1e-6)


def test_regions_are_checked():
    import xarray as xr

    dims = ("query_y", "query_x", "key_y", "key_x")
    cells = ImageAttention(xr.DataArray(np.full((2, 3, 2, 3), 1 / 6), dims=dims), (2, 3))
    mask = np.array([[1, 0, 0], [0, 0, 0]])
    np.testing.assert_allclose(cells.from_region(mask), 1 / 6)
    for wrong in (np.zeros((2, 3)), -mask, mask.ravel()):
        with pytest.raises(ValueError, match="Expected a region"):
            cells.from_region(wrong)
    with pytest.raises(ValueError, match="with dims"):
        ImageAttention(xr.DataArray(np.ones((2, 2)), dims=("query", "key")), (2, 3))
