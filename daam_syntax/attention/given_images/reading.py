"""Run a pipeline's denoiser on noised given images."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

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
from daam_syntax.errors import DaamSyntaxError, TraceError
from daam_syntax.language import check_prompt
from daam_syntax.util.arguments.annotations import shown
from daam_syntax.util.images.fitting import Fit
from daam_syntax.util.wording import one_line


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a denoiser predicts for noised images at one timestep, as its pipeline passes it to the scheduler.

    Attributes
    ----------
    index
        Index of the timestep.
    output
        The prediction. *Shape:* ``(row, channel, y, x)``, or ``(row, token, channel)`` if latents are packed.
    target
        What it was trained to predict: the noise, the velocity, or the clean latents. *Shape:* that of `output`.
    """

    index: int
    output: Tensor
    target: Tensor


@dataclass(frozen=True, eq=False)
class GivenBatch:
    """Given images with their prompts, read and checked for a pipeline.

    Attributes
    ----------
    pipe, family
        The pipeline, and its family.
    prompts
        One for each image.
    pixels
        The images as they are read.
    noising
        Makes their noised latents.
    """

    pipe: Any
    family: Family
    prompts: list[str]
    pixels: list[GivenPixels]
    noising: Noising

    @classmethod
    def prepare(
        cls,
        pipe: Any,
        images: Sequence[GivenImage],
        prompts: Sequence[str],
        *,
        timesteps: Sequence[int],
        fit: Fit | None = None,
        size: tuple[int, int] | None = None,
    ) -> Self:
        """Read and check images and prompts; for the parameters and errors see `calls.trace_images`."""
        for name, several in (("images", images), ("prompts", prompts)):
            if not hasattr(several, "__len__") or isinstance(several, Mapping | bytes):
                raise TraceError(f"Expected {name} in a list, but got {shown(several)}.")
        if isinstance(prompts, str) or len(images) != len(prompts):
            got = "one text" if isinstance(prompts, str) else f"{len(prompts)} prompts"
            raise TraceError(f"Expected a prompt for each of {len(images)} images, but got {got}.")
        prompts = [check_prompt(prompt) for prompt in prompts]
        require_images(pipe, "trace a given image")
        family = family_of(pipe)
        require_autoencoder(pipe)
        noising = Noising(pipe.scheduler, timesteps)
        factor = size_factor(pipe, family)
        target = fitted_size(pipe, family, factor, fit, size)
        given = [read_image(image, factor, fit, target) for image in images]
        if fit is None:
            warn_of_far_sizes([each.pixels for each in given], target)
        return cls(pipe, family, prompts, given, noising)

    def batches(self, batch_size: int) -> Iterator[list[int]]:
        """Yield the indices of consecutive images of the same size, at most `batch_size` at once."""
        if batch_size < 1:
            raise TraceError(f"Expected a batch size of 1 or more, but got {batch_size}.")
        shapes = [each.pixels.shape for each in self.pixels]
        for _, group in itertools.groupby(range(len(shapes)), key=shapes.__getitem__):
            rows = list(group)
            for start in range(0, len(rows), batch_size):
                yield rows[start : start + batch_size]

    def read(
        self,
        rows: Sequence[int],
        seed: int,
        *,
        on_start: Callable[[int], None] | None = None,
        on_prediction: Callable[[Prediction], None] | None = None,
    ) -> None:
        """Run the denoiser on images of one size, once for each timestep, without guidance.

        Parameters
        ----------
        rows
            Indices of the images.
        seed
            Seed of the noise, which is the same for every image.
        on_start
            Called with the number of images after the first denoiser call, when the pipeline has provided all that it
            does.
        on_prediction
            Called after each denoiser call.
        """
        pipe, noising, latents_of = self.pipe, self.noising, self.family.image_latents
        pixels = torch.stack([self.pixels[row].pixels for row in rows])
        latents = _latents(pipe, self.family, pixels)
        noised = noising(latents, torch.Generator("cpu").manual_seed(seed))

        def predicted(index: int, output: Tensor) -> None:
            if index == 0 and on_start is not None:
                on_start(len(rows))
            if on_prediction is not None:
                target = latents_of.in_loop(pipe, noising.target(latents, noised[index], index))
                on_prediction(Prediction(index, output, target.to(output)))

        looped = [latents_of.in_loop(pipe, each) for each in noised]
        schedule = NoisedSchedule(pipe.scheduler, noising.timesteps, looped, predicted)
        with replaced_scheduler(pipe, schedule), _from_text_alone(pipe):
            pipe(
                prompt=[self.prompts[row] for row in rows],
                latents=latents_of.as_argument(pipe, noised[0]).to(
                    self.family.denoiser_of(pipe).dtype  # type: ignore[arg-type]
                ),
                num_inference_steps=len(noising.timesteps),
                output_type="latent",
                **plain_options(pipe, self.family, *pixels.shape[-2:]),
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
