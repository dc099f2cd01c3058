"""The relations of attention that a trace recorded, as values."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import xarray as xr

from daam_syntax.attention.pipeline_call.call import PipelineCall
from daam_syntax.attention.pipeline_call.memory import cell_grid
from daam_syntax.attention.pipeline_call.recording_spec import RecordingSpec
from daam_syntax.attention.recording.related_call import RelatedCall
from daam_syntax.attention.text_encoders.results import recorded_attention
from daam_syntax.attention.texts.sentences import PromptSentences
from daam_syntax.errors import TraceError
from daam_syntax.maps.word_attention.image_attention import ImageAttention
from daam_syntax.maps.word_attention.values import WordAttention


def check_relation(spec: RecordingSpec, relation: str) -> None:
    """Raise a `TraceError` for a relation that was not recorded."""
    if relation not in spec.relations:
        raise TraceError(
            f"Expected a trace that recorded {relation!r} attention, but this one recorded "
            f"{', '.join(spec.relations)}: trace with relations=[{relation!r}]."
        )


def check_alone(
    relation: str, *, of: str | None, refined: bool, negative: bool, reference: int | None
) -> None:
    """Raise an error for maps of another relation than image to text that were not recorded, or do not exist."""
    if relation != "text-image":
        raise ValueError(
            f"Expected a relation with maps, 'image-text' or 'text-image', but got {relation!r}."
        )
    if of is not None or refined or negative or reference is not None:
        raise TraceError(
            "Expected relation='text-image' alone, but got it with of=..., refined=True, negative=True or "
            "reference=...: only the prompt's words are recorded as queries."
        )


def with_text_as_queries(call: PipelineCall, related: RelatedCall) -> PipelineCall:
    """Return a call with the attention from text to pixels in place of that from pixels to text."""
    return replace(
        call, sums=related.text_image, settings=call.settings | {"relation": "text-image"}
    )


def among_text(
    call: PipelineCall,
    related: RelatedCall,
    relation: str,
    number: int,
    sentences: PromptSentences,
) -> Iterator[WordAttention]:
    """Yield the attention from word to word in the denoiser, for each image of the `number`-th call of the trace.

    The relation is "text-text", or "refiner" for the blocks that read text alone.
    """
    recorded, groups = related.text_text, related.groups
    if relation == "refiner":
        recorded, groups = related.refined, related.refined_groups
    limits = [
        [block.prompts[prompt].truncated_at for block in call.blocks]
        for prompt in range(len(call.prompts))
    ]
    for image, sums in enumerate(recorded):
        known = call.provenance(image)
        sentence = sentences[call.prompts[known["prompt_index"]]]
        read = limits[known["prompt_index"]]
        yield WordAttention(
            sums.mean(list(call.steps), ("query", "key")),
            groups[image],
            sentence,
            relation=relation,
            encoder=" and ".join(block.encoder for block in call.blocks),
            truncated_at=None if None in read else max(each for each in read if each is not None),
            provenance=known | {"call": number, "parser": sentence.parser},
        )


def in_encoders(
    call: PipelineCall, related: RelatedCall, spec: RecordingSpec, sentences: PromptSentences
) -> Iterator[WordAttention]:
    """Yield the attention from word to word in each text encoder that read the prompts, for each prompt."""
    for prompt in call.prompts:
        for recorder in related.encoders:
            if prompt in recorder.recorded:
                yield recorded_attention(
                    recorder.parts,
                    recorder.recorded[prompt],
                    spec.axes_of_relations,
                    sentences[prompt],
                    {name: call.settings.get(name) for name in ("pipeline", "family", "model")},
                )


def among_pixels(call: PipelineCall, related: RelatedCall, number: int) -> Iterator[ImageAttention]:
    """Yield the attention between the cells of each image, in the layers of the finest grid."""
    for image, by_grid in enumerate(related.image_image):
        grid = max(by_grid, key=math.prod)
        found = by_grid[grid].mean(list(call.steps), ("query", "key"))
        cells = cell_grid(grid)
        values = found.values.reshape(*found.shape[:-2], *cells, *cells)
        dims = [*found.dims[:-2], "query_y", "query_x", "key_y", "key_x"]
        yield ImageAttention(
            xr.DataArray(values, dims=dims, coords=found.coords),
            grid,
            call.provenance(image) | {"call": number},
        )
