"""Pipelines that are given more than a prompt: pictures to begin with, to fill in, or to follow."""

import inspect

import diffusers
import numpy as np
import pytest
import torch
from attention_reference import CallsWithin, Reference
from PIL import Image
from pipelines import make_sd, make_sd3, make_sdxl

from daam_syntax.attention import trace

CAT = "a red cat"
OWL = "the strawberry and the owl"
HEIGHT, WIDTH = 64, 96  # latents of 8 x 12
GRIDS = {96: (8, 12), 24: (4, 6), 6: (2, 3)}


def picture(mode="RGB"):
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return Image.fromarray(noise).convert(mode)


def as_pipeline(pipe, cls, **more):
    """Make a pipeline of another class of a pipeline's parts."""
    known = inspect.signature(cls.__init__).parameters
    quiet = {"requires_safety_checker": False, "add_watermarker": False}
    parts = {name: part for name, part in (pipe.components | quiet).items() if name in known}
    result = cls(**parts | more)
    result.set_progress_bar_config(disable=True)
    return result


def with_controlnet(pipe, cls):
    torch.manual_seed(1)
    net = diffusers.ControlNetModel.from_unet(
        pipe.unet, conditioning_embedding_out_channels=(4, 4, 8, 8)
    ).eval()
    with torch.no_grad():
        for weight in net.parameters():
            if not weight.any():  # its ends start at zero, so that it would change nothing
                torch.nn.init.normal_(weight, std=0.1)
    return as_pipeline(pipe, cls, controlnet=net)


def draw(pipe, prompt=CAT, *, guidance=5.0, steps=3, **options):
    known = inspect.signature(pipe.__call__).parameters
    given = {
        "image": picture(),
        "mask_image": picture("L"),
        "strength": 0.7,
        "height": HEIGHT,
        "width": WIDTH,
    }
    return pipe(
        prompt,
        guidance_scale=guidance,
        num_inference_steps=steps,
        generator=torch.Generator().manual_seed(7),
        output_type="pt",
        **{name: value for name, value in given.items() if name in known} | options,
    ).images


MAKERS = {
    "sd img2img": lambda: as_pipeline(make_sd(), diffusers.StableDiffusionImg2ImgPipeline),
    "sd inpaint": lambda: as_pipeline(make_sd(), diffusers.StableDiffusionInpaintPipeline),
    "sd inpaint, 9 channels": lambda: as_pipeline(
        make_sd(in_channels=9), diffusers.StableDiffusionInpaintPipeline
    ),
    "sd controlnet": lambda: with_controlnet(
        make_sd(), diffusers.StableDiffusionControlNetPipeline
    ),
    "sdxl img2img": lambda: as_pipeline(make_sdxl(), diffusers.StableDiffusionXLImg2ImgPipeline),
    "sdxl inpaint": lambda: as_pipeline(make_sdxl(), diffusers.StableDiffusionXLInpaintPipeline),
    "sdxl controlnet": lambda: with_controlnet(
        make_sdxl(), diffusers.StableDiffusionXLControlNetPipeline
    ),
}


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize(
    ("prompts", "per_prompt", "guidance"), [([CAT], 1, 1.0), ([CAT, OWL], 2, 5.0)]
)
def test_pictures_are_the_same_to_the_bit_and_maps_are_right(name, prompts, per_prompt, guidance):
    pipe = MAKERS[name]()
    options = {"guidance": guidance, "num_images_per_prompt": per_prompt}
    if "controlnet" in name:
        options["image"] = [picture()] * len(prompts)
    reference = Reference(pipe.unet, GRIDS)
    untraced = reference.watch(lambda: draw(pipe, prompts, **options))
    with trace(pipe) as recording:
        assert torch.equal(draw(pipe, prompts, **options), untraced)
    maps = recording.heat_maps()
    n = len(untraced)
    assert len(maps) == n == len(prompts) * per_prompt
    expected = reference.maps(slice(n, 2 * n) if guidance > 1 else slice(0, n))
    for row, each in enumerate(maps):
        assert each.prompt == prompts[row // per_prompt]
        assert each.image_size == (HEIGHT, WIDTH)
        kept = len(each.subwords)
        np.testing.assert_allclose(np.asarray(each.data), expected[row, :kept], atol=1e-6)


@pytest.mark.parametrize("guidance", [5.0, 1.0])
def test_a_flow_matching_model_begins_with_a_picture(guidance):
    pipe = as_pipeline(make_sd3(), diffusers.StableDiffusion3Img2ImgPipeline)
    calls = CallsWithin(pipe.transformer, r"transformer_blocks\.\d+\.attn")
    untraced = calls.during(lambda: draw(pipe, guidance=guidance))
    with trace(pipe) as recording:
        assert torch.equal(draw(pipe, guidance=guidance), untraced)
    (maps,) = recording.heat_maps()
    pixels, kept = 4 * 6, len(maps.subwords)
    shares = torch.stack([call.shares()[-1] for step in calls.drawing for call in step]).mean(0)
    expected = shares[:pixels, pixels : pixels + kept].T.reshape(kept, 4, 6)
    np.testing.assert_allclose(np.asarray(maps.data), expected, atol=1e-6)


def add_lora(pipe):
    peft = pytest.importorskip("peft", reason="LoRA needs peft")
    torch.manual_seed(2)
    targets = ["to_q", "to_k", "to_v", "to_out.0"]
    # Initialised at random, since an untrained adapter would change nothing.
    settings = peft.LoraConfig(r=2, lora_alpha=8, target_modules=targets, init_lora_weights=False)
    pipe.unet.add_adapter(settings, "toy")


def offload_models(pipe):
    pipe.enable_model_cpu_offload(device="cpu")


def offload_groups(pipe):
    cpu = torch.device("cpu")
    pipe.unet.enable_group_offload(onload_device=cpu, offload_device=cpu, offload_type="leaf_level")


@pytest.mark.parametrize("prepare", [add_lora, offload_models, offload_groups])
def test_adapters_and_offloading(prepare):
    pipe = make_sd()
    plain = draw(pipe)
    prepare(pipe)
    reference = CallsWithin(pipe.unet, r".*\.attn2")
    untraced = reference.during(lambda: draw(pipe))
    assert torch.equal(untraced, plain) == (prepare is not add_lora)
    with trace(pipe, layers=["8x12"], keep="layer") as recording:
        assert torch.equal(draw(pipe), untraced)
    (maps,) = recording.heat_maps()
    kept = len(maps.subwords)
    steps = [
        [call.shares()[-1, :, :kept] for call in step if call.query.shape[-2] == 96]
        for step in reference.drawing
    ]
    expected = torch.stack([torch.stack(step) for step in steps]).mean(dim=(0, 1))
    np.testing.assert_allclose(maps.mean, expected.T.reshape(kept, 8, 12), atol=1e-6)
