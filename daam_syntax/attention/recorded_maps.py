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
    row_of = {position: row for row, position in enumerate(pipeline_call.positions)}
    sums, blocks = pipeline_call.sums, pipeline_call.blocks
    values = None if sums.keep else sums.mean_maps()
    how: dict[str, Any] = {}
    if refined:
        values = refine_maps(sums.finest_maps(), pipeline_call.self_attention.mean())
        how = {"refined": pipeline_call.self_attention.describe()}
    result = []
    several = len(blocks) > 1
    for image in range(pipeline_call.n_images):
        known = pipeline_call.provenance(image)
        index = known["prompt_index"]
        sentence = sentences[pipeline_call.prompts[index]]
        tokens = {block.encoder: (block.start, block.prompts[index]) for block in blocks}
        rows = [
            row_of[start + position]
            for start, prompt in tokens.values()
            for position in prompt.positions
        ]
        recorded = (
            sums.kept_maps(image, rows, pipeline_call.steps)
            if values is None
            else xr.DataArray(values[image, rows], dims=("token", "y", "x"))
        )
        result.append(
            HeatMaps(
                recorded,
                [
                    replace(subword, encoder=name if several else "")
                    for name, (_, prompt) in tokens.items()
                    for subword in prompt.subwords
                ],
                sentence,
                image_size=(known["height"], known["width"]),
                truncated_at={name: prompt.truncated_at for name, (_, prompt) in tokens.items()}
                if several
                else next(prompt.truncated_at for _, prompt in tokens.values()),
                provenance=known | {"call": number, "parser": sentence.parser} | how,
            )
        )
    return result
