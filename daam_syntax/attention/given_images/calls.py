"""Tracing a given image: a model's attention to an image that it did not generate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from daam_syntax.attention.given_images.pixels import (
    GivenImage,
    GivenPixels,
)
from daam_syntax.attention.given_images.recording import record_images
from daam_syntax.attention.texts.sentences import Sentences
from daam_syntax.language import Sentence
from daam_syntax.maps import HeatMaps, OutputMaps
from daam_syntax.maps.selection import LayerSelection
from daam_syntax.util.arguments.checks import OWN, checked
from daam_syntax.util.images.fitting import Fit

DEFAULT_TIMESTEPS = (100, 250, 400, 550, 700)
"""Training timesteps from little noise to much noise, of the usual 1,000.

For models trained by flow matching, a timestep is the fraction of noise in the mixture, in thousandths.
"""


_Maps = TypeVar("_Maps", HeatMaps, OutputMaps)


@checked(image=OWN, prompt=OWN, timesteps=OWN)
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
    of: str | None = None,
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
        A photo is turned upright according to its EXIF tag. A JPEG of more than 67 million pixels that is fitted is
        decoded at a smaller scale.
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
    of
        A text outside the prompt, to return the maps of its words in place of those of the prompt, which the denoiser
        reads all the same; None for the prompt. See `also` of `trace` for the models, and what the softmax runs over.
    sentence
        The parse of the prompt, or of the text `of`; None to parse it.

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
        of=of,
        sentences=() if sentence is None else sentence,
    )[0]


@checked(images=OWN, prompts=OWN, timesteps=OWN)
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
    of: str | None = None,
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
    of
        As for `trace_image`, the same text for all images.
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
    recording, given = record_images(
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
        also=() if of is None else of,
    )
    maps = recording.heat_maps(sentences=sentences, of=of, refined=refined) if given else []
    return _with_fit(maps, given)


@checked(images=OWN, prompts=OWN, timesteps=OWN)
def trace_output_maps(
    pipe: Any,
    images: Sequence[GivenImage],
    prompts: Sequence[str],
    *,
    of: str | None = None,
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
    pipe, images, prompts, of, sentences, timesteps, seed, batch_size, fit, size, progress
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
    recording, given = record_images(
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
        also=() if of is None else of,
        **options,
    )
    maps = recording.output_maps(sentences=sentences, of=of) if given else []
    return _with_fit(maps, given)


def _with_fit(maps: list[_Maps], given: Sequence[GivenPixels]) -> list[_Maps]:
    """Say in the provenance of maps how their images were fitted."""
    return [
        each if one.fitting is None else each.with_provenance(fit=one.fitting.provenance())
        for each, one in zip(maps, given, strict=True)
    ]
