"""Given images in every family of models, against images encoded and noised by hand."""

import numpy as np
import pytest
import torch

from daam_syntax.attention import trace_image, trace_images
from daam_syntax.errors import TraceError
from helpers.family_cases import CASES
from helpers.family_runs import pipeline
from helpers.tracing import CAT, OWL

PIXEL_MODEL = "DeepFloyd IF"
each_family = pytest.mark.parametrize(
    "case", [case for case in CASES if case.name != PIXEL_MODEL], ids=lambda case: case.name
)


def random_image(height=64, width=96, seed=0):
    return np.random.default_rng(seed).random((height, width, 3), dtype=np.float32)


def denoiser_inputs(pipe, run):
    """Return the inputs of each call of the denoiser."""
    inputs = []
    handle = pipe.transformer.register_forward_pre_hook(
        lambda module, args, kwargs: inputs.append((args, kwargs)), with_kwargs=True
    )
    try:
        run()
    finally:
        handle.remove()
    return inputs


def first_tensor(args, kwargs):
    sample = args[0] if args else kwargs.get("hidden_states", kwargs.get("x"))
    return torch.stack(list(sample)) if isinstance(sample, list) else sample


@torch.no_grad()
def latents_by_hand(pipe, pixels):
    vae = pipe.vae
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None] * 2 - 1
    if type(vae).__name__ == "AutoencoderKLQwenImage":
        x = x[:, :, None]  # a video of one frame; the test's VAE has mean 0 and deviation 1
    output = vae.encode(x)
    z = output.latent if hasattr(output, "latent") else output.latent_dist.mean
    if type(vae).__name__ == "AutoencoderKLFlux2":  # the test's batch statistics are 0 and 1
        assert not vae.bn.running_mean.any()
        z = torch.nn.functional.pixel_unshuffle(z, 2)
        z = z / torch.sqrt(vae.bn.running_var.view(1, -1, 1, 1) + vae.config.batch_norm_eps)
    if vae.config.get("shift_factor"):
        z = z - vae.config.shift_factor
    return z * (vae.config.get("scaling_factor") or 1)


@each_family
def test_the_denoiser_receives_the_noised_image(case):
    pipe, pixels, timesteps = pipeline(case.name), random_image(), (100, 600)
    calls = denoiser_inputs(
        pipe, lambda: trace_image(pipe, pixels, OWL, timesteps=timesteps, seed=4)
    )
    assert len(calls) == len(timesteps)
    latents = latents_by_hand(pipe, pixels)
    generator = torch.Generator().manual_seed(4)
    flows = "FlowMatch" in type(pipe.scheduler).__name__ or pipe.scheduler.config.get(
        "use_flow_sigmas"
    )
    for t, (args, kwargs) in zip(timesteps, calls, strict=True):
        noise = torch.randn(latents.shape[1:], generator=generator)
        if flows:
            noised = (1 - t / 1000) * latents + t / 1000 * noise
        else:
            noised = pipe.scheduler.add_noise(latents, noise[None], torch.tensor([t]))
        sample = first_tensor(args, kwargs)
        assert sample.numel() == noised.numel()
        if sample.ndim == 3 and "Flux2" in type(pipe).__name__:  # already patches: token = (y, x)
            noised = noised.flatten(2).mT
        elif sample.ndim == 3:
            # packed: token = (y, x) of 2 x 2 latents, features = (channel, 2, 2)
            noised = noised.reshape(noised.shape[1], *noised.shape[-2:])
            noised = torch.stack(
                [
                    noised[:, y : y + 2, x : x + 2].flatten()
                    for y in range(0, noised.shape[1], 2)
                    for x in range(0, noised.shape[2], 2)
                ]
            )[None]
        torch.testing.assert_close(
            sample.float().reshape(noised.shape), noised, atol=1e-5, rtol=1e-4
        )


@each_family
def test_a_batch_equals_single_images_and_restores_the_pipeline(case):
    pipe = pipeline(case.name)
    scheduler, config = pipe.scheduler, dict(pipe.config)
    images, prompts = [random_image(seed=1), random_image(seed=2)], [OWL, CAT]
    together = trace_images(pipe, images, prompts, timesteps=(300,))
    assert pipe.scheduler is scheduler
    assert dict(pipe.config) == config
    for maps, pixels, prompt in zip(together, images, prompts, strict=True):
        assert (maps.prompt, maps.image_size, maps.grid) == (
            prompt,
            (64, 96),
            (64 // case.cell, 96 // case.cell),
        )
        assert maps.provenance["guided"] is False
        assert maps.provenance["source"] == "given image"
        alone = trace_image(pipe, pixels, prompt, timesteps=(300,))
        assert [s.text for s in maps.subwords] == [s.text for s in alone.subwords]
        np.testing.assert_allclose(maps.data.values, alone.data.values, atol=2e-5)


def test_pipelines_without_an_autoencoder_are_refused():
    with pytest.raises(TraceError, match="IFPipeline has none: it cannot trace a given image"):
        trace_image(pipeline(PIXEL_MODEL), random_image(), CAT)
