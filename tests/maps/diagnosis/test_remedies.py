"""Every remedy of a finding is tried: the fault is made in a pipeline or in maps, and the remedy removes it."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from transformers import CLIPConfig, CLIPImageProcessor

import daam_syntax as ds
from daam_syntax.analysis import normalize_over_tokens
from daam_syntax.maps import HeatMaps
from daam_syntax.maps.diagnosis.findings import KINDS
from helpers.examples import SUBWORDS, make_maps, make_sentence
from helpers.family_pipelines import make_pixart
from helpers.tiny_pipelines import make_sd

LONG = "the red cat and the blue owl and the red cat and the strawberry"


@pytest.fixture
def pipe():
    return make_sd()


def maps_of(pipe, prompt, *, steps=6, guidance=1.0, trace=None, **options):
    with ds.trace(pipe, **(trace or {})) as recording:
        pipe(
            prompt,
            num_inference_steps=steps,
            guidance_scale=guidance,
            output_type="latent",
            **options,
        )
    return recording.heat_maps()[0]


def remedy(maps, kind, image=None):
    """Return what to try against a fault, which is there."""
    (found,) = [each for each in maps.diagnose(image) if each.kind == kind]
    return found.remedy


def is_off(maps, kind, image=None):
    return kind in maps.diagnose(image).kinds


def test_every_kind_has_a_remedy_that_is_tried():
    source = Path(__file__).read_text(encoding="utf-8")
    tried = {kind for kind in KINDS if re.search(rf'remedy\(.*"{kind}"', source)}
    assert tried == set(KINDS) - {"untrained"}  # tests/pipelines/test_vocabulary.py tries that one


def test_a_prompt_that_ends_before_the_truncated_words(pipe):
    long = maps_of(pipe, LONG)
    shorter = re.search(r"such as '(.+?)';", remedy(long, "truncated"))[1]
    assert shorter == "the red cat and the blue owl and the red"
    assert not is_off(maps_of(pipe, shorter), "truncated")
    assert [each.prompt for each in ds.overflow([LONG, shorter], pipe)] == [LONG]


def test_characters_that_the_tokenizer_knows():
    pipe = make_pixart()
    options = {
        "height": 64,
        "width": 64,
        "use_resolution_binning": False,
        "clean_caption": False,
    }
    maps = maps_of(pipe, "the red 猫", **options)
    assert "characters" in remedy(maps, "unknown")
    (word,) = [f.words for f in maps.diagnose() if f.kind == "unknown"]
    assert [maps.sentence[i].text for i in word] == ["猫"]
    assert not is_off(maps_of(pipe, "the red cat", **options), "unknown")


def test_another_word_for_one_of_two_with_the_same_embedding(pipe):
    with torch.no_grad():  # an encoder without positions and without context
        for name, weight in pipe.text_encoder.named_parameters():
            if re.search("position_embedding|out_proj|fc2", name):
                weight.zero_()
    same = maps_of(pipe, "red cat and red owl")
    assert "another word" in remedy(same, "identical")
    assert np.array_equal(same[0].values, same[3].values)
    assert not is_off(maps_of(pipe, "red cat and blue owl"), "identical")


def test_positions_give_repeated_words_maps_of_their_own(pipe):
    assert not is_off(maps_of(pipe, "red cat and red owl"), "identical")


LAYERS = ("good", "bad")


def spot():
    rows, columns = np.mgrid[:16, :16] / 16
    return 0.02 + np.exp(-((rows - 0.4) ** 2 + (columns - 0.6) ** 2) / 0.05)


def with_layers(good, bad, special=(0.5, 0.5)):
    """Maps of "red car , red zebra" that keep two layers; the words of each have one map."""
    values = np.empty((8, 2, 16, 16))
    values[:, 0], values[:, 1] = good, bad
    for row, subword in enumerate(SUBWORDS):
        if subword.kind != "text":
            values[row] = np.array(special)[:, None, None]
    layers = xr.DataArray(values, dims=("token", "layer", "y", "x"), coords={"layer": list(LAYERS)})
    return HeatMaps(layers, SUBWORDS, make_sentence(), (16, 16))


def layers_without(maps, kind):
    """The layers that the remedy of docs/diagnosis.md leaves."""
    paths = [str(path) for path in maps.data["layer"].values]
    return [path for path in paths if not is_off(maps.select(layers=path), kind)]


def test_flat_maps_have_a_mask_by_another_threshold_or_in_other_layers():
    maps = with_layers(spot(), 60.0)
    text = remedy(maps, "flat")
    (threshold,) = re.findall(r"threshold='(.+?)'", text)
    assert maps[1].mask("relative:0.4").all()
    assert 0.02 < maps[1].mask(threshold).mean() < 0.5
    assert "keep=('layer',)" in text
    assert layers_without(maps, "flat") == ["good"]


def test_scattered_maps_get_smooth_in_the_mean_of_more_steps():
    noise = np.random.default_rng(0).random((8, 20, 16, 16)) * 3
    steps = xr.DataArray(spot() + noise, dims=("token", "step", "y", "x"))
    maps = HeatMaps(steps, SUBWORDS, make_sentence(), (16, 16))
    assert "mean of more steps" in remedy(maps.select(steps=3), "scattered")
    assert not is_off(maps, "scattered")


def test_border_artifacts_are_in_some_layers_and_can_be_replaced():
    ring = np.pad(np.zeros((14, 14)), 1, constant_values=3.0)
    maps = with_layers(spot(), spot() + ring)
    text = remedy(maps, "border")
    assert layers_without(maps, "border") == ["good"]
    (code,) = re.findall(r"\((maps\.with_values\(.+\))\)\.", text)
    replaced = eval(code, {"maps": maps, "np": np})
    assert not is_off(replaced, "border")
    np.testing.assert_allclose(replaced.mean[:, 1:-1, 1:-1], maps.mean[:, 1:-1, 1:-1])


def test_words_have_shares_among_themselves_where_special_tokens_take_everything():
    maps = with_layers(spot(), spot() / 1e6, special=(200.0, 2000.0))
    text = remedy(maps, "special tokens")
    assert "normalize_over_tokens" in text
    assert not is_off(normalize_over_tokens(maps), "special tokens")
    more = with_layers(spot(), spot() / 1e6, special=(20.0, 2e4))
    assert is_off(more, "special tokens")
    assert layers_without(more, "special tokens") == ["good"]


def test_all_steps_or_every_fourth_one_stand_for_all(pipe):
    first = maps_of(pipe, "the cat", steps=20, trace={"steps": 0})
    (every_fourth,) = re.findall(r"steps=(range\(.+?\))", remedy(first, "steps"))
    early = maps_of(pipe, "the cat", steps=20, trace={"steps": slice(0, 1 / 3)})
    assert "without steps=" in remedy(early, "steps")
    assert not is_off(maps_of(pipe, "the cat", steps=20), "steps")
    spread = maps_of(pipe, "the cat", steps=20, trace={"steps": list(eval(every_fourth))})
    assert spread.provenance["recorded"] == [0, 4, 8, 12, 16]
    assert not is_off(spread, "steps")


def test_more_steps_with_guidance(pipe):
    assert "num_inference_steps=20" in remedy(
        maps_of(pipe, "the cat", steps=2, guidance=4.0), "steps"
    )
    assert not is_off(maps_of(pipe, "the cat", steps=20, guidance=4.0), "steps")
    assert not is_off(maps_of(pipe, "the cat", steps=2), "steps")  # without guidance


def drawn(pipe):
    (each,) = ds.drawing.traced_images.draw([ds.parse("the cat")], pipe, seeds=[0])
    return each


def strict_checker():
    """A tiny safety checker of the real class, which finds something in every image."""
    vision = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 8,
    }
    checker = StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision, projection_dim=16))
    checker.concept_embeds_weights.data.fill_(-2)  # below every cosine
    return checker.eval()


def test_an_image_without_the_safety_checker(pipe):
    pipe.safety_checker = strict_checker()
    pipe.feature_extractor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32)
    black = drawn(pipe)
    assert not np.asarray(black.image).any()
    assert "pipe.safety_checker = None" in remedy(black.maps, "blacked out")
    pipe.safety_checker = None
    shown = drawn(pipe)
    assert not is_off(shown.maps, "blacked out", shown.image)


def test_an_image_that_overflowed_is_drawn_in_another_number_format():
    pipe = make_sd().to(torch.float16)
    with torch.no_grad():
        pipe.vae.post_quant_conv.weight *= 2e4

    def image():
        torch.manual_seed(0)
        with np.errstate(invalid="ignore"), ds.trace(pipe) as recording:
            (drawn,) = pipe("the cat", num_inference_steps=2).images
        return recording.heat_maps()[0], drawn

    maps, black = image()
    assert "pipe.to(torch.float32)" in remedy(maps, "blacked out", black)
    pipe.to(torch.float32)
    assert not is_off(*image()[:1], "blacked out", image()[1])


def test_one_map_for_each_occurrence_in_maps_of_ones_own():
    copied = make_maps()
    values = copied.mean.copy()
    values[4] = values[1]
    assert "a map for each occurrence" in remedy(copied.with_values(values), "identical")
    assert not is_off(copied, "identical")
