"""Tracing a given image: a model's attention to an image that it did not generate."""

from __future__ import annotations

import inspect
import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from daam_syntax.attention.families import Family, family_of
from daam_syntax.attention.families.drawn_sizes import drawn_size
from daam_syntax.attention.families.image_latents import PLAIN, require_autoencoder
from daam_syntax.attention.families.video import require_images
from daam_syntax.attention.given_image_noise import (
    NoisedSchedule,
    Noising,
    plain_options,
    replaced_scheduler,
)
from daam_syntax.attention.texts.sentences import Sentences
from daam_syntax.attention.tracing import Trace, trace
from daam_syntax.errors import DaamSyntaxError, FileError, TraceError
from daam_syntax.language import Sentence, check_prompt
from daam_syntax.maps import HeatMaps, OutputMaps
from daam_syntax.maps.selection import LayerSelection
from daam_syntax.util.image_fitting import FITS, Fit, Fitting
from daam_syntax.util.pixels import as_rgb
from daam_syntax.util.progress import Progress, show_progress
from daam_syntax.util.user_warnings import warn_user
from daam_syntax.util.wording import plural

GivenImage = Image.Image | NDArray[Any] | str | Path
"""A PIL image, the path of its file, or an array ``(y, x, 3)`` of 8-bit integers or of floats in [0, 1]."""

DEFAULT_TIMESTEPS = (100, 250, 400, 550, 700)
"""Training timesteps from little noise to much noise, of the usual 1,000.

For models trained by flow matching, a timestep is the fraction of noise in the mixture, in thousandths.
"""

_PATIENCE: Final = 2.0  # seconds of remaining work that a progress display is for
_FAR: Final = 4.0
"""Ratio of areas beyond which an image is far from what a model draws: twice the height and width, or half of them."""

_Maps = TypeVar("_Maps", HeatMaps, OutputMaps)


def trace_image(
    pipe: Any,
    image: GivenImage,
    prompt: str,
    *,
    fit: Fit | None = None,
    size: tuple[int, int] | None = None,
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
        A PIL image, the path of its file, or an array of 8-bit integers or of floats in [0, 1]. *Shape:* ``(y, x, 3)``.
        A photo is turned upright according to its EXIF tag.
    prompt
        The text.
    fit
        How the image gets the size that the model draws: "crop" keeps the largest centered part of the same
        proportions and scales it; "resize" scales the whole image, which may change its proportions. The provenance of
        the maps has the choice, the original size, the box, and the size (``maps.provenance["fit"]``), and
        ``fit_image(image, maps)`` returns the pixels that the maps belong to. None uses the image as it is, and
        refuses sizes that the model cannot read.
    size
        Height and width that `fit` aims at, in pixels; the pipeline's own default if None.
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
        fit=fit,
        size=size,
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


def trace_images(
    pipe: Any,
    images: Sequence[GivenImage],
    prompts: Sequence[str],
    *,
    fit: Fit | None = None,
    size: tuple[int, int] | None = None,
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
    progress: bool | None = None,
) -> list[HeatMaps]:
    """Trace many given images, several in one denoiser call.

    Every image gets the noise of the same seed, so its maps do not depend on the other images.

    Parameters
    ----------
    pipe
        A pipeline of a known family.
    images
        The images. Consecutive images of the same size, after they are fitted, form batches.
    prompts
        One text for each image.
    fit, size
        As for `trace_image`.
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
    progress
        Whether to show progress; None to show it if the images take more than two seconds.

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
    recording, given = _record(
        pipe,
        images,
        prompts,
        fit=fit,
        size=size,
        timesteps=timesteps,
        seed=seed,
        batch_size=batch_size,
        progress=progress,
        parser=parser,
        layers=layers,
        keep=keep,
        max_bytes=max_bytes,
        refine=refined,
        padding=padding,
    )
    maps = recording.heat_maps(sentences=sentences, refined=refined) if given else []
    return _with_fit(maps, given)


def trace_output_maps(
    pipe: Any,
    images: Sequence[GivenImage],
    prompts: Sequence[str],
    *,
    sentences: Sentences = (),
    timesteps: Sequence[int] = DEFAULT_TIMESTEPS,
    seed: int = 0,
    batch_size: int = 8,
    fit: Fit | None = None,
    size: tuple[int, int] | None = None,
    progress: bool | None = None,
    **options: Any,
) -> list[OutputMaps]:
    """Trace many given images as `trace_images` does, and return their maps by similarity of attention outputs.

    Parameters
    ----------
    pipe, images, prompts, sentences, timesteps, seed, batch_size, fit, size, progress
        As for `trace_images`.
    **options
        Options of `trace`: `parser`, `layers`, `keep`, `max_bytes`, and `padding`.

    Returns
    -------
    list of OutputMaps
        One per image.

    Raises
    ------
    TraceError, FileError, PromptError
        As for `trace_images`.
    """
    recording, given = _record(
        pipe,
        images,
        prompts,
        fit=fit,
        size=size,
        timesteps=timesteps,
        seed=seed,
        batch_size=batch_size,
        progress=progress,
        outputs=True,
        **options,
    )
    return _with_fit(recording.output_maps(sentences=sentences) if given else [], given)


def _with_fit(maps: list[_Maps], given: Sequence[_Given]) -> list[_Maps]:
    """Say in the provenance of maps how their images were fitted."""
    return [
        each if one.fitting is None else each.with_provenance(fit=one.fitting.provenance())
        for each, one in zip(maps, given, strict=True)
    ]


def _record(
    pipe: Any,
    images: Sequence[GivenImage],
    prompts: Sequence[str],
    *,
    fit: Fit | None,
    size: tuple[int, int] | None,
    timesteps: Sequence[int],
    seed: int,
    batch_size: int,
    progress: bool | None,
    **options: Any,
) -> tuple[Trace, list[_Given]]:
    """Trace given images; `options` are those of `trace`."""
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
    noising = Noising(pipe.scheduler, timesteps)
    factor = int(pipe.vae_scale_factor) * family.image_latents.per_token
    target = _target(pipe, family, factor, fit, size)
    given = [_given(image, factor, fit, target) for image in images]
    recording = trace(pipe, **options)
    if not given:
        return recording, []
    pixels = [each.pixels for each in given]
    if fit is None:
        _warn_of_far_sizes(pixels, target)
    batches = list(_batches(pixels, batch_size))
    with torch.no_grad(), recording, _Bar(progress, len(pixels)) as bar:
        for rows in batches:
            latents = _latents(pipe, family, torch.stack([pixels[row] for row in rows]))
            noised = noising(latents, torch.Generator("cpu").manual_seed(seed))

            def describe(n_images: int = len(rows)) -> None:
                recording.describe_call(
                    seeds=[seed] * n_images,
                    settings={"guidance_scale": None, "source": "given image"},
                )

            looped = [family.image_latents.in_loop(pipe, each) for each in noised]
            schedule = NoisedSchedule(pipe.scheduler, noising.timesteps, looped, describe)
            with replaced_scheduler(pipe, schedule), _from_text_alone(pipe):
                pipe(
                    prompt=[prompts[row] for row in rows],
                    latents=family.image_latents.as_argument(pipe, noised[0]).to(denoiser.dtype),
                    num_inference_steps=len(noising.timesteps),
                    output_type="latent",
                    **plain_options(pipe, family, *pixels[rows[0]].shape[-2:]),
                )
            bar.advance(len(rows))
    return recording, given


class _Bar:
    """A progress display that appears only if the remaining images will take longer than two seconds.

    Parameters
    ----------
    show
        Whether to show progress; None to decide after the first batch.
    total
        Number of images.
    """

    def __init__(self, show: bool | None, total: int) -> None:
        self._show, self._total = show, total
        self._done = 0
        self._stack = ExitStack()
        self._bar: Progress | None = None

    def __enter__(self) -> _Bar:
        self._started = time.monotonic()
        if self._show:
            self._open()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def advance(self, n: int) -> None:
        """Count `n` more images as traced."""
        self._done += n
        if self._bar is not None:
            self._bar.advance(n)
        elif self._show is None:
            left = self._total - self._done
            if (time.monotonic() - self._started) / self._done * left > _PATIENCE:
                self._open()

    def _open(self) -> None:
        self._bar = self._stack.enter_context(
            show_progress(True, self._total, self._done, label="Tracing")
        )


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


class _Given(NamedTuple):
    """An image with values in [-1, 1], and how it was fitted. *Shape:* ``(3, y, x)``."""

    pixels: Tensor
    fitting: Fitting | None


def _target(
    pipe: Any, family: Family, factor: int, fit: Fit | None, size: tuple[int, int] | None
) -> tuple[int, int] | None:
    """Return the height and width that images are fitted to; None if unknown and not needed."""
    if fit is None:
        if size is not None:
            raise TraceError(
                f'Expected fit="crop" or fit="resize" with a size, but got size={size} alone.'
            )
        return drawn_size(pipe, family)
    if fit not in FITS:
        raise TraceError(f'Expected fit="crop", fit="resize" or fit=None, but got {fit!r}.')
    target = size or drawn_size(pipe, family)
    if target is None:
        raise TraceError(
            f'Expected size=(height, width) with fit="{fit}", because {type(pipe).__name__} does not say which size '
            "it draws: pass for example size=(1024, 1024)."
        )
    if len(target) != 2 or any(side != int(side) or side < 1 or side % factor for side in target):
        raise TraceError(
            f"Expected a size (height, width) in positive multiples of {factor}, but got {tuple(target)}."
        )
    return int(target[0]), int(target[1])


def _warn_of_far_sizes(pixels: Sequence[Tensor], target: tuple[int, int] | None) -> None:
    """Warn of images whose size is far from what the model draws, where its maps mean little."""
    if target is None:
        return
    area = target[0] * target[1]
    sizes = [(each.shape[1], each.shape[2]) for each in pixels]
    far = [size for size in sizes if not 1 / _FAR <= size[0] * size[1] / area <= _FAR]
    if far:
        warn_user(
            f"{plural(len(far), 'image')} of {far[0][0]}x{far[0][1]} pixels (height x width) or similar: this model "
            f"draws {target[0]}x{target[1]}, and its maps of such a different size may mean little. "
            'fit="crop" or fit="resize" fits images to it.'
        )


def _given(
    image: GivenImage, factor: int, fit: Fit | None, target: tuple[int, int] | None
) -> _Given:
    """Read, check, and fit an image."""
    if isinstance(image, str | Path):
        try:
            image = Image.open(image)
            image.load()
        except OSError as error:  # raised by Pillow for other files, too
            raise FileError(f"Expected an image file, but {error}.") from error
    array = _checked(np.asarray(as_rgb(image) if isinstance(image, Image.Image) else image))
    height, width = array.shape[:2]
    fitting = None
    if fit is not None:
        assert target is not None, "_target raises if it is unknown"
        fitting = Fitting.plan(fit, (height, width), target)
        if (height, width) != target:
            array = np.asarray(fitting.apply(as_rgb(array))) / 255
    elif height % factor or width % factor:
        raise TraceError(
            f"Expected an image whose height and width are multiples of {factor}, but got "
            f'{height}x{width} (height x width): pass fit="crop" to crop it to what the model draws, fit="resize" '
            "to resize it, or an image of "
            f"{height // factor * factor or factor}x{width // factor * factor or factor}."
        )
    return _Given(torch.from_numpy(array.astype(np.float32) * 2 - 1).permute(2, 0, 1), fitting)


def _checked(array: NDArray[Any]) -> NDArray[Any]:
    """Return an image as floats in [0, 1]. *Shape:* ``(y, x, 3)``."""
    if array.ndim != 3 or array.shape[-1] != 3 or 0 in array.shape:
        raise TraceError(
            "Expected a PIL image, the path of its file or an array of shape (y, x, 3), but got the shape "
            f"{array.shape}."
        )
    if array.dtype == np.uint8:
        return array / 255
    if not np.issubdtype(array.dtype, np.floating) or not (array.min() >= 0 and array.max() <= 1):
        raise TraceError(
            "Expected an image of 8-bit integers or of floats in [0, 1], but got "
            f"{array.dtype} from {array.min()} to {array.max()}."
        )
    return array


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
