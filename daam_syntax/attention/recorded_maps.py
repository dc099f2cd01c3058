"""Heat maps of recorded pipeline calls."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import xarray as xr

from daam_syntax.attention.pipeline_call.call import PipelineCall
from daam_syntax.attention.pipeline_call.sentences import PromptSentences
from daam_syntax.attention.softmax.refinement import refine as refine_maps
from daam_syntax.maps import HeatMaps


def maps_of_call(
    pipeline_call: PipelineCall, number: int, sentences: PromptSentences, refined: bool
) -> list[HeatMaps]:
    """Return the heat maps of the images of one pipeline call, the `number`-th of the trace."""
    return [maps for (maps,) in frames_of_call(pipeline_call, number, sentences, refined)]


def frames_of_call(
    pipeline_call: PipelineCall, number: int, sentences: PromptSentences, refined: bool = False
) -> list[list[HeatMaps]]:
    """Return the heat maps of each latent frame of the videos of one call; images are videos of one frame."""
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
                HeatMaps(
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
