"""Draw prompts under a trace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from daam_syntax.drawing.seeds import generator_seed
from daam_syntax.errors import DaamSyntaxError, ModelError
from daam_syntax.language import Sentence, prompt_id
from daam_syntax.pipelines.devices import execution_device
from daam_syntax.pipelines.settings import DrawingSettings
from daam_syntax.util.arguments.checks import checked, whole

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline
    from PIL.Image import Image

    from daam_syntax.attention.tracing import Trace
    from daam_syntax.maps import HeatMaps, WordAttention

_PIPELINE_DEFAULTS: Final = DrawingSettings()


@dataclass(frozen=True)
class TracedImage:
    """One image and its heat maps.

    Attributes
    ----------
    prompt_id
        Short name of the prompt, see `daam_syntax.language.prompt_id`.
    seed
        Seed index, from 0.
    image
        The image.
    maps
        Its heat maps, with ``prompt_id``, ``seed`` and ``generator_seed`` in their provenance.
    attention
        The attention between its words in each relation that was recorded, and in each text encoder.
    """

    prompt_id: str
    seed: int
    image: Image
    maps: HeatMaps
    attention: tuple[WordAttention, ...] = ()


@checked(batch_size=whole(1))
def draw(
    sentences: Sequence[Sentence],
    pipe: DiffusionPipeline,
    *,
    seeds: Sequence[int],
    settings: DrawingSettings = _PIPELINE_DEFAULTS,
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
        Seed indices, see `generator_seed`; each gives one image per prompt.
    settings
        Settings of the pipeline calls, see `DrawingSettings.for_pipeline`.
    batch_size
        Images of a prompt to draw together. It can change the last bits of the results.

    Yields
    ------
    TracedImage
        One per prompt and seed, as soon as it is finished.

    Raises
    ------
    ModelError
        If the pipeline rejects the settings.
    """
    for sentence in sentences:
        for start in range(0, len(seeds), batch_size):
            batch = [(sentence, seed) for seed in seeds[start : start + batch_size]]
            yield from draw_batch(batch, pipe, settings)


def draw_batch(
    batch: Sequence[tuple[Sentence, int]],
    pipe: DiffusionPipeline,
    settings: DrawingSettings,
    relations: Sequence[str] = (),
    relation_axes: Sequence[str] = (),
) -> list[TracedImage]:
    """Draw several images in one pipeline call, of one prompt or of several, and record their heat maps.

    Parameters
    ----------
    batch
        A parsed prompt and a seed index for each image.
    pipe
        A diffusers text-to-image pipeline.
    settings
        Settings of the pipeline call, see `DrawingSettings.for_pipeline`.
    relations
        Relations of attention between words to record, too: "encoder", "text-text", "refiner".
    relation_axes
        Axes that they keep, "layer", "head", or both; heat maps are averaged all the same.

    Returns
    -------
    list of TracedImage
        In the order of the batch.

    Raises
    ------
    ModelError
        If the pipeline rejects the settings, draws another size, or draws NaN.
    TraceError
        If its attention cannot be recorded.
    """
    import torch

    from daam_syntax.attention import trace
    from daam_syntax.attention.families.video import require_images

    require_images(pipe, "draw prompts")
    generators = [
        torch.Generator(execution_device(pipe)).manual_seed(generator_seed(sentence.text, seed))
        for sentence, seed in batch
    ]
    with trace(pipe, relations=relations, relation_axes=relation_axes) as recording:
        try:
            output = pipe(
                # By keyword, because the prompt is not the first parameter of every pipeline.
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
    sentences = {sentence.text: sentence for sentence, _ in batch}
    recorded = recording.heat_maps(sentences=sentences)
    attention = _word_attention(recording, relations, sentences, [s.text for s, _ in batch])
    # A safety checker blackens images after they are drawn; their maps still show what was drawn.
    blacked_out = getattr(output, "nsfw_content_detected", None) or [False] * len(batch)
    traced = []
    for (sentence, seed), pixels, maps, between, is_black in zip(
        batch, output.images, recorded, attention, blacked_out, strict=True
    ):
        name = prompt_id(sentence.text)
        identity: dict[str, Any] = {
            "prompt_id": name,
            "seed": seed,
            "generator_seed": generator_seed(sentence.text, seed),
        }
        identified = maps.with_provenance(blacked_out=bool(is_black), **identity)
        _check_size(maps.image_size, settings, pipe)
        own = tuple(each.with_provenance(**identity) for each in between)
        traced.append(TracedImage(name, seed, _to_image(pixels), identified, own))
    return traced


def _check_size(drawn: tuple[int, int], settings: DrawingSettings, pipe: DiffusionPipeline) -> None:
    """Raise if a pipeline drew another size than requested; some round it with only a line in the log."""
    wanted = settings.height, settings.width
    if wanted != (None, None) and drawn != wanted:
        raise ModelError(
            f"Expected images of {wanted[0]} x {wanted[1]} pixels (height x width), but {type(pipe).__name__} draws "
            f"{drawn[0]} x {drawn[1]} instead: pass height={drawn[0]} and width={drawn[1]}."
        )


def _word_attention(
    recording: Trace,
    relations: Sequence[str],
    sentences: Mapping[str, Sentence],
    prompts: Sequence[str],
) -> list[list[WordAttention]]:
    """Return the attention between words of each image, in the order of `relations`."""
    found: list[list[WordAttention]] = [[] for _ in prompts]
    for relation in relations:
        recorded = recording.word_attention(relation, sentences=sentences)
        if relation == "encoder":  # once for each prompt and encoder, whatever the number of images
            of_prompt = {(each.prompt, each.encoder): each for each in recorded}
            recorded_for = [
                [each for (prompt, _), each in of_prompt.items() if prompt == text]
                for text in prompts
            ]
        else:
            recorded_for = [[each] for each in recorded]
        for own, more in zip(found, recorded_for, strict=True):
            own.extend(more)
    return found


def _to_image(pixels: np.ndarray) -> Image:
    """Convert RGB values from 0 to 1 to an image. *Shape:* ``(y, x, 3)``."""
    from PIL import Image as PillowImage

    if not np.isfinite(pixels).all():
        raise ModelError(
            "Expected an image, but the pipeline produced NaN: the model overflowed its number format. "
            "Draw in another one, e.g. pipe.to(torch.float32) or torch.bfloat16."
        )
    return PillowImage.fromarray((pixels * 255).round().astype(np.uint8))
