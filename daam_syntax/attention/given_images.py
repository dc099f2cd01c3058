"""Tracing a given image: a model's attention to an image that it did not generate."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from daam_syntax.attention.families import Family, family_of
from daam_syntax.attention.families.image_latents import PLAIN, require_autoencoder
from daam_syntax.attention.families.video import require_images
from daam_syntax.attention.hooks.interrupts import restore_completely
from daam_syntax.attention.texts.sentences import Sentences
from daam_syntax.attention.tracing import trace
from daam_syntax.errors import DaamSyntaxError, FileError, TraceError
from daam_syntax.language import Sentence, check_prompt
from daam_syntax.maps import HeatMaps
from daam_syntax.maps.selection import LayerSelection
from daam_syntax.util.pixels import as_rgb

GivenImage = Image.Image | NDArray[Any] | str | Path
"""A PIL image, the path of its file, or an array ``(y, x, 3)`` of 8-bit integers or of floats in [0, 1]."""

DEFAULT_TIMESTEPS = (100, 250, 400, 550, 700)
"""Training timesteps from little noise to much noise, of the usual 1,000.

For models trained by flow matching, a timestep is the fraction of noise in the mixture, in thousandths.
"""


def trace_image(
    pipe: Any,
    image: GivenImage,
    prompt: str,
    *,
    timesteps: Sequence[int] = DEFAULT_TIMESTEPS,
    seed: int = 0,
    parser: Any = None,
    layers: LayerSelection = None,
    keep: Iterable[str] | str = (),
    max_bytes: int | None = None,
    refined: bool = False,
    padding: bool = False,
    sentence: Sentence | None = None,
) -> HeatMaps:
    """Record which pixels of a given image attend to which word of a prompt.

    The image is encoded and noised to each timestep. The denoiser runs once per timestep, with the prompt and without
    guidance, and the maps are averaged over the timesteps. The pipeline itself calls the denoiser, and so provides
    all of its inputs.

    Parameters
    ----------
    pipe
        A pipeline of a known family.
    image
        A PIL image, the path of its file, or an array of 8-bit integers or of floats in [0, 1]. *Shape:* ``(y, x, 3)``
    prompt
        The text.
    timesteps
        Training timesteps at which to record attention.
    seed
        Seed of the noise.
    parser, layers, keep, max_bytes, padding
        As for `trace`; a step is one of the timesteps.
    refined
        Whether to return refined maps, as `Trace.heat_maps` does.
    sentence
        The parse of the prompt; None to parse it.

    Returns
    -------
    HeatMaps
        In the same form as for a generated image.

    Raises
    ------
    TraceError
        If the image, the timesteps or the model cannot be used.
    FileError
        If there is no image file at a path.
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
        refined=refined,
        padding=padding,
        sentences=() if sentence is None else sentence,
    )[0]


@torch.no_grad()
def trace_images(
    pipe: Any,
    images: Sequence[GivenImage],
    prompts: Sequence[str],
    *,
    timesteps: Sequence[int] = DEFAULT_TIMESTEPS,
    seed: int = 0,
    parser: Any = None,
    layers: LayerSelection = None,
    keep: Iterable[str] | str = (),
    max_bytes: int | None = None,
    refined: bool = False,
    padding: bool = False,
    sentences: Sentences = (),
    batch_size: int = 8,
) -> list[HeatMaps]:
    """Trace many given images, several in one denoiser call.

    Every image gets the noise of the same seed, so its maps do not depend on the other images.

    Parameters
    ----------
    pipe
        A pipeline of a known family.
    images
        The images. Consecutive images of the same size form batches.
    prompts
        One text for each image.
    timesteps
        Training timesteps at which to record attention.
    seed
        Seed of the noise.
    parser, layers, keep, max_bytes, padding
        As for `trace`; a step is one of the timesteps.
    refined
        Whether to return refined maps, as `Trace.heat_maps` does.
    sentences
        Prompts that are already parsed, as for `Trace.heat_maps`.
    batch_size
        Number of images in one denoiser call.

    Returns
    -------
    list of HeatMaps
        One per image.

    Raises
    ------
    TraceError
        If an image, the timesteps or the model cannot be used, or a sentence is not the parse of any prompt.
    FileError
        If there is no image file at a path.
    PromptError
        If a prompt has no words.
    """
    if isinstance(prompts, str) or len(images) != len(prompts):
        got = "one text" if isinstance(prompts, str) else f"{len(prompts)} prompts"
        raise TraceError(f"Expected a prompt for each of {len(images)} images, but got {got}.")
    if batch_size < 1:
        raise TraceError(f"Expected a batch size of 1 or more, but got {batch_size}.")
    prompts = [check_prompt(prompt) for prompt in prompts]
    require_images(pipe, "trace a given image")
    family = family_of(pipe)
    require_autoencoder(pipe)
    denoiser: Any = family.denoiser_of(pipe)
    noising = _Noising(pipe.scheduler, timesteps)
    pixels = [_pixels(image, pipe.vae_scale_factor) for image in images]
    if not pixels:
        return []
    recording = trace(
        pipe,
        parser=parser,
        layers=layers,
        keep=keep,
        max_bytes=max_bytes,
        refine=refined,
        padding=padding,
    )
    with recording:
        for rows in _batches(pixels, batch_size):
            latents = _latents(pipe, family, torch.stack([pixels[row] for row in rows]))
            noised = noising(latents, torch.Generator("cpu").manual_seed(seed))

            def describe(n_images: int = len(rows)) -> None:
                recording.describe_call(
                    seeds=[seed] * n_images,
                    settings={"guidance_scale": None, "source": "given image"},
                )

            looped = [family.image_latents.in_loop(pipe, each) for each in noised]
            schedule = _Schedule(pipe.scheduler, noising.timesteps, looped, describe)
            with _replaced(pipe, schedule), _from_text_alone(pipe):
                pipe(
                    prompt=[prompts[row] for row in rows],
                    latents=family.image_latents.as_argument(pipe, noised[0]).to(denoiser.dtype),
                    num_inference_steps=len(noising.timesteps),
                    output_type="latent",
                    **_plain_options(pipe, family, *pixels[rows[0]].shape[-2:]),
                )
    return recording.heat_maps(sentences=sentences, refined=refined)


@contextmanager
def _from_text_alone(pipe: Any) -> Iterator[None]:
    """Say what to do if a pipeline that accepts images fails without one."""
    try:
        yield
    except (DaamSyntaxError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if "image" not in inspect.signature(type(pipe).__call__).parameters:
            raise
        raise TraceError(
            f"Expected a pipeline that draws from text alone, to trace a given image, but {type(pipe).__name__} fails "
            f"without another image ({error}): use the text-to-image pipeline of its model, such as "
            "FluxPipeline.from_pipe(pipe) for FluxKontextPipeline."
        ) from error


class _Noising:
    """The forward process with which a pipeline's model was trained.

    Diffusion: ``sqrt(a_t) x + sqrt(1 - a_t) noise`` (Ho, Jain & Abbeel 2020, eq. 4). Schedulers that use sigmas scale
    their input to the same mixture. Flow matching: ``(1 - s) x + s noise``, where ``s`` is the timestep divided by the
    number of training timesteps (Lipman et al. 2023; Esser et al. 2024).
    """

    def __init__(self, scheduler: Any, timesteps: Sequence[int]) -> None:
        name, config = type(scheduler).__name__, scheduler.config
        self._n_train: int = config.num_train_timesteps
        self._is_flow = name.startswith("FlowMatch") or bool(config.get("use_flow_sigmas"))
        self._alphas: Tensor | None = getattr(scheduler, "alphas_cumprod", None)
        if not self._is_flow and self._alphas is None:
            raise TraceError(
                f"Expected a scheduler with alphas_cumprod or for flow matching, but got {name}: set pipe.scheduler "
                "to one with the model's training settings, such as a DDIMScheduler."
            )
        wrong = [t for t in timesteps if t != int(t) or not 0 <= t < self._n_train]
        if wrong or not timesteps:
            raise TraceError(
                "Expected at least one training timestep, and whole numbers from 0 to "
                f"{self._n_train - 1}, but got {list(timesteps)}."
            )
        whole = torch.tensor([int(timestep) for timestep in timesteps], device="cpu")
        self.timesteps = whole.float() if self._is_flow else whole

    def __call__(self, latents: Tensor, generator: torch.Generator) -> list[Tensor]:
        """Noise the latents to each timestep; every row gets the same noise. *Shape:* ``(row, ...)``."""
        # Every image has the same noise, as it would have alone.
        return [
            self.mix(
                latents.float(),
                torch.randn(latents.shape[1:], generator=generator, device="cpu"),
                index,
            )
            for index in range(len(self.timesteps))
        ]

    def mix(self, latents: Tensor, noise: Tensor, index: int) -> Tensor:
        """Noise latents to the timestep with this index."""
        noise = noise.to(latents)
        if self._is_flow:
            share = float(self.timesteps[index]) / self._n_train
            return (1 - share) * latents + share * noise
        assert self._alphas is not None
        alpha = self._alphas[self.timesteps[index]].to(latents)
        return alpha.sqrt() * latents + (1 - alpha).sqrt() * noise


class _Step(NamedTuple):
    """The attributes of a scheduler's step that pipelines read."""

    prev_sample: Tensor
    denoised: Tensor


class _Schedule:
    """A stand-in for a scheduler that ignores the denoiser's output and returns the next noised latents."""

    order = 1
    init_noise_sigma = 1.0

    def __init__(
        self,
        scheduler: Any,
        timesteps: Tensor,
        noised: Sequence[Tensor],
        on_start: Callable[[], None],
    ) -> None:
        self._scheduler = scheduler
        self._noised = noised
        self._on_start = on_start
        self._index = 0
        self.timesteps = timesteps

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scheduler, name)

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: Any = None,
        sigmas: Any = None,
        timesteps: Any = None,
        **others: Any,
    ) -> None:
        self.timesteps = self.timesteps.to(device)

    def set_begin_index(self, begin_index: int = 0) -> None:
        pass

    def scale_model_input(self, sample: Tensor, timestep: Any = None) -> Tensor:
        return sample

    def step(self, model_output: Tensor, timestep: Any, sample: Tensor, **others: Any) -> _Step:
        if self._index == 0:
            self._on_start()  # the trace has by now read all that the pipeline itself provides
        self._index += 1
        following = self._noised[min(self._index, len(self._noised) - 1)].to(sample)
        return _Step(following, following)


@contextmanager
def _replaced(pipe: Any, schedule: _Schedule) -> Iterator[None]:
    """Temporarily replace the pipeline's scheduler, and hide its progress bar."""
    scheduler, bar = pipe.scheduler, dict(getattr(pipe, "_progress_bar_config", {}))

    def restore() -> None:
        object.__setattr__(pipe, "scheduler", scheduler)
        pipe.set_progress_bar_config(**bar)

    try:
        # Bypasses the pipeline's own setter, which would write the stand-in into its configuration.
        object.__setattr__(pipe, "scheduler", schedule)
        pipe.set_progress_bar_config(**{**bar, "disable": True})
        yield
    finally:
        restore_completely(restore)


def _plain_options(pipe: Any, family: Family, height: int, width: int) -> dict[str, Any]:
    """Return arguments of a pipeline call for exactly this size, without guidance."""
    known = inspect.signature(pipe.__call__).parameters
    options: dict[str, Any] = {"height": height, "width": width}
    # A guidance scale that is an input of a distilled model adds no unconditional rows.
    is_input = getattr(family.denoiser_of(pipe).config, "guidance_embeds", False) and not hasattr(
        type(pipe), "do_classifier_free_guidance"
    )
    if not is_input:
        options["guidance_scale"] = family.no_guidance
    # Nor may the pipeline change the size or the text.
    options |= {"true_cfg_scale": 1.0, "use_resolution_binning": False, "clean_caption": False}
    return {name: value for name, value in options.items() if name in known}


def _pixels(image: GivenImage, factor: int) -> Tensor:
    """Return an image with values in [-1, 1]. *Shape:* ``(3, y, x)``."""
    if isinstance(image, str | Path):
        try:
            image = Image.open(image)
            image.load()
        except OSError as error:  # raised by Pillow for other files, too
            raise FileError(f"Expected an image file, but {error}.") from error
    array = np.asarray(as_rgb(image) if isinstance(image, Image.Image) else image)
    if array.ndim != 3 or array.shape[-1] != 3:
        raise TraceError(
            "Expected a PIL image, the path of its file or an array of shape (y, x, 3), but got the shape "
            f"{array.shape}."
        )
    if array.dtype == np.uint8:
        array = array / 255
    elif not np.issubdtype(array.dtype, np.floating) or not (array.min() >= 0 and array.max() <= 1):
        raise TraceError(
            "Expected an image of 8-bit integers or of floats in [0, 1], but got "
            f"{array.dtype} from {array.min()} to {array.max()}."
        )
    height, width = array.shape[:2]
    if height % factor or width % factor:
        raise TraceError(
            f"Expected an image whose height and width are multiples of {factor}, but got "
            f"{height}x{width} (height x width): crop or resize it, for example to "
            f"{height // factor * factor or factor}x{width // factor * factor or factor}."
        )
    return torch.from_numpy(array.astype(np.float32) * 2 - 1).permute(2, 0, 1)


def _batches(pixels: Sequence[Tensor], batch_size: int) -> Iterator[list[int]]:
    """Yield the indices of consecutive images of the same size, at most `batch_size` at once."""
    for _, group in itertools.groupby(range(len(pixels)), key=lambda row: pixels[row].shape):
        rows = list(group)
        for start in range(0, len(rows), batch_size):
            yield rows[start : start + batch_size]


def _latents(pipe: Any, family: Family, pixels: Tensor) -> Tensor:
    """Encode images with values in [-1, 1] to latents on the scale of the noise. *Shape:* ``(row, 3, y, x)``."""
    latents = family.image_latents.encode(pipe, pixels)
    expected = getattr(family.denoiser_of(pipe).config, "in_channels", None)
    if family.image_latents is PLAIN and latents.shape[1] != expected:
        raise TraceError(
            f"Expected a denoiser of {latents.shape[1]} latent channels, but this one takes {expected}, because it "
            "edits images: use a text-to-image model."
        )
    return latents
