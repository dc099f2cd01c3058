"""Draw prompts under a trace, one seeded generator per image."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from daam_syntax.errors import DaamSyntaxError, ModelError, PromptError
from daam_syntax.language import Sentence, check_prompt, prompt_id
from daam_syntax.language.prompt_sets import SUFFIXES
from daam_syntax.pipelines.loading import EMOJI, is_emoji

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline
    from PIL.Image import Image

    from daam_syntax.maps import HeatMaps


@dataclass(frozen=True)
class DrawingSettings:
    """How a pipeline draws; None leaves a setting to the pipeline.

    Attributes
    ----------
    steps
        Denoising steps.
    guidance
        Classifier-free guidance scale; 1 or less draws without guidance.
    height, width
        Size of the picture, pixels.
    """

    steps: int | None = None
    guidance: float | None = None
    height: int | None = None
    width: int | None = None

    def for_pipeline(self, pipe: DiffusionPipeline) -> DrawingSettings:
        """Check the size, and fill in what suits the embedded model.

        Its pipeline class has defaults that suit larger models.

        Raises
        ------
        ModelError
            If the pipeline cannot draw this size, or in so many steps.
        """
        if self.steps is not None and not (isinstance(self.steps, Integral) and self.steps >= 1):
            raise ModelError(
                f"Expected a whole number of denoising steps, at least 1, but got {self.steps!r}."
            )
        factor = getattr(pipe, "vae_scale_factor", 1)
        for name, side in (("height", self.height), ("width", self.width)):
            if side is not None and side % factor:
                # Some pipelines would quietly draw another size.
                raise ModelError(
                    f"Expected a {name} that is a multiple of {factor} pixels, but got {side}; "
                    f"{max(factor, round(side / factor) * factor)} would do."
                )
        if not is_emoji(pipe):
            return self
        steps = 20 if self.steps is None else self.steps
        guidance = 4.0 if self.guidance is None else self.guidance
        return DrawingSettings(steps, guidance, self.height, self.width)

    def as_arguments(self) -> dict[str, Any]:
        """Return the arguments of a diffusers pipeline call, without those left open."""
        arguments = {
            "num_inference_steps": self.steps,
            "guidance_scale": self.guidance,
            "height": self.height,
            "width": self.width,
        }
        return {name: value for name, value in arguments.items() if value is not None}

    def as_dict(self) -> dict[str, Any]:
        """Return the settings by name."""
        return asdict(self)


@dataclass(frozen=True)
class TracedImage:
    """One picture and its heat maps.

    Attributes
    ----------
    prompt_id
        See `prompt_id`.
    seed
        The seed's number, from 0.
    image
        The picture.
    maps
        Its heat maps, with ``prompt_id``, ``seed`` and ``generator_seed`` in their provenance.
    """

    prompt_id: str
    seed: int
    image: Image
    maps: HeatMaps


def generator_seed(prompt: str, seed: int) -> int:
    """Return the seed of an image's generator: every prompt has seeds of its own.

    So an image depends neither on its neighbours in a batch nor on the other prompts of a study, and
    seeds are nested in prompts.
    """
    digest = hashlib.sha256(f"{prompt_id(prompt)}/{seed}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def identify(pipe: DiffusionPipeline) -> dict[str, Any]:
    """Say which model this is, so that a run is not taken up with another one.

    Returns
    -------
    dict
        ``model`` (its name or path), ``scheduler`` (its class), and ``fingerprint``: a checksum of the
        scheduler's settings and of the first numbers of every weight.
    """
    from torch import nn

    digest = hashlib.sha256(
        json.dumps(dict(pipe.scheduler.config), sort_keys=True, default=str).encode()
    )
    for name, component in sorted(pipe.components.items()):
        if isinstance(component, nn.Module):
            for path, weight in component.named_parameters():
                digest.update(f"{name}.{path}".encode())
                digest.update(weight.detach().flatten()[:8].float().cpu().numpy().tobytes())
    name = EMOJI if is_emoji(pipe) else str(pipe.config.get("_name_or_path") or type(pipe).__name__)
    return {
        "model": name,
        "scheduler": type(pipe.scheduler).__name__,
        "fingerprint": digest.hexdigest()[:16],
    }


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:  # too long for a name
        return False


def check_prompts(prompts: str | Iterable[str]) -> list[str]:
    """Return the prompts as a list, each checked, none twice.

    Raises
    ------
    PromptError
        If there is none, one is empty or no text, one stands there twice, or one is the name of a file of prompts.
    """
    if isinstance(prompts, pd.DataFrame | Path) or not isinstance(prompts, Iterable):
        raise PromptError(
            f"Expected prompts as strings, in a list, a column or a PromptSet, but got {type(prompts).__name__}; "
            'take a column with table["prompt"], read a file with PromptSet.from_file(path).'
        )
    checked = [check_prompt(p) for p in ([prompts] if isinstance(prompts, str) else prompts)]
    for prompt in checked:
        if Path(prompt).suffix.lower() in SUFFIXES and _is_file(prompt):
            raise PromptError(
                f"Expected a prompt, but {prompt!r} is a file; read its prompts with "
                f"PromptSet.from_file({prompt!r}), or --prompts {prompt}."
            )
    if not checked:
        raise PromptError("Expected at least one prompt, but got none.")
    twice = next((p for i, p in enumerate(checked) if p in checked[:i]), None)
    if twice is not None:
        raise PromptError(
            f"Expected each prompt once, but got {twice!r} twice; ask for more seeds instead."
        )
    return checked


def draw(
    sentences: Sequence[Sentence],
    pipe: DiffusionPipeline,
    *,
    seeds: Sequence[int],
    settings: DrawingSettings = DrawingSettings(),
    batch_size: int = 8,
) -> Iterator[TracedImage]:
    """Draw each parsed prompt once per seed, and record its heat maps.

    Parameters
    ----------
    sentences
        The parsed prompts.
    pipe
        A diffusers text-to-image pipeline.
    seeds
        Numbers of the seeds, see `generator_seed`.
    settings
        How to draw, see `DrawingSettings.for_pipeline`.
    batch_size
        Images of a prompt that are drawn together. It may change the last bits of the results.

    Yields
    ------
    TracedImage
        One per prompt and seed, as soon as it is there.

    Raises
    ------
    ModelError
        If the pipeline refuses the settings.
    """
    for sentence in sentences:
        for start in range(0, len(seeds), batch_size):
            batch = [(sentence, seed) for seed in seeds[start : start + batch_size]]
            yield from draw_batch(batch, pipe, settings)


def draw_batch(
    batch: Sequence[tuple[Sentence, int]], pipe: DiffusionPipeline, settings: DrawingSettings
) -> list[TracedImage]:
    """Draw some images together, of the same prompt or of several, and record their heat maps.

    Parameters
    ----------
    batch
        A parsed prompt and a seed's number for each image.
    pipe
        A diffusers text-to-image pipeline.
    settings
        How to draw, see `DrawingSettings.for_pipeline`.

    Returns
    -------
    list of TracedImage
        In the order of the batch.

    Raises
    ------
    ModelError
        If the pipeline refuses the settings, or draws what is no picture.
    TraceError
        If its attention cannot be recorded.
    """
    import torch

    from daam_syntax.attention import trace

    generators = [
        torch.Generator(pipe.device).manual_seed(generator_seed(sentence.text, seed))
        for sentence, seed in batch
    ]
    with trace(pipe) as recording:
        try:
            output = pipe(
                # By name: the first argument is another one in some pipelines.
                prompt=[sentence.text for sentence, _ in batch],
                generator=generators,
                output_type="np",
                **settings.as_arguments(),
            )
        except DaamSyntaxError:
            raise
        except (ValueError, TypeError) as error:
            raise ModelError(
                f"The pipeline {type(pipe).__name__} refused to draw with "
                f"{settings.as_arguments()}: {error}"
            ) from error
    recorded = recording.heat_maps(sentences={s.text: s for s, _ in batch})
    named = {"model": EMOJI} if is_emoji(pipe) else {}
    # A safety checker paints pictures black after they were drawn: their maps are of what was drawn.
    blacked_out = getattr(output, "nsfw_content_detected", None) or [False] * len(batch)
    drawings = []
    for (sentence, seed), pixels, maps, is_black in zip(
        batch, output.images, recorded, blacked_out, strict=True
    ):
        name = prompt_id(sentence.text)
        identified = maps.with_provenance(
            blacked_out=bool(is_black),
            **named,
            prompt_id=name,
            seed=seed,
            generator_seed=generator_seed(sentence.text, seed),
        )
        drawings.append(TracedImage(name, seed, _picture(pixels), identified))
    return drawings


def _picture(pixels: np.ndarray) -> Image:
    """Turn what a pipeline drew, shape (y, x, 3) from 0 to 1, into a picture."""
    from PIL import Image as PillowImage

    if not np.isfinite(pixels).all():
        raise ModelError(
            "Expected a picture, but the pipeline drew NaN: the model overflowed its number format. "
            "Draw in another one, e.g. pipe.to(torch.float32) or torch.bfloat16."
        )
    return PillowImage.fromarray((pixels * 255).round().astype(np.uint8))
