"""Every family of models: traces of whole tiny pipelines, against a softmax by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import daam_syntax as ds
from daam_syntax.analysis import attention_shares
from daam_syntax.attention import FAMILIES, family_of, trace
from daam_syntax.attention.texts.token_spans import (
    find_prompts,
    read_prompt,
    record_readings,
)
from daam_syntax.errors import TraceError
from helpers.attention_reference import CallsWithin
from helpers.family_cases import CASES
from helpers.family_runs import (
    denoiser,
    draw,
    keys_of,
    pipeline,
    reference,
    traced,
    unconditional,
)
from helpers.tracing import CAT, OWL, SQUARE
from helpers.video_pipelines import VIDEOS
from tools import models_page

each_family = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@each_family
@pytest.mark.parametrize("size", [0, 1], ids=["square", "oblong"])
@pytest.mark.parametrize("batch", [([CAT], 1), ([OWL, CAT], 2)], ids=["1x1", "2x2"])
@pytest.mark.parametrize("guided", [True, False], ids=["guided", "unguided"])
def test_images_are_the_same_to_the_bit_and_maps_are_right(case, guided, batch, size):
    prompts, per_prompt = batch
    size = case.sizes[size]
    options = {"size": size, "guided": guided, "per_prompt": per_prompt}
    if guided and len(prompts) * per_prompt > case.images:
        assert "only one image at a time" in case.limits
        with pytest.raises(
            RuntimeError, match="size"
        ):  # raised by the pipeline itself, without tracing
            draw(case, prompts, **options)
        return
    watch = CallsWithin(denoiser(case), case.modules)
    untraced = watch.during(lambda: draw(case, prompts, **options))
    images, maps = traced(case, prompts, **options)
    assert torch.equal(images, untraced)
    assert untraced.isfinite().all()
    n, grid = len(images), (size[0] // case.cell, size[1] // case.cell)
    assert len(maps) == n == len(prompts) * per_prompt
    expected = reference(case, watch, n, grid, guided).numpy()
    for row, each in enumerate(maps):
        assert each.prompt == prompts[row // per_prompt]
        assert (each.image_size, each.grid) == (size, grid)
        assert each.provenance["guided"] is (guided and case.calls != "all")
        assert [word.status for word in each.words] == ["mapped"] * len(each)
        by_hand = expected[row][:, keys_of(case, each)].T.reshape(-1, *grid)
        np.testing.assert_allclose(each.data, by_hand, atol=1e-6)


@each_family
def test_padding_is_recorded_if_requested(case):
    prompts = [CAT, OWL][: case.images]
    watch = CallsWithin(denoiser(case), case.modules)
    untraced = watch.during(lambda: draw(case, prompts))
    images, maps = traced(case, prompts, padding=True)
    assert torch.equal(images, untraced)
    grid = maps[0].grid
    expected = reference(case, watch, len(images), grid, guided=True).numpy()
    shares = attention_shares(maps).set_index(["image", "kind"])
    for row, each in enumerate(maps):
        keys = keys_of(case, each)
        assert len(keys) == len(set(keys))
        by_hand = expected[row][:, keys].T.reshape(-1, *grid)
        np.testing.assert_allclose(each.data, by_hand, atol=1e-6)
        padding = [i for i, s in enumerate(each.subwords) if s.kind == "padding"]
        share = shares.loc[(row, "padding")]
        assert share["n_tokens"] == len(padding)
        if padding:
            total = each.special("padding", total=True)
            np.testing.assert_allclose(total.values, by_hand[padding].sum(axis=0), atol=1e-6)
            assert share["attention"] == pytest.approx(by_hand[padding].sum(axis=0).mean())
        else:
            assert share["reason"] == "the prompt leaves no padding that reaches the denoiser"
        if case.keys.startswith("cross-attention"):
            assert shares.loc[row, "attention"].sum() == pytest.approx(1, abs=1e-5)
            assert len(keys) == expected.shape[-1]


@each_family
def test_the_negative_prompt_has_maps_of_its_own(case):
    prompts = [OWL, CAT][: case.images]
    if case.calls == "all" or case.name == "Flux 2 klein":
        with pytest.raises(TraceError, match=r"negative prompts? (with|in) words"):
            traced(case, prompts, negative=True)
        return

    def options():  # a new list each time: Z-Image changes it
        return {"negative_prompt": ["the blue strawberry"] * len(prompts)}

    watch = CallsWithin(denoiser(case), case.modules)
    untraced = watch.during(lambda: draw(case, prompts, **options()))
    images, maps = traced(case, prompts, negative=True, **options())
    assert torch.equal(images, untraced)
    grid = maps[0].grid
    expected = reference(case, watch, len(images), grid, True, unconditional).numpy()
    for row, each in enumerate(maps):
        assert each.prompt == "the blue strawberry"
        assert each.provenance["drawn_from"] == prompts[row]
        assert each.provenance["half"].startswith("unconditional")
        assert [word.status for word in each.words] == ["mapped"] * 3
        by_hand = expected[row][:, keys_of(case, each)].T.reshape(-1, *grid)
        np.testing.assert_allclose(each.data, by_hand, atol=1e-6)


@each_family
def test_refined_maps(case):
    """Word maps propagated along the attention between pixels, whose rows are divided by their sums."""
    prompts = [OWL, CAT][: case.images]
    if case.name == "Sana":
        with pytest.raises(TraceError, match="linear attention"):
            trace(pipeline(case.name), refine=True)
        return
    watch = CallsWithin(denoiser(case), case.modules)
    untraced = watch.during(lambda: draw(case, prompts))
    own = self_attention_of(case, prompts, watch)
    with trace(pipeline(case.name), refine=True) as recording:
        assert torch.equal(draw(case, prompts), untraced)
    plain, refined = recording.heat_maps(), recording.heat_maps(refined=True)
    n, grid = len(plain), plain[0].grid
    text = reference(case, watch, n, grid, True).numpy()
    shares = reference(case, own, n, grid, True, among_pixels=True).numpy()
    for row, (maps, known) in enumerate(zip(refined, plain, strict=True)):
        flat = text[row][:, keys_of(case, known)]  # (pixel, token)
        np.testing.assert_allclose(known.data, flat.T.reshape(-1, *grid), atol=1e-6)
        propagated = (shares[row] / shares[row].sum(axis=1, keepdims=True)) @ flat
        propagated -= propagated.min(axis=0)
        np.testing.assert_allclose(maps.data, propagated.T.reshape(-1, *grid), atol=1e-6)
        assert maps.provenance["refined"]["grid"] == list(grid)


def self_attention_of(case, prompts, watch):
    """Watch the attention between pixels, which is a layer of its own in models with cross-attention."""
    if not case.modules.endswith("attn2"):
        return watch
    own = CallsWithin(denoiser(case), case.modules.replace("attn2", "attn1"))
    own.during(lambda: draw(case, prompts))
    return own


@each_family
def test_attention_between_cells_of_the_image(case):
    """That of joint attention is compared in test_relations.py, too, where text is among the keys."""
    if case.name == "Sana":
        with pytest.raises(TraceError, match="linear attention"):
            trace(pipeline(case.name), relations="image-image")
        return
    prompts = [OWL, CAT][: case.images]
    watch = CallsWithin(denoiser(case), case.modules)
    untraced = watch.during(lambda: draw(case, prompts))
    own = self_attention_of(case, prompts, watch)
    with trace(pipeline(case.name), relations="image-image") as recording:
        assert torch.equal(draw(case, prompts), untraced)
    cells, grid = recording.image_attention(), recording.heat_maps()[0].grid
    shares = reference(case, own, len(cells), grid, True, among_pixels=True).numpy()
    for row, each in enumerate(cells):
        np.testing.assert_allclose(each.mean, shares[row].reshape(*grid, *grid), rtol=0, atol=1e-6)


@each_family
def test_each_image_has_the_text_of_its_prompt(case):
    """The denoiser receives the same text for an image in a batch as for the image alone."""

    def text_of(prompts, per_prompt):
        watch = CallsWithin(denoiser(case), case.modules)
        watch.during(lambda: draw(case, prompts, per_prompt=per_prompt, guided=False))
        return watch.inputs[0][case.text]

    together = text_of([OWL, CAT], 2)
    both = traced(case, [OWL, CAT], per_prompt=2, guided=False)[1]
    for row, prompt in enumerate([OWL, OWL, CAT, CAT]):
        (alone,) = text_of([prompt], 1)
        (maps,) = traced(case, [prompt], guided=False)[1]
        own, single = ([s.position for s in each.subwords] for each in (both[row], maps))
        torch.testing.assert_close(together[row][own], alone[single], atol=1e-4, rtol=1e-4)
    n = max(single) + 1
    assert not torch.allclose(together[1][:n], together[2][:n], atol=1e-3)


def test_two_encoders():
    """Stable Diffusion 3 attends to the tokens of CLIP and of T5."""
    case = next(each for each in CASES if each.name == "SD3")
    long = "the red cat and the blue owl and the red strawberry"  # too long for CLIP
    (maps,) = traced(case, [long])[1]
    assert maps.encoders == ("clip", "t5")
    clip, t5 = (maps.encoder(name) for name in maps.encoders)
    assert clip.truncated_at == long.index("strawberry")
    assert t5.truncated_at is maps.truncated_at is None
    assert [word.status for word in clip.words] == ["mapped"] * 10 + ["truncated"]
    assert len(maps.mapped) == len(t5.mapped) == 11
    np.testing.assert_array_equal(maps[10].values, t5[10].values)
    np.testing.assert_allclose(maps[2].values, (clip[2].values + t5[2].values) / 2, atol=1e-7)
    assert len(clip.subwords) + len(t5.subwords) == len(maps.subwords)


def test_a_second_encoder_with_another_prompt_is_left_out():
    case = next(each for each in CASES if each.name == "SD3")
    (maps,) = traced(case, [CAT], prompt_3=OWL)[1]
    assert maps.encoders == ()
    assert next(subword.text for subword in maps.subwords if subword.kind == "text") == "a</w>"
    assert OWL in maps.provenance["left_out"]["t5"]


def test_words_are_those_of_the_prompt_that_the_denoiser_attends_to():
    case = next(each for each in CASES if each.name == "Flux")
    (maps,) = traced(case, [CAT], prompt_2=OWL)[1]
    assert maps.prompt == OWL


def test_equal_prompt_and_negative_prompt():
    """Both calls of a step are then identical, so either can be recorded."""
    case = next(each for each in CASES if each.name == "Flux")
    (same,) = traced(case, [CAT], true_cfg_scale=4.0, negative_prompt=CAT)[1]
    (single,) = traced(case, [CAT], guided=False)[1]
    np.testing.assert_allclose(same.data, single.data, atol=1e-7)


def test_a_failed_call_does_not_spoil_the_next():
    case = next(each for each in CASES if each.name == "Qwen-Image")
    with trace(pipeline(case.name)) as recording:
        with pytest.raises(ValueError, match="generators"):
            draw(case, [CAT], generator=[torch.Generator()] * 3)
        draw(case, [OWL])
    assert [maps.prompt for maps in recording.heat_maps()] == [OWL]


def test_images_that_would_be_cropped_are_refused():
    case = next(each for each in CASES if each.name == "PixArt-sigma")
    with pytest.raises(TraceError, match=r"64x96 .*use_resolution_binning=False"):
        traced(case, [CAT], use_resolution_binning=True)
    (maps,) = traced(case, [CAT], use_resolution_binning=True, size=SQUARE)[1]
    assert maps.image_size == SQUARE
    assert maps.grid[0] == maps.grid[1] > 4


def test_captions_that_are_lower_cased_and_stripped():
    case = next(each for each in CASES if each.name == "PixArt-sigma")
    (maps,) = traced(case, ["  The red CAT "])[1]
    spans = [maps.prompt[s.start : s.end] for s in maps.subwords if s.kind == "text"]
    assert spans == ["The", "red", "CAT"]


@pytest.mark.parametrize("name", ["Flux", "Flux 2 klein", "SD3"])
def test_analyze_draws_with_flow_matching_pipelines(name, tmp_path):
    out = tmp_path / "run"
    pipe = pipeline(name)
    analysis = ds.analyze([OWL, CAT], pipe, seeds=2, steps=1, height=64, width=96, out=out)
    assert [image.size for image in analysis.images] == [(96, 64)] * 4
    assert (analysis.words["status"] == "mapped").all()
    assert analysis.pairs["iou"].between(0, 1).all()
    for maps in analysis.maps:
        assert maps.grid == (4, 6)
    # The folder returns the same maps.
    again = ds.analyze([OWL, CAT], pipe, seeds=2, steps=1, height=64, width=96, out=out)
    for one, other in zip(analysis.maps, again.maps, strict=True):
        assert one.subwords == other.subwords
        assert one.truncated_by == other.truncated_by
        np.testing.assert_array_equal(one.data, other.data)


def test_a_saved_pipeline_of_another_family_can_be_loaded_and_analyzed(tmp_path):
    folder = tmp_path / "model"
    pipeline("Flux").save_pretrained(folder)
    analysis = ds.analyze(CAT, folder, steps=1, height=64, width=96)
    (maps,) = analysis.maps
    assert maps.provenance["family"] == "Flux"
    assert [word.status for word in maps.words] == ["mapped"] * 3


@each_family
def test_steps_layers_and_heads_can_be_kept(case):
    _, plain = traced(case, [OWL], steps=2)
    with trace(pipeline(case.name), keep=("step", "layer", "head")) as recording:
        draw(case, [OWL], steps=2)
    maps = recording.heat_maps()
    for each, without in zip(maps, plain, strict=True):
        assert each.data.sizes["step"] == 2
        np.testing.assert_allclose(each.stack(), without.stack(), atol=1e-6)
        # All layers have the same grid, so nothing is resized.
        np.testing.assert_allclose(each.data.mean(each.axes), without.data, atol=1e-6)
    (call,) = recording._recorder.finished
    assert call.sums.n_bytes == recording.predicted_bytes


def test_the_page_of_supported_models_is_up_to_date():
    assert models_page.PAGE.read_text(encoding="utf-8") == models_page.page(), (
        "run python -m tools.models_page"
    )


def test_every_family_is_tested():
    tested = {family_of(pipeline(case.name)).name for case in CASES}
    tested |= {video.name for video in VIDEOS}  # tests/attention/test_video_maps.py
    assert tested | {"UNet", "Kandinsky 3"} == {family.name for family in FAMILIES}


def positions_read(pipe, encode):
    """Return the position in the encoder's sequence that each text key comes from.

    While prompts are encoded, every hidden state of the text encoder is overwritten by its position.
    """

    def overwrite(module, args, output):
        n = args[0].shape[1] if args else output[0].shape[1]
        places = torch.arange(n, dtype=torch.float32)[None, :, None]

        def marked(states):
            return places.expand(states.shape).to(states) if is_state(states) else states

        def is_state(states):
            return torch.is_tensor(states) and states.ndim == 3 and states.shape[1] == n

        for name, value in list(output.items()):
            output[name] = tuple(map(marked, value)) if isinstance(value, tuple) else marked(value)
        return output

    handle = pipe.text_encoder.register_forward_hook(overwrite)
    try:
        embedded = encode()[0][0]
    finally:
        handle.remove()
    return embedded[:, 0].long().tolist()


@pytest.mark.parametrize(
    "name", ["Sana", "Qwen-Image", "Z-Image", "Flux 2", "Flux 2 klein", "Lumina 2"]
)
def test_text_keys_come_from_where_the_description_says(name):
    """Probes the pipeline's own code, for templates and removed prefixes."""
    case = next(each for each in CASES if each.name == name)
    pipe = pipeline(name)
    length = case.arguments["max_sequence_length"]
    options = {"complex_human_instruction": ["Draw the cat: "]} if name == "Sana" else {}
    (encoder,) = family_of(pipe).encoders
    with record_readings([encoder.tokenizer_of(pipe)]) as (readings,):
        sources = positions_read(
            pipe,
            lambda: pipe.encode_prompt(prompt=[OWL], max_sequence_length=length, **options),
        )
    (reading,) = find_prompts(encoder.tokenizer_of(pipe), [OWL], readings, has_template=True)
    kept = encoder.kept(reading.mask, pipe, {"max_sequence_length": length})
    assert list(kept) == sources
    assert encoder.has_template
    read = read_prompt(encoder.tokenizer_of(pipe), reading, OWL, kept, has_template=True)
    spans = [OWL[s.start : s.end] for s in read.subwords if s.kind == "text"]
    assert "".join(spans) == OWL if name != "Lumina 2" else OWL.endswith("".join(spans[1:]))
