"""Pipelines that generate frames of a video."""

import inspect

import diffusers
import pytest
import torch

from daam_syntax.attention import family_of, trace
from daam_syntax.attention.families.grids import latent_size, latents_decoded
from daam_syntax.errors import TraceError
from helpers.tiny_pipelines import make_sd


@pytest.mark.parametrize(
    "name",
    [
        "AllegroPipeline",
        "CosmosTextToWorldPipeline",
        "Cosmos2TextToImagePipeline",
        "HunyuanVideoPipeline",
        "LattePipeline",
        "LTXPipeline",
        "MochiPipeline",
        "SanaVideoPipeline",
        "SkyReelsV2Pipeline",
    ],
)
def test_other_video_pipelines_are_refused_by_name(name):
    cls = getattr(diffusers, name)
    parts = [part for part in inspect.signature(cls.__init__).parameters if part != "self"]
    parts = dict.fromkeys(parts)
    if "safety_checker" in parts:
        parts["safety_checker"] = torch.nn.Identity()  # the default needs another package
    pipe = cls(**parts)
    with pytest.raises(TraceError, match=rf"{name} generates the frames of a video"):
        family_of(pipe)


def test_animate_diff_is_refused_by_its_frames():
    sd = make_sd()
    adapter = diffusers.MotionAdapter(
        block_out_channels=(16, 16, 32),
        motion_num_attention_heads=2,
        motion_norm_num_groups=4,
        motion_layers_per_block=1,
    )
    pipe = diffusers.AnimateDiffPipeline(
        vae=sd.vae,
        text_encoder=sd.text_encoder,
        tokenizer=sd.tokenizer,
        unet=sd.unet,
        motion_adapter=adapter,
        scheduler=sd.scheduler,
    )
    with pytest.raises(TraceError, match="frames"):
        trace(pipe)


def test_latents_of_several_frames_are_no_grid():
    frames = {"hidden_states": torch.zeros(1, 4, 3, 8, 12)}
    with pytest.raises(TraceError, match="latents of one image, but got 3 frames"):
        latent_size(frames)
    assert latent_size({"hidden_states": torch.zeros(1, 4, 1, 8, 12)}) == (8, 12)


class _Factors:
    def __init__(self, **factors):
        vars(self).update(factors)


@pytest.mark.parametrize(
    ("factors", "channels", "size"),
    [
        ({"vae_scale_factor": 8}, 4, (64, 96)),
        ({"vae_scale_factor_spatial": 16}, 4, (128, 192)),
        ({}, 3, (8, 12)),  # the model works on pixels
        ({}, 6, (8, 12)),  # beside those of a smaller image
    ],
)
def test_the_size_of_the_image_is_that_of_the_pipelines_own_factor(factors, channels, size):
    latents = {"sample": torch.zeros(1, channels, 8, 12)}
    assert latents_decoded(_Factors(**factors), latents) == size


def test_an_unknown_factor_is_refused():
    with pytest.raises(TraceError, match="vae_scale_factor"):
        latents_decoded(_Factors(), {"sample": torch.zeros(1, 4, 8, 12)})
