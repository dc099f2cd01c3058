"""Reading the attention of a model to a picture that is given, not drawn."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from daam_syntax.attention.accumulate import LayerSelection
from daam_syntax.attention.families import UNET, family_of
from daam_syntax.attention.sentences import Sentences
from daam_syntax.attention.tracing import Trace
from daam_syntax.errors import TraceError
from daam_syntax.language import Sentence, check_prompt
from daam_syntax.maps import HeatMaps

Picture = Image.Image | NDArray[Any]
"""A PIL image, or an array (y, x, 3) of 8-bit numbers or of floats in [0, 1]."""

DEFAULT_TIMESTEPS = (100, 250, 400, 550, 700)
"""Training timesteps from slightly to strongly noisy, out of the usual 1,000."""


def trace_image(
    pipe: Any,
    image: Picture,
    prompt: str,
    *,
    timesteps: Sequence[int] = DEFAULT_TIMESTEPS,
    seed: int = 0,
    parser: Any = None,
    layers: LayerSelection = None,
    keep: Iterable[str] | str = (),
    max_bytes: int | None = None,
    sentence: Sentence | None = None,
) -> HeatMaps:
    """Read which pixels of a given picture attend to which word of a prompt.

    The picture is encoded, noised to each timestep, and shown to the denoiser once per timestep
    with the prompt, without guidance; the maps are averaged over the timesteps.

    Parameters
    ----------
    pipe
        A pipeline of the UNet family.
    image
        The picture.
    prompt
        The text.
    timesteps
        Training timesteps at which to look.
    seed
        Of the noise.
    parser, layers, keep, max_bytes
        As for `trace`; a step is one of the timesteps.
    sentence
        The prompt as a sentence; None to parse it.

    Returns
    -------
    HeatMaps
        As if the model had drawn the picture.

    Raises
    ------
    TraceError
        If the picture, the timesteps or the model cannot be used so.
    PromptError
        If the prompt has no words.
    """
    return trace_images(
        pipe,
        [image],
        [prompt],
        timesteps=timesteps,
        seed=seed,
        parser=parser,
        layers=layers,
        keep=keep,
        max_bytes=max_bytes,
        sentences=() if sentence is None else sentence,
    )[0]


@torch.no_grad()
def trace_images(
    pipe: Any,
    images: Sequence[Picture],
    prompts: Sequence[str],
    *,
    timesteps: Sequence[int] = DEFAULT_TIMESTEPS,
    seed: int = 0,
    parser: Any = None,
    layers: LayerSelection = None,
    keep: Iterable[str] | str = (),
    max_bytes: int | None = None,
    sentences: Sentences = (),
    batch_size: int = 8,
) -> list[HeatMaps]:
    """Read the attention to many pictures, several in one call of the denoiser.

    Each picture gets the noise of the same seed, so its maps depend on no other picture.

    Parameters
    ----------
    pipe
        A pipeline of the UNet family.
    images
        The pictures; neighbours of the same size go into a batch.
    prompts
        One text for each.
    timesteps
        Training timesteps at which to look.
    seed
        Of the noise.
    parser, layers, keep, max_bytes
        As for `trace`; a step is one of the timesteps.
    sentences
        Prompts that need not be parsed, as for `Trace.heat_maps`.
    batch_size
        Pictures in one call of the denoiser.

    Returns
    -------
    list of HeatMaps
        One per picture.

    Raises
    ------
    TraceError
        If a picture, the timesteps or the model cannot be used so.
    PromptError
        If a prompt has no words.
    """
    if isinstance(prompts, str) or len(images) != len(prompts):
        got = "one text" if isinstance(prompts, str) else f"{len(prompts)} prompts"
        raise TraceError(f"Expected a prompt for each of {len(images)} images, but got {got}.")
    if batch_size < 1:
        raise TraceError(f"Expected a batch size of 1 or more, but got {batch_size}.")
    prompts = [check_prompt(prompt) for prompt in prompts]
    noising = _Noising(pipe, timesteps)
    pixels = [_pixels(image, pipe.vae_scale_factor) for image in images]
    if not pixels:
        return []
    recording = Trace(pipe, parser=parser, layers=layers, keep=keep, max_bytes=max_bytes)
    with recording:
        for rows in _batches(pixels, batch_size):
            texts = [prompts[row] for row in rows]
            conditions = _conditions(pipe, texts, pixels[rows[0]].shape[-2:])
            recording.describe_drawing(
                seeds=[seed] * len(rows),
                settings={"guidance_scale": None, "source": "given image"},
                timesteps=noising.timesteps,
            )
            latents = _latents(pipe, torch.stack([pixels[row] for row in rows]))
            generator = torch.Generator().manual_seed(seed)
            for timestep in noising.timesteps:
                # One picture's noise for all: the same as if each were alone.
                noise = torch.randn(latents.shape[1:], generator=generator).to(latents)
                pipe.unet(
                    noising(latents, noise, timestep), timestep, return_dict=False, **conditions
                )
            pipe.maybe_free_model_hooks()
    return recording.heat_maps(sentences=sentences)


class _Noising:
    """The forward diffusion ``sqrt(a_t) x + sqrt(1 - a_t) noise`` of a pipeline's scheduler.

    All schedulers of the family share it; those that draw with sigmas scale their input to the
    same. (Ho, Jain & Abbeel, Denoising Diffusion Probabilistic Models, 2020, eq. 4.)
    """

    def __init__(self, pipe: Any, timesteps: Sequence[int]) -> None:
        if family_of(pipe) is not UNET:
            raise TraceError(
                f"Expected a pipeline of the {UNET.name} family, but got {type(pipe).__name__}: "
                "reading a given picture is not possible with this one."
            )
        alphas = getattr(pipe.scheduler, "alphas_cumprod", None)
        if alphas is None:
            raise TraceError(
                f"Expected a scheduler with alphas_cumprod, but {type(pipe.scheduler).__name__} "
                "has none: set pipe.scheduler to e.g. a DDIMScheduler of the model's training "
                "settings."
            )
        self._alphas: Tensor = alphas
        self.timesteps = [int(timestep) for timestep in timesteps]
        wrong = [t for t in timesteps if t != int(t) or not 0 <= t < len(alphas)]
        if wrong or not self.timesteps:
            raise TraceError(
                "Expected at least one training timestep, whole numbers from 0 to "
                f"{len(alphas) - 1}, but got {list(timesteps)}."
            )

    def __call__(self, latents: Tensor, noise: Tensor, timestep: int) -> Tensor:
        alpha = self._alphas[timestep].to(latents.device, torch.float32)
        return (alpha.sqrt() * latents + (1 - alpha).sqrt() * noise).to(latents.dtype)


def _pixels(image: Picture, factor: int) -> Tensor:
    """Return a picture as (3, y, x) in [-1, 1]."""
    array = np.asarray(image.convert("RGB") if isinstance(image, Image.Image) else image)
    if array.ndim != 3 or array.shape[-1] != 3:
        raise TraceError(
            "Expected a picture as a PIL image or an array (y, x, 3), but got the shape "
            f"{array.shape}."
        )
    if array.dtype == np.uint8:
        array = array / 255
    elif not np.issubdtype(array.dtype, np.floating) or not (array.min() >= 0 and array.max() <= 1):
        raise TraceError(
            "Expected a picture of 8-bit numbers, or of floats in [0, 1], but got "
            f"{array.dtype} from {array.min()} to {array.max()}."
        )
    height, width = array.shape[:2]
    if height % factor or width % factor:
        raise TraceError(
            f"Expected a picture whose height and width are multiples of {factor}, but got "
            f"{height}x{width} (height x width): crop or resize it, e.g. to "
            f"{height // factor * factor or factor}x{width // factor * factor or factor}."
        )
    return torch.from_numpy(array.astype(np.float32) * 2 - 1).permute(2, 0, 1)


def _batches(pixels: Sequence[Tensor], batch_size: int) -> Iterator[list[int]]:
    """Yield the indices of neighbours of the same size, at most `batch_size` at once."""
    for _, group in itertools.groupby(range(len(pixels)), key=lambda row: pixels[row].shape):
        rows = list(group)
        for start in range(0, len(rows), batch_size):
            yield rows[start : start + batch_size]


def _conditions(pipe: Any, prompts: list[str], image_size: Sequence[int]) -> dict[str, Any]:
    """Return the denoiser's inputs besides the latents and the timestep."""
    device = pipe._execution_device
    unet: Any = UNET.denoiser_of(pipe)
    embeddings, _, *pooled = pipe.encode_prompt(
        prompts, device=device, num_images_per_prompt=1, do_classifier_free_guidance=False
    )
    conditions: dict[str, Any] = {"encoder_hidden_states": embeddings.to(unet.dtype)}
    if unet.config.time_cond_proj_dim is not None:
        # Models that embed the guidance (LCM) take its scale less one: none.
        conditions["timestep_cond"] = pipe.get_guidance_scale_embedding(
            torch.zeros(len(prompts)), embedding_dim=unet.config.time_cond_proj_dim
        ).to(device, unet.dtype)
    if unet.config.addition_embed_type == "text_time":
        # SDXL is told the original size, the crop's corner and the size to draw: the whole picture.
        sizes = torch.tensor([[*image_size, 0, 0, *image_size]] * len(prompts))
        text = pooled[0].to(unet.dtype)
        expected = unet.add_embedding.linear_1.in_features
        if expected != sizes.shape[1] * unet.config.addition_time_embed_dim + text.shape[1]:
            raise TraceError(
                "Expected an SDXL base model, which is told three sizes, but this one is told "
                "something else (a refiner): use the base model."
            )
        conditions["added_cond_kwargs"] = {
            "text_embeds": text,
            "time_ids": sizes.to(device, unet.dtype),
        }
    elif unet.config.addition_embed_type is not None or unet.config.class_embed_type is not None:
        raise TraceError(
            "Expected a Stable Diffusion or SDXL model, but this UNet needs further inputs "
            f"(addition_embed_type={unet.config.addition_embed_type!r}, "
            f"class_embed_type={unet.config.class_embed_type!r})."
        )
    return conditions


def _latents(pipe: Any, pixels: Tensor) -> Tensor:
    """Encode pictures (row, 3, y, x) in [-1, 1] as the denoiser takes them."""
    vae = pipe.vae
    unet: Any = UNET.denoiser_of(pipe)
    encoded = vae.encode(pixels.to(pipe._execution_device, vae.dtype)).latent_dist.mode().float()
    if not torch.isfinite(encoded).all():
        raise TraceError(
            f"Expected finite latents, but the VAE overflowed in {vae.dtype}: call "
            "pipe.vae.to(torch.float32)."
        )
    if encoded.shape[1] != unet.config.in_channels:
        raise TraceError(
            f"Expected a denoiser of {encoded.shape[1]} latent channels, but this one takes "
            f"{unet.config.in_channels}, since it is made for editing pictures: use a "
            "text-to-image model."
        )
    mean, deviation = (getattr(vae.config, name, None) for name in ("latents_mean", "latents_std"))
    if mean is not None and deviation is not None:
        shape = (1, -1, 1, 1)
        encoded = (encoded - torch.tensor(mean).view(shape).to(encoded)) / torch.tensor(
            deviation
        ).view(shape).to(encoded)
    return (encoded * vae.config.scaling_factor).to(unet.dtype)
