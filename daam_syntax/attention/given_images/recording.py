"""Run a pipeline's denoiser on noised given images, and record its attention."""

from __future__ import annotations

import inspect
import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import torch
from torch import Tensor

from daam_syntax.attention.families import Family, family_of
from daam_syntax.attention.families.image_latents import PLAIN, require_autoencoder
from daam_syntax.attention.families.video import require_images
from daam_syntax.attention.given_images.noise import (
    NoisedSchedule,
    Noising,
    plain_options,
    replaced_scheduler,
)
from daam_syntax.attention.given_images.pixels import (
    GivenImage,
    GivenPixels,
    fitted_size,
    read_image,
    size_factor,
    warn_of_far_sizes,
)
from daam_syntax.attention.tracing import Trace, trace
from daam_syntax.errors import DaamSyntaxError, TraceError
from daam_syntax.language import check_prompt
from daam_syntax.util.image_fitting import Fit
from daam_syntax.util.progress import Progress, show_progress
from daam_syntax.util.wording import one_line

_PATIENCE: Final = 2.0  # seconds of remaining work that a progress display is for


def record_images(
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
) -> tuple[Trace, list[GivenPixels]]:
    """Record a pipeline's attention to given images; for the parameters see `calls.trace_images`.

    Parameters
    ----------
    **options
        Options of `trace`.

    Returns
    -------
    recording : Trace
        What was recorded.
    given : list of GivenPixels
        The images as they were traced.
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
    noising = Noising(pipe.scheduler, timesteps)
    factor = size_factor(pipe, family)
    target = fitted_size(pipe, family, factor, fit, size)
    given = [read_image(image, factor, fit, target) for image in images]
    recording = trace(pipe, **options)
    if not given:
        return recording, []
    pixels = [each.pixels for each in given]
    if fit is None:
        warn_of_far_sizes(pixels, target)
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
        if isinstance(error, ValueError) and "divisible" in str(error):
            raise TraceError(
                f"Expected an image of a size that {type(pipe).__name__} draws, but {one_line(error)} "
                'Pass fit="crop" to crop it to what the model draws, or fit="resize" to resize it.'
            ) from error
        if "image" not in inspect.signature(type(pipe).__call__).parameters:
            raise
        raise TraceError(
            f"Expected a pipeline that draws from text alone, to trace a given image, but {type(pipe).__name__} fails "
            f"without another image ({error}): use the text-to-image pipeline of its model, such as "
            "FluxPipeline.from_pipe(pipe) for FluxKontextPipeline."
        ) from error


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
