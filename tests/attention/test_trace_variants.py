"""Pipelines that receive images, too: image-to-image, inpainting, ControlNet and IP-Adapter; adapters and back ends."""

import functools
import inspect

import accelerate
import diffusers
import numpy as np
import peft
import pytest
import torch
from diffusers.models import attention_dispatch
from diffusers.models.attention_dispatch import AttentionBackendName
from PIL import Image

from daam_syntax.attention import trace
from daam_syntax.errors import TraceError
from helpers.attention_reference import CallsWithin, Reference
from helpers.family_pipelines import make
from helpers.image_adapters import adapter_weights
from helpers.tiny_pipelines import as_pipeline, make_sd, make_sd3, make_sdxl
from helpers.tracing import CAT, OWL

HEIGHT, WIDTH = 64, 96  # latents of 8 x 12
GRIDS = {96: (8, 12), 24: (4, 6), 6: (2, 3)}


def make_image(mode="RGB"):
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return Image.fromarray(noise).convert(mode)


def with_controlnet(pipe, cls):
    torch.manual_seed(1)
    net = diffusers.ControlNetModel.from_unet(
        pipe.unet, conditioning_embedding_out_channels=(4, 4, 8, 8)
    ).eval()
    with torch.no_grad():
        for weight in net.parameters():
            if not weight.any():  # its output layers start at zero, which would change nothing
                torch.nn.init.normal_(weight, std=0.1)
    return as_pipeline(pipe, cls, controlnet=net)


def draw(pipe, prompt=CAT, *, guidance=5.0, steps=3, **options):
    known = inspect.signature(pipe.__call__).parameters
    given = {
        "image": make_image(),
        "mask_image": make_image("L"),
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
def test_images_are_bit_identical_and_maps_are_right(name, prompts, per_prompt, guidance):
    pipe = MAKERS[name]()
    options = {"guidance": guidance, "num_images_per_prompt": per_prompt}
    if "controlnet" in name:
        options["image"] = [make_image()] * len(prompts)
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
def test_a_flow_matching_model_starts_from_an_image(guidance):
    pipe = as_pipeline(make_sd3(), diffusers.StableDiffusion3Img2ImgPipeline)
    calls = CallsWithin(pipe.transformer, r"transformer_blocks\.\d+\.attn")
    untraced = calls.during(lambda: draw(pipe, guidance=guidance))
    with trace(pipe) as recording:
        assert torch.equal(draw(pipe, guidance=guidance), untraced)
    (maps,) = recording.heat_maps()
    pixels, kept = 4 * 6, len(maps.subwords)
    shares = torch.stack([call.shares()[-1] for step in calls.steps for call in step]).mean(0)
    expected = shares[:pixels, pixels : pixels + kept].T.reshape(kept, 4, 6)
    np.testing.assert_allclose(np.asarray(maps.data), expected, atol=1e-6)


def add_lora(pipe):
    torch.manual_seed(2)
    targets = ["to_q", "to_k", "to_v", "to_out.0"]
    # Random weights, because an untrained adapter changes nothing.
    settings = peft.LoraConfig(r=2, lora_alpha=8, target_modules=targets, init_lora_weights=False)
    pipe.unet.add_adapter(settings, "toy")


def offload_models(pipe):
    pipe.enable_model_cpu_offload(device="cpu")


def offload_groups(pipe):
    cpu = torch.device("cpu")
    pipe.unet.enable_group_offload(onload_device=cpu, offload_device=cpu, offload_type="leaf_level")


def offload_sequentially(pipe):
    # As pipe.enable_sequential_cpu_offload does, except that it numbers the CPU, on which accelerate fails.
    for model in (pipe.unet, pipe.text_encoder, pipe.vae):
        accelerate.cpu_offload(model, torch.device("cpu"), offload_buffers=bool(model._parameters))


@pytest.mark.parametrize(
    "prepare", [add_lora, offload_models, offload_groups, offload_sequentially]
)
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
        for step in reference.steps
    ]
    expected = torch.stack([torch.stack(step) for step in steps]).mean(dim=(0, 1))
    np.testing.assert_allclose(maps.mean, expected.T.reshape(kept, 8, 12), atol=1e-6)


def with_ip_adapter(pipe):
    """Load an image adapter with random weights as diffusers does; an image has four keys."""
    generator = torch.Generator().manual_seed(3)
    width = pipe.unet.config.cross_attention_dim
    shapes = {}
    crosses = [path for path in pipe.unet.attn_processors if "attn2" in path]
    for place, path in enumerate(crosses):
        inner = pipe.unet.get_submodule(path.removesuffix(".processor")).inner_dim
        for name in ("to_k_ip", "to_v_ip"):
            shapes[f"{2 * place + 1}.{name}.weight"] = (inner, width)
    pipe.unet._load_ip_adapter_weights([adapter_weights(width, shapes, generator)])
    return pipe


@pytest.mark.parametrize("maker", [make_sd, make_sdxl], ids=["sd", "sdxl"])
@pytest.mark.parametrize("guidance", [5.0, 1.0])
def test_an_image_adapter_does_not_change_the_attention_to_text(maker, guidance):
    pipe = maker()
    plain = draw(pipe, guidance=guidance)
    pipe = with_ip_adapter(pipe)
    embeddings = torch.randn(
        2 if guidance > 1 else 1, 1, 8, generator=torch.Generator().manual_seed(4)
    )
    options = {"guidance": guidance, "ip_adapter_image_embeds": [embeddings]}
    reference = Reference(pipe.unet, GRIDS, text_of=lambda text: text[0])
    untraced = reference.watch(lambda: draw(pipe, **options))
    assert not torch.equal(untraced, plain)
    with trace(pipe, padding=True, also=CAT) as recording:
        assert torch.equal(draw(pipe, **options), untraced)
    expected = reference.maps(slice(-1, None))
    for of in (None, CAT):  # the prompt, and the same text outside the prompt
        (maps,) = recording.heat_maps(of=of)
        np.testing.assert_allclose(np.asarray(maps.data), expected[0], atol=1e-6)


WORKING = ("native", "_native_flash", "_native_math")
ON_A_GPU = (
    "_native_cudnn",
    "_native_efficient",
)  # they call torch's function, too, but not on a CPU
flux = functools.cache(functools.partial(make, "Flux"))


@pytest.fixture
def with_backend():
    """Select an attention back end of diffusers, which applies to all models, until the test ends."""
    chosen = []

    def choose(pipe, name):
        chosen.append(pipe)
        pipe.transformer.set_attention_backend(name)
        return pipe

    yield choose
    for pipe in chosen:
        pipe.transformer.set_attention_backend("native")


@pytest.mark.parametrize("name", WORKING)
def test_attention_back_ends_of_torch(with_backend, name):
    pipe = with_backend(flux(), name)
    options = {"max_sequence_length": 24, "steps": 1}
    calls = CallsWithin(pipe.transformer, r".*\.attn")
    untraced = calls.during(lambda: draw(pipe, **options))
    with trace(pipe) as recording:
        assert torch.equal(draw(pipe, **options), untraced)
    (maps,) = recording.heat_maps()
    pixels, kept = 4 * 6, len(maps.subwords)
    shares = torch.stack([call.shares()[0] for step in calls.steps for call in step]).mean(0)
    expected = shares[-pixels:, :kept].T.reshape(kept, 4, 6)
    np.testing.assert_allclose(np.asarray(maps.data), expected, atol=1e-6)


def attend_unobserved(query, key, value, scale=None, **options):
    """Attend without calling torch's function. *Shape:* ``(row, token, head, feature)``."""
    query, key, value = (each.transpose(1, 2) for each in (query, key, value))
    logits = query @ key.mT * (scale or query.shape[-1] ** -0.5)
    return (logits.softmax(dim=-1) @ value).transpose(1, 2)


@pytest.mark.parametrize(
    "name",
    sorted({each.value for each in AttentionBackendName} - {*WORKING, *ON_A_GPU}),
)
def test_every_other_back_end_is_refused_with_the_remedy(with_backend, monkeypatch, name):
    """A function that does not call torch's own stands in for back ends that cannot be installed here."""
    if name != "flex":
        for check in (
            "_check_attention_backend_requirements",
            "_maybe_download_kernel_for_backend",
        ):
            monkeypatch.setattr(attention_dispatch, check, lambda backend: None)
        backends = attention_dispatch._AttentionBackendRegistry._backends
        monkeypatch.setitem(backends, AttentionBackendName(name), attend_unobserved)
    pipe = with_backend(flux(), name)
    with (
        pytest.raises(TraceError, match=r'transformer\.set_attention_backend\("native"\)'),
        trace(pipe),
    ):
        draw(pipe, max_sequence_length=24, steps=1)
