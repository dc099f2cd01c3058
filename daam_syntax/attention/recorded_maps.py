"""Heat maps of recorded pipeline calls, and which of them a trace has."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import xarray as xr

from daam_syntax.attention.pipeline_call.call import PipelineCall
from daam_syntax.attention.pipeline_call.recording_spec import RecordingSpec
from daam_syntax.attention.softmax.refinement import refine as refine_maps
from daam_syntax.attention.texts.sentences import PromptSentences
from daam_syntax.errors import TraceError
from daam_syntax.maps import HeatMaps, OutputMaps


def maps_of_call(
    pipeline_call: PipelineCall, number: int, sentences: PromptSentences, refined: bool
) -> list[HeatMaps]:
    """Return the heat maps of the images of one pipeline call, the `number`-th of the trace."""
    return [maps for (maps,) in frames_of_call(pipeline_call, number, sentences, refined)]


def output_maps_of_call(
    pipeline_call: PipelineCall, number: int, sentences: PromptSentences, frame: int | None = None
) -> list[OutputMaps]:
    """Return the maps by similarity of outputs of the images of one pipeline call, or of one frame of its videos."""
    own = replace(pipeline_call, sums=pipeline_call.output_sums)
    made = frames_of_call(own, number, sentences, made=OutputMaps)
    if frame is None:
        return [maps for (maps,) in made]
    drawn = pipeline_call.frames[frame]
    known = {"frame": frame, "drawn_frames": [drawn[0], drawn[-1]]}
    return [frames[frame].with_provenance(**known) for frames in made]


def frames_of_call(
    pipeline_call: PipelineCall,
    number: int,
    sentences: PromptSentences,
    refined: bool = False,
    made: Any = HeatMaps,
) -> list[list[Any]]:
    """Return the heat maps of each latent frame of the videos of one call; images are videos of one frame.

    `made` is the class of the maps, `HeatMaps` or `OutputMaps`.
    """
    sums, n_frames = pipeline_call.sums, pipeline_call.n_frames
    values = None if sums.keep else sums.mean_maps()
    how: dict[str, Any] = {}
    if refined:
        values = refine_maps(sums.finest_maps(), pipeline_call.self_attention.mean())
        how = {"refined": pipeline_call.self_attention.describe()}
    result = []
    for image in range(pipeline_call.n_images):
        known = pipeline_call.provenance(image)
        index = known["prompt_index"]
        rows = _rows(pipeline_call, index)
        sentence = sentences[pipeline_call.prompts[index]]
        parts = _tokens(pipeline_call, index) | {
            "sentence": sentence,
            "image_size": (known["height"], known["width"]),
            "provenance": known | {"call": number, "parser": sentence.parser} | how,
        }
        places = range(image * n_frames, (image + 1) * n_frames)
        result.append(
            [
                made(
                    sums.kept_maps(place, rows, pipeline_call.steps)
                    if values is None
                    else xr.DataArray(values[place, rows], dims=("token", "y", "x")),
                    **parts,
                )
                for place in places
            ]
        )
    return result


def _rows(pipeline_call: PipelineCall, index: int) -> list[int]:
    """Return the rows of the recorded text keys that are tokens of a prompt."""
    row_of = {position: row for row, position in enumerate(pipeline_call.positions)}
    return [
        row_of[block.start + position]
        for block in pipeline_call.blocks
        for position in block.prompts[index].positions
    ]


def _tokens(pipeline_call: PipelineCall, index: int) -> dict[str, Any]:
    """Return the subwords of a prompt, and where each text encoder stopped reading it."""
    prompts = {block.encoder: block.prompts[index] for block in pipeline_call.blocks}
    several = len(prompts) > 1
    limits = {name: prompt.truncated_at for name, prompt in prompts.items()}
    return {
        "subwords": [
            replace(subword, encoder=name if several else "")
            for name, prompt in prompts.items()
            for subword in prompt.subwords
        ],
        "truncated_at": limits if several else next(iter(limits.values())),
    }


def with_recorded_text(
    pipeline_call: PipelineCall, *, of: str | None = None, negative: bool = False
) -> PipelineCall:
    """Return a call with a traced text outside the prompts, or the negative prompts, in place of the prompts."""
    if of is not None:
        text = next(text for text in pipeline_call.also if text.prompts == (of,))
        return pipeline_call.with_text(text)
    if not negative:
        return pipeline_call
    assert pipeline_call.negative is not None, "a finished call has every text that the spec names"
    return pipeline_call.with_text(pipeline_call.negative)


def origin(
    maps: HeatMaps | OutputMaps, original: PipelineCall, shown: PipelineCall, negative: bool
) -> dict[str, Any]:
    """Return provenance that maps of another text than the prompts need, see `Trace.heat_maps`."""
    if shown is original:
        return {}
    half = {"half": "unconditional: rows of the negative prompt"} if negative else {}
    return {"drawn_from": original.prompts[maps.provenance["prompt_index"]]} | half


def check_recorded(
    spec: RecordingSpec,
    *,
    of: str | None = None,
    refined: bool = False,
    negative: bool = False,
    reference: int | None = None,
    outputs: bool = False,
) -> None:
    """Raise a `TraceError` for maps of anything that was not traced; the parameters are those of `Trace.heat_maps`."""
    if refined and not spec.refine:
        raise TraceError(
            "Expected a trace that recorded self-attention, to refine its maps, but this one did not: trace with "
            "refine=True."
        )
    if outputs and not spec.outputs:
        raise TraceError(
            "Expected a trace that recorded the similarity of attention outputs, but this one did not: trace with "
            "outputs=True."
        )
    if negative and not spec.negative:
        raise TraceError(
            "Expected a trace that recorded the negative prompts, but this one did not: trace with negative=True."
        )
    if negative and (refined or of is not None):
        raise TraceError(
            "Expected negative=True alone, but got it with refined=True or of=...: self-attention and texts "
            "outside the prompts are recorded in the conditional rows only."
        )
    if reference is not None and not spec.references:
        raise TraceError(
            "Expected a trace that recorded reference images, but this one did not: trace with references=True."
        )
    if reference is not None and (refined or negative or of is not None):
        raise TraceError(
            f"Expected reference={reference} alone, but got it with refined=True, negative=True or of=...: only "
            "the prompt's words are recorded on reference images."
        )
    if of is not None and of not in spec.also:
        raise TraceError(
            f"Expected one of the texts traced besides the prompts, {list(spec.also)}, but got {of!r}: "
            f"trace with also=[{of!r}]."
        )
