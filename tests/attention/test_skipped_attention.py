"""Attention that does not run in every step is refused before anything is drawn, with a remedy that works."""

import functools
import re

import diffusers
import numpy as np
import pytest
import torch
from diffusers import hooks

from daam_syntax.attention import trace
from daam_syntax.errors import TraceError
from helpers.attention_reference import Reference
from helpers.family_pipelines import make
from helpers.tiny_pipelines import as_pipeline, make_sd
from helpers.tracing import CAT, GRIDS, OWL, draw

SIZE = {"size": (64, 96)}
flux = functools.cache(functools.partial(make, "Flux"))

CACHES = {
    "FirstBlockCache": hooks.FirstBlockCacheConfig(threshold=0.5),
    "FasterCache": hooks.FasterCacheConfig(
        spatial_attention_block_skip_range=2,
        tensor_format="BCHW",
        current_timestep_callback=lambda: 0,
    ),
    "MagCache": hooks.MagCacheConfig(num_inference_steps=2, mag_ratios=[1.0, 1.0]),
    "Pyramid Attention Broadcast": hooks.PyramidAttentionBroadcastConfig(
        spatial_attention_block_skip_range=2, current_timestep_callback=lambda: 500
    ),
    "TaylorSeer": hooks.TaylorSeerCacheConfig(cache_interval=2, disable_cache_before_step=0),
}


def refused(pipe, match, **options):
    """Check that a trace refuses a pipeline before its denoiser runs, and return the message."""
    calls = []
    model = getattr(pipe, "transformer", None) or pipe.unet
    handle = model.register_forward_pre_hook(lambda *_: calls.append(1))
    try:
        with pytest.raises(TraceError, match=match) as caught, trace(pipe):
            draw(pipe, CAT, **options)
    finally:
        handle.remove()
    assert not calls
    return str(caught.value)


@pytest.mark.parametrize("name", CACHES)
def test_caches_are_refused_by_name(name):
    pipe = flux()
    options = {"max_sequence_length": 24, **SIZE}
    untraced = draw(pipe, CAT, **options)
    pipe.transformer.enable_cache(CACHES[name])
    message = refused(pipe, name, **options)
    (remedy,) = re.findall(r"call (pipe\.\S+\(\))", message)
    eval(remedy)
    with trace(pipe) as recording:
        assert torch.equal(draw(pipe, CAT, **options), untraced)
    assert len(recording.heat_maps()) == 1


def test_a_cache_of_a_unet_is_refused_by_name():
    pipe = make_sd()
    untraced = draw(pipe, CAT)
    config = hooks.PyramidAttentionBroadcastConfig(
        cross_attention_block_skip_range=2,
        cross_attention_block_identifiers=("blocks",),
        current_timestep_callback=lambda: 500,
    )
    hooks.apply_pyramid_attention_broadcast(pipe.unet, config)
    apply_remedy(pipe, refused(pipe, "Pyramid Attention Broadcast"))
    with trace(pipe):
        assert torch.equal(draw(pipe, CAT), untraced)


def apply_remedy(pipe, message):
    """Run the statements of a message."""
    statements = re.search(r"remove its hooks: (.*)\.$", message).group(1)
    exec(statements, {"diffusers": diffusers, "pipe": pipe})


def test_skipped_layers_are_refused():
    pipe = flux()
    options = {"max_sequence_length": 24, **SIZE}
    untraced = draw(pipe, CAT, **options)
    hooks.apply_layer_skip(pipe.transformer, hooks.LayerSkipConfig([0], fqn="transformer_blocks"))
    apply_remedy(pipe, refused(pipe, "layer skipping leaves out blocks", **options))
    with trace(pipe):
        assert torch.equal(draw(pipe, CAT, **options), untraced)


def test_blocks_that_are_skipped_in_some_steps_are_refused():
    """As caches outside diffusers do, which replace methods."""
    pipe = make_sd()
    block = pipe.unet.mid_block

    def skip(pipe, index, timestep, tensors):
        block.forward = lambda hidden, *args, **kwargs: hidden
        return {}

    match = r"7 text attentions in step 1.*not called: mid_block\S*attn2\..*steps=slice\(0, 1\)"
    with pytest.raises(TraceError, match=match), trace(pipe):
        draw(pipe, OWL, steps=3, callback_on_step_end=skip)
    del block.forward
    watch = Reference(pipe.unet, GRIDS)
    untraced = watch.watch(lambda: draw(pipe, OWL, steps=3, callback_on_step_end=skip))
    del block.forward
    with trace(pipe, steps=slice(0, 1)) as recording:
        assert torch.equal(draw(pipe, OWL, steps=3, callback_on_step_end=skip), untraced)
    (maps,) = recording.heat_maps()
    for calls in watch.by_head.values():
        del calls[1:]
    expected = watch.maps(slice(1, 2))[0, : len(maps.subwords)]
    np.testing.assert_allclose(maps.data, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("cls", "match"),
    [
        (diffusers.StableDiffusionSAGPipeline, "once more in each step, with degraded latents"),
        (diffusers.StableDiffusionPanoramaPipeline, "on overlapping tiles"),
    ],
)
def test_pipelines_with_other_calls_are_refused(cls, match):
    pipe = as_pipeline(make_sd(), cls)
    with pytest.raises(TraceError, match=rf"{cls.__name__} .*{match}") as caught:
        trace(pipe)
    (name,) = re.findall(r"trace (\w+)\.from_pipe\(pipe\)", str(caught.value))
    plain = getattr(diffusers, name).from_pipe(pipe)
    with trace(plain) as recording:
        draw(plain, CAT)
    assert len(recording.heat_maps()) == 1


def test_tiles_of_an_unknown_pipeline_are_refused():
    class Whole(diffusers.StableDiffusionPipeline):
        def prepare_latents(self, *args, **kwargs):
            latents = super().prepare_latents(*args, **kwargs)
            return torch.cat([latents, latents], dim=-1)

    def first_tile(module, args, kwargs):
        return (args[0][..., :8], *args[1:]), kwargs

    pipe = as_pipeline(make_sd(), Whole)
    pipe.unet.register_forward_pre_hook(first_tile, with_kwargs=True)
    with (
        pytest.raises(TraceError, match=r"latents of 8x16 .* got 8x8: this pipeline divides"),
        trace(pipe),
    ):
        draw(pipe, CAT, size=(64, 64))
