"""Tracing whole pipelines: every number belongs to the right word, image and pixel."""

import json

import numpy as np
import pytest
import torch
from diffusers.models.attention_processor import IPAdapterAttnProcessor2_0

from daam_syntax.attention import trace
from daam_syntax.errors import PromptError, TraceError
from daam_syntax.language import conllu, from_doc, load_parser, parse, parse_many
from daam_syntax.maps import HeatMaps
from helpers.attention_reference import Reference
from helpers.tiny_pipelines import TEXT_LENGTH, make_sd
from helpers.tracing import (
    CAT,
    FULL,
    GRIDS,
    LONG,
    NATIVE,
    OBLONG,
    OWL,
    SQUARE,
    draw,
    latents,
    traced,
    values,
)


@pytest.mark.parametrize("size", [SQUARE, OBLONG], ids=["square", "oblong"])
@pytest.mark.parametrize("batch", [([CAT], 1), ([CAT, OWL], 2)], ids=["1x1", "2x2"])
@pytest.mark.parametrize("guidance", [5.0, 1.0], ids=["guided", "unguided"])
def test_images_are_the_same_to_the_bit_and_maps_are_right(pipe, guidance, batch, size):
    prompts, per_prompt = batch
    options = {"size": size, "guidance": guidance, "num_images_per_prompt": per_prompt}
    reference = Reference(pipe.unet, GRIDS)
    untraced = reference.watch(lambda: draw(pipe, prompts, **options))
    images, maps = traced(pipe, prompts, **options)
    assert torch.equal(images, untraced)
    assert len(maps) == len(images)
    n = len(images)
    expected = reference.maps(slice(n, 2 * n) if guidance > 1 else slice(0, n))
    for row, each in enumerate(maps):
        assert isinstance(each, HeatMaps)
        assert each.prompt == prompts[row // per_prompt]
        assert each.image_size == size
        kept = len(each.subwords)
        assert [subword.position for subword in each.subwords] == list(range(kept))
        assert each.subwords[-1].kind == "end"
        np.testing.assert_allclose(values(each), expected[row, :kept], atol=1e-6)


def test_each_image_of_a_batch_equals_its_single_run(pipe):
    start = latents(4)
    _, batch = traced(pipe, [CAT, OWL], num_images_per_prompt=2, latents=start)
    for row, maps in enumerate(batch):
        single = traced(pipe, [CAT, OWL][row // 2], latents=start[row : row + 1])[1][0]
        assert maps.prompt == single.prompt
        np.testing.assert_allclose(values(maps), values(single), atol=1e-5)
    assert np.abs(values(batch[0]) - values(batch[1])).max() > 1e-4


@pytest.mark.parametrize("peak", [(1, 10), (7, 2)])
def test_maps_change_where_the_latents_change(sd, peak):
    start = latents(1)
    changed = start.clone()
    y, x = peak
    changed[:, :, y, x] += 10
    plain, marked = (
        values(traced(sd, OWL, layers=["down_blocks.0"], steps=1, latents=each)[1][0])
        for each in (start, changed)
    )
    assert plain.shape[1:] == (9, 13)
    difference = np.abs(marked - plain).sum(axis=0)
    found = np.unravel_index(difference.argmax(), difference.shape)
    # Random convolutions before the attention may shift a signal by a cell or so.
    np.testing.assert_allclose(found, peak, atol=1)


@pytest.mark.parametrize("guidance", [5.0, 1.0])
@pytest.mark.parametrize("steps", [1, 4])
def test_probabilities_sum_to_one_whatever_the_steps_guidance_and_batch(pipe, steps, guidance):
    _, maps = traced(
        pipe,
        [FULL, FULL],
        layers=NATIVE,
        steps=steps,
        guidance=guidance,
        num_images_per_prompt=2,
    )
    for each in maps:
        assert len(each.subwords) == TEXT_LENGTH
        np.testing.assert_allclose(values(each).sum(axis=0), 1, atol=1e-4)


def test_repeated_and_divided_and_truncated_words(sd):
    (maps,) = traced(sd, OWL)[1]
    rows = values(maps)
    assert [word.subwords for word in maps.words] == [(1,), (2, 3), (4,), (5,), (6,)]
    np.testing.assert_allclose(maps[1].values, rows[2:4].mean(axis=0), atol=1e-7)
    assert np.abs(maps[0].values - maps[3].values).max() > 1e-4

    (long,) = traced(sd, LONG)[1]
    assert [word.status for word in long.words] == ["mapped"] * 10 + ["truncated"] * 4
    assert values(long).shape == (TEXT_LENGTH, 9, 13)


def test_memory_does_not_grow_with_the_steps(sd):
    stored = []
    for steps in (1, 5):
        with trace(sd) as recording:
            draw(sd, [CAT, OWL], steps=steps)
        (pipeline_call,) = recording._recorder.finished
        stored.append(pipeline_call.sums.n_bytes)
        # 7 layers: 3 of 9 x 13, 3 of 5 x 7, 1 of 3 x 4; images x tokens of the longer prompt
        assert stored[-1] == 4 * (3 * 117 + 3 * 35 + 12) * 2 * 8
    assert stored[0] == stored[1]


def test_calls_append_in_order_and_inputs_stay(sd):
    prompts = [CAT, OWL]
    with trace(sd) as recording:
        draw(sd, prompts, seed=1)
        assert [each.prompt for each in recording.heat_maps()] == [CAT, OWL]
        draw(sd, OWL, size=SQUARE, seed=2)
    assert prompts == [CAT, OWL]
    maps = recording.heat_maps()
    assert [each.prompt for each in maps] == [CAT, OWL, OWL]
    assert [each.grid for each in maps] == [(9, 13), (9, 13), (8, 8)]
    assert [each.provenance["call"] for each in maps] == [0, 0, 1]
    assert [each.provenance["seed"] for each in maps] == [None, None, 2]
    assert "3 images" in repr(recording)
    np.testing.assert_array_equal(
        values(maps[2]), values(traced(sd, OWL, size=SQUARE, seed=2)[1][0])
    )


def test_layers_can_be_chosen(sd):
    coarse = traced(sd, CAT, layers=[5])[1][0]
    assert (coarse.grid, coarse.provenance["layers"]) == ((5, 7), 3)
    middle = traced(sd, CAT, layers=lambda path, grid: "mid" in path)[1][0]
    assert (middle.grid, middle.provenance["layers"]) == ((3, 4), 1)
    with (
        pytest.raises(
            TraceError, match=r"matches none of: down_blocks\.0\S* 9x13; .*mid_block\S* 3x4"
        ),
        trace(sd, layers=["nowhere", 64]),
    ):
        draw(sd, CAT)


def test_bfloat16():
    pipe = make_sd().to(torch.bfloat16)
    images = draw(pipe, CAT)
    again, (maps,) = traced(pipe, CAT)
    assert torch.equal(again, images)
    assert maps.data.dtype == np.float32
    assert maps.provenance["dtype"] == "bfloat16"
    full = traced(pipe, FULL, layers=NATIVE)[1][0]
    np.testing.assert_allclose(values(full).sum(axis=0), 1, atol=1e-4)


def test_a_text_mask_is_respected(sd):
    """The attentions receive a mask on the text as numbers to add to the logits."""
    mask = torch.ones(1, TEXT_LENGTH)
    mask[:, 3:] = 0
    with trace(sd, layers=NATIVE) as recording:
        embeddings, _ = sd.encode_prompt(FULL, "cpu", 1, False)
        sd.unet(latents(1), 10, embeddings, encoder_attention_mask=mask)
        sd.maybe_free_model_hooks()
    (maps,) = recording.heat_maps()
    assert values(maps)[3:].max() == 0
    np.testing.assert_allclose(values(maps).sum(axis=0), 1, atol=1e-4)


def test_guidance_that_stops_midway(sd):
    def stop_guidance(pipe, step, timestep, tensors):
        pipe._guidance_scale = 0.0
        return {"prompt_embeds": tensors["prompt_embeds"].chunk(2)[-1]}

    options = {
        "steps": 3,
        "callback_on_step_end": stop_guidance,
        "callback_on_step_end_tensor_inputs": ["prompt_embeds"],
    }
    reference = draw(sd, CAT, **options)
    images, (maps,) = traced(sd, CAT, **options)
    assert torch.equal(images, reference)
    assert maps.provenance["guided"] is True
    assert maps.provenance["steps"] == 3


def test_guidance_embedding():
    """Models distilled with an embedded guidance scale (LCM) have no unconditional rows."""
    pipe = make_sd(time_cond_proj_dim=8)
    images, maps = traced(pipe, [CAT, OWL], guidance=8.0)
    assert torch.equal(images, draw(pipe, [CAT, OWL], guidance=8.0))
    assert [each.provenance["guided"] for each in maps] == [False, False]


def test_the_attention_of_an_ip_adapter_to_its_image_is_left_out():
    """Its processors make two attention calls: with the text as keys, then with the image."""
    pipe = make_sd()

    def look(*image):
        with trace(pipe, layers=["down_blocks.0"]) as recording:
            embeddings, _ = pipe.encode_prompt(CAT, "cpu", 1, False)
            pipe.unet(latents(1), 667, (embeddings, list(image)) if image else embeddings)
            pipe.maybe_free_model_hooks()
        return values(recording.heat_maps()[0])

    plain = look()
    pipe.unet.set_attn_processor(
        {
            path: IPAdapterAttnProcessor2_0(
                pipe.unet.get_submodule(path.removesuffix(".processor")).inner_dim, 16
            )
            if "attn2" in path
            else processor
            for path, processor in pipe.unet.attn_processors.items()
        }
    )
    np.testing.assert_allclose(look(torch.randn(1, 1, 4, 16)), plain, atol=1e-6)


def test_sentences_are_parsed_once_or_given(sd, monkeypatch, tmp_path):
    with trace(sd) as recording:
        draw(sd, [CAT, OWL, CAT], steps=1)
    parsed = []

    def counted(texts, parser=None):
        parsed.extend(texts)
        return parse_many(texts, parser)

    monkeypatch.setattr("daam_syntax.attention.texts.sentences.parse_many", counted)
    recording.heat_maps()
    assert parsed == [CAT, OWL]
    parsed.clear()
    sentence = parse(CAT)
    for given in (sentence, [sentence], {CAT: sentence}):
        maps = recording.heat_maps(sentences=given)
        assert maps[0].sentence is maps[2].sentence is sentence
    assert parsed == [OWL] * 3
    doc = load_parser()(CAT)
    path = tmp_path / "own.conllu"
    conllu.write([sentence], path)
    read = conllu.read(path)
    for given, expected in (
        *((doc, from_doc(doc)), ([doc], from_doc(doc)), (list(doc.sents), from_doc(doc))),
        *((path, *read), (str(path), *read), (path.read_text(encoding="utf-8"), *read)),
    ):
        assert recording.heat_maps(sentences=given)[2].sentence == expected
    with pytest.raises(TraceError, match=r"parsed, spaCy Docs, or CoNLL-U, but got 'a red cat'"):
        recording.heat_maps(sentences=["a red cat"])
    with pytest.raises(TraceError, match=r"Expected sentences of the prompts .*a blue cat"):
        recording.heat_maps(sentences=[parse("a blue cat")])


def test_an_empty_prompt_gives_an_image_but_no_words(sd):
    with trace(sd) as recording:
        draw(sd, "", steps=1)
    with pytest.raises(PromptError):
        recording.heat_maps()


class TestProvenance:
    def test_it_is_complete_and_json_compatible(self, sd):
        (_, maps) = traced(sd, [CAT, OWL], num_images_per_prompt=2, steps=3)[1][2:]
        known = maps.provenance
        expected = {
            "source": "drawing",
            "pipeline": "StableDiffusionPipeline",
            "family": "UNet",
            "model": None,
            "revision": None,
            "scheduler": "DDIMScheduler",
            "steps": 3,
            "guidance_scale": 5.0,
            "guided": True,
            "height": 72,
            "width": 104,
            "seed": None,
            "batch_seed": 7,
            "batch_row": 3,
            "batch_size": 4,
            "prompt_index": 1,
            "image_number": 1,
            "call": 0,
            "dtype": "float32",
            "layers": 7,
        }
        assert {name: known[name] for name in expected} == expected
        assert known["timesteps"] == [667.0, 334.0, 1.0]
        assert set(known["versions"]) == {"daam_syntax", "torch", "diffusers", "transformers"}
        assert known["parser"] == maps.sentence.parser
        json.dumps(dict(known))

    def test_seeds(self, sd):
        batch_seeds = []

        def seeds(**options):
            with trace(sd) as recording:
                sd([CAT, OWL], num_inference_steps=1, output_type="latent", **options)
            maps = recording.heat_maps()
            batch_seeds.append(maps[0].provenance.get("batch_seed"))
            return [each.provenance["seed"] for each in maps]

        each = [torch.Generator().manual_seed(seed) for seed in (11, 12)]
        assert seeds(generator=each) == [11, 12]
        used = torch.Generator().manual_seed(13)
        assert seeds(generator=used) == [None, None]  # the seed 13 alone reproduces neither image
        assert seeds(generator=used) == [None, None]
        assert seeds() == [None, None]
        fresh = torch.Generator().manual_seed(14)
        assert seeds(generator=fresh, latents=latents(2, SQUARE)) == [None, None]
        assert batch_seeds == [None, 13, None, None, None]

    def test_model_and_revision(self, sd, tmp_path):
        from diffusers import StableDiffusionPipeline

        folder = tmp_path / "snapshots" / ("0123456789" * 4)
        sd.save_pretrained(folder)
        loaded = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
        loaded.set_progress_bar_config(disable=True)
        known = traced(loaded, CAT, steps=1)[1][0].provenance
        assert known["model"] == str(folder)
        assert known["revision"] == "0123456789" * 4

    def test_it_has_the_second_prompt(self, sdxl):
        known = traced(sdxl, CAT, steps=1, prompt_2="blue")[1][0].provenance
        assert known["prompt_2"] == "blue"
        assert "prompt_2" not in traced(sdxl, CAT, steps=1)[1][0].provenance
