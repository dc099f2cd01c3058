"""Reading the attention of a model to a picture that is given, not drawn."""

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
from daam_syntax.attention.pipeline_call.sentences import Sentences
from daam_syntax.attention.softmax.layer_sums import LayerSelection
from daam_syntax.attention.tracing import Trace
from daam_syntax.errors import FileError, TraceError
from daam_syntax.language import Sentence, check_prompt
from daam_syntax.maps import HeatMaps

Picture = Image.Image | NDArray[Any] | str | Path
"""A PIL image, the path of its file, or an array (y, x, 3) of 8-bit numbers or of floats in [0, 1]."""

DEFAULT_TIMESTEPS = (100, 250, 400, 550, 700)
"""Training timesteps from slightly to strongly noisy, out of the usual 1,000.

For models trained by flow matching they are thousandths of noise in the mixture.
"""


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
    refined: bool = False,
    padding: bool = False,
    sentence: Sentence | None = None,
) -> HeatMaps:
    """Read which pixels of a given picture attend to which word of a prompt.

    The picture is encoded, noised to each timestep, and shown to the denoiser once per timestep
    with the prompt, without guidance; the maps are averaged over the timesteps. It is the pipeline
    itself that calls the denoiser, so that it gives it all it needs.

    Parameters
    ----------
    pipe
        A pipeline of a known family.
    image
        The picture: a PIL image, the path of its file, or an array (y, x, 3) of 8-bit numbers or of floats in [0, 1].
    prompt
        The text.
    timesteps
        Training timesteps at which to look.
    seed
        Of the noise.
    parser, layers, keep, max_bytes, padding
        As for `trace`; a step is one of the timesteps.
    refined
        Whether to return refined maps instead of the plain ones, as `Trace.heat_maps` does.
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
        refined=refined,
        padding=padding,
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
    refined: bool = False,
    padding: bool = False,
    sentences: Sentences = (),
    batch_size: int = 8,
) -> list[HeatMaps]:
    """Read the attention to many pictures, several in one call of the denoiser.

    Each picture gets the noise of the same seed, so its maps depend on no other picture.

    Parameters
    ----------
    pipe
        A pipeline of a known family.
    images
        The pictures; neighbours of the same size go into a batch.
    prompts
        One text for each.
    timesteps
        Training timesteps at which to look.
    seed
        Of the noise.
    parser, layers, keep, max_bytes, padding
        As for `trace`; a step is one of the timesteps.
    refined
        Whether to return refined maps instead of the plain ones, as `Trace.heat_maps` does.
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
    family = family_of(pipe)
    require_autoencoder(pipe)
    denoiser: Any = family.denoiser_of(pipe)
    noising = _Noising(pipe.scheduler, timesteps)
    pixels = [_pixels(image, pipe.vae_scale_factor) for image in images]
    if not pixels:
        return []
    recording = Trace(
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
            noised = noising(latents, torch.Generator().manual_seed(seed))

            def describe(n_images: int = len(rows)) -> None:
                recording.describe_drawing(
                    seeds=[seed] * n_images,
                    settings={"guidance_scale": None, "source": "given image"},
                )

            looped = [family.picture.looped(pipe, each) for each in noised]
            schedule = _Schedule(pipe.scheduler, noising.timesteps, looped, describe)
            with _replaced(pipe, schedule):
                pipe(
                    prompt=[prompts[row] for row in rows],
                    latents=family.picture.given(pipe, noised[0]).to(denoiser.dtype),
                    num_inference_steps=len(noising.timesteps),
                    output_type="latent",
                    **_plain_options(pipe, family, *pixels[rows[0]].shape[-2:]),
                )
    return recording.heat_maps(sentences=sentences, refined=refined)


class _Noising:
    """The forward process that a pipeline's model was trained with.

    Diffusion: ``sqrt(a_t) x + sqrt(1 - a_t) noise`` (Ho, Jain & Abbeel 2020, eq. 4); schedulers that
    draw with sigmas scale their input to the same. Flow matching: ``(1 - s) x + s noise`` with s the
    timestep over the number of training timesteps (Lipman et al. 2023; Esser et al. 2024).
    """

    def __init__(self, scheduler: Any, timesteps: Sequence[int]) -> None:
        name, config = type(scheduler).__name__, scheduler.config
        self._n_train: int = config.num_train_timesteps
        self._is_flow = name.startswith("FlowMatch") or bool(config.get("use_flow_sigmas"))
        self._alphas: Tensor | None = getattr(scheduler, "alphas_cumprod", None)
        if not self._is_flow and self._alphas is None:
            raise TraceError(
                f"Expected a scheduler with alphas_cumprod or of flow matching, but {name} is "
                "neither: set pipe.scheduler to e.g. a DDIMScheduler of the model's training "
                "settings."
            )
        wrong = [t for t in timesteps if t != int(t) or not 0 <= t < self._n_train]
        if wrong or not timesteps:
            raise TraceError(
                "Expected at least one training timestep, whole numbers from 0 to "
                f"{self._n_train - 1}, but got {list(timesteps)}."
            )
        whole = torch.tensor([int(timestep) for timestep in timesteps])
        self.timesteps = whole.float() if self._is_flow else whole

    def __call__(self, latents: Tensor, generator: torch.Generator) -> list[Tensor]:
        """Noise the latents (row, ...) to each timestep; every row gets the same noise."""
        # One picture's noise for all: the same as if each were alone.
        return [
            self.mix(latents.float(), torch.randn(latents.shape[1:], generator=generator), index)
            for index in range(len(self.timesteps))
        ]

    def mix(self, latents: Tensor, noise: Tensor, index: int) -> Tensor:
        """Noise latents to the timestep of this index."""
        noise = noise.to(latents)
        if self._is_flow:
            share = float(self.timesteps[index]) / self._n_train
            return (1 - share) * latents + share * noise
        assert self._alphas is not None
        alpha = self._alphas[self.timesteps[index]].to(latents)
        return alpha.sqrt() * latents + (1 - alpha).sqrt() * noise


class _Step(NamedTuple):
    """What pipelines read of a scheduler's step."""

    prev_sample: Tensor
    denoised: Tensor


class _Schedule:
    """Stands in for a scheduler: whatever the denoiser answers, it is next shown the next noised picture."""

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
            self._on_start()  # by now the pipeline has told the trace all that it knows itself
        self._index += 1
        following = self._noised[min(self._index, len(self._noised) - 1)].to(sample)
        return _Step(following, following)


@contextmanager
def _replaced(pipe: Any, schedule: _Schedule) -> Iterator[None]:
    """Let the pipeline use a schedule, without a progress bar."""
    scheduler, bar = pipe.scheduler, dict(getattr(pipe, "_progress_bar_config", {}))
    # Past the pipeline's own setter, which would write the stand-in into its configuration.
    object.__setattr__(pipe, "scheduler", schedule)
    pipe.set_progress_bar_config(**{**bar, "disable": True})
    try:
        yield
    finally:
        object.__setattr__(pipe, "scheduler", scheduler)
        pipe.set_progress_bar_config(**bar)


def _plain_options(pipe: Any, family: Family, height: int, width: int) -> dict[str, Any]:
    """Return arguments for drawing this size as it is asked for, without guidance."""
    known = inspect.signature(pipe.__call__).parameters
    options: dict[str, Any] = {"height": height, "width": width}
    # A scale that a distilled model takes as its input is no guidance.
    is_input = getattr(family.denoiser_of(pipe).config, "guidance_embeds", False) and not hasattr(
        type(pipe), "do_classifier_free_guidance"
    )
    if not is_input:
        options["guidance_scale"] = family.no_guidance
    # Sizes and texts that are not what was given would be another picture's.
    options |= {"true_cfg_scale": 1.0, "use_resolution_binning": False, "clean_caption": False}
    return {name: value for name, value in options.items() if name in known}


def _pixels(image: Picture, factor: int) -> Tensor:
    """Return a picture as (3, y, x) in [-1, 1]."""
    if isinstance(image, str | Path):
        try:
            image = Image.open(image)
            image.load()
        except OSError as error:  # Pillow's own for what is no picture, too
            raise FileError(f"Expected the file of a picture, but {error}.") from error
    array = np.asarray(image.convert("RGB") if isinstance(image, Image.Image) else image)
    if array.ndim != 3 or array.shape[-1] != 3:
        raise TraceError(
            "Expected a picture as a PIL image, a file's path or an array (y, x, 3), but got the shape "
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


def _latents(pipe: Any, family: Family, pixels: Tensor) -> Tensor:
    """Encode pictures (row, 3, y, x) in [-1, 1], on the scale of the noise."""
    latents = family.picture.encode(pipe, pixels)
    expected = getattr(family.denoiser_of(pipe).config, "in_channels", None)
    if family.picture is PLAIN and latents.shape[1] != expected:
        raise TraceError(
            f"Expected a denoiser of {latents.shape[1]} latent channels, but this one takes "
            f"{expected}, since it is made for editing pictures: use a text-to-image model."
        )
    return latents
